/** Reading `config.json`: values are checked, defaults are transformers', and unknown keys survive a round trip. */
import { LowrankError } from "@lowrank/tensor";

export type ConfigSource = Readonly<Record<string, unknown>>;

export interface ConfigOverrides {
  /** Number of labels of a new head. */
  readonly labels?: number;
}

/** What every configuration has, whatever its file calls it. */
export interface ModelConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly maxPositionEmbeddings: number;
  readonly initializerRange: number;
  readonly numLabels: number;
  /** The file as it was read. */
  readonly source: ConfigSource;
}

/** File key, property, default. */
export type NumberTable<P extends string> = readonly (readonly [key: string, property: P, fallback: number])[];

export function readNumbers<P extends string>(source: ConfigSource, table: NumberTable<P>): Record<P, number> {
  return Object.fromEntries(table.map(([key, property, fallback]) => {
    const value = source[key] ?? fallback;
    if (typeof value !== "number" || !Number.isFinite(value) || value < 0) throw new LowrankError("ConfigError", `config.json: "${key}" must be a non-negative number, got ${JSON.stringify(value)}`);
    return [property, value];
  })) as Record<P, number>;
}

export function writeNumbers<P extends string>(config: Readonly<Record<P, number>>, table: NumberTable<P>): Record<string, number> {
  return Object.fromEntries(table.map(([key, property]) => [key, config[property]]));
}

/** A number, or undefined where the file says null or nothing. */
export function optionalNumber(source: ConfigSource, key: string): number | undefined {
  const value = source[key];
  if (value === undefined || value === null) return undefined;
  return readNumbers(source, [[key, "value", 0]] as const).value;
}

export function readText(source: ConfigSource, key: string, fallback: string): string {
  const value = source[key];
  return typeof value === "string" ? value : fallback;
}

export function readFlag(source: ConfigSource, key: string, fallback: boolean): boolean {
  const value = source[key] ?? fallback;
  if (typeof value !== "boolean") throw new LowrankError("ConfigError", `config.json: "${key}" must be true or false, got ${JSON.stringify(value)}`);
  return value;
}

/** Refuses a switch that would change the function. */
export function refuse(source: ConfigSource, key: string, builtIs: unknown): void {
  const value = source[key];
  if (value !== undefined && value !== null && value !== builtIs) throw new LowrankError("ConfigError", `config.json: ${key} ${JSON.stringify(value)} is not built; only ${JSON.stringify(builtIs)} is`);
}

export function checkHeads(width: number, widthKey: string, heads: number, headsKey: string): void {
  if (width % heads !== 0) throw new LowrankError("ConfigError", `config.json: ${widthKey} ${width} is not a multiple of ${headsKey} ${heads}`);
}

/** The override, else `num_labels`, else the size of `id2label`, else 2. */
export function labelCount(source: ConfigSource, overrides: ConfigOverrides): number {
  const named = source["id2label"];
  return overrides.labels ?? (typeof source["num_labels"] === "number" ? source["num_labels"] : typeof named === "object" && named !== null ? Object.keys(named).length : 2);
}

/** The fields every saved config has: which class, which family, and the labels where they are not transformers' default of two. */
export function identityFields(config: ModelConfig, modelType: string, architecture: string): Record<string, unknown> {
  const labels = Array.from({ length: config.numLabels }, (_, i) => `LABEL_${i}`);
  const { id2label, label2id } = config.source;
  return {
    architectures: [architecture], model_type: modelType, dtype: "float32",
    ...(config.numLabels === 2 && id2label === undefined ? {} : {
      id2label: id2label ?? Object.fromEntries(labels.map((l, i) => [i, l])), label2id: label2id ?? Object.fromEntries(labels.map((l, i) => [l, i])),
    }),
  };
}
