/** A checkpoint in fewer bits: a Hugging Face folder with bitsandbytes' entries, or a GGUF file. */
import { fromPretrained, savePretrained } from "@lowrank/models";
import { planQuantization } from "@lowrank/quant";
import type { Device } from "@lowrank/tensor";
import { baseWord } from "../bases/found.ts";
import { revisionOf } from "../data/location.ts";
import { asInput, InputError } from "../errors.ts";
import { exportTo } from "./export.ts";
import { requireApart, requireFree, writeFolderAt } from "./output.ts";
import type { Report, Step } from "./target.ts";
import { gguf } from "./targets/gguf.ts";
import { copyTokenizer } from "./targets/hf.ts";
import { FOLDER_FORMS } from "./words.ts";

export interface QuantizeRequest {
  readonly source: string;
  readonly revision: string | undefined;
  readonly to: string;
  readonly out: string;
  readonly force: boolean;
}

export interface QuantizeReport extends Report {
  readonly bytes: { readonly before: number; readonly after: number } | null;
}

export async function quantizeTo(request: QuantizeRequest, device: Device, step: Step): Promise<QuantizeReport> {
  const { source, revision, to, out, force } = request;
  if (!FOLDER_FORMS.includes(to)) {
    const asked = { base: source, revision, out, force, choice: { type: to, keep: false } };
    return { ...(await exportTo(gguf, asked, device, step)), bytes: null };
  }
  requireFree(out, "folder", force);
  return asInput(async () => {
    const base = baseWord(source);
    requireApart(out, [base]);
    step("quantizing", 0, 2);
    const how = revisionOf({ revision });
    const { model, report } = await fromPretrained(base, {
      device,
      dtype: "auto",
      ...how,
      storage: (meta) => planQuantization(meta, { format: to }).storage,
    });
    try {
      const forms = new Set(report.forms.values());
      if (forms.size > 0 && !forms.has(to))
        throw new InputError(
          `${source}: its weights are kept as ${[...forms].join(", ")} already; give the original checkpoint, or merge it into f16 first`,
        );
      step("writing", 1, 2);
      const weights = [...new Set(model.weights())];
      const before = weights.reduce((sum, { size }) => sum + 4 * size, 0);
      const after = weights.reduce((sum, { bytes }) => sum + bytes, 0);
      await writeFolderAt(out, force, async (files) => {
        await savePretrained(model, files);
        await copyTokenizer({ base, revision, tokenizer: base }, files);
      });
      return { notes: [], bytes: { before, after } };
    } finally {
      model.dispose();
    }
  });
}
