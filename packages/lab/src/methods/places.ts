/** Words for where adapters sit that mean the same on every family: the two halves of its layers (`FamilyFacts.parts`), and both. */
import type { LayerParts } from "@lowrank/nn";

/** Not among them is "all-linear", PEFT's word, which takes poolers and what else there is outside of layers too. */
export type Place = "attention" | "feed-forward" | "all";

/** The halves that a word means; undefined for what is no such word: names of modules, an expression, "all-linear". */
export function halvesOf(target: string | readonly string[]): readonly (keyof LayerParts)[] | undefined {
  const places: Readonly<Record<Place, readonly (keyof LayerParts)[]>> = {
    attention: ["attention"],
    "feed-forward": ["ffn"],
    all: ["attention", "ffn"],
  };
  return typeof target === "string" && Object.hasOwn(places, target) ? places[target as Place] : undefined;
}

/** In PEFT's words: an expression that whole paths match; what is no place as it is. */
export function placed(target: string | readonly string[], parts: LayerParts): string | readonly string[] {
  const halves = halvesOf(target);
  return halves === undefined ? target : `(?:.*\\.)?(?:${halves.flatMap((half) => parts[half]).join("|")})`;
}
