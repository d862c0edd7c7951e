/** What pre-training may be told: YAML with strict keys, presets by name. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { applyOverrides } from "../config/overrides.ts";
import { validate } from "../config/validate.ts";
import { CORPUS_NAMES, type CorpusName } from "../data/corpus.ts";
import { InputError } from "../errors.ts";
import { suggestion } from "@lowrank/tensor/check";

export interface PretrainConfig {
  readonly seed: number;
  readonly model: {
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
    /** Share of tokens to predict. */
    readonly masking: number;
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
  };
}

const count = z.number().int({ error: "expected a whole number" }).positive();
const positive = z.number().positive();
const share = z.number().gt(0).lt(1);

const schema: z.ZodType<PretrainConfig> = z.strictObject({
  seed: z.number().int().min(0).default(42),
  model: z.strictObject({
    hidden: count,
    layers: count,
    heads: count,
    intermediate: count,
    dropout: z.number().min(0).lt(1).default(0.1),
    positions: count.default(128),
    initializerRange: positive.default(0.02),
  }),
  corpus: z.strictObject({
    sources: z.array(z.enum(CORPUS_NAMES)).min(1),
    length: z.number().int().min(8).default(64),
    megabytes: positive.optional(),
    masking: share.default(0.15),
  }),
  train: z.strictObject({
    steps: count,
    tokensPerBatch: count.default(4096),
    lr: positive.default(1e-3),
    warmup: z.number().min(0).max(1).default(0.02),
    schedule: z.enum(["linear", "cosine", "constant"]).default("linear"),
    weightDecay: z.number().min(0).default(0.01),
    betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).default([0.9, 0.98]),
    eps: positive.default(1e-6),
    clip: positive.nullable().default(1),
    checkpointMinutes: positive.default(5),
  }),
});

export const PRETRAIN_PRESETS: Readonly<Record<string, string>> = {
  small: `# 4 layers of width 128: 4.8 M parameters, 3.9 M of them word embeddings.
model: { hidden: 128, layers: 4, heads: 2, intermediate: 512 }
corpus: { sources: [books, wikitext-2, sst2-text], length: 64 }
train: { steps: 12000 }
`,
  medium: `# 4 layers of width 256: 11.1 M parameters; about four times the work.
model: { hidden: 256, layers: 4, heads: 4, intermediate: 1024 }
corpus: { sources: [books, wikitext-2, sst2-text], length: 64 }
train: { steps: 12000 }
`,
};

/** The configuration in a YAML file, or the preset of that name, with `--set` assignments applied. */
export function loadPretrainConfig(nameOrFile: string, set: readonly string[]): PretrainConfig {
  const isFile = existsSync(nameOrFile) && statSync(nameOrFile).isFile();
  const text = isFile ? readFileSync(nameOrFile, "utf8") : Object.hasOwn(PRETRAIN_PRESETS, nameOrFile) ? PRETRAIN_PRESETS[nameOrFile] : undefined;
  if (text === undefined) throw new InputError(`--config ${nameOrFile}: neither a file nor a preset${suggestion(nameOrFile, Object.keys(PRETRAIN_PRESETS))}`);
  let raw: unknown;
  try {
    raw = parse(text) as unknown;
  } catch (error) {
    throw new InputError(`${nameOrFile}: not valid YAML: ${(error as Error).message.split("\n")[0]}`, { cause: error });
  }
  const source = isFile ? nameOrFile : `preset ${nameOrFile}`;
  const config = validate(schema, applyOverrides(raw, set), source);
  if (config.model.hidden % config.model.heads !== 0) throw new InputError(`${source}: "model.hidden" ${config.model.hidden} is not a multiple of "model.heads" ${config.model.heads}`);
  if (config.corpus.length > config.model.positions) throw new InputError(`${source}: "corpus.length" ${config.corpus.length} is more than "model.positions" ${config.model.positions}`);
  return config;
}
