/** Tokenizers of Hugging Face's tokenizer.json: WordPiece and byte-level BPE, token for token what `tokenizers` gives. */
import { LowrankError, quote } from "@lowrank/tensor";
import { checkOptions, parseJson } from "@lowrank/tensor/check";
import { directory, type Files } from "@lowrank/tensor";
import { alignedText, originOf } from "./aligned-text.ts";
import { cleanUp } from "./decoder.ts";
import { emptyEncoding, type Encoding } from "./encoding.ts";
import { readTokenizer, readTokenizerConfig, type TokenizerConfig, type TokenizerParts } from "./file.ts";
import {
  DECODE,
  ENCODE,
  input,
  type DecodeOptions,
  type EncodeOptions,
  type Tokenizer,
  type TokenizerInput,
} from "./options.ts";
import { truncate } from "./truncation.ts";

/** Reads `tokenizer.json` (and `tokenizer_config.json` if there is one). @throws LowrankError (FileError, FormatError) */
export async function loadTokenizer(from: string | Files): Promise<Tokenizer> {
  const files = typeof from === "string" ? directory(from) : from;
  if (!(await files.exists("tokenizer.json")))
    throw new LowrankError("FileError", `${files.where}: there is no tokenizer.json; copy it next to the model`);
  const read = async (name: string): Promise<unknown> => parseJson(await files.text(name), `${files.where}/${name}`);
  const config = (await files.exists("tokenizer_config.json"))
    ? readTokenizerConfig(await read("tokenizer_config.json"), `${files.where}/tokenizer_config.json`)
    : {};
  return new FileTokenizer(
    readTokenizer(await read("tokenizer.json"), `${files.where}/tokenizer.json`, config),
    config,
  );
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

  encode(text: TokenizerInput, options: EncodeOptions = {}): Encoding {
    const {
      pair,
      specialTokens = true,
      maxLength,
      truncation,
      truncationSide,
    } = checkOptions("encode", ENCODE, options);
    const sources = (pair === undefined ? [text] : [text, pair]).map((source) =>
      wellFormed(input.read(source, AT_ENCODE)),
    );
    const encodings = sources.map((source, i) => this.#sequence(source, i));
    const { postProcessor } = this.#parts;
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
    const cut = truncate(
      encodings,
      limit - added,
      truncation ?? "longest_first",
      truncationSide ?? this.#config.truncation_side ?? "right",
    );
    return postProcessor.process(
      cut.map((encoding, i) => ({ encoding, source: sources[i]! })),
      specialTokens,
    );
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

  /** Tokens of one text, `sequence` 0 or 1, nothing added yet. */
  #sequence(source: TokenizerInput, sequence: number): Encoding {
    const out = emptyEncoding();
    if (typeof source === "string") this.#append(out, source, sequence, undefined);
    else for (const [i, word] of source.entries()) this.#append(out, word, sequence, i);
    return out;
  }

  /** Tokens of one text or word. `wordId` is the word's index; undefined: pieces are counted. */
  #append(out: Encoding, source: string, sequence: number, wordId: number | undefined): void {
    const { added, normalize, preTokenize, model } = this.#parts;
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
}

function wellFormed(source: TokenizerInput): TokenizerInput {
  const mend = (text: string): string => text.replace(/\p{Surrogate}/gu, "\ufffd");
  return typeof source === "string" ? mend(source) : source.map(mend);
}
