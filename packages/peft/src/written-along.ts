/** Base weights that PEFT writes beside an adapter. The adapter's function does not need them; with them our files are PEFT's to the byte. */
import { endsIn, type Weight } from "@lowrank/nn";
import type { Adapter } from "./adapter.ts";
import { targetsOf } from "./layers/walk.ts";
import { savedMatcher } from "./names.ts";

/** With one of these among the targets, whatever the model, PEFT saves the tables and output layers that carry the adapter (its `EMBEDDING_LAYER_NAMES`). */
const EMBEDDING_NAMES = ["embed_tokens", "lm_head"];

const PREFIX = "base_model.model.";

/** @param embeddings PEFT's `save_embedding_layers`. By their names in the file. */
export function writtenAlong(adapter: Adapter, embeddings: boolean | "auto" = "auto"): Map<string, Weight> {
  const { model, config, saved, copies, baseFromFile } = adapter;
  const out = new Map(baseFromFile);
  const { targetModules } = config;
  if (embeddings === true || (embeddings === "auto" && model.resized && baseFromFile === undefined))
    for (const [name, weight] of vocabularyOf(adapter, true)) out.set(name, weight);
  else if (
    embeddings === "auto" &&
    baseFromFile === undefined &&
    targetModules !== undefined &&
    EMBEDDING_NAMES.some((name) => targetModules.includes(name))
  )
    for (const [name, weight] of vocabularyOf(adapter, false)) out.set(name, weight);
  if (config.bias !== "all") return out;
  // every name with "bias" in it: those of modules trained whole stand there three times
  const named = savedMatcher(config.modulesToSave);
  for (const [path, { original }] of saved) {
    const parts = path.split(".");
    const root = parts.map((_, i) => parts.slice(0, i + 1).join(".")).find(named) ?? path;
    const [trained, kept] =
      root === path
        ? [`${root}.modules_to_save`, `${root}.original_module`]
        : [
            `${root}.modules_to_save.default${path.slice(root.length)}`,
            `${root}.original_module${path.slice(root.length)}`,
          ];
    for (const [name, weight] of copies.get(path)!.namedWeights())
      if (name.includes("bias")) out.set(`${PREFIX}${trained}.${name}`, weight);
    for (const [name, weight] of original.namedWeights())
      if (name.includes("bias")) out.set(`${PREFIX}${kept}.${name}`, weight);
  }
  return out;
}

/** Tables and output layers of the base under all the names that PEFT has for them: of those that carry the adapter, or of all. */
function* vocabularyOf({ model, sites, tokens, copies }: Adapter, all: boolean): Generator<[string, Weight]> {
  const { inputEmbeddings = [], outputEmbeddings = [] } = model.family ?? {};
  const followers = [...tokens.values()].flatMap((place) => [...place.followers.keys()]);
  const rows = [...tokens.keys(), ...followers];
  for (const [path, target] of targetsOf(model)) {
    const onSite = sites.has(path);
    if (
      !endsIn(path, [...inputEmbeddings, ...outputEmbeddings]) ||
      (!all && (!onSite || target.weight.form !== undefined))
    )
      continue;
    const copy = copies.get(path);
    // PEFT writes all that lies in the module, rows that are trained elsewhere among it
    if (all)
      for (const { update, followers } of tokens.values())
        if (followers.has(path))
          for (const { file, weight } of update.weights) yield [`${PREFIX}${path}.${file}`, weight];
    for (const part of ["weight", "bias"] as const) {
      const weight = (target as Partial<Record<typeof part, Weight>>)[part];
      if (weight === undefined || (part === "bias" && !all)) continue;
      const within =
        copy === undefined
          ? rows.includes(path)
            ? "token_adapter.base_layer."
            : onSite
              ? "base_layer."
              : ""
          : "original_module.";
      yield [`${PREFIX}${path}.${within}${part}`, weight];
      if (copy !== undefined)
        yield [`${PREFIX}${path}.modules_to_save.${part}`, (copy as unknown as Record<typeof part, Weight>)[part]];
    }
  }
}
