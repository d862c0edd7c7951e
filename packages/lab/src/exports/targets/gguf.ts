/** A file of llama.cpp, the adapter merged in. */
import {
  GGUF_MATRIX_TYPES,
  readTokenizerFolder,
  saveGguf,
  type GgufMatrixType,
  type TokenizerFolder,
} from "@lowrank/models";
import type { Weight } from "@lowrank/nn";
import { encodedForms } from "@lowrank/quant";
import { directory, LowrankError, type Files } from "@lowrank/tensor";
import { locate } from "@lowrank/models";
import { revisionOf } from "../../data/location.ts";
import { costOf, mergeWide, Off } from "../merged.ts";
import type { Opened } from "../opened.ts";
import type { ExportTarget } from "../target.ts";
import { GGUF } from "../words.ts";

export const gguf: ExportTarget = {
  ...GGUF,
  async write(opened, files, name, { type }, step) {
    const { model, gguf: from } = opened;
    step("merging", 0, 1);
    // numbers stay as exact as they are: the file's own type is the only rounding
    const merged = await mergeWide(opened);
    const offs = new Map<Weight, Off>();
    const tokenizer = from === undefined ? await tokenizerOf(opened) : undefined;
    let unblocked: readonly string[] = [];
    await files.write(name, async (sink) => {
      const saved = await saveGguf(model, sink, {
        type: (type ?? GGUF_MATRIX_TYPES[0]) as GgufMatrixType,
        ...(from === undefined ? {} : { from }),
        ...(tokenizer === undefined ? {} : { tokenizer }),
        onTensor: step,
        onPiece(weight, wanted, stored) {
          if (merged?.was.has(weight) !== true) return;
          if (!offs.has(weight)) offs.set(weight, new Off());
          offs.get(weight)!.add(wanted, stored());
        },
      });
      unblocked = saved.unblocked;
    });
    return {
      ...(merged === undefined
        ? {}
        : { merged: costOf(merged, offs, type !== undefined && encodedForms.includes(type) ? [type] : []) }),
      notes: [
        ...(opened.adapter?.warnings ?? []),
        ...(from === undefined && tokenizer === undefined
          ? ["the base has no tokenizer, and so the file has none; llama.cpp does not run it"]
          : []),
        ...(unblocked.length === 0
          ? []
          : [`${unblocked.length} matrices are F16: their rows are no whole blocks of 32`]),
      ],
    };
  },
};

/** The tokenizer's files, the chat template with them; undefined where there are none. */
async function tokenizerOf({ tokenizer, base, revision }: Opened): Promise<TokenizerFolder | undefined> {
  const files: Files = tokenizer === base ? (await locate(base, revisionOf({ revision }))).files : directory(tokenizer);
  const template = "chat_template.jinja";
  try {
    if (!(await files.exists("tokenizer.json")) && !(await files.exists("vocab.json"))) return undefined;
    const found = await readTokenizerFolder(files);
    if ("chat_template" in found.config || !(await files.exists(template))) return found;
    const config = { ...found.config, chat_template: await files.text(template) };
    return { ...found, config };
  } catch (error) {
    if (error instanceof LowrankError && error.code === "FileError") return undefined;
    throw error;
  }
}
