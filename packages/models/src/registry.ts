/** Architectures by the names that checkpoints carry. */
import { LowrankError } from "@lowrank/tensor";
import { BertForMaskedLM, BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification } from "./bert/heads.ts";
import { DistilBertForSequenceClassification } from "./distilbert/heads.ts";
import { directory, type Files } from "./files.ts";
import { GPT2ForSequenceClassification, GPT2LMHeadModel } from "./gpt2/heads.ts";
import { LlamaForCausalLM } from "./llama/model.ts";
import { loadWeights, readConfig, saveModel, type LoadOptions, type LoadReport, type ModelFamily, type PretrainedModel } from "./pretrained.ts";
import { RobertaForSequenceClassification } from "./roberta/model.ts";
import type { ConfigOverrides, ConfigSource, ModelConfig } from "./shared/config.ts";

export type BertTaskModel = BertForMaskedLM | BertForQuestionAnswering | BertForSequenceClassification | BertForTokenClassification;
export type CausalModel = GPT2LMHeadModel | LlamaForCausalLM;
export type TaskModel = BertTaskModel | CausalModel | DistilBertForSequenceClassification | GPT2ForSequenceClassification | RobertaForSequenceClassification;

export interface TaskClass<M extends TaskModel = TaskModel> {
  readonly architecture: string;
  readonly family: ModelFamily<ModelConfig>;
  /** Takes the config of its own family. */
  new (config: never): M;
}

export const architectures: Readonly<Record<string, TaskClass>> = {
  BertForSequenceClassification, BertForTokenClassification, BertForMaskedLM, BertForQuestionAnswering,
  GPT2LMHeadModel, GPT2ForSequenceClassification, DistilBertForSequenceClassification, RobertaForSequenceClassification, LlamaForCausalLM,
};

/** PEFT's task types by `model_type`; the first is what a bare or an unnamed model is loaded as. */
const TASKS: Readonly<Record<string, Readonly<Record<string, TaskClass>>>> = {
  bert: { SEQ_CLS: BertForSequenceClassification, TOKEN_CLS: BertForTokenClassification, QUESTION_ANS: BertForQuestionAnswering },
  gpt2: { CAUSAL_LM: GPT2LMHeadModel, SEQ_CLS: GPT2ForSequenceClassification },
  distilbert: { SEQ_CLS: DistilBertForSequenceClassification },
  roberta: { SEQ_CLS: RobertaForSequenceClassification },
  llama: { CAUSAL_LM: LlamaForCausalLM },
};

export function architectureOf(name: string): TaskClass {
  const found = Object.hasOwn(architectures, name) ? architectures[name] : undefined;
  if (found === undefined) throw new LowrankError("ConfigError", `architecture "${name}" is not built; there are ${Object.keys(architectures).join(", ")}`);
  return found;
}

/**
 * Which architecture a `config.json` is loaded as.
 * @param task PEFT's task type, such as SEQ_CLS; it decides before the file's `architectures` do
 */
export function architectureFor(config: ConfigSource, task?: string): string {
  const names = config["architectures"];
  const named = Array.isArray(names) && names.length > 0 ? String(names[0]) : undefined;
  const known = named !== undefined && Object.hasOwn(architectures, named) ? architectures[named] : undefined;
  const type = typeof config["model_type"] === "string" ? config["model_type"] : (known?.family.modelType ?? "bert");
  const tasks = Object.hasOwn(TASKS, type) ? TASKS[type]! : undefined;
  if (tasks === undefined) throw new LowrankError("ConfigError", `config.json: model_type "${type}" is not built; there are ${Object.keys(TASKS).join(", ")}`);
  const wanted = task === undefined ? undefined : tasks[task];
  if (wanted !== undefined) return wanted.architecture;
  return named === undefined || (known === undefined && named.endsWith("Model")) ? Object.values(tasks)[0]!.architecture : architectureOf(named).architecture;
}

function build<M extends TaskModel>(as: TaskClass<M>, source: ConfigSource, overrides: ConfigOverrides): M {
  return new as(as.family.parse(source, overrides) as never);
}

/** A model with its shape only: names, shapes and counts, no memory. */
export function metaModel(architecture: string, config: ConfigSource): TaskModel {
  return build(architectureOf(architecture), config, {});
}

/**
 * Loads a checkpoint.
 * @param from a directory, or files
 * @param as the class to load it as; its family must be that of config.json
 */
export async function fromPretrained<M extends TaskModel>(from: string | Files, as: TaskClass<M>, options: LoadOptions & { readonly labels?: number }): Promise<{ model: M; report: LoadReport }> {
  const files = typeof from === "string" ? directory(from) : from;
  const source = await readConfig(files);
  const type = source["model_type"];
  if (typeof type === "string" && type !== as.family.modelType) throw new LowrankError("ConfigError", `${files.where}: config.json says model_type "${type}", and ${as.architecture} is a "${as.family.modelType}"`);
  const model = build(as, source, options.labels === undefined ? {} : { labels: options.labels });
  const report = await loadWeights(model as PretrainedModel<unknown>, files, options);
  return { model, report };
}

/** Writes a checkpoint that transformers loads. */
export async function savePretrained(model: TaskModel, to: string | Files): Promise<void> {
  const files = typeof to === "string" ? directory(to) : to;
  const { family, architecture } = model.constructor as unknown as TaskClass;
  await saveModel(model as PretrainedModel<unknown>, files, family.file(model.config, architecture));
}
