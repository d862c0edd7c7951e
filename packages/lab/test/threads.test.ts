/** How many threads compute is no part of a result: losses, gradient norms, weights and predictions have the same bits. */
import { init } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { DataCursor } from "../src/data/cursor.ts";
import { shuffledRows } from "../src/data/orders.ts";
import type { MethodConfig } from "../src/config/study.ts";
import { TrainingStep } from "../src/train/step.ts";
import { adaptedToy, STEP, tokenTask, TokenToy, valuesOf } from "./token-toy.ts";

const LENGTHS = [9, 3, 16, 5, 12, 7, 1, 14];

interface Bits {
  readonly losses: readonly number[];
  readonly norms: readonly number[];
  readonly weights: ReadonlyMap<string, Float64Array>;
  readonly predictions: Float64Array;
}

/** Three steps of batches that are computed in parts, then what the model says. */
async function trained(
  threads: number,
  words: Partial<MethodConfig> & Readonly<Record<string, unknown>>,
): Promise<Bits> {
  const device = await init({ device: "wasm", threads });
  try {
    const adapted = await adaptedToy(words, device, 3);
    const step = new TrainingStep(tokenTask, adapted, { ...STEP, lr: () => 0.02 }, device);
    const toy = new TokenToy(LENGTHS);
    const order = shuffledRows(toy.count, toy.count, 5);
    const cursor = new DataCursor(toy, { order, multiple: 4, seed: 1, cut: { rows: 3 } });
    const [losses, norms]: [number[], number[]] = [[], []];
    for (let i = 0; i < 3; i++) {
      const { loss, norm } = await step.run(cursor.next());
      losses.push(loss);
      norms.push(norm);
    }
    const { inputs } = toy.batch(Int32Array.from(LENGTHS.keys()), { rows: LENGTHS.length, multiple: 4 });
    const { base } = adapted;
    base.model.eval();
    const tensor = (name: string): never => {
      const { data, shape, dtype } = inputs[name]!;
      return device.tensor(data, shape, dtype) as never;
    };
    const logits = base.logits({ inputIds: tensor("inputIds"), attentionMask: tensor("attentionMask") });
    const made = { losses, norms, weights: await valuesOf(adapted), predictions: await logits.floats() };
    step.dispose();
    base.dispose();
    return made;
  } finally {
    device.close();
  }
}

it.each([
  { method: "lora", r: 2, dropout: 0.2, target: ["query", "value", "dense"], gradientCheckpointing: true },
  { method: "full", precision: "mixed-f16" },
  { method: "adalora", initR: 3, targetR: 1, target: ["query"], tinit: 0, tfinal: 1, deltaT: 1 },
])("$method", async (words) => {
  const one = await trained(1, words as never);
  expect(one.losses.every(Number.isFinite)).toBe(true);
  for (const threads of [2, 3]) expect(await trained(threads, words as never)).toEqual(one);
});
