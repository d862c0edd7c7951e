/** Devices whose code takes time to be made: the steps that wait for it keep their order and their values, and a failure leaves nothing behind. */
import { fc, test } from "@fast-check/vitest";
import { afterEach, describe, expect, it, vi } from "vitest";
import { InterpreterBackend } from "../src/backends/interpreter/interpreter.ts";
import type { Backend, Executable } from "../src/backends/backend.ts";
import { compile, Device, DeviceError, init, ops, type LowrankError } from "../src/index.ts";
import { PlanEngine } from "../src/plan/plan-engine.ts";
import type { Plan } from "../src/plan/plan.ts";

/** Every preparation takes a while, longer for the first ones; or fails. Runs end at once, as on wasm. */
class Slow {
  prepared = 0;
  failing = false;
  atOnce = false;
  error: Error = new DeviceError("slow: no room for code");
  delay = 20;
  readonly backend: Backend;
  constructor() {
    const inner = new InterpreterBackend();
    const prepare = async (plan: Plan): Promise<Executable> => {
      this.prepared++;
      const fails = this.failing;
      await new Promise((resolve) => setTimeout(resolve, (this.delay = this.delay / 2)));
      if (fails) throw this.error;
      return { plan };
    };
    const refuse = (): never => {
      throw this.error;
    };
    this.backend = new Proxy<Backend>(inner, {
      get: (target, name) => {
        if (name === "prepare") return this.atOnce ? refuse : prepare;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value as () => unknown).bind(target) : value;
      },
    });
  }
}

let slow: Slow;
let device: Device;
function open(): Device {
  slow = new Slow();
  return (device = new Device(new PlanEngine(slow.backend, { fusion: true, planCache: true })));
}
afterEach(() => {
  vi.unstubAllGlobals();
  device.close();
});

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "done",
    (error: LowrankError) => error.code,
  );

describe("steps whose code is being made", () => {
  it("run in the order in which they were asked for, and each kind is made once", async () => {
    open();
    const p = device.parameter([1]);
    const times = compile(device, ({ x }) => {
      p.assign(ops.mul(p.value, x!));
      return {};
    });
    const plus = compile(device, ({ x }) => {
      p.assign(ops.add(p.value, x!));
      return { y: ops.mul(p.value, 1) };
    });
    const x = (value: number) => ({ x: { data: [value], shape: [1] } });
    // the second kind is ready first
    const runs = [times(x(2)), times(x(3)), plus(x(1)), times(x(10)), plus(x(5))];
    expect(() => {
      p.write([7]);
    }).toThrow("was started and has not run yet");
    const read = p.value.floats();
    await Promise.all(runs);
    expect([...(await read)]).toEqual([75]);
    expect(slow.prepared).toBe(2);
    // both are ready now: a step has run when its call returns
    const last = plus(x(1));
    p.write([0]);
    const { y } = (await last) as { y: { floats(): Promise<Float64Array> } };
    expect([...(await y.floats())]).toEqual([76]);
    expect([...(await p.value.floats())]).toEqual([0]);
  });

  it.each([false, true])("keep what they were given (anomaly detection %s)", async (detect) => {
    open();
    device.anomalyDetection = detect;
    const p = device.parameter([1]);
    const step = compile(device, ({ x }) => {
      p.assign(ops.add(p.value, x!));
      return { y: ops.mul(p.value, 2) };
    });
    const data = Float32Array.of(1);
    const run = step({ x: { data, shape: [1] } });
    data[0] = 1000;
    p.dispose();
    expect([...(await (await run).y.floats())]).toEqual([4]);
  });

  it("are rejected when the device is closed, and never run", async () => {
    open();
    const p = device.parameter([1]);
    p.assign(ops.add(p.value, 1));
    const work = [device.realize(), ops.mul(p.value, 2).floats()].map(codeOf);
    device.close();
    expect(await Promise.all(work)).toEqual(["DisposedError", "DisposedError"]);
  });
});

describe("a preparation that fails", () => {
  it("leaves parameters and live values as before the step, is not kept, and the next steps go on", async () => {
    open();
    const p = device.parameter([1]);
    let n = 0;
    const live = device.live(
      [1],
      "f32",
      () => [++n],
      () => n--,
    );
    const step = compile(device, () => {
      p.assign(ops.add(ops.mul(p.value, 10), live));
      return {};
    });
    const other = compile(device, () => ({ y: ops.add(p.value, 0.5) }));
    await other({});
    slow.failing = true;
    const runs = [codeOf(step({})), codeOf(step({}))];
    const beside = other({});
    expect(await Promise.all(runs)).toEqual(["DeviceError", "DeviceError"]);
    expect([n, ...(await (await beside).y.floats()), ...(await p.value.floats())]).toEqual([0, 1.5, 1]);
    slow.failing = false;
    await step({});
    await step({});
    expect([n, ...(await p.value.floats())]).toEqual([2, 112]);
  });

  it("leaves tensors that were built before as good as they were, the step's own result included", async () => {
    open();
    const p = device.parameter([5]);
    const before = ops.mul(p.value, 4);
    const step = compile(device, () => {
      p.assign(ops.add(p.value, 1));
      return {};
    });
    slow.failing = true;
    expect(await codeOf(step({}))).toBe("DeviceError");
    p.assign(ops.mul(p.value, 3));
    const result = ops.add(p.value, 2);
    expect(await codeOf(result.floats())).toBe("DeviceError");
    slow.failing = false;
    expect([...(await p.value.floats()), ...(await result.floats()), ...(await before.floats())]).toEqual([5, 17, 20]);
  });

  it.each([0, 1, 2])("makes tensors stale that were built on the step, for good: %d more steps", async (more) => {
    open();
    const p = device.parameter([1]);
    const step = compile(device, () => {
      p.assign(ops.add(p.value, 10));
      return {};
    });
    const before = ops.mul(p.value, 2);
    slow.failing = true;
    const failing = codeOf(step({}));
    const meanwhile = ops.mul(p.value, 2);
    const asked = codeOf(meanwhile.floats());
    expect(await codeOf(before.floats())).toBe("StaleError");
    expect(await failing).toBe("DeviceError");
    expect(await asked).not.toBe("done");
    slow.failing = false;
    for (let i = 0; i < more; i++) await step({});
    expect(await codeOf(meanwhile.floats())).toBe("StaleError");
    expect(await codeOf(before.floats())).toBe(more === 0 ? "done" : "StaleError");
    expect([...(await ops.mul(p.value, 1).floats())]).toEqual([1 + 10 * more]);
  });

  it("stops what was asked for meanwhile and built on it; steps that were asked for before and after go on", async () => {
    open();
    const p = device.parameter([1]);
    const plus = compile(device, ({ x }) => {
      p.assign(ops.add(p.value, x!));
      return {};
    });
    const x = (value: number) => ({ x: { data: [value], shape: [1] } });
    const ready = ops.mul(p.value, 7);
    await ready.floats();
    await plus(x(1));
    const first = ops.mul(p.value, 7);
    const fits = first.floats();
    slow.failing = true;
    p.assign(ops.exp(p.value));
    const failing = codeOf(device.realize());
    slow.failing = false;
    // its code is there already: only that what it reads never came to be stops it
    const onIt = codeOf(ops.mul(p.value, 7).floats());
    const next = plus(x(3));
    const onNext = ops.mul(p.value, 7).floats();
    await next;
    expect([await failing, await onIt]).toEqual(["DeviceError", "StaleError"]);
    expect([...(await fits), ...(await onNext), ...(await p.value.floats())]).toEqual([14, 35, 5]);
  });

  test.prop([fc.array(fc.record({ fails: fc.boolean(), awaited: fc.boolean() }), { maxLength: 8 })], { numRuns: 60 })(
    "in any row of steps: in the end tensors can be read that were built on the last one that happened, and no others",
    async (steps) => {
      open();
      slow.delay = 2;
      const p = device.parameter([0]);
      const built = [ops.mul(p.value, 2)];
      const codes: Promise<unknown>[] = [];
      for (const [i, { fails, awaited }] of steps.entries()) {
        slow.failing = fails;
        // other code for each
        const step = compile(device, () => {
          p.assign(ops.add(p.value, 2 ** i));
          return {};
        });
        codes.push(codeOf(step({})));
        built.push(ops.mul(p.value, 2));
        if (awaited) await codes.at(-1);
      }
      slow.failing = false;
      expect(await Promise.all(codes)).toEqual(steps.map(({ fails }) => (fails ? "DeviceError" : "done")));
      const total = steps.reduce((sum, { fails }, i) => sum + (fails ? 0 : 2 ** i), 0);
      const happened = steps.findLastIndex(({ fails }) => !fails);
      const on = [-1, ...steps.keys()];
      const read = await Promise.all(
        built.map((t) =>
          t.floats().then(
            ([v]) => v,
            (e: LowrankError) => e.code,
          ),
        ),
      );
      expect(read).toEqual(on.map((i) => (i === happened ? 2 * total : "StaleError")));
      expect([...(await p.value.floats())]).toEqual([total]);
      device.close();
    },
  );

  it.each([true, false])("says whose it was where the backend did not (at once: %s)", async (atOnce) => {
    open();
    const cause = new Error("boom");
    Object.assign(slow, { failing: true, atOnce, error: cause });
    await expect(device.tensor([1]).add(1).data()).rejects.toMatchObject({
      code: "DeviceError",
      message: `${device.name}: the code of a plan could not be made (Error: boom); nothing was run`,
      cause,
    });
  });

  it("of an anomaly check stops the step that it was for", async () => {
    open();
    const p = device.parameter([1]);
    const step = compile(device, () => {
      p.assign(ops.add(p.value, 1));
      return {};
    });
    await step({});
    device.anomalyDetection = true;
    slow.failing = true;
    expect(await codeOf(step({}))).toBe("DeviceError");
    slow.failing = false;
    expect([...(await p.value.floats())]).toEqual([2]);
    await step({});
    expect([...(await p.value.floats())]).toEqual([3]);
  });
});

describe("a platform that compiles nothing large on its main thread", () => {
  it("makes wasm wait for its code, and no longer", async () => {
    const { Module } = WebAssembly;
    let refused = 0;
    vi.stubGlobal(
      "WebAssembly",
      Object.assign(Object.create(WebAssembly), {
        compile: WebAssembly.compile,
        instantiate: WebAssembly.instantiate,
        Module: function (bytes: Uint8Array<ArrayBuffer>) {
          if (bytes.length < 100) return new Module(bytes);
          refused++;
          throw new RangeError("WebAssembly.Compile is disallowed on the main thread");
        },
      }),
    );
    device = await init({ device: "wasm", threads: 2 });
    const p = device.parameter([1]);
    const step = compile(device, () => {
      p.assign(ops.add(p.value, ops.exp(ops.mul(p.value, 0))));
      return {};
    });
    const first = [step({}), step({})];
    await Promise.all(first);
    expect(refused).toBe(1);
    // ready: it has run when the call returns
    const third = step({});
    p.write([10]);
    await third;
    await step({});
    expect([...(await p.value.floats())]).toEqual([11]);
  });
});

describe("what compile tells", () => {
  it("of a plan is there before its code, and the time counts the code", async () => {
    open();
    slow.delay = 100;
    const step = compile(device, ({ x }) => ({ y: ops.exp(x!) }));
    const info = step.plan({ x: { shape: [8], dtype: "f32" } });
    expect([info.kernels, info.steps]).toEqual([1, 1]);
    await step({ x: { data: new Float32Array(8), shape: [8] } });
    expect(step.info()[0]!.compileMs).toBeGreaterThan(40);
  });
});
