/** A base for a task on rows, wherever its files are. Knows no Node. */
import {
  fromPretrained,
  loadTokenizer,
  locateCheckpoint,
  type ConfigSource,
  type LocateOptions,
  type ModelConfig,
  type Tokenizer,
  type Where,
} from "@lowrank/models";
import type { Device } from "@lowrank/tensor";
import { Base, type BaseStorage } from "../bases/base.ts";
import { classFor, overridesOf, type ModelKind } from "../bases/kind.ts";
import { loadOptions } from "../bases/load-options.ts";
import type { BaseNeeds } from "../bases/needs.ts";
import { asInput, InputError } from "../errors.ts";

/** What is known of a base before its weights are read. */
export interface BaseFacts {
  readonly from: Where;
  readonly at: LocateOptions;
  readonly source: ConfigSource;
  readonly config: ModelConfig;
  readonly head: readonly string[];
  readonly tokenizer: Tokenizer;
}

export interface BaseWords {
  /** Where the tokenizer is. Absent: beside the base. */
  readonly tokens?: Where | undefined;
  /** Of a model of the hub. */
  readonly at?: LocateOptions;
}

export async function baseFacts(from: Where, kind: ModelKind, { tokens, at = {} }: BaseWords = {}): Promise<BaseFacts> {
  return asInput(async () => {
    const { config: source } = await locateCheckpoint(from, at);
    const { family } = classFor(source, kind);
    const config = family.parse(source, overridesOf(kind, { labels: 2 }));
    const tokenizer = await (tokens === undefined ? loadTokenizer(from, at) : loadTokenizer(tokens));
    return { from, at, source, config, head: family.heads[kind] ?? [], tokenizer };
  });
}

export async function openBase(
  { from, at, source, config }: Pick<BaseFacts, "from" | "at" | "source" | "config">,
  kind: ModelKind,
  needs: BaseNeeds,
  seed: number,
  device: Device,
  storage?: BaseStorage,
): Promise<Base> {
  if (config.vocabSize < needs.vocab)
    throw new InputError(
      `the model has ${config.vocabSize} words and the tokenizer ${needs.vocab}; the tokenizer is another model's`,
    );
  if (config.maxPositionEmbeddings < needs.positions)
    throw new InputError(
      `the model has ${config.maxPositionEmbeddings} positions; set maxLength to at most that (it is ${needs.positions})`,
    );
  return asInput(async () => {
    const { model, report } = await fromPretrained(from, classFor(source, kind), {
      ...at,
      device,
      seed,
      ...overridesOf(kind, needs),
      ...loadOptions(device, storage),
    });
    return new Base(model, kind, device, report);
  });
}
