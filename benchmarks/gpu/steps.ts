/** Whole training steps on the card: forward, backward, clipping, AdamW, dropout on. */
import { init, type StepTiming } from "@lowrank/tensor";
import { BASE, SMALL, type StepShape } from "../src/bert.ts";
import { median, type Context } from "./row.ts";
import { bertTraining, TWO_LAYERS, type Training } from "./training.ts";

/** What PyTorch trains too. */
export const NARROW_STEP: StepShape = SMALL;
export const BASE_STEP: StepShape = { ...BASE, batch: 8, length: 128 };
const CALLS = 12;
/** Slow steps are called less often. */
const SAMPLED_MS = 5000;

export function timeNarrowStep(context: Context): Promise<void> {
  return timeStep(context.small ? TWO_LAYERS : bertTraining(NARROW_STEP), context);
}

export function timeBaseStep(context: Context): Promise<void> {
  return timeStep(bertTraining(BASE_STEP), context);
}

async function timeStep({ name, flops, build }: Training, { report, spent, cut }: Context): Promise<void> {
  const began = performance.now();
  const device = await init({ device: "webgpu" });
  const { step, inputs: inputsOf } = await build(device);
  const inputs = inputsOf(0);
  report({ name: "prepare/weights", ms: performance.now() - began, note: "drawn on the host and copied" });
  const called = async (): Promise<number> => (await step(inputs)).loss.item();

  const first = performance.now();
  const losses = [await called(), await called()];
  const { dtypes: _, ...info } = step.info()[0]!;
  report({
    name: "prepare/first two calls",
    ms: performance.now() - first,
    note: `trace and plan ${info.compileMs.toFixed(0)} ms, ${info.kernels} pipelines, ${info.steps} dispatches, arena ${(info.arenaBytes / 1e6).toFixed(0)} MB`,
    detail: { ...info, memory: device.memory() },
  });

  const samples: number[] = [];
  const enough = performance.now() + SAMPLED_MS;
  while (samples.length < CALLS && (samples.length < 2 || (!spent() && performance.now() < enough))) {
    const start = performance.now();
    losses.push(await called());
    samples.push(performance.now() - start);
  }
  const ms = median(samples);
  const bad = losses.find((loss) => !Number.isFinite(loss));
  report({
    name,
    ...(flops === 0 ? {} : { value: flops / ms / 1e6, unit: "GFLOP/s", flops }),
    ms,
    note: `${samples.length} calls, the loss read after each`,
    detail: { samples, losses },
    ...(bad === undefined ? {} : { wrong: `a loss is ${bad}` }),
  });

  if (spent()) return cut("queued steps and kernels were not timed");
  const start = performance.now();
  let last = await step(inputs);
  for (let i = 1; i < samples.length; i++) last = await step(inputs);
  await last.loss.item();
  const queued = (performance.now() - start) / samples.length;
  report({ name: `${name}, queued`, ms: queued, note: `${samples.length} calls, the last loss read` });

  if (spent()) return cut("kernels were not timed");
  const timings: StepTiming[] = [];
  step.onTimings = (run) => timings.push(...run);
  await called();
  step.onTimings = undefined;
  const kinds = byKind(timings);
  report({
    name: "kernels, one by one",
    ms: timings.reduce((sum, t) => sum + t.duration, 0),
    note: kinds
      .slice(0, 5)
      .map(({ kind, calls, ms: sum }) => `${kind} ${sum.toFixed(1)} ms/${calls}`)
      .join(", "),
    detail: { kinds, slowest: [...timings].sort((a, b) => b.duration - a.duration).slice(0, 20) },
  });
  device.close();
}

/** Paths tell where in the model a kernel is; what it does stands behind them. */
function byKind(timings: readonly StepTiming[]): { kind: string; calls: number; ms: number }[] {
  const kinds = new Map<string, { kind: string; calls: number; ms: number }>();
  for (const { label, duration } of timings) {
    const kind = label.split(" ").at(-1)!;
    const row = kinds.get(kind) ?? { kind, calls: 0, ms: 0 };
    row.calls++;
    row.ms += duration;
    kinds.set(kind, row);
  }
  return [...kinds.values()].sort((a, b) => b.ms - a.ms);
}
