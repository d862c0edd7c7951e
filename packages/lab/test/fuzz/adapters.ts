/** Adapters: PEFT's and MLX's configs. */
import { loadMlxAdapter, attach, parseAdapterConfig, readAdapterConfig } from "@lowrank/peft";
import { metaModel } from "@lowrank/models";
import { init, serialize } from "@lowrank/tensor";
import { CONFIGS } from "./configs.ts";
import { memory, pick, rawJson, strangeNumber } from "./files.ts";
import type { FuzzFormat } from "./judge.ts";
import { damaged, type Json } from "./mutate.ts";
const ADAPTERS: readonly Json[] = [
  {
    peft_type: "LORA",
    task_type: "SEQ_CLS",
    r: 4,
    lora_alpha: 8,
    lora_dropout: 0.1,
    target_modules: ["query", "value"],
    modules_to_save: ["classifier"],
    bias: "none",
    use_rslora: false,
    use_dora: false,
    init_lora_weights: true,
    fan_in_fan_out: false,
    rank_pattern: { query: 2 },
    alpha_pattern: {},
    layers_to_transform: null,
    layers_pattern: null,
    exclude_modules: null,
    inference_mode: true,
    base_model_name_or_path: "x",
  },
  {
    peft_type: "ADALORA",
    task_type: "SEQ_CLS",
    r: 8,
    init_r: 6,
    target_r: 2,
    tinit: 2,
    tfinal: 2,
    deltaT: 1,
    beta1: 0.85,
    beta2: 0.85,
    orth_reg_weight: 0.5,
    total_step: 10,
    lora_alpha: 8,
    lora_dropout: 0,
    target_modules: "bert\\.encoder\\.layer\\.\\d+\\.attention\\.self\\.(query|key)",
    rank_pattern: null,
    bias: "none",
  },
];

export const adapterConfig: FuzzFormat = {
  name: "adapter_config.json",
  draw: (random) => damaged(pick(random, ADAPTERS), random),
  async read(bytes) {
    const raw = await readAdapterConfig(
      memory({ "adapter_config.json": bytes, "adapter_model.safetensors": new Uint8Array() }),
    );
    return attach(
      metaModel("BertForSequenceClassification", CONFIGS[0] as Record<string, unknown>),
      parseAdapterConfig(raw),
    ).config;
  },
  senseless(bytes, config: { r: number; alpha: number; dropout: number }) {
    const raw = rawJson(bytes);
    if (raw["peft_type"] !== "LORA" && raw["peft_type"] !== "ADALORA")
      return `peft_type is ${JSON.stringify(raw["peft_type"])}`;
    for (const [theirs, ours] of [
      ["r", "r"],
      ["lora_alpha", "alpha"],
      ["lora_dropout", "dropout"],
    ] as const) {
      if (raw[theirs] !== undefined && raw[theirs] !== null && raw[theirs] !== config[ours])
        return `${theirs} is ${JSON.stringify(raw[theirs])} in the file and ${config[ours]} in the adapter`;
    }
    const flag = ["use_rslora", "use_dora", "lora_bias"].find(
      (key) => raw[key] !== undefined && raw[key] !== null && typeof raw[key] !== "boolean",
    );
    if (flag !== undefined) return `${flag} is ${JSON.stringify(raw[flag])}`;
    return strangeNumber({ ...config, source: undefined });
  },
};

const device = await init({ device: "reference" });
const mlxTensors = serialize({
  "model.layers.0.self_attn.q_proj.lora_a": { dtype: "f32", shape: [16, 2], data: new Float32Array(32).fill(0.1) },
  "model.layers.0.self_attn.q_proj.lora_b": { dtype: "f32", shape: [2, 16], data: new Float32Array(32).fill(0.2) },
});

export const mlxAdapter: FuzzFormat = {
  name: "mlx adapter_config.json",
  draw: (random) =>
    damaged(
      {
        fine_tune_type: "lora",
        num_layers: 1,
        lora_parameters: { rank: 2, scale: 5, dropout: 0, keys: ["self_attn.q_proj"] },
        model: "x",
        iters: 10,
      },
      random,
    ),
  async read(bytes) {
    const adapter = await loadMlxAdapter(
      metaModel("LlamaForCausalLM", CONFIGS[2] as Record<string, unknown>),
      memory({ "adapter_config.json": bytes, "adapters.safetensors": mlxTensors }),
      { device },
    );
    return adapter.config;
  },
  senseless(bytes, config: { r: number }) {
    const rank = (rawJson(bytes)["lora_parameters"] as { rank?: unknown } | undefined | null)?.rank;
    return rank === undefined || rank === null || rank === config.r
      ? undefined
      : `the rank is ${JSON.stringify(rank)} in the file and ${config.r} in the adapter`;
  },
};
