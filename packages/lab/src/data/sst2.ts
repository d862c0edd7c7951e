/** GLUE SST-2: binary sentiment of film reviews; 67,349 phrases to train on, 872 sentences to evaluate on. */
import { RandomStream } from "@lowrank/tensor";
import { permutation } from "../random/seeds.ts";
import { type ClassificationSet, exampleCount, subset } from "./classification.ts";
import { hashFiles, requireFile, sayMarks } from "./location.ts";
import { TokenSetBuilder } from "./token-set.ts";
import { cachedTokenSet } from "./token-cache.ts";
import { readLabelledTsv } from "./tsv.ts";
import { chooseRows, type RowParts } from "./row-range.ts";
import { loadWordTokenizer, tokenizerFolder, tokenizerIdentity, type WordTokenizer } from "./word-piece.ts";

export interface Sst2 {
  readonly train: ClassificationSet;
  readonly dev: ClassificationSet;
  readonly tokenizer: WordTokenizer;
  /** Where its files are. */
  readonly tokenizerFolder: string;
  /** Hash of the files and of everything that changes the tokens. */
  readonly identity: string;
}

export interface Sst2Options extends RowParts {
  readonly dataFolder: string;
  /** The checkpoint whose tokenizer is used; null: the data folder's. */
  readonly base: string | null;
  /** Of a base of the hub. */
  readonly revision?: string | undefined;
  readonly cacheFolder: string;
  /** Longest sequence, special tokens included. */
  readonly maxLength: number;
  /** Train on this many examples, chosen by a fixed shuffle; all when absent. */
  readonly trainLimit?: number | undefined;
  readonly devLimit?: number | undefined;
  /** Receives lines about the files. */
  readonly say?: ((line: string) => void) | undefined;
}

/** Reads, checks and tokenizes both splits (cached). */
export async function loadSst2(options: Sst2Options): Promise<Sst2> {
  const files = ["train.tsv", "dev.tsv"].map((file) => requireFile(options.dataFolder, "sst2-glue", file));
  sayMarks(files, options.say);
  const folder = tokenizerFolder(options.dataFolder, options.base);
  const tokenizer = await loadWordTokenizer(folder, options.revision);
  const read = (path: string): ClassificationSet => {
    const rows = readLabelledTsv(path, 2);
    const key = JSON.stringify(["sst2", 2, hashFiles([path]), tokenizer.identity, options.maxLength]);
    const tokens = cachedTokenSet(options.cacheFolder, key, () => {
      const builder = new TokenSetBuilder();
      for (const row of rows) builder.push(withSpecials(tokenizer.encode(row.text), tokenizer, options.maxLength));
      return builder.build();
    });
    return { tokens, labels: Int32Array.from(rows, (row) => row.label) };
  };
  const { train, dev } = partsOf(read, files, options);
  return {
    train: limited(train, options.trainLimit),
    dev: limited(dev, options.devLimit),
    tokenizer,
    tokenizerFolder: folder,
    identity: await sst2Identity(options),
  };
}

/** Rows to train on and to evaluate on, before limits. */
function partsOf(
  read: (path: string) => ClassificationSet,
  [train, dev]: readonly string[],
  { trainRows, heldOut }: RowParts,
): Pick<Sst2, "train" | "dev"> {
  const all = read(train!);
  if (trainRows === undefined && heldOut === undefined) return { train: all, dev: read(dev!) };
  const chosen = chooseRows(exampleCount(all), { trainRows, heldOut }, train!);
  return {
    train: subset(all, chosen.train),
    dev: chosen.heldOut === undefined ? read(dev!) : subset(all, chosen.heldOut),
  };
}

/** Identity without reading more than the bytes: what a run id depends on. */
export async function sst2Identity({
  dataFolder,
  base,
  revision,
}: Pick<Sst2Options, "dataFolder" | "base" | "revision">): Promise<string> {
  const files = ["train.tsv", "dev.tsv"].map((file) => requireFile(dataFolder, "sst2-glue", file));
  return `${hashFiles(files)}/${await tokenizerIdentity(tokenizerFolder(dataFolder, base), revision)}`;
}

/** `[CLS] ids… [SEP]`, cut at `maxLength` with both kept, as Hugging Face truncates. */
export function withSpecials(
  ids: readonly number[],
  tokenizer: Pick<WordTokenizer, "special">,
  maxLength: number,
): number[] {
  return [tokenizer.special.cls, ...ids.slice(0, maxLength - 2), tokenizer.special.sep];
}

function limited(set: ClassificationSet, limit: number | undefined): ClassificationSet {
  const count = exampleCount(set);
  if (limit === undefined || limit >= count) return set;
  // Part of the study, not of a run: the same subset for every seed.
  const chosen = permutation(count, new RandomStream(0, "sst2/subset")).slice(0, limit);
  return subset(set, Int32Array.from(chosen).sort());
}
