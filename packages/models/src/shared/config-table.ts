/**
 * What one family's `config.json` may hold, declared once: keys that are read, with their rule and transformers' default; keys of
 * transformers' class that are built in one form only; keys that change nothing here. Everything else is kept as it is.
 */
import { LowrankError, quote } from "@lowrank/tensor";
import { anything, checkFile, fields, optional, type Rule, type Rules } from "@lowrank/tensor/check";

export type ConfigSource = Readonly<Record<string, unknown>>;

export interface ConfigKey<T> {
  /** As the file spells it. */
  readonly key: string;
  readonly rule: Rule<T>;
  /** transformers' default. */
  readonly fallback: T;
  /** Declared a float by transformers, which checks that on reading: there 1 is none. */
  readonly float?: true;
}

export interface ConfigTable<Values> {
  /** The function that reads it, which errors about its second argument name. */
  readonly parser: string;
  /** By property of the values that are read. */
  readonly keys: { readonly [P in keyof Values]: ConfigKey<Values[P]> };
  /** transformers' `attribute_map`: the name that other families use, and this file's. Either is read, the latter is written. */
  readonly aliases: Readonly<Record<string, string>>;
  /** Keys that change which weights there are, and the value that is built. */
  readonly shapes: ConfigSource;
  /** Keys that change what is computed from the same weights, and the value that is built. */
  readonly functions: ConfigSource;
  /** Keys of the class that change neither: token ids for generation, unused halves, switches of outputs. */
  readonly harmless: readonly string[];
  /** Those of them that transformers declares as floats. */
  readonly harmlessFloats?: readonly string[];
}

/** Keys that every configuration class of transformers has, now or in older versions, and that change nothing here. */
export const HARMLESS: readonly string[] = [
  "_name_or_path",
  "architectures",
  "bos_token_id",
  "chunk_size_feed_forward",
  "dtype",
  "eos_token_id",
  "finetuning_task",
  "id2label",
  "initializer_range",
  "label2id",
  "model_type",
  "num_labels",
  "output_attentions",
  "output_hidden_states",
  "problem_type",
  "return_dict",
  "torch_dtype",
  "torchscript",
  "transformers_version",
  "use_cache",
];
/** The same for keys that would change the function. */
export const FUNCTIONS: ConfigSource = { is_encoder_decoder: false };
/** Heads that older versions cut out of the weights. */
export const SHAPES: ConfigSource = { pruned_heads: {} };

export function key<T>(name: string, rule: Rule<T>, fallback: T): ConfigKey<T> {
  return { key: name, rule, fallback };
}

export function floatKey<T>(name: string, rule: Rule<T>, fallback: T): ConfigKey<T> {
  return { key: name, rule, fallback, float: true };
}

/** Keys of a family's files that are written as floats, 1.0 for 1. */
export function floatKeys<Values>({ keys, harmlessFloats = [] }: ConfigTable<Values>): readonly string[] {
  const read = Object.values(keys) as ConfigKey<unknown>[];
  return [...read.flatMap((k) => (k.float === true ? [k.key] : [])), ...harmlessFloats];
}

/** What a table reads, and which keys ask for something else than is built. */
export interface ReadConfig<Values> {
  readonly values: Values;
  /** One phrase a key: `is_decoder true is not built; only false is`. Refused as soon as the function is wanted, not while counting. */
  readonly notBuilt: readonly string[];
}

/** @throws LowrankError naming the key: FormatError for a wrong value, NotBuiltError for one that changes which weights there are */
export function readTable<Values extends object>(table: ConfigTable<Values>, source: ConfigSource): ReadConfig<Values> {
  const known = Object.entries(table.keys) as [string, ConfigKey<unknown>][];
  const rules = Object.fromEntries([
    ...known.map(([, k]) => [k.key, optional(k.rule)] as const),
    ...Object.keys(table.aliases).map((alias) => [alias, anything()] as const),
  ]) as Rules<Record<string, unknown>>;
  const read = checkFile("config.json", fields(rules, { unknown: "keep" }), unaliased(table, source));
  refuseOurSpelling(table, source);
  const shape = notBuiltOf(read, { ...SHAPES, ...table.shapes })[0];
  if (shape !== undefined) throw new LowrankError("NotBuiltError", `config.json: ${shape}`);
  const values = Object.fromEntries(
    known.map(([property, k]) => [property, Object.hasOwn(read, k.key) ? read[k.key] : k.fallback]),
  ) as Values;
  return { values, notBuilt: notBuiltOf(read, { ...FUNCTIONS, ...table.functions }) };
}

/** Keys of a file by our configs' spelling of them: `hiddenSize` for `hidden_size`, or GPT-2's `n_embd`. */
function ourSpellings<Values>({
  keys,
  aliases,
  shapes,
  functions,
  harmless,
}: ConfigTable<Values>): Map<string, string> {
  const files = [...Object.keys({ ...SHAPES, ...shapes, ...FUNCTIONS, ...functions }), ...HARMLESS, ...harmless];
  const pairs = [
    ...files.map((name) => [camelCase(name), name] as const),
    ...Object.entries(aliases).map(([alias, own]) => [camelCase(alias), own] as const),
    ...(Object.entries(keys) as [string, ConfigKey<unknown>][]).flatMap(
      ([property, k]) =>
        [
          [camelCase(k.key), k.key],
          [property, k.key],
        ] as const,
    ),
  ];
  return new Map(pairs.filter(([ours]) => /[A-Z]/.test(ours)));
}

function camelCase(name: string): string {
  return name.replace(/(?<=.)_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** A key in our spelling would be kept as one that nobody reads, and the default taken in its place. */
function refuseOurSpelling<Values>(table: ConfigTable<Values>, source: ConfigSource): void {
  const ours = ourSpellings(table);
  const wrong = Object.keys(source).find((name) => ours.has(name));
  if (wrong !== undefined)
    throw new LowrankError(
      "FormatError",
      `config.json: the key ${quote(wrong)} is spelt "${ours.get(wrong)}" in a config file`,
    );
}

/** Each key under the name that the family's files use. */
function unaliased<Values>({ aliases }: ConfigTable<Values>, source: unknown): unknown {
  if (typeof source !== "object" || source === null || Array.isArray(source)) return source;
  const out: Record<string, unknown> = { ...source };
  for (const [alias, own] of Object.entries(aliases)) {
    if (!Object.hasOwn(out, alias)) continue;
    const value = out[alias];
    delete out[alias];
    if (out[own] !== undefined && out[own] !== value)
      throw new LowrankError(
        "FormatError",
        `config.json: ${own} ${quote(out[own])} and ${alias} ${quote(value)} are two names of one thing and disagree; keep one`,
      );
    out[own] = value;
  }
  return out;
}

function notBuiltOf(source: ConfigSource, builtAs: ConfigSource): string[] {
  return Object.entries(builtAs)
    .filter(
      ([name, built]) =>
        source[name] !== undefined && source[name] !== null && JSON.stringify(source[name]) !== JSON.stringify(built),
    )
    .map(([name, built]) => `${name} ${quote(source[name])} is not built; only ${JSON.stringify(built)} is`);
}

/** What a model writes anew, or what described the file that was read rather than the one that is written. */
const REPLACED = ["dtype", "id2label", "label2id", "num_labels", "problem_type", "quantization_config", "torch_dtype"];

/** The file's keys as they were, under the family's names, with `values` in their places. */
export function writeTable<Values extends object>(
  table: ConfigTable<Values>,
  values: Values,
  source: ConfigSource,
): Record<string, unknown> {
  const kept = Object.entries(unaliased(table, source) as ConfigSource).filter(([name]) => !REPLACED.includes(name));
  const own = (Object.entries(table.keys) as [keyof Values, ConfigKey<unknown>][]).map(
    ([property, k]) => [k.key, values[property] ?? null] as const,
  );
  return Object.fromEntries([...kept, ...own]);
}
