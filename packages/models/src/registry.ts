/** Architectures by the names that checkpoints carry. */
import { LowrankError } from "@lowrank/tensor";
import { bertConfigFile, parseBertConfig, type BertConfig } from "./bert/config.ts";
import { BertForMaskedLM, BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification } from "./bert/heads.ts";
import { loadWeights, readConfig, saveModel, type LoadOptions, type LoadReport, type PretrainedModel } from "./pretrained.ts";
import { directory, type Files } from "./files.ts";

export type BertTaskModel = BertForMaskedLM | BertForQuestionAnswering | BertForSequenceClassification | BertForTokenClassification;
export type BertTaskClass<M extends BertTaskModel = BertTaskModel> = { readonly architecture: string; new (config: BertConfig): M };

export const architectures: Readonly<Record<string, BertTaskClass>> = {
  BertForSequenceClassification, BertForTokenClassification, BertForMaskedLM, BertForQuestionAnswering,
};

export function architectureOf(name: string): BertTaskClass {
  const found = architectures[name];
  if (found === undefined) throw new LowrankError("ConfigError", `architecture "${name}" is not built; there are ${Object.keys(architectures).join(", ")}`);
  return found;
}

/** A model with its shape only: names, shapes and counts, no memory. */
export function metaModel(architecture: string, config: Readonly<Record<string, unknown>>): BertTaskModel {
  return new (architectureOf(architecture))(parseBertConfig(config));
}

/**
 * Loads a checkpoint.
 * @param from a directory, or files
 * @param as the class to load it as; default: what config.json says
 */
export async function fromPretrained<M extends BertTaskModel>(from: string | Files, as: BertTaskClass<M>, options: LoadOptions & { readonly labels?: number }): Promise<{ model: M; report: LoadReport }> {
  const files = typeof from === "string" ? directory(from) : from;
  const config = parseBertConfig(await readConfig(files), options.labels === undefined ? {} : { labels: options.labels });
  const model = new as(config);
  const report = await loadWeights(model as PretrainedModel<unknown>, files, options);
  return { model, report };
}

/** Writes a checkpoint that transformers loads. */
export async function savePretrained(model: BertTaskModel, to: string | Files): Promise<void> {
  const files = typeof to === "string" ? directory(to) : to;
  await saveModel(model as PretrainedModel<unknown>, files, bertConfigFile(model.config, (model.constructor as BertTaskClass).architecture));
}
