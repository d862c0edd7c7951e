/** A checkpoint of Hugging Face, the adapter merged in. */
import { readTokenizerFiles, savePretrained } from "@lowrank/models";
import type { Weight } from "@lowrank/nn";
import type { WrittenFloat } from "@lowrank/quant";
import { encodeUtf8, type WritableFiles } from "@lowrank/tensor";
import { revisionOf } from "../../data/location.ts";
import { InputError } from "../../errors.ts";
import { costOf, mergeKept, mergeWide, narrowed, type Cost } from "../merged.ts";
import { carryKnown } from "../known.ts";
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
    step("merging", 1, 3);
    const merged = keep ? await mergeKept(opened) : await rounded(opened, type as WrittenFloat | undefined);
    step("writing", 2, 3);
    const left = model.weights().some(({ form }) => form !== undefined);
    await savePretrained(model, files, left && !keep ? { dequantize: (type ?? "f16") as WrittenFloat } : {});
    await copyTokenizer(opened, files);
    await carryKnown(opened.known, files, { base: null, revision: null, storage: "f32", whole: [] });
    return {
      ...(merged === undefined ? {} : { merged }),
      notes: opened.adapter?.warnings ?? [],
    };
  },
};

/** Merged, and rounded once: to what was said, which counts for all weights, else to what each was, f16 where it was quantized. */
async function rounded(opened: Opened, type: WrittenFloat | undefined): Promise<Cost | undefined> {
  const merged = await mergeWide(opened);
  const own = [...(merged?.was ?? [])].map(([weight, was]): [Weight, WrittenFloat] => [weight, was ?? "f16"]);
  const offs = await narrowed(
    new Map(type === undefined ? own : opened.model.weights().map((weight) => [weight, type])),
  );
  return merged === undefined ? undefined : costOf(merged, offs);
}

export async function copyTokenizer(
  { tokenizer, base, revision }: Pick<Opened, "tokenizer" | "base" | "revision">,
  files: WritableFiles,
): Promise<void> {
  const found = await readTokenizerFiles(tokenizer, tokenizer === base ? revisionOf({ revision }) : {});
  for (const [name, text] of found) await files.write(name, async (sink) => sink(encodeUtf8(text)));
}
