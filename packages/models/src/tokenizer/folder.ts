/** The files of a tokenizer in a folder: what tokenizer.json is, and what the files beside it say. */
import type { Files } from "@lowrank/tensor";
import { checkFile, mapOf, parseJson } from "@lowrank/tensor/check";
import { readTokenizerConfig, type TokenizerConfig } from "./file.ts";
import { tokenId } from "./vocabulary.ts";
import { fromVocabularyFiles } from "./vocabulary-files.ts";

export interface TokenizerFolder {
  /** Parsed contents of tokenizer.json, which may have been made of vocabulary files. */
  readonly tokenizer: unknown;
  readonly config: TokenizerConfig;
  /** Where the tokenizer is from, for messages. */
  readonly source: string;
}

/** @throws LowrankError (FileError, FormatError) naming the file and the key */
export async function readTokenizerFolder(files: Files): Promise<TokenizerFolder> {
  const config = await readConfigs(files);
  const source = `${files.where}/tokenizer.json`;
  if (await files.exists("tokenizer.json"))
    return { tokenizer: parseJson(await files.text("tokenizer.json"), source), config, source };
  return { ...(await fromVocabularyFiles(files, config)), source: files.where };
}

/**
 * What tokenizer_config.json says; special_tokens_map.json, where older versions of transformers named the special tokens, says it again and wins, as there; the
 * tokens of added_tokens.json are those of `added_tokens_decoder`.
 */
export async function readConfigs(files: Files): Promise<TokenizerConfig> {
  const [config, map, added] = await Promise.all(
    ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"].map(async (name) => {
      if (!(await files.exists(name))) return undefined;
      return { source: `${files.where}/${name}`, value: parseJson(await files.text(name), `${files.where}/${name}`) };
    }),
  );
  const read = config === undefined ? {} : readTokenizerConfig(config.value, config.source);
  const named = map === undefined ? {} : readTokenizerConfig(map.value, map.source);
  const ids = added === undefined ? {} : checkFile(added.source, mapOf(tokenId), added.value);
  const tokens = Object.fromEntries(Object.entries(ids).map(([content, id]) => [id, { content }]));
  const defined = Object.entries(named).filter(([, value]) => value !== undefined);
  return {
    ...read,
    ...(Object.fromEntries(defined) as TokenizerConfig),
    ...(added === undefined ? {} : { added_tokens_decoder: { ...tokens, ...read.added_tokens_decoder } }),
  };
}
