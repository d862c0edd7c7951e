/** Vocabularies of other sizes: tables and output layers with more rows, or fewer. */
import type { Weight } from "@lowrank/nn";
import { floatsOf, LowrankError, RandomStream, structureChanged, toMemory } from "@lowrank/tensor";
import { checkOptions, fields, flag, instance, optional, size, whole } from "@lowrank/tensor/check";
import { PretrainedModel, type ModelClass } from "./pretrained.ts";

export interface ResizeOptions {
  /** Rounds the number of rows up to a multiple of this, as tensor cores like it. */
  readonly padToMultipleOf?: number;
  /**
   * Draws new rows around the mean of those that there are, so that they change the probabilities of the others little (Hewitt 2021). Otherwise as the
   * model's own weights are drawn. Default true.
   */
  readonly meanResizing?: boolean;
  /** What new rows are drawn from. Default 0. */
  readonly seed?: number;
}

const OPTIONS = fields<ResizeOptions & { readonly model: PretrainedModel; readonly words: number }>(
  {
    model: instance(PretrainedModel),
    words: size,
    padToMultipleOf: optional(size),
    meanResizing: optional(flag),
    seed: optional(whole(0)),
  },
  { spelt: { pad_to_multiple_of: "padToMultipleOf", mean_resizing: "meanResizing" } },
);

/** Share of the covariance that new rows are drawn with, transformers'. */
const SPREAD = 1e-9;

/**
 * The model with tables and output layers of `words` rows; what it has in memory passes over, and the one that was given has none afterwards. New rows
 * are drawn as transformers' `resize_token_embeddings` draws them, and come last; of fewer the first stay. Tables that cannot be made again in their own
 * form (a GGUF file's) become plain numbers.
 * @throws LowrankError (AdapterError) for a model that carries adapters: resize it first
 */
export async function resizeTokenEmbeddings<M extends PretrainedModel>(
  model: M,
  words: number,
  options: ResizeOptions = {},
): Promise<M> {
  const checked = checkOptions("resizeTokenEmbeddings", OPTIONS, { model, words, ...options });
  const multiple = checked.padToMultipleOf ?? 1;
  const count = Math.ceil(words / multiple) * multiple;
  const how = { meanResizing: true, seed: 0, ...options };
  const make = model.constructor as unknown as ModelClass<M>;
  const next = new make({ ...model.config, vocabSize: count } as never);
  const from = new Map(model.namedWeights());
  const into = [...next.namedWeights()];
  const strange = [...from.keys()].find((name) => !into.some(([other]) => other === name));
  if (strange !== undefined || from.size !== into.length)
    throw new LowrankError(
      "AdapterError",
      `resizeTokenEmbeddings: the model carries an adapter (${strange ?? "its layers are others"}); resize it before adapting, or merge first`,
    );
  for (const [name, weight] of into) {
    const old = from.get(name)!;
    if (old.materialized) await pass(name, old, weight, how);
    weight.name = name;
    weight.trainable = old.form === undefined && old.trainable;
    weight.computesIn = old.computesIn;
  }
  model.dispose();
  next.origin = model.origin;
  next.originRevision = model.originRevision;
  next.resized = model.resized || count !== model.config.vocabSize;
  next.labelTree();
  return model.training ? next.train(model.rngs) : next.eval();
}

type How = Required<Pick<ResizeOptions, "meanResizing" | "seed">>;

/** Gives a weight what another one has, with rows more or less. */
async function pass(name: string, old: Weight, next: Weight, how: How): Promise<void> {
  if (old.shape.join() === next.shape.join()) return old.passTo(next);
  const { dtype, data } = await old.read();
  const { device } = old.value;
  const values = resized(name, floatsOf(dtype, data), old.shape, next, how);
  const { format } = old.form ?? {};
  if (format !== undefined) next.form = format.keep(device, name, next.shape, Float32Array.from(values));
  else next.parameter = device.parameter(toMemory(dtype, values, "f64"), next.shape, dtype, dtype);
  structureChanged();
}

/** @param shape [words], [words, width] */
function resized(
  name: string,
  before: Float64Array,
  [words, width = 1]: readonly number[],
  { shape, init }: Weight,
  { meanResizing, seed }: How,
): Float64Array {
  const count = shape[0]!;
  const out = new Float64Array(count * width);
  out.set(before.subarray(0, out.length));
  const added = count - words!;
  if (added <= 0) return out;
  const random = new RandomStream(seed, `resize/${name}`);
  const drawn = new Float64Array(added * width);
  if (meanResizing) aroundMean(before, words!, width, drawn, random);
  else if (init.kind === "normal") random.fillNormal(drawn, 0, init.std);
  out.set(drawn, words! * width);
  return out;
}

/**
 * Rows of N(μ, ε·Σ) with the mean and the covariance of those that there are: μ + √(ε/words)·Σ zᵢ·(rowᵢ − μ), z normal, which needs no factor of Σ. What
 * has one number a word is drawn with 1e-9 of its deviation, as transformers draws biases.
 */
function aroundMean(before: Float64Array, words: number, width: number, out: Float64Array, random: RandomStream): void {
  const mean = new Float64Array(width);
  for (let i = 0; i < before.length; i++) mean[i % width]! += before[i]! / words;
  const factor = width === 1 ? SPREAD / Math.sqrt(words) : Math.sqrt(SPREAD / words);
  const z = new Float64Array(words);
  for (let at = 0; at < out.length; at += width) {
    random.fillNormal(z, 0, factor);
    out.set(mean, at);
    for (let w = 0; w < words; w++)
      for (let c = 0; c < width; c++) out[at + c]! += z[w]! * (before[w * width + c]! - mean[c]!);
  }
}
