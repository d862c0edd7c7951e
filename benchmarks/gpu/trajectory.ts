/** Twenty steps of LoRA with dropout on the card, on wasm and on the reference: the losses must be the same but for rounding. */
import { init, type DeviceName } from "@lowrank/tensor";
import { reason, type Context, type Row } from "./row.ts";
import { bertTraining, TWO_LAYERS, type Training } from "./training.ts";

const BERT = bertTraining({ layers: 2, hidden: 64, batch: 4, length: 12, vocabulary: 500 });
const STEPS = 20;

/**
 * Relative. Sums in another order round differently, 6e-8 a step; Adam's division by √v lets a difference grow while v is small, by less
 * than a factor of two a step over the ten steps of that: 6e-8 · 2¹⁰.
 */
const TOLERANCE = 1e-4;

/** Who trains, and which part of the section's time has gone when no further step is begun. */
const DEVICES: readonly (readonly [DeviceName, number])[] = [
  ["webgpu", 0.5],
  ["wasm", 0.6],
  ["reference", 1],
];

/** Losses of as many steps as there was time for. */
async function train(training: Training, where: DeviceName, steps: number, spent: () => boolean): Promise<number[]> {
  const device = await init({ device: where });
  const { step, inputs } = await training.build(device);
  const losses: number[] = [];
  while (losses.length < steps && !spent()) losses.push(await (await step(inputs(losses.length))).loss.item());
  device.close();
  return losses;
}

export async function compareTrajectories({ small, report, spent, cut }: Context): Promise<void> {
  const [training, steps] = small ? [TWO_LAYERS, 6] : [BERT, STEPS];
  const found = new Map<DeviceName, number[]>();
  for (const [where, part] of DEVICES) {
    const began = performance.now();
    try {
      const losses = await train(training, where, steps, () => spent(part));
      found.set(where, losses);
      const ends = losses.length === 0 ? "" : `, loss ${losses[0]!.toFixed(6)} → ${losses.at(-1)!.toFixed(6)}`;
      const note = `${losses.length} steps${ends}`;
      report({ name: `steps/${where}`, ms: performance.now() - began, note, detail: { losses } });
    } catch (error) {
      report({ name: `steps/${where}`, wrong: reason(error) });
    }
  }
  const gpu = found.get("webgpu") ?? [];
  for (const where of ["wasm", "reference"] as const) {
    const other = found.get(where) ?? [];
    if (gpu.length > 0 && other.length > 0) report(compared(where, gpu, other));
  }
  const short = [...found].filter(([, losses]) => losses.length < steps).map(([where]) => where);
  if (short.length > 0) cut(`fewer than ${steps} steps on ${short.join(", ")}`);
}

function compared(where: DeviceName, gpu: readonly number[], other: readonly number[]): Row {
  const common = Math.min(gpu.length, other.length);
  const apart = other.slice(0, common).map((loss, i) => Math.abs(gpu[i]! - loss) / Math.abs(loss));
  // NaN is as far away as can be
  const far = apart.findIndex((a) => !(a <= TOLERANCE));
  const worst = far >= 0 && Number.isNaN(apart[far]) ? NaN : Math.max(...apart);
  return {
    name: `webgpu beside ${where}`,
    value: worst,
    note: `largest relative difference of ${common} losses; ${TOLERANCE} is allowed`,
    ...(far < 0 ? {} : { wrong: `losses are ${worst.toExponential(2)} apart, from step ${far + 1} on` }),
  };
}
