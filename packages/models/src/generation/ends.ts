/** The tokens that a checkpoint says texts end with. */
import { anyOf, checkFile, fields, listOf, parseJson, whole, optional, type Rule } from "@lowrank/tensor/check";
import { readOne } from "../gguf/metadata.ts";
import { openGgufFile } from "../gguf/open.ts";
import { placeOf } from "../places/place.ts";
import type { Where } from "../places/url.ts";
import { listed } from "./options.ts";

const id = whole(0);
const SAID: Rule<{ readonly eos_token_id?: number | readonly number[] | undefined }> = fields<{
  readonly eos_token_id?: number | readonly number[] | undefined;
}>({ eos_token_id: optional(anyOf(id, listOf(id))) }, { unknown: "keep" });

/**
 * For `generate`'s `eos`: `eos_token_id` of generation_config.json, else of config.json; in a GGUF file the ends of texts and of turns.
 * @returns undefined where the checkpoint says none
 * @throws LowrankError (FileError, FormatError)
 */
export async function textEnds(from: Where): Promise<readonly number[] | undefined> {
  const place = await placeOf("textEnds", from, "config.json");
  const { files } = place;
  const gguf = (await files.exists("config.json")) ? undefined : await openGgufFile(place);
  if (gguf !== undefined) {
    try {
      const { file } = gguf;
      const ends = ["eos", "eot", "eom"].flatMap((role) =>
        listed(readOne(file, `tokenizer.ggml.${role}_token_id`, id)),
      );
      return ends.length === 0 ? undefined : [...new Set(ends)];
    } finally {
      await gguf.file.close();
    }
  }
  for (const name of ["generation_config.json", "config.json"]) {
    if (place.file !== undefined || !(await files.exists(name))) continue;
    const source = `${files.where}/${name}`;
    const { eos_token_id: said } = checkFile(source, SAID, parseJson(await files.text(name), source));
    if (said !== undefined) return listed(said);
  }
  return undefined;
}
