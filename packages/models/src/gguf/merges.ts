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
  // numbers in a row and no objects: there are half a million of them in a vocabulary of a quarter of a million
  const [lefts, rights, results]: [number[], number[], number[]] = [[], [], []];
  for (const [result, piece] of tokens.entries()) {
    if (!merges(result)) continue;
    for (let cut = 1; cut < piece.length; cut++) {
      // not inside of a character
      if (piece.codePointAt(cut - 1)! > 0xffff) continue;
      const left = ids.get(piece.slice(0, cut));
      const right = left === undefined ? undefined : ids.get(piece.slice(cut));
      if (left === undefined || right === undefined || !merges(left) || !merges(right)) continue;
      lefts.push(left);
      rights.push(right);
      results.push(result);
    }
  }
  const order = Uint32Array.from(results.keys()).sort((a, b) => {
    const [one, other] = [results[a]!, results[b]!];
    return scores[other]! - scores[one]! || one - other || lefts[a]! - lefts[b]!;
  });
  return Array.from(order, (at) => [tokens[lefts[at]!]!, tokens[rights[at]!]!]);
}
