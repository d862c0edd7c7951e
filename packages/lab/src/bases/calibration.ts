/** Rows of the training set that a base is looked at with before it trains. */
import { ops, RandomStream, type Tensor } from "@lowrank/tensor";
import type { Batch, Examples } from "../data/examples.ts";
import { permutation } from "../random/seeds.ts";
import type { Base } from "./base.ts";

/** Tens of thousands of tokens, where directions are told by thousands. */
const [ROWS, BATCH] = [512, 16];

/** What a model is told of a batch beside its labels. */
const SEEN = ["inputIds", "attentionMask", "tokenTypeIds", "positionIds"];

/** Rows drawn from the training set: 512, or all where there are fewer. @param label of the stream of the run's seed that draws them */
export function calibrationBatches(
  { train, multiple }: { readonly train: Examples; readonly multiple: number },
  seed: number,
  label: string,
): Batch[] {
  const order = permutation(train.count, new RandomStream(seed, label)).slice(0, ROWS);
  return Array.from({ length: Math.ceil(order.length / BATCH) }, (_, i) =>
    train.batch(
      Int32Array.from(order.slice(i * BATCH, (i + 1) * BATCH)),
      { rows: Math.min(BATCH, order.length - i * BATCH), multiple },
      seed,
    ),
  );
}

/** Runs the model. Returns which rows of the modules' inputs are text. */
export function look(base: Base, { inputs }: Batch): Tensor | undefined {
  const seen: Record<string, Tensor> = {};
  for (const [name, { data, shape, dtype }] of Object.entries(inputs))
    if (SEEN.includes(name)) seen[name] = base.device.tensor(data, shape, dtype);
  base.forward(seen as never);
  const { attentionMask: mask } = seen;
  return mask === undefined ? undefined : ops.reshape(mask, [-1]);
}
