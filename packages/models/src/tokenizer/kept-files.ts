/** A tokenizer as the files that are kept beside an adapter: those of a folder as they are, those of a GGUF file made of its metadata. */
import { checkOptions } from "@lowrank/tensor/check";
import { openGgufFile } from "../gguf/open.ts";
import { ggufTokenizer } from "../gguf/tokenizer.ts";
import { LOCATE, type LocateOptions } from "../places/locate.ts";
import { placeOf } from "../places/place.ts";
import type { Where } from "../places/url.ts";

/** What `loadTokenizer` and transformers read of a folder. */
const NAMES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.txt",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
];

/**
 * Texts of a tokenizer's files by name; empty where there is no tokenizer.
 * @param from as `loadTokenizer` takes it
 * @throws LowrankError (FileError, FormatError, NotBuiltError)
 */
export async function readTokenizerFiles(
  from: Where,
  options: LocateOptions = {},
): Promise<ReadonlyMap<string, string>> {
  const how = checkOptions("readTokenizerFiles", LOCATE, options);
  const place = await placeOf("readTokenizerFiles", from, "tokenizer.json", how);
  const { files, file } = place;
  const gguf = file === undefined && (await files.exists("tokenizer.json")) ? undefined : await openGgufFile(place);
  if (gguf !== undefined) {
    try {
      const { tokenizer, config } = ggufTokenizer(gguf.file);
      return new Map(
        Object.entries({ "tokenizer.json": tokenizer, "tokenizer_config.json": config }).map(([name, value]) => [
          name,
          `${JSON.stringify(value, null, 2)}\n`,
        ]),
      );
    } finally {
      await gguf.file.close();
    }
  }
  const found = new Map<string, string>();
  for (const name of NAMES) if (await files.exists(name)) found.set(name, await files.text(name));
  return found;
}
