/**
 * Unicode's normal forms, with the place in the input of every character. The engine composes, decomposes and sorts; which character
 * went where follows from two facts: equal marks keep their order, and a composed character takes the first of each mark it is made of.
 */
import { rewrite, type AlignedText } from "./aligned-text.ts";

export type NormalForm = "NFC" | "NFD" | "NFKC" | "NFKD";

export function normalForm(from: AlignedText, form: NormalForm): AlignedText {
  const result = from.text.normalize(form);
  if (result === from.text) return from;
  const decomposition = form === "NFKC" || form === "NFKD" ? "NFKD" : "NFD";
  /** For each decomposed character, in the order of the input: whether it begins what its source decomposes to (0) or follows (1). */
  const changesOf = new Map<string, { readonly changes: number[]; next: number }>();
  for (const source of from.text) {
    let change = 0;
    for (const part of source < "\x80" ? source : source.normalize(decomposition)) {
      const queue = changesOf.get(part);
      if (queue === undefined) changesOf.set(part, { changes: [change], next: 0 });
      else queue.changes.push(change);
      change = 1;
    }
  }
  const take = (part: string): number => {
    const queue = changesOf.get(part);
    return queue?.changes[queue.next++] ?? 0;
  };
  const composes = form === "NFC" || form === "NFKC";
  const characters = [...result];
  const changes = characters.map((character) => {
    if (!composes || character < "\x80") return take(character);
    let change = 1;
    for (const part of character.normalize("NFD")) change += take(part) - 1;
    return change;
  });
  return rewrite(from, characters, changes);
}
