/** Tokenizers behind one small interface; the work is done by @huggingface/tokenizers. */
import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { LowrankError } from "@lowrank/tensor";
import { directory, type Files } from "./files.ts";

export interface Encoding {
  readonly ids: number[];
  readonly typeIds: number[];
}

export interface Tokenizer {
  readonly vocabSize: number;
  /** Token id, or undefined. */
  idOf(token: string): number | undefined;
  /** With special tokens; cut to `maxLength` (the end token stays). */
  encode(text: string, options?: { pair?: string; maxLength?: number; specialTokens?: boolean }): Encoding;
  decode(ids: readonly number[]): string;
}

/** Reads `tokenizer.json` (and `tokenizer_config.json` if there is one). */
export async function loadTokenizer(from: string | Files): Promise<Tokenizer> {
  const files = typeof from === "string" ? directory(from) : from;
  if (!(await files.exists("tokenizer.json"))) throw new LowrankError("FileError", `${files.where}: there is no tokenizer.json; copy it next to the model`);
  const json = JSON.parse(await files.text("tokenizer.json")) as Record<string, unknown>;
  const config = (await files.exists("tokenizer_config.json")) ? (JSON.parse(await files.text("tokenizer_config.json")) as Record<string, unknown>) : {};
  return new JsonTokenizer(json, config);
}

class JsonTokenizer implements Tokenizer {
  readonly #inner: HfTokenizer;
  readonly vocabSize: number;

  constructor(json: Record<string, unknown>, config: Record<string, unknown>) {
    this.#inner = new HfTokenizer(json, config);
    this.vocabSize = this.#inner.get_vocab().size;
  }

  idOf(token: string): number | undefined { return this.#inner.token_to_id(token); }

  encode(text: string, options: { pair?: string; maxLength?: number; specialTokens?: boolean } = {}): Encoding {
    const { pair, maxLength = Infinity, specialTokens = true } = options;
    const { ids, token_type_ids: types } = this.#inner.encode(text, { ...(pair === undefined ? {} : { text_pair: pair }), add_special_tokens: specialTokens, return_token_type_ids: true });
    const typeIds = types ?? ids.map(() => 0);
    if (ids.length <= maxLength) return { ids, typeIds };
    const keep = specialTokens ? maxLength - 1 : maxLength;
    const last = specialTokens ? [ids.length - 1] : [];
    const at = [...Array.from({ length: keep }, (_, i) => i), ...last];
    return { ids: at.map((i) => ids[i]!), typeIds: at.map((i) => typeIds[i]!) };
  }

  decode(ids: readonly number[]): string { return this.#inner.decode([...ids], { skip_special_tokens: true }); }
}
