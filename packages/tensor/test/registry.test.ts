/** Devices that others bring, and what a target decides. */
import { afterAll, describe, expect, it } from "vitest";
import { InterpreterBackend } from "../src/backends/interpreter/interpreter.ts";
import { ReferenceEngine } from "../src/backends/reference/reference.ts";
import { baseTarget, openOptions, registerBackend, type Backend, type Target } from "../src/backend.ts";
import { checkOptions, optional, whole } from "../src/check/index.ts";
import { Device, init, ops, RandomStream, type Tensor } from "../src/index.ts";
import { buildProgram } from "../src/graph/program.ts";
import { PlanEngine } from "../src/plan/plan-engine.ts";

interface LanesOptions {
  readonly lanes?: number;
}
const rules = openOptions<LanesOptions>({ lanes: optional(whole(1, 64)) });
const given: LanesOptions[] = [];
registerBackend("lanes", (options) => {
  given.push(checkOptions("init", rules, options));
  return Promise.resolve(new InterpreterBackend());
});
registerBackend("graphs", () => new ReferenceEngine());

let number = 0;
const opened: Device[] = [];
afterAll(() => {
  for (const device of opened) device.close();
});
const twice = async (device: Device): Promise<number[]> => {
  opened.push(device);
  return [...(await ops.mul(device.tensor([1, 2]), 2).floats())];
};

describe("a registered device", () => {
  it("is found by its name, and gets its own options and no others", async () => {
    expect(await twice(await init<LanesOptions>({ device: "lanes", lanes: 8, fusion: false }))).toEqual([2, 4]);
    expect(given).toEqual([{ lanes: 8 }]);
    await expect(init({ device: "lanes", lanes: 65 } as never)).rejects.toThrow(
      'init: "lanes" must be a whole number from 1 to 64, got 65',
    );
    await expect(init({ device: "lanes", lane: 8 } as never)).rejects.toThrow(
      'init: has an unknown key "lane"; did you mean "lanes"?',
    );
    await expect(init({ device: "lanes", threads: 2 })).rejects.toThrow('init: has an unknown key "threads"');
    await expect(init({ device: "lanes", fusoin: true } as never)).rejects.toThrow('did you mean "fusion"?');
  });

  it("may take graphs instead of plans", async () => {
    const device = await init({ device: "graphs" });
    expect([device.defaultFloat, ...(await twice(device))]).toEqual(["f64", 2, 4]);
  });

  it("cannot take the name of another", () => {
    expect(() => {
      registerBackend("wasm", () => new InterpreterBackend());
    }).toThrow('registerBackend: there is a device "wasm" already; take another name');
    expect(() => {
      registerBackend("", () => new InterpreterBackend());
    }).toThrow("registerBackend: a device needs a name");
    expect(() => {
      registerBackend("five", 5 as never);
    }).toThrow('registerBackend: "five" needs a function that opens it, got 5');
  });

  it("stands in the list of those there are", async () => {
    await expect(init({ device: "cuda" })).rejects.toThrow(
      'init: "device" must be one of "wasm", "webgpu", "reference", "interpreter", "lanes", "graphs", got "cuda"',
    );
  });

  it.each<[unknown, string]>([
    [undefined, "undefined"],
    [null, "null"],
    [{}, "{}"],
    [5, "5"],
    [{ run: () => undefined }, "{}"],
  ])("whose opener returns %j is refused in one line", async (value, shown) => {
    const name = `broken ${String(number++)}`;
    registerBackend(name, () => value as Backend);
    await expect(init({ device: name })).rejects.toMatchObject({
      code: "ConfigError",
      message: `init: what was registered as device "${name}" opened ${shown}, which is neither a Backend nor an Engine; return one`,
    });
  });
});

function withTarget(target: Partial<Target>): Device {
  const backend: Backend = Object.assign(new InterpreterBackend(), { target: { ...baseTarget, ...target } });
  const device = new Device(new PlanEngine(backend, { fusion: true, planCache: true }));
  opened.push(device);
  return device;
}

describe("a target", () => {
  const stream = new RandomStream(3, "target");
  const values = (n: number): Float32Array => Float32Array.from({ length: n }, () => stream.uniform() - 0.5);
  const [x, w, many] = [values(64 * 32), Uint8Array.from({ length: 32 * 16 }, (_, i) => i % 251), values(1 << 12)];
  const build = (device: Device): { small: Tensor; total: Tensor; sum: Tensor; slope: Tensor } => {
    const weight = ops.mul(ops.cast(device.tensor(w, [32, 16], "u8"), "f32"), 1 / 256);
    const h = ops.matmul(device.tensor(x, [64, 32]), weight);
    const terms = Array.from({ length: 12 }, (_, i) => device.tensor(many.slice(i), [many.length - i]));
    return {
      small: ops.gelu(h),
      slope: ops.mul(ops.tanh(h), ops.exp(h)),
      total: ops.sum(device.tensor(many)),
      sum: terms.map((t) => ops.slice(t, 0, 0, 4000)).reduce((a, b) => ops.add(a, b)),
    };
  };
  const floats = async (device: Device): Promise<number[][]> => {
    const all = Object.values(build(device));
    await device.realize(...all);
    return Promise.all(all.map(async (t) => [...(await t.floats())]));
  };
  const stepsOf = (device: Device): number => {
    const { small, slope, total, sum } = build(device);
    return device.plan(
      buildProgram(
        [small, slope, total, sum].map((t) => t.node),
        [],
      ),
    ).steps;
  };

  it.each<[string, Partial<Target>, "more" | "fewer" | "same"]>([
    ["fewer arguments", { maxArguments: 4 }, "more"],
    ["more arguments", { maxArguments: 24 }, "fewer"],
    ["operands from memory", { computesOperands: false }, "more"],
    ["reductions cut earlier", { splitReductionFrom: 1 << 10, reductionParts: 16 }, "more"],
    ["one result beside a product", { maxProductResults: 1 }, "more"],
    ["wider alignment", { arenaAlignment: 4096 }, "same"],
  ])("%s: another plan, the same numbers", async (_, target, steps) => {
    const [base, other] = [withTarget({}), withTarget(target)];
    const [want, got] = [await floats(base), await floats(other)];
    // sums are exact here but for the rounding of what is stored: 16 parts of 256 terms below 1/2, and the total, each off by u·128 at most
    got.forEach((list, i) =>
      list.forEach((v, j) => expect(Math.abs(v - want[i]![j]!)).toBeLessThan(17 * 128 * 2 ** -24)),
    );
    const [before, after] = [stepsOf(base), stepsOf(other)];
    expect(after > before ? "more" : after < before ? "fewer" : "same").toBe(steps);
  });
});
