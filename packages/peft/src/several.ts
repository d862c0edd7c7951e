/** Several adapters on one model: which take part, and new ones made of others. */
import type { Module } from "@lowrank/nn";
import { type Device, LowrankError, toMemory } from "@lowrank/tensor";
import { device as aDevice, checkOptions, fields, listOf, real } from "@lowrank/tensor/check";
import { register, type Adapter } from "./adapter.ts";
import { adapt } from "./attach.ts";
import type { LowRank, Update } from "./layers/update.ts";
import { copiesOf, layersOf } from "./layers/walk.ts";

/**
 * Which adapters take part, in all layers; several add up. These train, with the copies and the base biases that belong to them; others
 * keep their weights and are frozen. Merged layers are unmerged first. Of copies of a saved module the first named takes part.
 * @throws LowrankError (NameError) on a name that no adapter has
 */
export function activate(model: Module, ...names: readonly string[]): void {
  const [layers, copies] = [layersOf(model), copiesOf(model)];
  const known = new Set([...layers.flatMap(([, { updates }]) => [...updates.keys()]), ...register(model).keys()]);
  const missing = names.find((n) => !known.has(n));
  if (missing !== undefined)
    throw new LowrankError(
      "NameError",
      `activate: the model has no adapter called ${missing}; it has ${[...known].join(", ") || "none"}`,
    );
  for (const [, { adapters, updates }] of layers) {
    adapters.activate(names);
    for (const [name, update] of updates)
      for (const { weight, fixed } of update.weights) weight.trainable = names.includes(name) && fixed !== true;
  }
  for (const [, saved] of copies) {
    saved.active = names;
    const first = names.find((n) => saved.copies.has(n));
    for (const [name, copy] of saved.copies) for (const weight of copy.weights()) weight.trainable = name === first;
  }
  const all = [...register(model).values()];
  for (const adapter of all) for (const weight of adapter.biases()) weight.trainable = false;
  for (const adapter of all)
    if (names.includes(adapter.name)) for (const weight of adapter.biases()) weight.trainable = true;
}

/**
 * A new adapter whose update is exactly Σ weightᵢ·updateᵢ: ranks add up (PEFT's combination type "cat"). Every module that any of them
 * adapts is adapted. The result becomes the active adapter; saved modules are not combined.
 */
export async function combine(
  adapters: readonly (readonly [Adapter, number])[],
  name: string,
  where: { device: Device },
): Promise<Adapter> {
  checkOptions("combine", fields<{ weights: number[] }>({ weights: listOf(real()) }), {
    weights: adapters.map(([, weight]) => weight),
  });
  checkOptions("combine", fields<{ device: Device }>({ device: aDevice }), where);
  const [first] = adapters[0] ?? [];
  if (first === undefined) throw new LowrankError("AdapterError", "combine: give at least one adapter");
  if (adapters.some(([a]) => a.model !== first.model))
    throw new LowrankError("AdapterError", "combine: the adapters sit on different models");
  const paths = [...new Set(adapters.flatMap(([a]) => [...a.sites.keys()]))];
  const parts = new Map(
    paths.map((path) => [
      path,
      adapters.flatMap(([a, weight]) => {
        const update = a.updates.get(path);
        if (update === undefined) return [];
        const { factors, rank } = update.lowRank ?? {};
        if (factors === undefined)
          throw new LowrankError("AdapterError", `combine: ${path} is not a plain LoRA in all of them`);
        return [{ ...factors, rank: rank!, factor: weight * factors.scale }];
      }),
    ]),
  );
  const escaped = (path: string): string => path.replaceAll(".", "\\.");
  const ranks = paths.map((path) => parts.get(path)!.reduce((sum, { rank }) => sum + rank, 0));
  const rankPattern = Object.fromEntries(paths.map((path, i) => [escaped(path), ranks[i]!]));
  const out = await adapt(
    first.model,
    {
      r: ranks[0]!,
      alpha: ranks[0]!,
      rankPattern,
      alphaPattern: rankPattern,
      targetModules: paths.map(escaped).join("|"),
    },
    { ...where, name },
  );
  for (const [path, update] of out.updates) await concatenate(update, parts.get(path)!);
  return out;
}

interface Part extends NonNullable<LowRank["factors"]> {
  readonly rank: number;
  /** What B is multiplied by. */
  readonly factor: number;
}

/** Rows of A and columns of B side by side; factors go into B. */
async function concatenate(
  { lowRank, base: { inFeatures, outFeatures } }: Update,
  parts: readonly Part[],
): Promise<void> {
  const { rank, factors } = lowRank!;
  const [rows, columns] = [new Float64Array(rank * inFeatures), new Float64Array(outFeatures * rank)];
  let at = 0;
  for (const { a, b, rank: own, factor } of parts) {
    rows.set(await a.value.floats(), at * inFeatures);
    const from = await b.value.floats();
    for (let o = 0; o < outFeatures; o++)
      for (let k = 0; k < own; k++) columns[o * rank + at + k] = factor * from[o * own + k]!;
    at += own;
  }
  const { a, b } = factors!;
  a.parameter.write(toMemory(a.parameter.dtype, rows, "f64"));
  b.parameter.write(toMemory(b.parameter.dtype, columns, "f64"));
}
