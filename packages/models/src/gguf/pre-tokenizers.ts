/** How texts are cut before byte-level BPE, by the name that `tokenizer.ggml.pre` has. Source: llama.cpp's llama-vocab.cpp, and the models' own tokenizer.json. */
import { LowrankError, quote } from "@lowrank/tensor";

export interface PreTokenizing {
  /** Patterns as Hugging Face's files spell them. */
  readonly split: readonly string[];
  readonly normalizer: object | null;
  /** Whether a word that is a token is taken as it is, whatever merges give. */
  readonly ignoreMerges: boolean;
  /** It is what `ByteLevel` cuts by itself (`use_regex`). */
  readonly gpt2?: true;
}

const GPT2 = String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
const llama = (digits: string): string =>
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const GPT4O = String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

const KNOWN: Readonly<Record<string, PreTokenizing>> = {
  "gpt-2": { split: [GPT2], normalizer: null, ignoreMerges: false, gpt2: true },
  "llama-bpe": { split: [llama(String.raw`\p{N}{1,3}`)], normalizer: null, ignoreMerges: true },
  qwen2: { split: [llama(String.raw`\p{N}`)], normalizer: { type: "NFC" }, ignoreMerges: false },
  "gpt-4o": { split: [GPT4O], normalizer: null, ignoreMerges: false },
};

/** @throws LowrankError (NotBuiltError): a text that is cut in another way has other tokens */
export function splitOf(name: string): PreTokenizing {
  if (!Object.hasOwn(KNOWN, name))
    throw new LowrankError(
      "NotBuiltError",
      `GGUF: "tokenizer.ggml.pre" is ${quote(name)}, which is not built; there are ${Object.keys(KNOWN).join(", ")}`,
    );
  return KNOWN[name]!;
}

/** The name of the first that is meant. */
export function preTokenizerFor(meant: (known: PreTokenizing) => boolean): string | undefined {
  return Object.entries(KNOWN).find(([, known]) => meant(known))?.[0];
}
