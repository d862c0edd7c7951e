/** Base weights that PEFT writes beside an adapter. The adapter's function does not need them; with them our files are PEFT's to the byte. */
import { endsIn, type Weight } from "@lowrank/nn";
import type { Adapter } from "./adapter.ts";
import { targetsOf } from "./layers/walk.ts";
import { savedMatcher } from "./names.ts";
import { SavedCopy } from "./saved-copy.ts";

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

/** Tables and output layers of the base: all, or those that carry the adapter. What is trained on a copy is in the file anyway. */
function* vocabularyOf({ model, sites, tokens }: Adapter, all: boolean): Generator<[string, Weight]> {
  const { inputEmbeddings = [], outputEmbeddings = [] } = model.family ?? {};
  const seen = new Set<Weight>();
  for (const [path, { weight }] of targetsOf(model)) {
    if (!endsIn(path, [...inputEmbeddings, ...outputEmbeddings]) || seen.has(weight)) continue;
    const place = model.getModule(path);
    if (place instanceof SavedCopy || (!all && (!sites.has(path) || weight.form !== undefined))) continue;
    // a tied output layer is the table again
    seen.add(weight);
    yield [
      `${PREFIX}${path}.${tokens.has(path) ? "token_adapter.base_layer." : sites.has(path) ? "base_layer." : ""}weight`,
      weight,
    ];
  }
}
