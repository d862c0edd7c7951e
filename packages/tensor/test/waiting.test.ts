/** What the host does while a step has not run yet does not reach into it: on devices that compute at once, and on those that do not. */
import { afterEach, describe, expect, it } from "vitest";
import { InterpreterBackend } from "../src/backends/interpreter/interpreter.ts";
import type { Backend, DeviceBuffer, Executable } from "../src/backends/backend.ts";
import type { TypedArray } from "../src/dtype.ts";
import { compile, Device, init, ops, type Compiled, type Parameter, type Tensor } from "../src/index.ts";
import { baseTarget } from "../src/ir/target.ts";
import { PlanEngine } from "../src/plan/plan-engine.ts";

/** In queue order, and told later, as on WebGPU. Freed memory is handed on and forgets what was in it. */
class LateBackend implements Backend {
  readonly name = "late";
  readonly synchronous = false;
  readonly target = baseTarget;
  readonly #inner = new InterpreterBackend();
  alloc(bytes: number): DeviceBuffer {
    return this.#inner.alloc(bytes);
  }
  free(buffer: DeviceBuffer): void {
    this.#inner.upload(buffer, new Uint8Array(buffer.bytes).fill(0xff));
    this.#inner.free(buffer);
  }
  upload(buffer: DeviceBuffer, bytes: Uint8Array): void {
    this.#inner.upload(buffer, bytes);
  }
  async read(buffer: DeviceBuffer): Promise<Uint8Array> {
    return later(this.#inner.readSync(buffer));
  }
  prepare(plan: Executable["plan"]): Executable {
    return this.#inner.prepare(plan);
  }
  async run(executable: Executable, uploads: readonly TypedArray[], bound: readonly DeviceBuffer[]): Promise<void> {
    this.#inner.run(executable, uploads, bound);
    await later(undefined);
  }
  memory(): ReturnType<Backend["memory"]> {
    return this.#inner.memory();
  }
  info(): ReturnType<Backend["info"]> {
    return this.#inner.info();
  }
  close(): void {
    this.#inner.close();
  }
}

const later = <T>(value: T): Promise<T> =>
  new Promise((resolve) => {
    setTimeout(() => {
      resolve(value);
    }, 1);
  });

const open = (name: string): Promise<Device> =>
  name === "late"
    ? Promise.resolve(new Device(new PlanEngine(new LateBackend(), { fusion: true, planCache: true })))
    : init({ device: name as "wasm", threads: 1 });

let device: Device;
afterEach(() => {
  device.close();
});

interface Toy {
  readonly p: Parameter;
  readonly step: Compiled<{ y: Tensor }>;
}

async function toy(name: string, detect: boolean): Promise<Toy> {
  device = await open(name);
  const p = device.parameter([1]);
  const step = compile(device, ({ x }) => {
    p.assign(ops.add(p.value, ops.sum(x!)));
    return { y: ops.mul(p.value, 2) };
  });
  for (let i = 0; i < 3; i++) await step({ x: { data: [0], shape: [1] } });
  device.anomalyDetection = detect;
  return { p, step };
}

const typed = (name: string): Float64Array | Float32Array =>
  name === "reference" ? Float64Array.of(1) : Float32Array.of(1);

describe.each(["wasm", "interpreter", "reference"])("a step on %s, with anomaly detection and without", (name) => {
  it.each([false, true])(
    "has the values that it was given, and what is written after it stays (detection %s)",
    async (detect) => {
      const { p, step } = await toy(name, detect);
      const data = typed(name);
      const q = step({ x: { data, shape: [1] } });
      data[0] = 1000;
      p.write([100]);
      expect(await (await q).y.item()).toBe(4);
      expect(await p.value.item()).toBe(100);
    },
  );

  it.each([false, true])("and one that is built by hand (detection %s)", async (detect) => {
    const { p } = await toy(name, detect);
    p.assign(ops.add(p.value, 1));
    const q = device.realize();
    p.write([50]);
    await q;
    expect(await p.value.item()).toBe(50);
  });

  it.each([false, true])(
    "writes nothing into the place of a parameter that was disposed since (detection %s)",
    async (detect) => {
      const { p, step } = await toy(name, detect);
      const q = step({ x: { data: [1], shape: [1] } });
      p.dispose();
      const r = device.parameter([42]);
      expect(await (await q).y.item()).toBe(4);
      expect(await r.value.item()).toBe(42);
    },
  );
});

describe("a step that waits for its turn", () => {
  it.each([false, true])(
    "keeps its inputs and its parameters; they can be written once it has run (detection %s)",
    async (detect) => {
      const { p, step } = await toy("late", detect);
      const data = Float32Array.of(1);
      const first = step({ x: { data, shape: [1] } });
      const second = step({ x: { data, shape: [1] } });
      const third = step({ x: { data, shape: [1] } });
      data[0] = 1000;
      expect(() => {
        p.write([100]);
      }).toThrow("write: a step that uses parameter [1] was started and has not run yet; await it first");
      const read = p.value.item();
      expect(await Promise.all([first, second, third].map(async (q) => (await q).y.item()))).toEqual([4, 6, 8]);
      expect(await read).toBe(4);
      p.write([100]);
      expect(await p.value.item()).toBe(100);
    },
  );

  it.each([false, true])(
    "keeps the memory of parameters that are disposed meanwhile, until then (detection %s)",
    async (detect) => {
      const { p, step } = await toy("late", detect);
      const before = device.memory().buffers;
      const runs = [step({ x: { data: [1], shape: [1] } }), step({ x: { data: [1], shape: [1] } })];
      p.dispose();
      const ys = await Promise.all(runs.map(async (q) => (await q).y));
      expect([await ys[0]!.item(), await ys[1]!.item()]).toEqual([4, 6]);
      expect(device.memory().buffers).toBe(before - 1 + ys.length);
    },
  );
});

it.each(["wasm", "interpreter", "reference", "late"])(
  "results that hang together can be read at once under anomaly detection, %s",
  async (name) => {
    const { p } = await toy(name, true);
    const y = ops.add(p.value, 1);
    expect(await Promise.all([y.tolist(), ops.mul(y, 2).tolist(), ops.add(y, y).tolist()])).toEqual([[2], [4], [4]]);
    const [bad, more] = [ops.div(y, 0), ops.mul(ops.div(y, 0), 2)];
    const said = (error: unknown): string => (error as Error).message;
    expect(await Promise.all([bad.tolist().catch(said), more.tolist().catch(said)])).toEqual(
      Array.from({ length: 2 }, () => "div[1] in (top level) made the first non-finite value, Infinity at element 0"),
    );
  },
);
