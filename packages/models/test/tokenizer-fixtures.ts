/** The tokenizers and cases of shared/fixtures/tokenizers, whose places are turned from code points into UTF-16 units. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect } from "vitest";
import { parseTokenizer, type Encoding, type Tokenizer } from "../src/index.ts";

const root = resolve(import.meta.dirname, "../../..");
const data = resolve(root, process.env["LOWRANK_DATA"] ?? "../shared/data");
const fixtures = resolve(root, process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures", "tokenizers");

export const present: boolean =
  existsSync(resolve(fixtures, "manifest.json")) &&
  existsSync(resolve(data, "gpt2-tokenizer")) &&
  existsSync(resolve(data, "bert-base-uncased-tokenizer"));

/** Rows of NAME.jsonl.gz. */
export function rows<T>(name: string): T[] {
  return gunzipSync(readFileSync(resolve(fixtures, `${name}.jsonl.gz`)))
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}

const json = (...path: string[]): Record<string, unknown> =>
  JSON.parse(readFileSync(resolve(...path), "utf8")) as Record<string, unknown>;

function bert(change: Record<string, unknown> = {}): unknown {
  const file = json(data, "bert-base-uncased-tokenizer", "tokenizer.json");
  return { ...file, normalizer: { ...(file["normalizer"] as object), ...change } };
}

function gpt2(change: (file: Record<string, unknown>) => object = () => ({})): unknown {
  const [, ...merges] = readFileSync(resolve(data, "gpt2-tokenizer/vocab.bpe"), "utf8")
    .split("\n")
    .filter((line) => line !== "");
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true };
  const file = {
    version: "1.0",
    truncation: null,
    padding: null,
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: byteLevel,
    decoder: byteLevel,
    added_tokens: [
      {
        id: 50256,
        content: "<|endoftext|>",
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ],
    model: { type: "BPE", vocab: json(data, "gpt2-tokenizer", "encoder.json"), merges },
  };
  return { ...file, ...change(file) };
}

const end = ["<|endoftext|>", 50256];
const FILES: Readonly<Record<string, () => unknown>> = {
  bert: () => bert(),
  "bert-cased-rules": () => bert({ lowercase: false, strip_accents: false }),
  "bert-keep-accents": () => bert({ lowercase: true, strip_accents: false }),
  gpt2: () => gpt2(),
  "gpt2-roberta": () =>
    gpt2((file) => ({
      pre_tokenizer: { ...(file["pre_tokenizer"] as object), add_prefix_space: true },
      post_processor: { type: "RobertaProcessing", sep: end, cls: end, trim_offsets: true, add_prefix_space: true },
    })),
  unigram: () => json(fixtures, "unigram.tokenizer.json"),
  "unigram-unk": () => json(fixtures, "unigram-unk.tokenizer.json"),
  "spm-precompiled": () => json(fixtures, "spm-precompiled.tokenizer.json"),
  "llama-legacy": () => json(fixtures, "llama-legacy.tokenizer.json"),
  "llama-metaspace": () => json(fixtures, "llama-metaspace.tokenizer.json"),
  llama3: () => json(fixtures, "llama3.tokenizer.json"),
  qwen: () => json(fixtures, "qwen.tokenizer.json"),
};

/** The tokenizers of the fixtures that are built. */
export const TOKENIZERS: readonly string[] = Object.keys(FILES);

export function fileOf(name: string): unknown {
  return FILES[name]!();
}

const made = new Map<string, Tokenizer>();
export function tokenizerOf(name: string): Tokenizer {
  const tokenizer = made.get(name) ?? parseTokenizer(fileOf(name), {}, name);
  made.set(name, tokenizer);
  return tokenizer;
}

export function publicShape(name: string): unknown {
  return json(fixtures, "../public-shapes", name);
}

/** A recorded encoding. */
export interface Recorded {
  readonly ids: number[];
  readonly tokens?: string[];
  readonly type_ids: number[];
  readonly special_tokens_mask?: number[];
  readonly offsets: [number, number][];
  readonly word_ids?: (number | null)[];
  readonly sequence_ids?: (number | null)[];
}

/** What `tokenizers` recorded, in our names and units; `sourceOf(i)` is the text that token i stands in. */
export function expected(row: Recorded, sourceOf: (token: number) => string): Partial<Encoding> {
  const units = new Map<string, number[]>();
  const unitsOf = (text: string): number[] => {
    const known = units.get(text);
    if (known !== undefined) return known;
    const starts = [0];
    for (const character of text) starts.push(starts.at(-1)! + character.length);
    units.set(text, starts);
    return starts;
  };
  const offsets = row.offsets.map(([from, to], i): [number, number] => {
    if (to === 0) return [0, 0];
    const starts = unitsOf(sourceOf(i));
    return [starts[from]!, starts[to]!];
  });
  return {
    ids: row.ids,
    typeIds: row.type_ids,
    offsets,
    ...(row.tokens === undefined ? {} : { tokens: row.tokens }),
    ...(row.special_tokens_mask === undefined ? {} : { specialTokensMask: row.special_tokens_mask }),
    ...(row.word_ids === undefined ? {} : { wordIds: row.word_ids }),
    ...(row.sequence_ids === undefined ? {} : { sequenceIds: row.sequence_ids }),
  };
}

/** The keys that were recorded. */
export function part(encoding: Encoding, wanted: Partial<Encoding>): Partial<Encoding> {
  return Object.fromEntries(Object.keys(wanted).map((key) => [key, encoding[key as keyof Encoding]]));
}

/** The rows that differ: none, or the first few with what they are about. */
export function differing<T>(all: readonly T[], differs: (row: T) => unknown): unknown[] {
  expect(all.length).toBeGreaterThan(0);
  return all
    .map(differs)
    .filter((found) => found !== undefined)
    .slice(0, 3);
}
export const unlike = (about: unknown, got: unknown, want: unknown): unknown =>
  JSON.stringify(got) === JSON.stringify(want) ? undefined : { about, got, want };

/** The code of the error that is thrown, if one is. */
export function refusal(attempt: () => unknown): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}
