/** Tokenizers of Hugging Face's tokenizer.json: token for token what `tokenizers` gives. */
import { LowrankError, quote } from "@lowrank/tensor";
import { checkOptions } from "@lowrank/tensor/check";
import { openGgufFile } from "../gguf/open.ts";
import { ggufTokenizer } from "../gguf/tokenizer.ts";
import { LOCATE, type LocateOptions } from "../places/locate.ts";
import { placeOf } from "../places/place.ts";
import type { Where } from "../places/url.ts";
import { readTokenizerFolder } from "./folder.ts";
import { decodeStream } from "./decode-stream.ts";
import { cleanUp } from "./decoder.ts";
import { cut, type Encoding } from "./encoding.ts";
import {
  readTokenizer,
  readTokenizerConfig,
  specialTokensOf,
  type TokenizerConfig,
  type TokenizerParts,
} from "./file.ts";
import {
  BATCH,
  DECODE,
  ENCODE,
  input,
  NEW_TOKENS,
  type BatchEncoding,
  type BatchOptions,
  type DecodeOptions,
  type DecodeStream,
  type EncodeOptions,
  type NewToken,
  type Padding,
  type SpecialRole,
  type Tokenizer,
  type TokenizerInput,
} from "./options.ts";
import { pad, type PaddingPlan } from "./padding.ts";
import { tokensOf } from "./sequence.ts";
import { truncate } from "./truncation.ts";

/**
 * Reads `tokenizer.json` with what tokenizer_config.json, special_tokens_map.json and added_tokens.json declare besides, the vocabulary files of a BERT,
 * DistilBERT, GPT-2, RoBERTa or Qwen tokenizer, or the tokenizer of a GGUF file.
 * @throws LowrankError (FileError, FormatError)
 */
export async function loadTokenizer(from: Where, options: LocateOptions = {}): Promise<Tokenizer> {
  const how = checkOptions("loadTokenizer", LOCATE, options);
  const place = await placeOf("loadTokenizer", from, "tokenizer.json", how);
  const { files, file } = place;
  const gguf = file === undefined && (await files.exists("tokenizer.json")) ? undefined : await openGgufFile(place);
  if (gguf !== undefined) {
    try {
      const { tokenizer, config } = ggufTokenizer(gguf.file);
      return parseTokenizer(tokenizer, config, gguf.where);
    } finally {
      await gguf.file.close();
    }
  }
  const { tokenizer, config, source } = await readTokenizerFolder(files);
  return new FileTokenizer(readTokenizer(tokenizer, source, config), config);
}

/** A tokenizer from the parsed contents of tokenizer.json and tokenizer_config.json; `source` is for messages. @throws LowrankError (FormatError) */
export function parseTokenizer(tokenizer: unknown, config: unknown = {}, source: string = "tokenizer.json"): Tokenizer {
  const checked = readTokenizerConfig(config, "tokenizer_config.json");
  return new FileTokenizer(readTokenizer(tokenizer, source, checked), checked);
}

/** Beyond this `model_max_length` means "unknown" (transformers writes 1e30). */
const NO_LIMIT = 1e9;
const AT_ENCODE = { source: "encode", path: [], code: "ConfigError" } as const;

class FileTokenizer implements Tokenizer {
  readonly #parts: TokenizerParts;
  readonly #config: TokenizerConfig;
  readonly vocabSize: number;

  constructor(parts: TokenizerParts, config: TokenizerConfig) {
    this.#parts = parts;
    this.#config = config;
    const { ids } = parts.model.vocabulary;
    this.vocabSize = ids.size + [...parts.added.all].filter((token) => !ids.has(token.content)).length;
  }

  get maxLength(): number | undefined {
    const { model_max_length: length } = this.#config;
    return length !== undefined && length < NO_LIMIT ? length : undefined;
  }

  idOf(token: string): number | undefined {
    return this.#parts.added.withContent(token)?.id ?? this.#parts.model.vocabulary.ids.get(token);
  }
  tokenOf(id: number): string | undefined {
    return this.#parts.added.withId(id)?.content ?? this.#parts.model.vocabulary.tokens.get(id);
  }

  get specialTokens(): Readonly<Partial<Record<SpecialRole, string>>> {
    return specialTokensOf(this.#config);
  }

  encode(text: TokenizerInput, options: EncodeOptions = {}): Encoding {
    const { pair, ...how } = checkOptions("encode", ENCODE, options);
    return this.#rows(text, pair, how)[0]!;
  }

  encodeBatch(texts: readonly TokenizerInput[], options: BatchOptions = {}): BatchEncoding {
    const checked = checkOptions("encodeBatch", BATCH, options);
    const { pairs, padding, overflow = false, stride = 0, ...how } = checked;
    if (!Array.isArray(texts))
      throw new LowrankError("ConfigError", `encodeBatch: the texts must be a list, got ${quote(texts)}`);
    if (pairs !== undefined && pairs.length !== texts.length)
      throw new LowrankError("ConfigError", `encodeBatch: there are ${texts.length} texts and ${pairs.length} pairs`);
    const rows: Encoding[] = [];
    const sampleOf: number[] = [];
    for (const [i, text] of (texts as readonly TokenizerInput[]).entries()) {
      for (const row of this.#rows(text, pairs?.[i], how, overflow ? stride : undefined)) {
        rows.push(row);
        sampleOf.push(i);
      }
    }
    if (padding === undefined)
      return { encodings: rows, attentionMask: rows.map(({ ids }) => ids.map(() => 1)), sampleOf };
    return { ...pad(rows, this.#padding(padding, checked)), sampleOf };
  }

  /** What is kept of a text and its pair, then, where there is a stride, what overflows: each part of one with each of the other. */
  #rows(
    text: TokenizerInput,
    pair: TokenizerInput | undefined,
    { specialTokens = true, maxLength, truncation, truncationSide }: EncodeOptions,
    stride?: number,
  ): Encoding[] {
    const { postProcessor } = this.#parts;
    const sources = (pair === undefined ? [text] : [text, pair]).map((source) =>
      wellFormed(input.read(source, AT_ENCODE)),
    );
    const limit = maxLength ?? (truncation === undefined && truncationSide === undefined ? Infinity : this.maxLength);
    if (limit === undefined)
      throw new LowrankError(
        "ConfigError",
        `encode: "${truncation === undefined ? "truncationSide" : "truncation"}" needs maxLength, which neither the call nor tokenizer_config.json gives`,
      );
    const added = specialTokens ? postProcessor.added[sources.length - 1]! : 0;
    if (limit < added)
      throw new LowrankError(
        "ConfigError",
        `encode: maxLength ${limit} has no room for the ${added} special tokens; raise it or pass specialTokens: false`,
      );
    const [first, second] = truncate(
      sources.map((source, i) => tokensOf(this.#parts, source, i)),
      limit - added,
      truncation ?? "longest_first",
      truncationSide ?? this.#config.truncation_side ?? "right",
      stride,
    );
    return combinations(first!, second).map((parts) =>
      postProcessor.process(
        parts.map((encoding, i) => ({ encoding, source: sources[i]! })),
        specialTokens,
      ),
    );
  }

  #padding(padding: Padding, options: BatchOptions): PaddingPlan {
    const token = options.padToken ?? this.specialTokens.pad;
    const id = token === undefined ? undefined : this.idOf(token);
    if (token === undefined || id === undefined)
      throw new LowrankError(
        "ConfigError",
        token === undefined
          ? "encodeBatch: padding needs a token, and tokenizer_config.json has no pad_token; pass padToken"
          : `encodeBatch: the padding token ${quote(token)} is not in the vocabulary; add it with withTokens`,
      );
    return {
      padding,
      multipleOf: options.padToMultipleOf ?? 1,
      side: options.paddingSide ?? this.#config.padding_side ?? "right",
      token,
      id,
      typeId: options.padTypeId ?? 0,
      maxLength: options.maxLength ?? this.maxLength,
    };
  }

  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const { added, model, decode } = this.#parts;
    const { skipSpecialTokens = true, cleanUpSpaces = false } = checkOptions("decode", DECODE, options);
    const tokens: string[] = [];
    for (const id of Array.from(ids)) {
      if (!Number.isSafeInteger(id) || id < 0)
        throw new LowrankError("ValueError", `decode: ${quote(id)} is no token id; ids are whole numbers from 0`);
      const token = added.withId(id);
      if (token?.special === true && skipSpecialTokens) continue;
      const shown = token === undefined ? model.vocabulary.tokens.get(id) : added.shownAs(token);
      if (shown !== undefined) tokens.push(shown);
    }
    const text = tokens.length === 0 ? "" : decode(tokens).join("");
    return cleanUpSpaces ? cleanUp(text) : text;
  }

  decodeStream(options: Pick<DecodeOptions, "skipSpecialTokens"> = {}): DecodeStream {
    const { skipSpecialTokens } = checkOptions("decodeStream", DECODE, options);
    return decodeStream((ids) => this.decode(ids, { skipSpecialTokens }));
  }

  withTokens(tokens: readonly (string | NewToken)[]): Tokenizer {
    const { tokens: checked } = checkOptions("withTokens", NEW_TOKENS, { tokens });
    return new FileTokenizer({ ...this.#parts, added: this.#parts.added.with(checked) }, this.#config);
  }
}

/** In the order of `tokenizers`: what is kept; all with later parts of the first; the kept part of the first with later ones of the second. */
function combinations(first: readonly Encoding[], second: readonly Encoding[] | undefined): Encoding[][] {
  if (first.length === 1 && (second === undefined || second.length === 1))
    return [second === undefined ? [first[0]!] : [first[0]!, second[0]!]];
  // a post-processor writes into what it gets
  const copy = (e: Encoding): Encoding => cut(e, 0, e.ids.length);
  if (second === undefined) return first.map((part) => [copy(part)]);
  const [kept, ...later] = first.map((part) => second.map((other) => [copy(part), copy(other)]));
  return [kept![0]!, ...later.flat(), ...kept!.slice(1)];
}

function wellFormed(source: TokenizerInput): TokenizerInput {
  const mend = (text: string): string => text.replace(/\p{Surrogate}/gu, "\ufffd");
  return typeof source === "string" ? mend(source) : source.map(mend);
}
