/**
 * Unicode's normal forms, with the place in the input of every character. The engine composes, decomposes and sorts; which character
 * went where follows from two facts: equal marks keep their order, and a composed character takes the first of each mark it is made of.
 */
import { rewrite, type AlignedText } from "./aligned-text.ts";
import { LATER_DECOMPOSED } from "./characters.ts";

export type NormalForm = "NFC" | "NFD" | "NFKC" | "NFKD";

export function normalForm(from: AlignedText, form: NormalForm): AlignedText {
  if (from.text.normalize(form) === from.text) return from;
  const characters: string[] = [];
  const changes: number[] = [];
  // a character that stays as it is parts what stands before it from what follows
  for (const [i, piece] of from.text.split(PARTING).entries()) {
    if (i % 2 === 0) normalize(piece, form, characters, changes);
    else {
      characters.push(piece);
      changes.push(0);
    }
  }
  return rewrite(from, characters, changes);
}
const PARTING = new RegExp(`(${LATER_DECOMPOSED.source})`, "u");

/** Appends the characters of `text` in the form, and the change (see `rewrite`) that each of them is. */
function normalize(text: string, form: NormalForm, characters: string[], changes: number[]): void {
  const decomposition = form === "NFKC" || form === "NFKD" ? "NFKD" : "NFD";
  /** For each decomposed character, in the order of the input: whether it begins what its source decomposes to (0) or follows (1). */
  const changesOf = new Map<string, { readonly changes: number[]; next: number }>();
  for (const source of text) {
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
  for (const character of text.normalize(form)) {
    characters.push(character);
    if (!composes || character < "\x80") {
      changes.push(take(character));
      continue;
    }
    let change = 1;
    for (const part of character.normalize("NFD")) change += take(part) - 1;
    changes.push(change);
  }
}
