/** Base weights that PEFT writes beside an adapter. The adapter's function does not need them; with them our files are PEFT's to the byte. */
import { endsIn, type Weight } from "@lowrank/nn";
import type { Adapter } from "./adapter.ts";
import { savedMatcher } from "./names.ts";

/** With one of these among the targets, whatever the model, PEFT saves the tables and output layers that carry the adapter (its `EMBEDDING_LAYER_NAMES`). */
const EMBEDDING_NAMES = ["embed_tokens", "lm_head"];

const PREFIX = "base_model.model.";

/** By their names in the file. */
export function writtenAlong({ model, config, sites, saved, copies, baseFromFile }: Adapter): Map<string, Weight> {
  const out = new Map(baseFromFile);
  const { targetModules } = config;
  if (
    baseFromFile === undefined &&
    targetModules !== undefined &&
    EMBEDDING_NAMES.some((name) => targetModules.includes(name))
  ) {
    const { inputEmbeddings = [], outputEmbeddings = [] } = model.family ?? {};
    for (const [path, { weight }] of sites)
      if (weight.form === undefined && endsIn(path, [...inputEmbeddings, ...outputEmbeddings]))
        out.set(`${PREFIX}${path}.base_layer.weight`, weight);
  }
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
