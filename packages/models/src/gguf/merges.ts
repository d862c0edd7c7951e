/** Merges of byte-pair encoding out of SentencePiece's scores. */

/**
 * Every pair of pieces that is a piece together, the highest score first. SentencePiece merges by the score of the result alone; pairs of
 * one result follow one another by their left piece's id, as transformers' converter has it.
 * @param merges whether a piece takes part in merging
 */
export function mergesByScore(
  tokens: readonly string[],
  scores: Float32Array,
  ids: ReadonlyMap<string, number>,
  merges: (id: number) => boolean,
): [string, string][] {
  const found: { readonly left: number; readonly right: number; readonly result: number }[] = [];
  for (const [result, piece] of tokens.entries()) {
    if (!merges(result)) continue;
    for (let cut = 1; cut < piece.length; cut++) {
      // not inside of a character
      if (piece.codePointAt(cut - 1)! > 0xffff) continue;
      const left = ids.get(piece.slice(0, cut));
      const right = left === undefined ? undefined : ids.get(piece.slice(cut));
      if (left !== undefined && right !== undefined && merges(left) && merges(right))
        found.push({ left, right, result });
    }
  }
  found.sort((a, b) => scores[b.result]! - scores[a.result]! || a.result - b.result || a.left - b.left);
  return found.map(({ left, right }) => [tokens[left]!, tokens[right]!]);
}
