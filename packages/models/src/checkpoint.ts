/** Models from Hugging Face's folders. */
import { aFormat, type Format } from "@lowrank/nn";
import { foreignMethod, readQuantizationConfig } from "@lowrank/quant";
import { LowrankError } from "@lowrank/tensor";
import {
  device as aDevice,
  callback,
  checkOptions,
  fields,
  flag,
  listOf,
  name,
  oneOf,
  optional,
  text,
  whole,
  type Place,
} from "@lowrank/tensor/check";
import { aModelClass } from "./family-models.ts";
import { findCheckpoint } from "./found.ts";
import { requireFamily } from "./identity.ts";
import { requireLabelled } from "./labelled.ts";
import { fill, type LoadOptions, type LoadReport } from "./load.ts";
import type { ModelClass, PretrainedModel } from "./pretrained.ts";
import type { LocateOptions } from "./places/locate.ts";
import { placeOf } from "./places/place.ts";
import type { Where } from "./places/url.ts";
import { architectureFor, architectureOf, build, modelTypeOf } from "./registry.ts";
import type { ConfigSource } from "./shared/config-table.ts";
import { requireBuilt, type ConfigOverrides } from "./shared/config.ts";
import { LABEL_OPTIONS, LABEL_SPELLINGS, type LabelOverrides } from "./shared/labels.ts";
import { WeightsFile } from "./weights-file.ts";

export interface PretrainedOptions extends LoadOptions, LabelOverrides, LocateOptions {
  /** Id of the padding, in place of `pad_token_id` of config.json: classifiers of causal models find the end of a text by it. */
  readonly padTokenId?: number;
}

const OPTIONS = fields<PretrainedOptions & { readonly task?: string }>(
  {
    device: aDevice,
    dtype: optional(oneOf("auto", "f64", "f32", "f16", "bf16")),
    revision: optional(name),
    seed: optional(whole(0)),
    storage: optional(callback()),
    missing: optional(oneOf("refuse", "draw")),
    allowNonFinite: optional(flag),
    formats: optional(listOf(aFormat)),
    task: optional(text),
    padTokenId: optional(whole(0)),
    ...LABEL_OPTIONS,
  },
  {
    spelt: {
      ...LABEL_SPELLINGS,
      pad_token_id: "padTokenId",
      torch_dtype: "dtype",
      torchDtype: "dtype",
      ignore_mismatched_sizes: "labels",
    },
  },
);

const AS: Place = { source: "fromPretrained", path: ["as"], code: "ConfigError" };

/** A model, and what of it the files did not have or had besides. */
export interface Pretrained<M extends PretrainedModel = PretrainedModel> {
  readonly model: M;
  readonly report: LoadReport;
}

/**
 * Loads a checkpoint. With `labels` its head is a new one where the file's has another size; the report says so.
 * @param from a folder here, else a model of the Hugging Face hub ("org/name"); a URL of http:, https: or file:, also as an object; a file that is a checkpoint by itself (GGUF, llama2.c);
 *   or files (`directory`, `http`, `blobs`, `hub` of `@lowrank/models/hub`)
 * @param as the class to load it as; its family must be that of config.json. Left out, config.json says which it is, or `task` does
 * @throws LowrankError when the files are not this model's: NotBuiltError for a key of config.json whose function is not built, NameError for weights of the base that are missing
 */
export async function fromPretrained<M extends PretrainedModel>(
  from: Where,
  as: ModelClass<M>,
  options: PretrainedOptions,
): Promise<Pretrained<M>>;
export async function fromPretrained(
  from: Where,
  options: PretrainedOptions & {
    /** PEFT's task type, such as "SEQ_CLS": the family's class for it is taken, whatever `architectures` says. */
    readonly task?: string;
  },
): Promise<Pretrained>;
export async function fromPretrained(
  from: Where,
  classOrOptions: ModelClass | PretrainedOptions,
  options?: PretrainedOptions,
): Promise<Pretrained> {
  const onlyOptions = options === undefined && typeof classOrOptions === "object";
  const named = onlyOptions ? undefined : aModelClass.read(classOrOptions, AS);
  const {
    labels,
    problemType: problem,
    task,
    padTokenId,
    revision,
    ...how
  } = checkOptions("fromPretrained", OPTIONS, named === undefined ? classOrOptions : options);
  if (named !== undefined && task !== undefined)
    throw new LowrankError(
      "ConfigError",
      `fromPretrained: "task" picks a class, and ${named.architecture} is given: leave one of them out`,
    );
  const overrides: ConfigOverrides = {
    ...(labels === undefined ? {} : { labels }),
    ...(problem === undefined ? {} : { problemType: problem }),
    ...(padTokenId === undefined ? {} : { padTokenId }),
  };
  const found = await findCheckpoint(
    await placeOf("fromPretrained", from, "config.json", revision === undefined ? {} : { revision }),
  );
  try {
    const { where, called, config: source } = found;
    const as = named ?? architectureOf(architectureFor(source, task));
    requireFamily(source, as, modelTypeOf, where);
    const said = saidForm(source, how.formats);
    const file = new WeightsFile(await found.weights(), where, how.formats, called);
    file.requireReadable();
    let model = build(as, source, overrides);
    requireLabelled(as, model, overrides);
    requireBuilt(model.config);
    if (await file.untied(model)) model = build(as, source, { ...overrides, tieWordEmbeddings: false });
    const report = await fill(model, file, { ...how, newHead: labels !== undefined, said });
    model.origin = where;
    model.originRevision = revision;
    return { model, report };
  } finally {
    await found.close();
  }
}

/** The form that config.json names. What it says of other methods is left to forms of the caller's own, where there are such. */
function saidForm(config: ConfigSource, own: readonly Format[] = []): string | undefined {
  const said = config["quantization_config"] as Record<string, unknown> | null | undefined;
  if (own.length > 0 && typeof said === "object" && said !== null && foreignMethod(said) !== undefined)
    return undefined;
  return readQuantizationConfig(config)?.format;
}
