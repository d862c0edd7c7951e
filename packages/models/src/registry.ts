/** Architectures by the names that checkpoints carry. */
import { readQuantizationConfig } from "@lowrank/quant";
import { directory, LowrankError, quote, type Files, type WritableFiles } from "@lowrank/tensor";
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
import {
  BertForMaskedLM,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
} from "./bert/heads.ts";
import { BertModel } from "./bert/model.ts";
import { DistilBertForSequenceClassification } from "./distilbert/heads.ts";
import { DistilBertModel } from "./distilbert/model.ts";
import { GPT2ForSequenceClassification, GPT2LMHeadModel } from "./gpt2/heads.ts";
import { GPT2Model } from "./gpt2/model.ts";
import { identityOf, nearClass, readConfig, requireFamily } from "./identity.ts";
import { LlamaForCausalLM, LlamaModel } from "./llama/model.ts";
import { fill, type LoadOptions, type LoadReport } from "./load.ts";
import type { ModelFamily, PretrainedModel } from "./pretrained.ts";
import {
  RobertaForQuestionAnswering,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
} from "./roberta/heads.ts";
import { RobertaModel } from "./roberta/model.ts";
import { requirePlain, saveModel } from "./save.ts";
import type { ConfigSource } from "./shared/config-table.ts";
import { requireBuilt, type ConfigOverrides, type ModelConfig } from "./shared/config.ts";
import { LABEL_OPTIONS, LABEL_SPELLINGS, type LabelOverrides } from "./shared/labels.ts";
import { WeightsFile } from "./weights-file.ts";

export type BareModel = BertModel | DistilBertModel | GPT2Model | LlamaModel | RobertaModel;
export type BertTaskModel =
  | BertForMaskedLM
  | BertForQuestionAnswering
  | BertForSequenceClassification
  | BertForTokenClassification;
export type RobertaTaskModel =
  | RobertaForQuestionAnswering
  | RobertaForSequenceClassification
  | RobertaForTokenClassification;
export type CausalModel = GPT2LMHeadModel | LlamaForCausalLM;
export type TaskModel =
  | BertTaskModel
  | CausalModel
  | DistilBertForSequenceClassification
  | GPT2ForSequenceClassification
  | RobertaTaskModel;
export type AnyModel = BareModel | TaskModel;

export interface TaskClass<M extends AnyModel = TaskModel> {
  readonly architecture: string;
  readonly family: ModelFamily<ModelConfig>;
  /** Takes the config of its own family. */
  new (config: never): M;
}

/** Models with a head. */
export const architectures: Readonly<Record<string, TaskClass>> = {
  BertForSequenceClassification,
  BertForTokenClassification,
  BertForMaskedLM,
  BertForQuestionAnswering,
  GPT2LMHeadModel,
  GPT2ForSequenceClassification,
  DistilBertForSequenceClassification,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
  RobertaForQuestionAnswering,
  LlamaForCausalLM,
};

/** Models without one. */
export const bareArchitectures: Readonly<Record<string, TaskClass<BareModel>>> = {
  BertModel,
  DistilBertModel,
  GPT2Model,
  LlamaModel,
  RobertaModel,
};

const ALL: Readonly<Record<string, TaskClass<AnyModel>>> = { ...architectures, ...bareArchitectures };

/** PEFT's task types by `model_type`; the first is what a file without `architectures` is loaded as. */
const TASKS: Readonly<Record<string, Readonly<Record<string, TaskClass<AnyModel>>>>> = {
  bert: {
    SEQ_CLS: BertForSequenceClassification,
    TOKEN_CLS: BertForTokenClassification,
    QUESTION_ANS: BertForQuestionAnswering,
    FEATURE_EXTRACTION: BertModel,
  },
  gpt2: { CAUSAL_LM: GPT2LMHeadModel, SEQ_CLS: GPT2ForSequenceClassification, FEATURE_EXTRACTION: GPT2Model },
  distilbert: { SEQ_CLS: DistilBertForSequenceClassification, FEATURE_EXTRACTION: DistilBertModel },
  roberta: {
    SEQ_CLS: RobertaForSequenceClassification,
    TOKEN_CLS: RobertaForTokenClassification,
    QUESTION_ANS: RobertaForQuestionAnswering,
    FEATURE_EXTRACTION: RobertaModel,
  },
  llama: { CAUSAL_LM: LlamaForCausalLM, FEATURE_EXTRACTION: LlamaModel },
};
const FAMILIES = Object.keys(TASKS);

export function architectureOf(name: string): TaskClass<AnyModel> {
  const found = Object.hasOwn(ALL, name) ? ALL[name] : undefined;
  if (found === undefined)
    throw new LowrankError("NotBuiltError", `architecture ${quote(name)} is not built${nearClass(name, ALL)}`);
  return found;
}

/**
 * Which architecture a `config.json` is loaded as.
 * @param task PEFT's task type, such as SEQ_CLS; it decides before the file's `architectures` do
 * @throws LowrankError when the file does not say what it is, or the family's class for the task is not built
 */
export function architectureFor(config: ConfigSource, task?: string): string {
  const { modelType, architecture } = identityOf(config);
  const known = architecture !== undefined && Object.hasOwn(ALL, architecture) ? ALL[architecture] : undefined;
  const type = modelType ?? known?.family.modelType;
  if (type === undefined)
    throw new LowrankError(
      "FormatError",
      `config.json has no "model_type"${architecture === undefined ? ' and no "architectures"' : `, and ${quote(architecture)} is not built`}: whose sizes are these? Add "model_type": one of ${FAMILIES.join(", ")}`,
    );
  const tasks = Object.hasOwn(TASKS, type) ? TASKS[type]! : undefined;
  if (tasks === undefined)
    throw new LowrankError(
      "NotBuiltError",
      `config.json: model_type ${quote(type)} is not built; there are ${FAMILIES.join(", ")}`,
    );
  if (known !== undefined && known.family.modelType !== type)
    throw new LowrankError(
      "FormatError",
      `config.json: model_type ${quote(type)} and architecture ${quote(architecture)} disagree`,
    );
  if (task !== undefined) {
    if (!Object.hasOwn(tasks, task))
      throw new LowrankError(
        "NotBuiltError",
        `a ${type} for task ${quote(task)} is not built; there are ${Object.keys(tasks).join(", ")}`,
      );
    return tasks[task]!.architecture;
  }
  return architecture === undefined ? Object.values(tasks)[0]!.architecture : architectureOf(architecture).architecture;
}

function build<M extends AnyModel>(as: TaskClass<M>, source: ConfigSource, overrides: ConfigOverrides): M {
  return new as(as.family.parse(source, overrides) as never);
}

/** A model with its shape only: names, shapes and counts, no memory. It is there for counting even where its function is not built; `forward` then says so. */
export function metaModel(architecture: string, config: ConfigSource): AnyModel {
  return build(architectureOf(architecture), config, {});
}

export interface PretrainedOptions extends LoadOptions, LabelOverrides {}

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
 * @param from a directory, or files
 * @param as the class to load it as; its family must be that of config.json
 * @throws LowrankError when the files are not this model's: NotBuiltError for a key of config.json whose function is not built, NameError for weights of the base that are missing
 */
export async function fromPretrained<M extends AnyModel>(
  from: string | Files,
  as: TaskClass<M>,
  options: PretrainedOptions,
): Promise<{ model: M; report: LoadReport }> {
  const { labels, problemType: problem, ...how } = checkOptions("fromPretrained", OPTIONS, options);
  const files = typeof from === "string" ? directory(from) : from;
  const source = await readConfig(files);
  requireFamily(source, as, ALL, files.where);
  const quantization = readQuantizationConfig(source);
  const overrides: ConfigOverrides = {
    ...(labels === undefined ? {} : { labels }),
    ...(problem === undefined ? {} : { problemType: problem }),
  };
  return WeightsFile.use(files, how.formats, async (file) => {
    let model = build(as, source, overrides);
    requireBuilt(model.config);
    if (await file.untied(model as unknown as PretrainedModel))
      model = build(as, source, { ...overrides, tieWordEmbeddings: false });
    const report = await fill(model as unknown as PretrainedModel, file, {
      ...how,
      newHead: labels !== undefined,
      said: quantization?.format,
    });
    model.origin = files.where;
    return { model, report };
  });
}

/**
 * Writes a checkpoint that transformers loads.
 * @throws LowrankError (AdapterError) while the model carries adapters, merged or not
 */
export async function savePretrained(model: AnyModel, to: string | WritableFiles): Promise<void> {
  const files = typeof to === "string" ? directory(to) : to;
  const as = model.constructor as unknown as TaskClass<AnyModel>;
  const { config } = model;
  requirePlain(model as unknown as PretrainedModel, new as(config as never) as unknown as PretrainedModel);
  await saveModel(model as unknown as PretrainedModel, files, as.family.file(config, as.architecture));
}
