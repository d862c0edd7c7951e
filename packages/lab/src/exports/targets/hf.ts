/** A checkpoint of Hugging Face, the adapter merged in. */
import { readTokenizerFiles, savePretrained } from "@lowrank/models";
import type { WrittenFloat } from "@lowrank/quant";
import { encodeUtf8, type WritableFiles } from "@lowrank/tensor";
import { revisionOf } from "../../data/location.ts";
import { InputError } from "../../errors.ts";
import { merge, narrowed } from "../merged.ts";
import type { Opened } from "../opened.ts";
import type { ExportTarget } from "../target.ts";
import { HF } from "../words.ts";

export const hf: ExportTarget = {
  ...HF,
  async write(opened, files, _name, { type, keep }, step) {
    const { model } = opened;
    const quantized = model.weights().some(({ form }) => form !== undefined);
    if (keep && (!quantized || type !== undefined))
      throw new InputError(
        quantized
          ? `--keep and --type ${type}: quantized again, or written as numbers; leave one of them out`
          : "--keep: no weight of the base is quantized; leave it out",
      );
    const dtype = (type ?? "f16") as WrittenFloat;
    step("merging", 1, 3);
    const merged = await merge(opened, keep ? undefined : dtype);
    // what was said counts for all weights, the default for those that were quantized
    const rounded = type === undefined ? 0 : await narrowed(new Set(model.weights()), dtype);
    step("writing", 2, 3);
    const left = model.weights().some(({ form }) => form !== undefined);
    await savePretrained(model, files, left && !keep ? { dequantize: dtype } : {});
    await copyTokenizer(opened, files);
    return {
      ...(merged === undefined ? {} : { merged: { ...merged, largest: Math.max(merged.largest, rounded) } }),
      notes: [],
    };
  },
};

export async function copyTokenizer(
  { tokenizer, base, revision }: Pick<Opened, "tokenizer" | "base" | "revision">,
  files: WritableFiles,
): Promise<void> {
  const found = await readTokenizerFiles(tokenizer, tokenizer === base ? revisionOf({ revision }) : {});
  for (const [name, text] of found) await files.write(name, async (sink) => sink(encodeUtf8(text)));
}
