/** What pre-training may be told: YAML with strict keys, presets by name. */
import { z } from "zod";
import { count, fraction, layers, positive, probability, seed } from "../config/numbers.ts";
import { applyOverrides } from "../config/overrides.ts";
import type { TrainOptions } from "../config/study.ts";
import { optimizerTrouble, optimizerWords } from "../config/train.ts";
import { validate } from "../config/validate.ts";
import { parseYaml, readYamlFile } from "../config/yaml.ts";
import { CORPUS_NAMES, type CorpusName } from "../data/corpus.ts";
import { statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";
import { suggestion } from "@lowrank/tensor/check";
import { PRETRAIN_PRESETS } from "./presets.ts";

export interface PretrainConfig {
  readonly seed: number;
  readonly model: {
    /** `model_type` of the family; mlm's is BERT. */
    readonly family?: string | undefined;
    readonly hidden: number;
    readonly layers: number;
    readonly heads: number;
    readonly intermediate: number;
    readonly dropout: number;
    readonly positions: number;
    readonly initializerRange: number;
  };
  readonly corpus: {
    readonly sources: readonly CorpusName[];
    /** Sequence length, special tokens included. */
    readonly length: number;
    /** At most this much of each source; all when absent. */
    readonly megabytes?: number | undefined;
    /** Share of tokens to predict, of mlm. */
    readonly masking?: number | undefined;
  };
  readonly train: {
    readonly steps: number;
    readonly tokensPerBatch: number;
    readonly lr: number;
    readonly warmup: number;
    readonly schedule: "linear" | "cosine" | "constant";
    readonly weightDecay: number;
    readonly betas: readonly [number, number];
    readonly eps: number;
    readonly clip: number | null;
    readonly checkpointMinutes: number;
    readonly optimizer?: TrainOptions["optimizer"];
    readonly momentum?: TrainOptions["momentum"];
    readonly decay?: TrainOptions["decay"];
  };
}

const share = z.number().gt(0).lt(1);

const sizes = {
  hidden: count,
  layers,
  heads: count,
  intermediate: count,
  dropout: probability.default(0.1),
  positions: count.default(128),
  initializerRange: positive.default(0.02),
};
const texts = {
  length: z.number().int().min(8).max(65_536).default(64),
  megabytes: positive.optional(),
};
const train = z.strictObject({
  steps: count,
  tokensPerBatch: count.default(4096),
  lr: positive.default(1e-3),
  warmup: fraction.default(0.02),
  schedule: z.enum(["linear", "cosine", "constant"]).default("linear"),
  weightDecay: z.number().min(0).default(0.01),
  betas: z.tuple([probability, probability]).default([0.9, 0.98]),
  eps: positive.default(1e-6),
  clip: positive.nullable().default(1),
  checkpointMinutes: positive.default(5),
  ...optimizerWords,
});

/** SST-2's phrases are no running text. */
const RUNNING = CORPUS_NAMES.filter((name) => name !== "sst2-text");

const schemas: Readonly<Record<"mlm" | "clm", z.ZodType<PretrainConfig>>> = {
  mlm: z.strictObject({
    seed: seed.default(42),
    model: z.strictObject(sizes),
    corpus: z.strictObject({
      sources: z.array(z.enum(CORPUS_NAMES)).min(1),
      ...texts,
      masking: share.default(0.15),
    }),
    train,
  }),
  clm: z.strictObject({
    seed: seed.default(42),
    model: z.strictObject({ family: z.literal("gpt2").default("gpt2"), ...sizes }),
    corpus: z.strictObject({ sources: z.array(z.enum(RUNNING as [CorpusName])).min(1), ...texts }),
    train,
  }),
};

/** The configuration in a YAML file, or the preset of that name, with `--set` assignments applied. */
export function loadPretrainConfig(
  nameOrFile: string,
  set: readonly string[],
  objective: "mlm" | "clm" = "mlm",
): PretrainConfig {
  const presets = PRETRAIN_PRESETS[objective];
  const preset = Object.hasOwn(presets, nameOrFile) ? presets[nameOrFile] : undefined;
  const found = statOf(nameOrFile);
  const isFile = found !== undefined && !(found.isDirectory() && preset !== undefined);
  if (!isFile && preset === undefined)
    throw new InputError(
      `--config ${cut(nameOrFile)}: neither a file nor a preset${suggestion(cut(nameOrFile), Object.keys(presets))}`,
    );
  const source = isFile ? nameOrFile : `preset ${nameOrFile}`;
  const raw = isFile ? readYamlFile(nameOrFile) : parseYaml(preset!, source);
  if (typeof raw !== "object" || raw === null || Array.isArray(raw))
    throw new InputError(`${source}: expected a map with the keys seed, model, corpus, train`);
  const said = applyOverrides(raw, set) as { readonly train?: object };
  const config = validate(schemas[objective], said, source);
  if (config.model.hidden % config.model.heads !== 0)
    throw new InputError(
      `${source}: "model.hidden" ${config.model.hidden} is not a multiple of "model.heads" ${config.model.heads}`,
    );
  const trouble = optimizerTrouble(config.train, said.train ?? {});
  if (trouble !== undefined) throw new InputError(`${source}: "train.${trouble}`);
  if (config.corpus.length > config.model.positions)
    throw new InputError(
      `${source}: "corpus.length" ${config.corpus.length} is more than "model.positions" ${config.model.positions}`,
    );
  return config;
}
