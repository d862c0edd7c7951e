/** Models from Hugging Face's folders and into them. */
import { readQuantizationConfig } from "@lowrank/quant";
import { directory, type Files, type WritableFiles } from "@lowrank/tensor";
import {
  device as aDevice,
  anything,
  callback,
  checkOptions,
  fields,
  flag,
  listOf,
  oneOf,
  optional,
  whole,
} from "@lowrank/tensor/check";
import { openGguf } from "./gguf/open.ts";
import { readConfig, requireFamily } from "./identity.ts";
import { fill, type LoadOptions, type LoadReport } from "./load.ts";
import type { ModelClass, PretrainedModel } from "./pretrained.ts";
import { build, modelTypeOf } from "./registry.ts";
import { requirePlain, saveModel } from "./save.ts";
import type { ConfigSource } from "./shared/config-table.ts";
import { requireBuilt, type ConfigOverrides } from "./shared/config.ts";
import { LABEL_OPTIONS, LABEL_SPELLINGS, type LabelOverrides } from "./shared/labels.ts";
import { WeightsFile } from "./weights-file.ts";

export interface PretrainedOptions extends LoadOptions, LabelOverrides {}

interface Loaded<M> {
  readonly model: M;
  readonly report: LoadReport;
}

const OPTIONS = fields<PretrainedOptions>(
  {
    device: aDevice,
    dtype: optional(oneOf("f64", "f32", "f16", "bf16")),
    seed: optional(whole(0)),
    storage: optional(callback()),
    missing: optional(oneOf("refuse", "draw")),
    allowNonFinite: optional(flag),
    formats: optional(listOf(anything())),
    ...LABEL_OPTIONS,
  },
  { spelt: { ...LABEL_SPELLINGS, torch_dtype: "dtype", torchDtype: "dtype", ignore_mismatched_sizes: "labels" } },
);

/**
 * Loads a checkpoint. With `labels` its head is a new one where the file's has another size; the report says so.
 * @param from a directory, or files: a Hugging Face checkpoint, or exactly one GGUF file; or the path of a GGUF file
 * @param as the class to load it as; its family must be that of config.json
 * @throws LowrankError when the files are not this model's: NotBuiltError for a key of config.json whose function is not built, NameError for weights of the base that are missing
 */
export async function fromPretrained<M extends PretrainedModel>(
  from: string | Files,
  as: ModelClass<M>,
  options: PretrainedOptions,
): Promise<Loaded<M>> {
  const { labels, problemType: problem, ...how } = checkOptions("fromPretrained", OPTIONS, options);
  const overrides: ConfigOverrides = {
    ...(labels === undefined ? {} : { labels }),
    ...(problem === undefined ? {} : { problemType: problem }),
  };
  const load = async (file: WeightsFile, source: ConfigSource, said?: string): Promise<Loaded<M>> => {
    let model = build(as, source, overrides);
    requireBuilt(model.config);
    if (await file.untied(model)) model = build(as, source, { ...overrides, tieWordEmbeddings: false });
    const report = await fill(model, file, { ...how, newHead: labels !== undefined, said });
    model.origin = file.where;
    return { model, report };
  };
  const gguf = await openGguf(from);
  if (gguf !== undefined) {
    const { config, name, weights, where } = gguf;
    try {
      requireFamily(config, as, modelTypeOf, where);
      return await load(new WeightsFile(weights, where, how.formats, name), config);
    } finally {
      await gguf.close();
    }
  }
  const files = typeof from === "string" ? directory(from) : from;
  const source = await readConfig(files);
  requireFamily(source, as, modelTypeOf, files.where);
  const quantization = readQuantizationConfig(source);
  return WeightsFile.use(files, how.formats, (file) => load(file, source, quantization?.format));
}

/**
 * Writes a checkpoint that transformers loads.
 * @throws LowrankError (AdapterError) while the model carries adapters, merged or not
 */
export async function savePretrained(model: PretrainedModel, to: string | WritableFiles): Promise<void> {
  const files = typeof to === "string" ? directory(to) : to;
  const as = model.constructor as unknown as ModelClass;
  const { config, family, architecture } = model;
  requirePlain(model, new as(config as never));
  await saveModel(model, files, family.file(config, architecture));
}
