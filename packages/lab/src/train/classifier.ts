/** The base model of a run: BERT for sequence classification from a checkpoint or from a seed. The only file of the lab that knows how models are made. */
import { join } from "node:path";
import { BertForSequenceClassification, fromPretrained, parseBertConfig, type BertConfig } from "@lowrank/models";
import type { Projection, Weight } from "@lowrank/nn";
import { LowrankError, ops, withPrecision, type Device, type PrecisionPolicy, type Tensor } from "@lowrank/tensor";
import type { ResolvedConfig } from "../config/load.ts";
import type { ModelOptions } from "../config/study.ts";
import { readText, statOf } from "../data/read-file.ts";
import { asInput, InputError } from "../errors.ts";
import { parseJson } from "@lowrank/tensor/check";
import { cut } from "../text/shown.ts";
import type { BertSizes } from "./predict.ts";
import type { BaseStorage } from "./storage.ts";

export interface NamedWeight {
  readonly name: string;
  readonly weight: Weight;
}

export class Classifier {
  readonly model: BertForSequenceClassification;
  readonly device: Device;
  /** What products compute in; undefined: the device's float. */
  precision: PrecisionPolicy | undefined;

  /** Weights that the checkpoint did not hold; empty for a base that is drawn whole. */
  readonly fresh: readonly string[];

  constructor(model: BertForSequenceClassification, device: Device, fresh: readonly string[] = []) {
    this.model = model;
    this.device = device;
    this.fresh = fresh;
  }

  /** Logits `[rows, labels]` of ids and mask `[rows, length]`. */
  logits(inputIds: Tensor, attentionMask: Tensor): Tensor {
    const { logits } = withPrecision(this.precision, () => this.model.forward({ inputIds, attentionMask }));
    return ops.cast(logits, this.device.defaultFloat);
  }

  get sizes(): BertSizes {
    return sizesOf(this.model.config);
  }

  /** Every linear module with its path. */
  linears(): { path: string; weight: Weight }[] {
    return [...this.model.namedModules()].flatMap(([path, module]) =>
      "inFeatures" in module ? [{ path, weight: (module as Projection).weight }] : [],
    );
  }

  /** Every weight with its name. */
  weights(): NamedWeight[] {
    return [...this.model.namedWeights()].map(([name, weight]) => ({ name, weight }));
  }

  /** Gives the classifier fresh values that depend on `seed` only. */
  async freshHead(seed: number): Promise<void> {
    const head = this.weights().filter(({ name }) => name.startsWith("classifier."));
    for (const { weight } of head) weight.dispose();
    await this.model.materialize({ device: this.device, seed });
  }

  /** Replaces a weight's values. */
  write(weight: Weight, values: Float32Array): void {
    weight.parameter.write(weight.parameter.dtype === "f64" ? Float64Array.from(values) : values);
  }

  dispose(): void {
    this.model.dispose();
  }
}

/** Configuration of a random BERT. `positions` is the longest sequence. */
export function bertConfig(
  model: ModelOptions,
  data: { vocab: number; positions: number; labels: number },
): BertConfig {
  return parseBertConfig(
    {
      vocab_size: data.vocab,
      max_position_embeddings: data.positions,
      hidden_size: model.hidden,
      num_hidden_layers: model.layers,
      num_attention_heads: model.heads,
      intermediate_size: model.intermediate,
      hidden_dropout_prob: model.dropout,
      attention_probs_dropout_prob: model.dropout,
      initializer_range: model.initializerRange,
    },
    { labels: data.labels },
  );
}

/** BERT with every weight drawn from `seed`. */
export async function randomClassifier(
  config: BertConfig,
  seed: number,
  device: Device,
  storage?: BaseStorage,
): Promise<Classifier> {
  const model = new BertForSequenceClassification(config);
  const kept = storage?.(model);
  await model.materialize({ device, seed, ...(kept === undefined ? {} : { storage: kept }) });
  return new Classifier(model, device);
}

const CHECKPOINT_FILES = ["config.json", "model.safetensors"];

/** The files of a checkpoint that a run reads. Throws InputError naming the one that is missing. */
export function baseFiles(folder: string): string[] {
  return CHECKPOINT_FILES.map((name) => {
    const path = join(folder, name);
    if (statOf(path) === undefined)
      throw new InputError(
        `base checkpoint not found: ${cut(path)}; --base needs a Hugging Face folder with config.json and model.safetensors`,
      );
    return path;
  });
}

/**
 * The checkpoint in `folder` with a head of `labels`; what it lacks (classifier, often the pooler) is drawn from `seed`.
 * Throws InputError when the folder holds something else.
 */
export async function loadClassifier(
  folder: string,
  needs: { labels: number; vocab: number; positions: number },
  seed: number,
  device: Device,
  storage?: BaseStorage,
): Promise<Classifier> {
  const [configPath] = baseFiles(folder);
  return asInput(async () => {
    const config = readBertConfig(configPath!, needs.labels);
    // tables are often padded to a round number; too small a one lacks a word
    if (config.vocabSize < needs.vocab)
      throw new InputError(
        `${configPath}: vocab_size is ${config.vocabSize}, the tokenizer has ${needs.vocab}; the checkpoint belongs to another tokenizer`,
      );
    if (config.maxPositionEmbeddings < needs.positions)
      throw new InputError(
        `${configPath}: max_position_embeddings is ${config.maxPositionEmbeddings}; set task.maxLength to at most that`,
      );
    const { model, report } = await fromPretrained(folder, BertForSequenceClassification, {
      device,
      labels: needs.labels,
      seed,
      ...(storage === undefined ? {} : { storage }),
    });
    const [kept] = report.forms.values();
    if (kept !== undefined)
      throw new InputError(
        `${folder}: the base keeps its weights as ${kept}, and the configuration asks for another storage; say storage: ${kept}, or give the base at full width`,
      );
    return new Classifier(model, device, report.fresh);
  });
}

/** Configuration of the base that a config adapts, read without weights. */
export function baseConfig(
  config: Pick<ResolvedConfig, "base" | "model">,
  data: { vocab: number; positions: number; labels: number },
): BertConfig {
  return config.base === null
    ? bertConfig(config.model!, data)
    : readBertConfig(baseFiles(config.base)[0]!, data.labels);
}

/** A config.json has a few kilobytes; with the names of many labels more. */
const LARGEST_CONFIG = 2 ** 24;

function readBertConfig(path: string, labels: number): BertConfig {
  try {
    return parseBertConfig(parseJson(readText(path, LARGEST_CONFIG), path) as Record<string, unknown>, { labels });
  } catch (error) {
    if (error instanceof LowrankError) throw new InputError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

export function sizesOf(config: BertConfig): BertSizes {
  return {
    vocab: config.vocabSize,
    positions: config.maxPositionEmbeddings,
    types: config.typeVocabSize,
    hidden: config.hiddenSize,
    layers: config.numHiddenLayers,
    intermediate: config.intermediateSize,
    labels: config.numLabels,
  };
}
