/** A step happens as a whole or not at all: failures at every call of the backend and at every line of a compiled function. */
import { compile, Device, DeviceError, grad, init, LowrankError, ops, type Tensor } from "@lowrank/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { InterpreterBackend } from "../../tensor/src/backends/interpreter/interpreter.ts";
import { createWasmBackend } from "../../tensor/src/backends/wasm/backend.ts";
import { createWebGpuBackend } from "../../tensor/src/backends/webgpu/backend.ts";
import type { Backend } from "../../tensor/src/backends/backend.ts";
import { PlanEngine } from "../../tensor/src/plan/plan-engine.ts";
import { Faulty, type Fault } from "../../tensor/test/support/faulty.ts";
import { swiftShaderAvailable } from "../../tensor/test/support/swiftshader.ts";
import { AdamW, Dropout, Rngs, Linear, Module } from "../src/index.ts";

class Toy extends Module {
  first: Linear = new Linear(6, 4);
  drop: Dropout = new Dropout(0.3);
  second: Linear = new Linear(4, 3);
  forward(x: Tensor): Tensor {
    return this.second.forward(this.drop.forward(ops.tanh(this.first.forward(x))));
  }
}

const ROWS = 5;
/** Floats of a result that stays on the device; small ones come back with the run. */
const WIDE = 1100;
const input = { data: Float32Array.from({ length: ROWS * 6 }, (_, i) => Math.sin(i)), shape: [ROWS, 6] };
const open: Device[] = [];
afterAll(() => {
  for (const device of open) device.close();
});

interface Scene {
  readonly device: Device;
  readonly faulty: Faulty;
  /** Runs a step and gives its results. */
  step(): Promise<number[]>;
  /** Everything that a step changes. */
  state(): Promise<unknown>;
  /** Throws at a line of the step's function: counted from 1. */
  failAtLine: number;
  lines: number;
}

async function scene(backend: Backend, how: "compiled" | "eager"): Promise<Scene> {
  const faulty = new Faulty(backend);
  const device = new Device(new PlanEngine(faulty.backend, { fusion: true, planCache: true }));
  open.push(device);
  const model = new Toy();
  await model.materialize({ device });
  const keys = new Rngs(device, 7);
  model.train(keys);
  const optimizer = new AdamW(model.weights(), { lr: (step) => 0.01 / (1 + step) });
  const self: Scene = { device, faulty, failAtLine: 0, lines: 0, step, state };
  const line = <T>(value: T): T => {
    if (++self.lines === self.failAtLine) throw new Error("a line");
    return value;
  };
  const update = ({ x }: Record<string, Tensor>): { loss: Tensor; wide: Tensor } => {
    self.lines = 0;
    keys.restart();
    const h = line(model.first.forward(x!));
    const y = line(model.second.forward(model.drop.forward(ops.tanh(h))));
    const loss = line(ops.mean(ops.square(y)));
    const grads = line(grad(loss, optimizer.parameters));
    optimizer.step(grads);
    line(undefined);
    return line({ loss, wide: ops.add(ops.expand(ops.sum(h), [WIDE]), 1) });
  };
  const compiled = compile(device, update);
  async function step(): Promise<number[]> {
    const out = how === "compiled" ? await compiled({ x: input }) : await eager();
    return [...(await out.loss.floats()), ...(await out.wide.floats())];
  }
  async function eager(): Promise<{ loss: Tensor; wide: Tensor }> {
    const out = update({ x: device.tensor(input.data, input.shape) });
    await device.realize(out.loss, out.wide);
    return out;
  }
  async function state(): Promise<unknown> {
    const values = await Promise.all(
      [...model.weights().map((w) => w.parameter), ...optimizer.state().values()].map((p) => p.data()),
    );
    return { values, steps: optimizer.steps, draws: keys.step, pending: device.pending.size };
  }
  return self;
}

const BACKENDS: Record<string, () => Promise<Backend> | Backend> = {
  interpreter: () => new InterpreterBackend(),
  wasm: () => createWasmBackend(1, { fma: false }),
};
const STEPS = 3;

describe.each(Object.keys(BACKENDS))("a step on %s", (name) => {
  const make = async (how: "compiled" | "eager"): Promise<Scene> => scene(await BACKENDS[name]!(), how);

  /** States before each step and after the last, and the results of each, of a run that nothing disturbs. */
  async function undisturbed(how: "compiled" | "eager"): Promise<{ states: unknown[]; results: number[][] }> {
    const s = await make(how);
    const [states, results]: [unknown[], number[][]] = [[await s.state()], []];
    for (let i = 0; i < STEPS; i++) {
      results.push(await s.step());
      states.push(await s.state());
    }
    return { states, results };
  }

  async function lost(s: Scene): Promise<void> {
    const p = s.device.parameter.bind(s.device);
    for (const use of [
      () => s.step(),
      () => s.state(),
      () => s.device.realize(),
      () => p([1]),
      () => s.device.tensor([1]),
      () => s.device.memory(),
    ]) {
      await expect((async () => use())()).rejects.toMatchObject({ code: "DeviceLostError" });
    }
  }

  it.each(["compiled", "eager"] as const)(
    "is atomic at every call of the backend, %s",
    async (how: "compiled" | "eager") => {
      const { states, results } = await undisturbed(how);
      const seen = new Set<string>();
      for (const [when, error] of [
        ["before", new DeviceError("no room")],
        ["after", new Error("a crash")],
      ] as const) {
        // the capturing call, the one that captures again, and a replay
        for (const disturbed of name === "interpreter" ? [0, 1, 2] : [2]) {
          for (let call = 1; ; call++) {
            const s = await make(how);
            for (let i = 0; i < disturbed; i++) await s.step();
            const fault: Fault = { call, when, error };
            s.faulty.arm(fault);
            const failure: unknown = await s.step().then(
              () => undefined,
              (e: unknown) => e,
            );
            const { failed, ran } = s.faulty;
            s.faulty.arm(undefined);
            if (failed === undefined) {
              expect(failure).toBeUndefined();
              s.device.close();
              break;
            }
            seen.add(failed);
            const what = `${when} ${failed}, call ${call} of step ${disturbed + 1}`;
            expect(failure, what).toBeInstanceOf(Error);
            if (failed === "run" && !(error instanceof LowrankError)) {
              await lost(s);
              continue;
            }
            const at = disturbed + (ran ? 1 : 0);
            expect(await s.state(), what).toEqual(states[at]);
            for (let i = at; i < STEPS; i++) {
              expect(await s.step(), what).toEqual(results[i]);
              expect(await s.state(), what).toEqual(states[i + 1]);
            }
            s.device.close();
          }
        }
      }
      if (name === "interpreter")
        expect([...seen].sort()).toEqual(expect.arrayContaining(["alloc", "prepare", "readSync", "run"]));
    },
  );

  it("is atomic at every line of a compiled function and of a schedule", async () => {
    const { states, results } = await undisturbed("compiled");
    for (const disturbed of name === "interpreter" ? [0, 1] : [0]) {
      for (let line = 1; line <= 6; line++) {
        const s = await make("compiled");
        for (let i = 0; i < disturbed; i++) await s.step();
        s.failAtLine = line;
        await expect(s.step()).rejects.toThrow("a line");
        s.failAtLine = 0;
        await s.device.realize();
        expect(await s.state()).toEqual(states[disturbed]);
        for (let i = disturbed; i < STEPS; i++) expect(await s.step()).toEqual(results[i]);
        expect(await s.state()).toEqual(states[STEPS]);
      }
    }
  });
});

it("a step on webgpu is atomic at every call of the backend", async (ctx) => {
  const reason = await swiftShaderAvailable();
  if (reason !== undefined) ctx.skip(reason);
  const [calm, s] = [
    await scene(await createWebGpuBackend(), "compiled"),
    await scene(await createWebGpuBackend(), "compiled"),
  ];
  // what fails before a call leaves a device that works on: one is enough
  let disturbed = true;
  for (let call = 1; disturbed; call++) {
    s.faulty.arm({ call, when: "before", error: new DeviceError("no room") });
    const seen: unknown = await s.step().catch((e: unknown) => e);
    const { failed, ran } = s.faulty;
    s.faulty.arm(undefined);
    disturbed = failed !== undefined;
    const want = ran ? await calm.step() : undefined;
    if (!disturbed) expect(seen).toEqual(want);
    expect(await s.state(), `${failed}, call ${call}`).toEqual(await calm.state());
  }
  expect(await s.step()).toEqual(await calm.step());
});

it("a lost device leaves others alone, and a closed one says so at once", async () => {
  const [first, second] = [
    await scene(new InterpreterBackend(), "compiled"),
    await scene(new InterpreterBackend(), "compiled"),
  ];
  await first.step();
  first.faulty.arm({ call: 3, when: "after", error: new Error("x") });
  await first.step().catch(() => undefined);
  expect(await second.step()).toHaveLength(1 + WIDE);
  const p = second.device.parameter([1, 2]);
  const y = ops.add(p.value, 1);
  second.device.close();
  second.device.close();
  for (const use of [
    () => p.value,
    () => {
      p.assign(y);
    },
    () => {
      p.write([1, 2]);
    },
    () => second.device.tensor([1]),
    () => second.device.zeros([2]),
    () => second.device.memory(),
  ]) {
    expect(use).toThrow(
      expect.objectContaining({
        code: "DisposedError",
        message: "interpreter: the device was closed; open another with init",
      }),
    );
  }
  await expect(y.data()).rejects.toMatchObject({ code: "DisposedError" });
  await expect(second.step()).rejects.toMatchObject({ code: "DisposedError" });
});

it("a schedule that throws costs no step", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  open.push(device);
  const layer = new Linear(2, 2);
  await layer.materialize({ device });
  let broken = false;
  const lr = (): number => {
    if (broken) throw new Error("no rate");
    return 0.1;
  };
  const optimizer = new AdamW(layer.weights(), { lr });
  const step = compile(device, ({ x }) => {
    const loss = ops.mean(ops.square(layer.forward(x!)));
    optimizer.step(grad(loss, optimizer.parameters));
    return { loss };
  });
  const x = { data: [1, 2], shape: [1, 2] };
  await step({ x });
  const before = await layer.weight.parameter.data();
  broken = true;
  for (let i = 0; i < 3; i++) await expect(step({ x })).rejects.toThrow("no rate");
  expect(optimizer.steps).toBe(1);
  expect(await layer.weight.parameter.data()).toEqual(before);
  broken = false;
  await step({ x });
  expect(optimizer.steps).toBe(2);
});
