/** Adapters by themselves: PEFT's form, MLX's, and llama.cpp's. */
import { saveGgufLora } from "@lowrank/models";
import { adapterFactors, saveAdapter, saveMlxAdapter } from "@lowrank/peft";
import { encodeUtf8 } from "@lowrank/tensor";
import { InputError } from "../../errors.ts";
import { carryKnown } from "../known.ts";
import type { Opened } from "../opened.ts";
import type { ExportTarget } from "../target.ts";
import { GGUF_LORA, MLX, PEFT } from "../words.ts";
import { copyTokenizer } from "./hf.ts";

/** What a person, or the run that made the adapter, says of it. */
const CARD = "README.md";

function adapterOf({ adapter }: Opened): NonNullable<Opened["adapter"]> {
  if (adapter === undefined) throw new InputError("there is no adapter to export; give --adapter");
  return adapter;
}

export const peft: ExportTarget = {
  ...PEFT,
  async write(opened, files, _name, _choice, step) {
    step("writing", 1, 2);
    const { base, revision, known, fromOriginal, files: from } = opened;
    const card = from !== undefined && (await from.exists(CARD)) ? await from.text(CARD) : undefined;
    await saveAdapter(adapterOf(opened), files, {
      baseModel: base,
      ...(revision === undefined ? {} : { revision }),
      ...(card === undefined ? {} : { card: false }),
    });
    if (card !== undefined) await files.write(CARD, async (sink) => sink(encodeUtf8(card)));
    await copyTokenizer(opened, files);
    if (known !== undefined) {
      const { storage, whole } = known.said;
      // it is written as beside the original base
      const now = { base, revision: revision ?? null, whole, storage: fromOriginal ? ("f32" as const) : storage };
      await carryKnown(known, files, now);
    }
    return { notes: adapterOf(opened).warnings };
  },
};

export const mlx: ExportTarget = {
  ...MLX,
  async write(opened, files, _name, _choice, step) {
    step("writing", 1, 2);
    await saveMlxAdapter(adapterOf(opened), files);
    return { notes: adapterOf(opened).warnings };
  },
};

export const ggufLora: ExportTarget = {
  ...GGUF_LORA,
  async write(opened, files, name, _choice, step) {
    const adapter = adapterOf(opened);
    const factors = await adapterFactors(adapter, "a GGUF adapter");
    step("writing", 1, 2);
    await files.write(name, (sink) => saveGgufLora(opened.model, factors, sink));
    return { notes: adapter.warnings };
  },
};
