/** IA³ (Liu et al. 2022): vectors that scale what layers give, and in feed-forward layers what they get. */
import type { Module } from "@lowrank/nn";
import { LowrankError, quote } from "@lowrank/tensor";
import { absent, anyOf, checkOptions, fields, flag, listOf, name, optional } from "@lowrank/tensor/check";
import { AdaptedEmbedding } from "../layers/adapted-embedding.ts";
import { Ia3Update } from "../layers/ia3.ts";
import { matcherOf, type Matcher, type Unmatched } from "../names.ts";
import { COMMON_RULES, COMMON_SPELT, commonConfig } from "./common.ts";
import { MODULE_NAMES, said, sortedNames } from "./file-parts.ts";
import type { AdapterConfig, ChosenTarget, FileKeys, Method, OptionsOf } from "./method.ts";

export interface Ia3Config extends AdapterConfig {
  /**
   * Of the target modules those whose input is scaled: ends of paths, at a dot or not, as in PEFT, or a regular expression for the whole path.
   * Default: what PEFT takes for the architecture. An empty list: none.
   */
  readonly feedforwardModules: readonly string[] | string | undefined;
  /** Whether vectors start as ones, which changes nothing. Default true; `false` draws them, for tests. */
  readonly initIa3: boolean;
}

const RULES = fields<Omit<OptionsOf<Ia3Config>, "layersToTransform" | "trainableTokenIndices" | "layersPattern">>(
  {
    ...COMMON_RULES,
    feedforwardModules: optional(anyOf(name, listOf(name))),
    initIa3: optional(flag),
  },
  {
    spelt: {
      ...COMMON_SPELT,
      feedforward_modules: "feedforwardModules",
      feedForwardModules: "feedforwardModules",
      init_ia3_weights: "initIa3",
      initIa3Weights: "initIa3",
    },
  },
);

interface Ia3File {
  readonly exclude_modules?: string | readonly string[];
  readonly feedforward_modules?: string | readonly string[];
  readonly init_ia3_weights?: boolean;
  readonly fan_in_fan_out?: boolean;
}

const FILE: FileKeys<Ia3File> = {
  className: "IA3Config",
  rules: {
    exclude_modules: absent(MODULE_NAMES),
    feedforward_modules: absent(MODULE_NAMES),
    init_ia3_weights: absent(flag),
    fan_in_fan_out: absent(flag),
  },
  notBuilt: [],
  harmless: [],
  meant: { targets: "target_modules", ffn_modules: "feedforward_modules" },
};

export const ia3: Method<Ia3Config> = {
  name: "ia3",
  label: "IA³",
  peftType: "IA3",
  file: FILE,
  tensors: /\.ia3_l$/,
  targets: "ia3",
  cutsVocabulary: false,
  defaults: complete,
  parse: (file: Ia3File, common) =>
    complete({
      ...common,
      excludeModules: said(file.exclude_modules),
      feedforwardModules: said(file.feedforward_modules),
      initIa3: file.init_ia3_weights ?? true,
    }),
  write: (config) => ({
    exclude_modules: sortedNames(config.excludeModules),
    feedforward_modules: writtenFeedforward(config),
    init_ia3_weights: config.initIa3,
  }),
  completed,
  resolve: (chosen, config) => {
    const isFeedforward = feedforwardOf(config.feedforwardModules ?? []);
    return chosen.map(({ path: module, inFeatures, outFeatures }) => {
      const scales = isFeedforward(module) ? "input" : "output";
      return { module, inFeatures, outFeatures, scales, parameters: scales === "input" ? inFeatures : outFeatures };
    });
  },
  make: (config) => (row, layer) => {
    if (layer instanceof AdaptedEmbedding)
      throw new LowrankError(
        "NotBuiltError",
        `IA³ on the embedding ${row.module}: PEFT has no form for it; name projections only`,
      );
    return new Ia3Update(layer.site, { scales: row.scales!, identity: config.initIa3 });
  },
};

function complete(options: OptionsOf<Ia3Config>): Ia3Config {
  const given = checkOptions("IA³", RULES, options);
  const config: Ia3Config = {
    ...commonConfig(ia3, given as Partial<AdapterConfig>),
    feedforwardModules: given.feedforwardModules,
    initIa3: given.initIa3 ?? true,
  };
  // PEFT writes files that it refuses for this
  const [stray] = config.onUnmatchedPattern === "error" ? straysOf(config) : [];
  if (stray !== undefined)
    throw new LowrankError(
      "ConfigError",
      `IA³: feedforward_modules ${quote(stray)} is not among the target modules ${(config.targetModules as readonly string[]).join(", ")}; name it there too, in the same words`,
    );
  return config;
}

/** Names of feed-forward modules that PEFT does not find among the names of targets; it looks where both are lists. */
function straysOf({ targetModules, feedforwardModules }: Ia3Config): readonly string[] {
  return typeof targetModules === "object" && typeof feedforwardModules === "object"
    ? feedforwardModules.filter((module) => !targetModules.includes(module))
    : [];
}

/** The family's names beside targets in other words, as a regular expression: a list PEFT would not read. */
function writtenFeedforward(config: Ia3Config): unknown {
  const { feedforwardModules: list } = config;
  if (straysOf(config).length === 0) return sortedNames(list);
  const ends = (list as readonly string[]).map((name) => name.replace(/[^\w-]/g, "\\$&"));
  return `.*(${ends.join("|")})`;
}

/** A list matches the end of a path, at a dot or not; a string is a regular expression for the whole path (PEFT). */
function feedforwardOf(rule: readonly string[] | string): Matcher {
  if (typeof rule === "string") return matcherOf(rule, ia3.label, "feedforward_modules");
  return (path) => rule.some((end) => path.endsWith(end));
}

/** The family's feed-forward modules, where none are named. */
function completed(config: Ia3Config, model: Module, chosen: readonly ChosenTarget[], unmatched: Unmatched): Ia3Config {
  const { feedforwardModules: given } = config;
  const paths = chosen.map(({ path }) => path);
  if (given === undefined) {
    const usual = model.family?.targets.ia3Feedforward;
    if (usual === undefined)
      throw new LowrankError(
        "ConfigError",
        `IA³: PEFT has no default for feedforward_modules of ${model.family === undefined ? "models that say no type" : `model type "${model.family.modelType}"`}; name the modules whose input is scaled, or [] for none`,
      );
    return { ...config, feedforwardModules: usual };
  }
  for (const rule of typeof given === "string" ? [given] : given)
    if (!paths.some(feedforwardOf(typeof given === "string" ? rule : [rule])))
      unmatched.name("feedforward_modules", rule, paths, "matches no target module");
  return config;
}
