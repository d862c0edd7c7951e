/** One text on its way through the parts of a tokenizer, up to the special tokens around it. */
import { alignedText, originOf } from "./aligned-text.ts";
import { emptyEncoding, type Encoding } from "./encoding.ts";
import type { TokenizerParts } from "./file.ts";
import type { TokenizerInput } from "./options.ts";

/** Tokens of one text, `sequence` 0 or 1, nothing added yet. */
export function tokensOf(parts: TokenizerParts, source: TokenizerInput, sequence: number): Encoding {
  const out = emptyEncoding();
  if (typeof source === "string") appendTokens(parts, out, source, sequence, undefined);
  else for (const [i, word] of source.entries()) appendTokens(parts, out, word, sequence, i);
  return out;
}

/** Tokens of one text or word. `wordId` is the word's index; undefined: pieces are counted. */
function appendTokens(
  { added, normalize, preTokenize, model }: TokenizerParts,
  out: Encoding,
  source: string,
  sequence: number,
  wordId: number | undefined,
): void {
  let piece = 0;
  const push = (id: number, token: string, place: [number, number]): void => {
    out.ids.push(id);
    out.tokens.push(token);
    out.typeIds.push(sequence);
    out.specialTokensMask.push(0);
    out.offsets.push(place);
    out.wordIds.push(wordId ?? piece);
    out.sequenceIds.push(sequence);
  };
  for (const { text, token } of added.extract(alignedText(source), normalize)) {
    if (token !== undefined) {
      push(token.id, text.text, originOf(text, 0, text.text.length));
      piece++;
      continue;
    }
    for (const word of preTokenize(text)) {
      const { ids, starts, ends, tokens } = model.pieces(word.text);
      let start = 0;
      for (let i = 0; i < ids.length; i++) {
        const spelt = tokens?.[i] ?? model.vocabulary.tokens.get(ids[i]!)!;
        push(ids[i]!, spelt, originOf(word, starts?.[i] ?? start, ends[i]!));
        start = ends[i]!;
      }
      piece++;
    }
  }
}
