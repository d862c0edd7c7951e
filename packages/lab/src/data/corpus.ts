/** Unlabelled text for pre-training: novels and WikiText-2 cut into windows of equal length, SST-2 phrases as they are (labels are not read). */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { hashFiles, requireFile, sayMarks } from "./location.ts";
import { readText } from "./read-file.ts";
import { type TokenSet, TokenSetBuilder } from "./token-set.ts";
import { cachedTokenSet } from "./token-cache.ts";
import { readLabelledTsv } from "./tsv.ts";
import type { WordTokenizer } from "./word-piece.ts";

export const CORPUS_NAMES = ["books", "wikitext-2", "sst2-text"] as const;
export type CorpusName = (typeof CORPUS_NAMES)[number];

export interface CorpusOptions {
  readonly dataFolder: string;
  readonly cacheFolder: string;
  readonly sources: readonly CorpusName[];
  /** Sequence length with `[CLS]` and `[SEP]`. */
  readonly length: number;
  /** Read at most this many megabytes of each source; all when absent. */
  readonly megabytes?: number | undefined;
  /** Receives lines about the files. */
  readonly say?: ((line: string) => void) | undefined;
}

/** Sequences without special tokens, at most `length − 2` each, of all sources one after the other. */
export function loadCorpus(options: CorpusOptions, tokenizer: WordTokenizer): TokenSet {
  const sets = options.sources.map((source) => {
    const files = sourceFiles(source, options.dataFolder);
    sayMarks(files, options.say);
    const key = JSON.stringify([
      "corpus",
      2,
      source,
      hashFiles(files),
      tokenizer.identity,
      options.length,
      options.megabytes ?? null,
    ]);
    return cachedTokenSet(options.cacheFolder, key, () => tokenize(source, files, options, tokenizer));
  });
  return concatenate(sets);
}

/** Content hash of all files that the sources read. */
export function corpusIdentity(options: Pick<CorpusOptions, "dataFolder" | "sources">): string {
  return hashFiles(options.sources.flatMap((source) => sourceFiles(source, options.dataFolder)));
}

/** Text that no pre-training reads: `valid.txt` of the novels. */
export function heldOutFile(folder: string): string {
  return requireFile(folder, "public-domain-books", "valid.txt");
}

/** Content hash of the held-out text. */
export function heldOutIdentity(folder: string): string {
  return hashFiles([heldOutFile(folder)]);
}

/** Held-out text in the same form: `valid.txt` of the novels. */
export function loadHeldOut(options: Omit<CorpusOptions, "sources">, tokenizer: WordTokenizer): TokenSet {
  const file = heldOutFile(options.dataFolder);
  sayMarks([file], options.say);
  const key = JSON.stringify(["held-out", 2, hashFiles([file]), tokenizer.identity, options.length]);
  return cachedTokenSet(options.cacheFolder, key, () => windows([file], options.length, undefined, tokenizer));
}

/** Files of a source, in order. @throws InputError for those that are not there */
export function sourceFiles(source: CorpusName, folder: string): string[] {
  if (source === "sst2-text") return [requireFile(folder, "sst2-glue", "train.tsv")];
  if (source === "wikitext-2") return [requireFile(folder, "wikitext-2", "train.partial-1MB.txt")];
  const first = requireFile(folder, "public-domain-books", "train-00.txt");
  const books = join(first, "..");
  const files = readdirSync(books)
    .filter((name) => /^train-\d+\.txt$/.test(name))
    .sort();
  if (files.length === 0) throw new InputError(`${books}: no train-*.txt`);
  return files.map((name) => join(books, name));
}

function tokenize(
  source: CorpusName,
  files: readonly string[],
  options: CorpusOptions,
  tokenizer: WordTokenizer,
): TokenSet {
  if (source !== "sst2-text") return windows(files, options.length, options.megabytes, tokenizer);
  const builder = new TokenSetBuilder();
  for (const { text } of readLabelledTsv(files[0]!, 2)) {
    const ids = tokenizer.encode(text).slice(0, options.length - 2);
    if (ids.length > 0) builder.push(ids);
  }
  return builder.build();
}

/** One running text, cut every `length − 2` tokens; what is left at the end is dropped. */
function windows(
  files: readonly string[],
  length: number,
  megabytes: number | undefined,
  tokenizer: WordTokenizer,
): TokenSet {
  const size = length - 2;
  const builder = new TokenSetBuilder();
  let open: number[] = [];
  let budget = (megabytes ?? Infinity) * 1e6;
  for (const file of files) {
    if (budget <= 0) break;
    const text = readText(file);
    const used = text.length <= budget ? text : text.slice(0, budget);
    budget -= used.length;
    for (const paragraph of used.split(/\n\s*\n/)) {
      for (const id of tokenizer.encode(paragraph)) open.push(id);
      let start = 0;
      for (; start + size <= open.length; start += size) builder.push(open.slice(start, start + size));
      if (start > 0) open = open.slice(start);
    }
  }
  return builder.build();
}

function concatenate(sets: readonly TokenSet[]): TokenSet {
  const ids = new Uint32Array(sets.reduce((sum, set) => sum + set.ids.length, 0));
  const offsets = new Uint32Array(1 + sets.reduce((sum, set) => sum + set.offsets.length - 1, 0));
  let idAt = 0;
  let at = 1;
  for (const set of sets) {
    ids.set(set.ids, idAt);
    for (let i = 1; i < set.offsets.length; i++) offsets[at++] = idAt + set.offsets[i]!;
    idAt += set.ids.length;
  }
  return { ids, offsets };
}
