/** VeRA (Kopiczko et al. 2024): one random pair of projections for all layers, and two trained vectors for each. */
import { LowrankError } from "@lowrank/tensor";
import {
  absent,
  checkOptions,
  fields,
  flag,
  oneOf,
  optional,
  probability,
  real,
  size,
  whole,
} from "@lowrank/tensor/check";
import { ATTENTION_NAMES } from "../default-targets.ts";
import { AdaptedEmbedding } from "../layers/adapted-embedding.ts";
import { Projections, VeraUpdate } from "../layers/vera.ts";
import { COMMON_RULES, COMMON_SPELT, commonConfig, LAYER_RULES, layersProblem } from "./common.ts";
import { LAYER_KEYS, parseLayers, writeLayers, type LayerKeys } from "./file-parts.ts";
import type { AdapterConfig, FileKeys, Method, OptionsOf } from "./method.ts";

export interface VeraConfig extends AdapterConfig {
  /** Rows of A. Default 256. */
  readonly r: number;
  /** What the projections are drawn from, by torch's generator. Adapters that PEFT is to load on one model must have the same. Default 0. */
  readonly projectionPrngKey: number;
  /** Whether files hold the projections; without them whoever reads draws them again. Default true. */
  readonly saveProjection: boolean;
  /** Dropout on the adapter's input. Default 0. */
  readonly dropout: number;
  /** What λ_d starts from. Default 0.1. */
  readonly dInitial: number;
  /** `false` gives both vectors values that do something, for tests. Default true. */
  readonly initWeights: boolean;
}

/** PEFT's. */
const DEFAULTS = {
  r: 256,
  projectionPrngKey: 0,
  saveProjection: true,
  dropout: 0,
  dInitial: 0.1,
  initWeights: true,
} as const;

const RULES = fields<Omit<OptionsOf<VeraConfig>, "excludeModules" | "trainableTokenIndices">>(
  {
    ...(({ excludeModules: _, ...rest }) => rest)(COMMON_RULES),
    ...LAYER_RULES,
    r: optional(size),
    projectionPrngKey: optional(whole(0)),
    saveProjection: optional(flag),
    dropout: optional(probability),
    dInitial: optional(real()),
    initWeights: optional(flag),
    bias: optional(oneOf<VeraConfig["bias"]>("none", "all", "vera_only")),
  },
  {
    spelt: {
      ...COMMON_SPELT,
      rank: "r",
      projection_prng_key: "projectionPrngKey",
      save_projection: "saveProjection",
      vera_dropout: "dropout",
      veraDropout: "dropout",
      d_initial: "dInitial",
      init_weights: "initWeights",
    },
  },
);

interface VeraFile extends LayerKeys {
  readonly r?: number;
  readonly projection_prng_key?: number;
  readonly save_projection?: boolean;
  readonly vera_dropout?: number;
  readonly d_initial?: number;
  readonly init_weights?: boolean;
  readonly bias?: VeraConfig["bias"];
  readonly fan_in_fan_out?: boolean;
}

const FILE: FileKeys<VeraFile> = {
  className: "VeraConfig",
  rules: {
    ...LAYER_KEYS,
    r: absent(size),
    projection_prng_key: absent(whole(0)),
    save_projection: absent(flag),
    vera_dropout: absent(probability),
    d_initial: absent(real()),
    init_weights: absent(flag),
    bias: absent(oneOf<VeraConfig["bias"]>("none", "all", "vera_only")),
    fan_in_fan_out: absent(flag),
  },
  notBuilt: [],
  harmless: [],
  meant: { rank: "r", dropout: "vera_dropout", targets: "target_modules", seed: "projection_prng_key" },
};

export const vera: Method<VeraConfig> = {
  name: "vera",
  label: "VeRA",
  peftType: "VERA",
  file: FILE,
  tensors: /\.vera_lambda_[bd]$/,
  targets: "vera",
  usualNames: ATTENTION_NAMES,
  cutsVocabulary: false,
  defaults: complete,
  parse: (file: VeraFile, common) =>
    complete({
      ...common,
      ...parseLayers(file),
      r: file.r ?? DEFAULTS.r,
      projectionPrngKey: file.projection_prng_key ?? DEFAULTS.projectionPrngKey,
      saveProjection: file.save_projection ?? DEFAULTS.saveProjection,
      dropout: file.vera_dropout ?? DEFAULTS.dropout,
      dInitial: file.d_initial ?? DEFAULTS.dInitial,
      initWeights: file.init_weights ?? DEFAULTS.initWeights,
      bias: file.bias ?? "none",
    }),
  write: (config) => ({
    r: config.r,
    projection_prng_key: config.projectionPrngKey,
    save_projection: config.saveProjection,
    vera_dropout: config.dropout,
    d_initial: config.dInitial,
    init_weights: config.initWeights,
    bias: config.bias,
    ...writeLayers(config),
  }),
  resolve: (chosen, { r }) =>
    chosen.map(({ path: module, inFeatures, outFeatures }) => ({
      module,
      inFeatures,
      outFeatures,
      rank: r,
      parameters: r + outFeatures,
    })),
  make: (config, rows) => {
    const widest = (side: "inFeatures" | "outFeatures"): number =>
      rows.reduce((most, row) => Math.max(most, row[side]), 0);
    const projections = new Projections(
      config.projectionPrngKey,
      config.r,
      widest("inFeatures"),
      widest("outFeatures"),
    );
    return (row, layer) => {
      if (layer instanceof AdaptedEmbedding)
        throw new LowrankError(
          "NotBuiltError",
          `VeRA on the embedding ${row.module}: PEFT has no form for it; name projections only`,
        );
      return new VeraUpdate(layer.site, {
        projections,
        dropout: config.dropout,
        dInitial: config.initWeights ? config.dInitial : undefined,
        saveProjection: config.saveProjection,
      });
    };
  },
  start: async ({ update, device, dtype }) => {
    (update as VeraUpdate).projections.fill(device, dtype);
    return undefined;
  },
};

function complete(options: OptionsOf<VeraConfig>): VeraConfig {
  const given = checkOptions("VeRA", RULES, options);
  const config: VeraConfig = { ...DEFAULTS, ...given, ...commonConfig(vera, given as Partial<AdapterConfig>) };
  const problem = layersProblem(config);
  if (problem !== undefined) throw new LowrankError("ConfigError", `VeRA: ${problem}`);
  return config;
}
