/** Running text that a causal model is pre-trained on: files one behind the other, each after the token that ends texts, cut into rows of equal length. */
import type { Tokenizer } from "@lowrank/models";
import { CausalExamples } from "./causal-examples.ts";
import { heldOutFile, sourceFiles, type CorpusOptions } from "./corpus.ts";
import { hashFiles, sayMarks } from "./location.ts";
import { readText } from "./read-file.ts";
import { cachedTokenSet } from "./token-cache.ts";
import { TokenSetBuilder, type TokenSet } from "./token-set.ts";

/**
 * @param options `length` is that of a row
 * @param identity of the tokenizer
 */
export function causalCorpus(
  options: CorpusOptions,
  tokenizer: Tokenizer,
  identity: string,
): { readonly train: CausalExamples; readonly heldOut: CausalExamples } {
  const { dataFolder, sources, length, megabytes, say } = options;
  const rows = (name: string, lists: readonly (readonly string[])[], limit: number | undefined): CausalExamples => {
    const files = lists.flat();
    sayMarks(files, say);
    const key = JSON.stringify(["causal-corpus", 1, name, hashFiles(files), identity, length, limit ?? null]);
    const tokens = cachedTokenSet(options.cacheFolder, key, () => cut(lists, { length, limit }, tokenizer));
    const learnt = new Uint8Array(tokens.ids.length).fill(1);
    return new CausalExamples({ tokens, learnt }, { padId: 0, maxLength: length });
  };
  const train = sources.map((source) => sourceFiles(source, dataFolder));
  return {
    train: rows("train", train, megabytes),
    heldOut: rows("held-out", [[heldOutFile(dataFolder)]], undefined),
  };
}

/** What is left at the end is dropped. @param lists the files of each source */
function cut(
  lists: readonly (readonly string[])[],
  { length, limit }: { readonly length: number; readonly limit: number | undefined },
  tokenizer: Tokenizer,
): TokenSet {
  const builder = new TokenSetBuilder();
  const { eos } = tokenizer.specialTokens;
  const end = eos === undefined ? undefined : tokenizer.idOf(eos);
  let open: number[] = [];
  for (const files of lists) {
    let budget = (limit ?? Infinity) * 1e6;
    for (const file of files) {
      if (budget <= 0) break;
      const text = readText(file).slice(0, budget);
      budget -= text.length;
      if (end !== undefined) open.push(end);
      for (const piece of piecesOf(text)) {
        for (const id of tokenizer.encode(piece, { specialTokens: false }).ids) open.push(id);
        let start = 0;
        for (; start + length <= open.length; start += length) builder.push(open.slice(start, start + length));
        if (start > 0) open = open.slice(start);
      }
    }
  }
  return builder.build();
}

/** Parts of a text that end behind blank lines: put together they are the text. */
function piecesOf(text: string): string[] {
  return text.match(/[^]+?(?:\n[ \t]*\n+|$)/g) ?? [];
}
