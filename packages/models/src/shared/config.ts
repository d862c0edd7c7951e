/** What every configuration has, whatever its file calls it, and how families read and write theirs. */
import { activationNames, type Init } from "@lowrank/nn";
import { LowrankError, quote } from "@lowrank/tensor";
import { checkOptions, fields, flag, optional, whole } from "@lowrank/tensor/check";
import { readTable, writeTable, type ConfigSource, type ConfigTable } from "./config-table.ts";
import {
  LABEL_OPTIONS,
  LABEL_SPELLINGS,
  readLabels,
  writeLabels,
  type LabelFields,
  type LabelOverrides,
} from "./labels.ts";

export interface ConfigOverrides extends LabelOverrides {
  /** Whether an output layer is the embedding table. */
  readonly tieWordEmbeddings?: boolean;
  /** Id of the padding, in place of the file's `pad_token_id`: classifiers of causal models find the end of a text by it. */
  readonly padTokenId?: number;
}

const OVERRIDES = fields<ConfigOverrides>(
  { ...LABEL_OPTIONS, tieWordEmbeddings: optional(flag), padTokenId: optional(whole(0)) },
  { spelt: { ...LABEL_SPELLINGS, tie_word_embeddings: "tieWordEmbeddings", pad_token_id: "padTokenId" } },
);

/** Fields are Hugging Face's own words in camelCase. */
export interface ModelConfig extends LabelFields {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly maxPositionEmbeddings: number;
  readonly initializerRange: number;
  readonly tieWordEmbeddings: boolean;
  /** What the file asks for and is not built, a phrase each: the model can be counted, and refuses to compute. */
  readonly notBuilt: readonly string[];
  /** The file as it was read. */
  readonly source: ConfigSource;
}

/** How weights begin. */
export function initOf({ initializerRange }: Pick<ModelConfig, "initializerRange">): Init {
  return { kind: "normal", std: initializerRange };
}

/** A table's values with what all configurations have. @throws LowrankError naming the key of the file, or of the options */
export function readBase<Values extends { readonly tieWordEmbeddings: boolean }>(
  table: ConfigTable<Values>,
  file: ConfigSource,
  options: ConfigOverrides,
): Values & LabelFields & Pick<ModelConfig, "notBuilt" | "source"> {
  const overrides = checkOptions(table.parser, OVERRIDES, options);
  const source = overrides.padTokenId === undefined ? file : { ...file, pad_token_id: overrides.padTokenId };
  const { values, notBuilt } = readTable(table, source);
  return {
    ...values,
    tieWordEmbeddings: overrides.tieWordEmbeddings ?? values.tieWordEmbeddings,
    ...readLabels(source, overrides),
    notBuilt,
    source,
  };
}

/** The config as a file for one architecture; the dtype of its weights is added by whoever writes them. */
export function writeBase<Values extends object>(
  table: ConfigTable<Values>,
  values: Values,
  config: ModelConfig,
  modelType: string,
  architecture: string,
): Record<string, unknown> {
  return {
    ...writeTable(table, values, config.source),
    ...writeLabels(config),
    architectures: [architecture],
    model_type: modelType,
  };
}

/** @throws LowrankError (NotBuiltError) when the file asks for a function that is not built */
export function requireBuilt({ notBuilt }: ModelConfig): void {
  if (notBuilt.length > 0) throw new LowrankError("NotBuiltError", `config.json: ${notBuilt.join("; ")}`);
}

export function checkHeads(width: number, widthKey: string, heads: number, headsKey: string): void {
  if (width % heads !== 0)
    throw new LowrankError(
      "FormatError",
      `config.json: ${widthKey} ${width} is not a multiple of ${headsKey} ${heads}`,
    );
}

/** The id whose embedding does not train, where the file names one that exists. */
export function paddingIndex(padTokenId: number | undefined, vocabSize: number): number | undefined {
  return padTokenId !== undefined && padTokenId < vocabSize ? padTokenId : undefined;
}

/** −1 is how files say "none". */
export function presentId(id: number | null): number | undefined {
  return id === null || id < 0 ? undefined : id;
}

/** For `notBuilt`: an activation of transformers that is not among ours. */
export function builtActivation(key: string, name: string): string[] {
  return activationNames.includes(name)
    ? []
    : [`${key} ${quote(name)} is not built; there are ${activationNames.join(", ")}`];
}
