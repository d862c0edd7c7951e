/** A device from outside: it registers itself, passes the parity suite, and computes softmax by a template of its own. */
import { allRecords, checkOpParity, checkOpTails } from "@lowrank/numerics";
import type { SampleSource } from "@lowrank/tensor/records";
import { compile, grad, init, ops, RandomStream, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { opened, registerToy, type ToyBackend, type ToyOptions } from "../src/index.ts";

const seed = fc.readConfigureGlobal().seed!;
let reference: Device;
let device: Device;
let plain: Device;
let toy: ToyBackend;
let plainToy: ToyBackend;

beforeAll(async () => {
  registerToy();
  reference = await init({ device: "reference" });
  plain = await init<ToyOptions>({ device: "toy", templates: false });
  plainToy = opened;
  device = await init({ device: "toy" });
  toy = opened;
});
beforeEach(() => {
  toy.ran.clear();
});
afterAll(() => {
  for (const d of [reference, plain, device]) d.close();
});
const times = (): number => toy.ran.get("softmax") ?? 0;

describe("the parity suite on a device from outside", () => {
  it.for(allRecords())("%s", async ([name, record]) => {
    await checkOpParity(name, record, device, reference, { seed, runs: 6 });
    await checkOpTails(name, record, device, reference, { seed, runs: 6 });
    await checkOpParity(name, record, device, reference, { seed, runs: 6, empty: true });
  });

  it.each(["softmax", "attentionWeights", "attention"])(
    "ran every %s by the template, forward and for its gradient",
    async (name) => {
      const drawn = Object.fromEntries(allRecords())[name]!;
      // attention in tiles has no softmax: it sums exponentials as it goes
      const whole = (part: unknown): unknown =>
        typeof part === "object" && part !== null && "tiles" in part ? { ...part, tiles: undefined } : part;
      const record = { ...drawn, sample: (g: SampleSource) => drawn.sample(g).map(whole) };
      await checkOpParity(name, record, device, reference, { seed, runs: 20 });
      expect(times()).toBe(20);
      await checkOpParity(name, record, plain, reference, { seed, runs: 5 });
      expect(plainToy.ran.size).toBe(0);
    },
  );
});

describe("a template", () => {
  const stream = new RandomStream(5, "toy");
  const shape = [3, 4, 5];
  const values = Float32Array.from({ length: 60 }, () => 4 * stream.uniform() - 2);
  // results and gradients are below 1 and come from fewer than 64 operations, each off by half a unit of f32 at most
  const close = (got: Float64Array, want: Float64Array): void => {
    got.forEach((x, i) => expect(Math.abs(x - want[i]!)).toBeLessThan(64 * 2 ** -24));
  };

  it("leaves what nobody else needs out of the plan, and its result is what the gradient reads", async () => {
    const run = async (on: Device): Promise<Float64Array[]> => {
      const x = on.tensor(values, shape);
      const y = ops.softmax(x, 1);
      const all = [y, ...grad(ops.sum(ops.square(y)), [x])];
      await on.realize(...all);
      return Promise.all(all.map((t) => t.floats()));
    };
    const [got, want] = [await run(device), await run(reference)];
    expect(times()).toBe(1);
    got.forEach((list, i) => close(list, want[i]!));
  });

  it("serves compiled functions, replay after replay", async () => {
    const step = compile(device, ({ x }) => ({ y: ops.softmax(x!) }));
    for (let i = 0; i < 3; i++) {
      const data = values.map((v) => v * i);
      const { y } = await step({ x: { data, shape } });
      close(await y.floats(), await ops.softmax(reference.tensor(data, shape)).floats());
    }
    expect(times()).toBe(3);
  });

  it("may write into a parameter that it reads", async () => {
    const run = async (on: Device): Promise<Float64Array> => {
      const p = on.parameter(Float64Array.from(values), shape, on.defaultFloat);
      p.assign(ops.softmax(p.value, 0));
      await on.realize();
      return p.value.floats();
    };
    close(await run(device), await run(reference));
    expect(times()).toBe(1);
  });

  it("is not asked where every operation shall be a kernel of its own", async () => {
    const unfused = await init({ device: "toy", fusion: false });
    const backend = opened;
    close(
      await ops.softmax(unfused.tensor(values, shape)).floats(),
      await ops.softmax(reference.tensor(values, shape)).floats(),
    );
    expect(backend.ran.size).toBe(0);
    unfused.close();
  });
});
