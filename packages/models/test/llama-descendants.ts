/**
 * Families that follow Llama, as sketches: enough of each for golden numbers of transformers, to hold Llama's parts to what they are to
 * take without being changed. Each family that is built replaces its sketch.
 */
import { positive, size } from "@lowrank/tensor/check";
import type { ConfigOverrides, ConfigSource, FamilyModels, LlamaConfig, ModelFamily } from "../src/index.ts";
import { LLAMA, registerFamily } from "../src/index.ts";
import {
  key,
  LLAMA_TABLE,
  LlamaBody,
  LlamaCausalHead,
  llamaFileAs,
  orNull,
  parseLlamaAs,
  rotaryOf,
  type ConfigTable,
  type LayerVariant,
  type LlamaValues,
  type LlamaVariant,
} from "../src/parts.ts";

interface WindowValues extends LlamaValues {
  readonly slidingWindow: number | null;
}
type WindowConfig = LlamaConfig & { readonly slidingWindow: number | null };

const tableOf = (parser: string, more: Partial<ConfigTable<WindowValues>["keys"]> = {}): ConfigTable<WindowValues> => ({
  ...LLAMA_TABLE,
  parser,
  keys: { ...LLAMA_TABLE.keys, slidingWindow: key("sliding_window", orNull(size), null), ...more },
});

interface Sketch {
  readonly modelType: string;
  readonly name: string;
  readonly table: ConfigTable<WindowValues>;
  readonly variant: (config: WindowConfig) => LlamaVariant;
  /** What is read otherwise than as Llama's. */
  readonly source?: (source: ConfigSource) => ConfigSource;
}

function sketch({ modelType, name, table, variant, source = (s) => s }: Sketch): FamilyModels {
  const family: ModelFamily<WindowConfig> = {
    ...LLAMA,
    modelType,
    parse: (file: ConfigSource, overrides: ConfigOverrides = {}) => ({
      ...parseLlamaAs(table, source(file), overrides),
      source: file,
    }),
    file: (config, architecture) => llamaFileAs(table, config, modelType, architecture),
  };
  class Model extends LlamaBody<WindowConfig> {
    static readonly family = family;
    static readonly architecture = `${name}Model`;
    constructor(config: WindowConfig) {
      super(config, variant(config));
    }
  }
  class ForCausalLM extends LlamaCausalHead<WindowConfig> {
    static readonly family = family;
    static readonly architecture = `${name}ForCausalLM`;
    constructor(config: WindowConfig) {
      super(config, new Model(config));
    }
  }
  return { family, base: Model, tasks: { CAUSAL_LM: ForCausalLM } };
}

/** Qwen's files say which layers have the window. */
const slides = (config: WindowConfig, i: number): boolean =>
  (config.source["layer_types"] as readonly string[] | undefined)?.[i] === "sliding_attention";
const qwenLayer =
  (config: WindowConfig) =>
  (i: number): LayerVariant => ({ window: slides(config, i) ? (config.slidingWindow ?? undefined) : undefined });

export const MISTRAL: FamilyModels = sketch({
  modelType: "mistral",
  name: "Mistral",
  table: tableOf("parseMistralConfig"),
  variant: ({ slidingWindow }) => ({ layer: () => ({ window: slidingWindow ?? undefined }) }),
});

export const QWEN2: FamilyModels = sketch({
  modelType: "qwen2",
  name: "Qwen2",
  table: tableOf("parseQwen2Config"),
  variant: (config) => ({ qkvBias: true, outputBias: false, layer: qwenLayer(config) }),
});

export const QWEN3: FamilyModels = sketch({
  modelType: "qwen3",
  name: "Qwen3",
  table: tableOf("parseQwen3Config"),
  variant: (config) => ({ headNorms: true, layer: qwenLayer(config) }),
});

/** The base of the layers with a window. */
const LOCAL_THETA = 1e4;

export const GEMMA3: FamilyModels = sketch({
  modelType: "gemma3_text",
  name: "Gemma3",
  table: tableOf("parseGemma3Config", {
    hiddenAct: { ...LLAMA_TABLE.keys.hiddenAct, key: "hidden_activation", fallback: "gelu_pytorch_tanh" },
  }),
  // one set of rotary keys a kind of layer: the whole attention's are taken for the config's
  source: ({ rope_parameters: rope, ...rest }) => ({
    ...rest,
    rope_parameters: (rope as Record<string, unknown>)["full_attention"],
  }),
  variant: (config) => {
    const local = rotaryOf(config, LOCAL_THETA);
    const scalar = positive.read(config.source["query_pre_attn_scalar"], {
      source: "config.json",
      path: ["query_pre_attn_scalar"],
      code: "FormatError",
    });
    return {
      headNorms: true,
      normOffset: 1,
      norms: "around",
      scale: scalar ** -0.5,
      // transformers keeps it in f32
      embeddingScale: Math.fround(Math.sqrt(config.hiddenSize)),
      layer: (i) => (slides(config, i) ? { window: config.slidingWindow ?? undefined, rotary: local } : {}),
    };
  },
});

export function registerDescendants(): void {
  for (const family of [MISTRAL, QWEN2, QWEN3, GEMMA3]) registerFamily(family);
}
