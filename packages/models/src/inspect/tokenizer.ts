/** What a tokenizer's files say of it. A vocabulary is read whole only where it is short, or where that is asked for. */
import type { Files } from "@lowrank/tensor";
import { listOf, parseJson, text } from "@lowrank/tensor/check";
import { readOne, tokenIds, type GgufMetadata } from "../gguf/metadata.ts";
import { ggufTokenizerKinds } from "../gguf/tokenizer.ts";
import { readTokenizerConfig, specialTokensOf } from "../tokenizer/file.ts";
import { parseTokenizer } from "../tokenizer/tokenizer.ts";
import type { TokenizerFacts } from "./facts.ts";
import { reasonOf } from "./opened.ts";

/** Files up to here are read whole. */
const SHORT = 900_000;
/** `model_max_length` beyond means that nobody knows. */
const NO_LIMIT = 1e9;
/** Files of tokenizers that are not read, and what makes a tokenizer.json of them. */
const OTHERS = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json"];

/** @param whole reads tokenizer.json whatever its length */
export async function tokenizerOf(files: Files, whole: boolean): Promise<TokenizerFacts | undefined> {
  const present = await files.exists("tokenizer.json");
  const other = present ? undefined : await firstOf(files, OTHERS);
  if (!present && other === undefined) return undefined;
  const config = await configOf(files);
  const said = await saidBy(files, config);
  if (present) return ofFile(files, said, config, whole);
  const refused =
    "only tokenizer.json is read: write it in Python with AutoTokenizer.from_pretrained(folder).save_pretrained(folder)";
  return { ...said, file: other!, refused };
}

async function firstOf(files: Files, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) if (await files.exists(name)) return name;
  return undefined;
}

async function ofFile(files: Files, said: TokenizerFacts, config: object, whole: boolean): Promise<TokenizerFacts> {
  const handle = await files.open("tokenizer.json");
  await handle.close?.();
  if (handle.size > SHORT && !whole) return said;
  const source = `${files.where}/tokenizer.json`;
  const json = parseJson(await files.text("tokenizer.json"), source);
  const type = (json as { readonly model?: { readonly type?: unknown } } | null)?.model?.type;
  const facts = { ...said, model: typeof type === "string" ? type : null };
  try {
    return { ...facts, vocabulary: parseTokenizer(json, config, source).vocabSize };
  } catch (error) {
    return { ...facts, refused: reasonOf(error) };
  }
}

async function configOf(files: Files): Promise<object> {
  if (!(await files.exists("tokenizer_config.json"))) return {};
  return parseJson(await files.text("tokenizer_config.json"), `${files.where}/tokenizer_config.json`) as object;
}

/** What tokenizer_config.json says. */
async function saidBy(files: Files, config: object): Promise<TokenizerFacts> {
  const jinja = await files.exists("chat_template.jinja");
  const facts = {
    file: "tokenizer.json",
    model: null,
    vocabulary: null,
    special: {},
    maxLength: null,
    chatTemplate: jinja,
  };
  try {
    const read = readTokenizerConfig(config, `${files.where}/tokenizer_config.json`);
    const { model_max_length: length } = read;
    return {
      ...facts,
      special: specialTokensOf(read),
      maxLength: length !== undefined && length < NO_LIMIT ? length : null,
      chatTemplate: jinja || ((config as { readonly chat_template?: unknown }).chat_template ?? null) !== null,
      refused: null,
    };
  } catch (error) {
    return { ...facts, refused: reasonOf(error) };
  }
}

/** The tokenizer of a GGUF file; undefined where it has none. */
export function tokenizerOfGguf(metadata: GgufMetadata, file: string): TokenizerFacts | undefined {
  if (metadata.value("tokenizer.ggml.model") === undefined) return undefined;
  const none = { file, model: null, vocabulary: null, special: {}, maxLength: null };
  const chatTemplate = metadata.keys.includes("tokenizer.chat_template");
  try {
    const model = readOne(metadata, "tokenizer.ggml.model", text)!;
    const tokens = readOne(metadata, "tokenizer.ggml.tokens", listOf(text)) ?? [];
    const special = Object.fromEntries(
      Object.entries(tokenIds(metadata)).flatMap(([key, id]) =>
        tokens[id] === undefined ? [] : [[key.replace(/_token_id$/, ""), tokens[id]] as const],
      ),
    );
    const built = ggufTokenizerKinds.includes(model);
    const refused = built
      ? null
      : `a tokenizer of kind "${model}" is not built; there are ${ggufTokenizerKinds.join(", ")}`;
    return { ...none, model, vocabulary: tokens.length, special, chatTemplate, refused };
  } catch (error) {
    return { ...none, chatTemplate, refused: reasonOf(error) };
  }
}
