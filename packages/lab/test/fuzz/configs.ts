/** `config.json` of models, and the `quantization_config` in it. */
import { architectureFor, metaModel, readConfig } from "@lowrank/models";
import { readQuantizationConfig } from "@lowrank/quant";
import { encoder, memory, pick, rawJson, strangeNumber, textOf } from "./files.ts";
import type { FuzzFormat } from "./judge.ts";
import { damaged, type Json } from "./mutate.ts";
export const CONFIGS: readonly Json[] = [
  {
    architectures: ["BertForSequenceClassification"],
    model_type: "bert",
    vocab_size: 40,
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 24,
    type_vocab_size: 2,
    hidden_act: "gelu",
    hidden_dropout_prob: 0.1,
    attention_probs_dropout_prob: 0.1,
    initializer_range: 0.02,
    layer_norm_eps: 1e-12,
    pad_token_id: 0,
    id2label: { 0: "a", 1: "b", 2: "c" },
    label2id: { a: 0, b: 1, c: 2 },
  },
  {
    architectures: ["GPT2LMHeadModel"],
    model_type: "gpt2",
    vocab_size: 40,
    n_embd: 16,
    n_layer: 2,
    n_head: 2,
    n_positions: 24,
    activation_function: "gelu_new",
    resid_pdrop: 0.1,
    embd_pdrop: 0.1,
    attn_pdrop: 0.1,
    layer_norm_epsilon: 1e-5,
  },
  {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: 40,
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 64,
    hidden_act: "silu",
    rms_norm_eps: 1e-6,
    rope_parameters: { rope_type: "default", rope_theta: 10000 },
    tie_word_embeddings: false,
  },
  {
    architectures: ["DistilBertForSequenceClassification"],
    model_type: "distilbert",
    vocab_size: 40,
    dim: 16,
    n_layers: 2,
    n_heads: 2,
    hidden_dim: 32,
    max_position_embeddings: 24,
    activation: "gelu",
    dropout: 0.1,
    attention_dropout: 0.1,
    seq_classif_dropout: 0.2,
  },
  {
    architectures: ["RobertaForTokenClassification"],
    model_type: "roberta",
    vocab_size: 40,
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 26,
    type_vocab_size: 1,
    layer_norm_eps: 1e-5,
    pad_token_id: 1,
  },
];

export const configJson: FuzzFormat = {
  name: "config.json",
  draw: (random) => damaged(pick(random, CONFIGS), random),
  async read(bytes) {
    const config = await readConfig(memory({ "config.json": bytes }));
    return metaModel(architectureFor(config), config).config;
  },
  senseless(bytes, config: Record<string, unknown>) {
    const raw = rawJson(bytes);
    const said = {
      hidden_size: "hiddenSize",
      n_embd: "hiddenSize",
      dim: "hiddenSize",
      num_hidden_layers: "numHiddenLayers",
      n_layer: "numHiddenLayers",
      vocab_size: "vocabSize",
      intermediate_size: "intermediateSize",
    } as const;
    for (const [theirs, ours] of Object.entries(said))
      if (raw[theirs] !== undefined && raw[theirs] !== null && ours in config && config[ours] !== raw[theirs])
        return `${theirs} is ${JSON.stringify(raw[theirs])} in the file and ${String(config[ours])} in the model`;
    const heads = config["numAttentionHeads"];
    if (
      typeof heads === "number" &&
      typeof config["hiddenSize"] === "number" &&
      config["headDim"] === undefined &&
      config["hiddenSize"] % heads !== 0
    )
      return `${heads} heads share ${config["hiddenSize"]} features`;
    // the file as it was read, strangers included, is kept beside what was understood
    return strangeNumber({ ...config, source: undefined });
  },
};

export const quantizationConfig: FuzzFormat = {
  name: "quantization_config",
  draw: (random) =>
    damaged(
      {
        quant_method: "bitsandbytes",
        load_in_4bit: true,
        load_in_8bit: false,
        bnb_4bit_quant_type: "nf4",
        bnb_4bit_use_double_quant: true,
        bnb_4bit_compute_dtype: "float32",
        bnb_4bit_quant_storage: "uint8",
        llm_int8_threshold: 6,
        llm_int8_skip_modules: ["classifier"],
        llm_int8_enable_fp32_cpu_offload: false,
        llm_int8_has_fp16_weight: false,
      },
      random,
    ),
  async read(bytes) {
    const config = await readConfig(
      memory({ "config.json": encoder.encode(`{"model_type":"bert","quantization_config":${textOf(bytes)}}`) }),
    );
    return readQuantizationConfig(config) ?? "none";
  },
  senseless(bytes, choice) {
    const raw = (JSON.parse(`{"c":${textOf(bytes)}}`) as { c: Record<string, unknown> | null }).c;
    if ((choice as unknown) === "none")
      return raw === null || raw === undefined ? undefined : "there is a config, and it was passed over";
    const flags = ["load_in_4bit", "load_in_8bit", "bnb_4bit_use_double_quant"].find(
      (key) => raw![key] !== undefined && raw![key] !== null && typeof raw![key] !== "boolean",
    );
    return flags === undefined ? undefined : `${flags} is ${JSON.stringify(raw![flags])}`;
  },
};
