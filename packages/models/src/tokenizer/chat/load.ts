/** Where a checkpoint's chat template stands. */
import { LowrankError, quote, type Files } from "@lowrank/tensor";
import { absent, anyOf, checkFile, fields, listOf, parseJson, text as string, type Rule } from "@lowrank/tensor/check";
import { openGgufFile } from "../../gguf/open.ts";
import { ggufTokenizerConfig } from "../../gguf/tokenizer.ts";
import { ofFile, placeOf, type HubChoice, type Place } from "../../places/place.ts";
import type { Where } from "../../places/url.ts";
import { readTokenizerConfig, specialTokensOf } from "../file.ts";
import { ChatTemplate } from "./template.ts";

interface NamedTemplate {
  readonly name: string;
  readonly template: string;
}
const TEMPLATES: Rule<{ readonly chat_template?: string | NamedTemplate[] | undefined }> = fields(
  { chat_template: absent(anyOf(string, listOf(fields<NamedTemplate>({ name: string, template: string })))) },
  { unknown: "keep" },
);

/**
 * The template of a checkpoint: `chat_template.jinja`, else `chat_template` of tokenizer_config.json or of a GGUF file, where several may stand by `name`
 * (default "default"); its special tokens are those of tokenizer_config.json. @throws LowrankError (FileError, FormatError)
 */
export async function loadChatTemplate(
  from: Where,
  name: string = "default",
  how: HubChoice = {},
): Promise<ChatTemplate> {
  const place = await placeOf("loadChatTemplate", from, "tokenizer_config.json", how);
  const { files } = place;
  const { source, config } = (await configOfGguf(place)) ?? (await configIn(files));
  const tokens = Object.entries(specialTokensOf(readTokenizerConfig(config, source)));
  const specialTokens = Object.fromEntries(tokens.map(([role, token]) => [`${role}_token`, token]));
  if (name === "default" && place.file === undefined && (await files.exists("chat_template.jinja")))
    return templateIn(`${files.where}/chat_template.jinja`, await files.text("chat_template.jinja"), specialTokens);
  const { chat_template: found } = checkFile(source, TEMPLATES, config);
  const template =
    typeof found === "string"
      ? name === "default"
        ? found
        : undefined
      : found?.find((t) => t.name === name)?.template;
  if (template === undefined)
    throw new LowrankError(
      "FileError",
      `${files.where}: there is no chat template ${quote(name)}, neither in chat_template.jinja nor in tokenizer_config.json`,
    );
  return templateIn(typeof found === "string" ? source : `${source}: ${quote(name)}`, template, specialTokens);
}

interface TokenizerConfigFile {
  readonly source: string;
  readonly config: unknown;
}

async function configIn(files: Files): Promise<TokenizerConfigFile> {
  const source = `${files.where}/tokenizer_config.json`;
  if (!(await files.exists("tokenizer_config.json"))) return { source, config: {} };
  return { source, config: parseJson(await files.text("tokenizer_config.json"), source) };
}

/** Where a GGUF file is meant, and not a folder of Hugging Face. */
async function configOfGguf(place: Place): Promise<TokenizerConfigFile | undefined> {
  if (place.file === undefined && (await place.files.exists("tokenizer_config.json"))) return undefined;
  const gguf = await openGgufFile(place);
  if (gguf === undefined) return undefined;
  try {
    return { source: gguf.where, config: ggufTokenizerConfig(gguf.file) };
  } catch (error) {
    throw ofFile(gguf.where, error);
  } finally {
    await gguf.file.close();
  }
}

/** What is wrong with a template is said with the file that it is from. */
function templateIn(where: string, template: string, specialTokens: Readonly<Record<string, string>>): ChatTemplate {
  try {
    return new ChatTemplate(template, specialTokens);
  } catch (error) {
    throw ofFile(where, error);
  }
}
