/** A checkpoint of Hugging Face, the adapter merged in. */
import { readTokenizerFiles, savePretrained } from "@lowrank/models";
import type { WrittenFloat } from "@lowrank/quant";
import { encodeUtf8, type WritableFiles } from "@lowrank/tensor";
import { revisionOf } from "../../data/location.ts";
import { merge } from "../merged.ts";
import type { Opened } from "../opened.ts";
import type { ExportTarget } from "../target.ts";

export const hf: ExportTarget = {
  name: "hf",
  about: "a Hugging Face folder, merged; quantized weights as f16 or, with --keep, quantized again",
  writes: "folder",
  types: ["f16", "bf16", "f32"],
  async write(opened, files, _name, { type, keep }, step) {
    const { model } = opened;
    const dtype = (type ?? "f16") as WrittenFloat;
    step("merging", 1, 3);
    const merged = await merge(opened, keep ? undefined : dtype);
    step("writing", 2, 3);
    const left = model.weights().some(({ form }) => form !== undefined);
    await savePretrained(model, files, left && !keep ? { dequantize: dtype } : {});
    await copyTokenizer(opened, files);
    return { ...(merged === undefined ? {} : { merged }), notes: [] };
  },
};

export async function copyTokenizer(
  { tokenizer, base, revision }: Pick<Opened, "tokenizer" | "base" | "revision">,
  files: WritableFiles,
): Promise<void> {
  const found = await readTokenizerFiles(tokenizer, tokenizer === base ? revisionOf({ revision }) : {});
  for (const [name, text] of found) await files.write(name, async (sink) => sink(encodeUtf8(text)));
}
