/** What a tokenizer's files say of it. A vocabulary is read whole only where it is short, or where that is asked for. */
import type { Files } from "@lowrank/tensor";
import { listOf, text } from "@lowrank/tensor/check";
import { readOne, tokenIds, type GgufMetadata } from "../gguf/metadata.ts";
import { ggufTokenizerKinds } from "../gguf/tokenizer.ts";
import { specialTokensOf } from "../tokenizer/file.ts";
import { readConfigs, readTokenizerFolder } from "../tokenizer/folder.ts";
import { parseTokenizer } from "../tokenizer/tokenizer.ts";
import type { TokenizerFacts } from "./facts.ts";
import { reasonOf } from "./opened.ts";

/** Files up to here are read whole. */
const SHORT = 900_000;
/** `model_max_length` beyond means that nobody knows. */
const NO_LIMIT = 1e9;
/** Files of tokenizers in folders without a tokenizer.json. */
const OTHERS = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json"];

/** @param whole reads the vocabulary whatever its length */
export async function tokenizerOf(files: Files, whole: boolean): Promise<TokenizerFacts | undefined> {
  const file = await firstOf(files, ["tokenizer.json", ...OTHERS]);
  if (file === undefined) return undefined;
  const said = { ...(await saidBy(files)), file };
  if (said.refused !== null && said.refused !== undefined) return said;
  const handle = await files.open(file);
  await handle.close?.();
  if (handle.size > SHORT && !whole && !file.endsWith(".model")) return said;
  try {
    const { tokenizer, config, source } = await readTokenizerFolder(files);
    const type = (tokenizer as { readonly model?: { readonly type?: unknown } } | null)?.model?.type;
    const facts = { ...said, model: typeof type === "string" ? type : null, special: specialTokensOf(config) };
    try {
      return { ...facts, vocabulary: parseTokenizer(tokenizer, config, source).vocabSize };
    } catch (error) {
      return { ...facts, refused: reasonOf(error) };
    }
  } catch (error) {
    return { ...said, refused: reasonOf(error) };
  }
}

async function firstOf(files: Files, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) if (await files.exists(name)) return name;
  return undefined;
}

/** What tokenizer_config.json and its like say. */
async function saidBy(files: Files): Promise<TokenizerFacts> {
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
    const read = await readConfigs(files);
    const { model_max_length: length } = read;
    return {
      ...facts,
      special: specialTokensOf(read),
      maxLength: length !== undefined && length < NO_LIMIT ? length : null,
      chatTemplate: jinja || ((read as { readonly chat_template?: unknown }).chat_template ?? null) !== null,
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
