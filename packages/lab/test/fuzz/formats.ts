/** Every format that is read: a sound sample to damage, the reader of the packages, and in words of its own what an accepted input must be. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { architectureFor, loadTokenizer, metaModel, readConfig, type Files } from "@lowrank/models";
import { attach, loadMlxAdapter, parseAdapterConfig, readAdapterConfig } from "@lowrank/peft";
import { fromEntries, quantizeFourBit, readQuantizationConfig, toEntries } from "@lowrank/quant";
import { fromBytes, init, SafetensorsFile, serialize, type RandomStream, type StoredTensor } from "@lowrank/tensor";
import { parse as parseYamlText, stringify } from "yaml";
import { loadStudy } from "../../src/config/load.ts";
import { PRESETS } from "../../src/config/presets.ts";
import type { Study } from "../../src/config/study.ts";
import { cachedTokenSet, TokenSetBuilder, type TokenSet } from "../../src/data/token-set.ts";
import { readLabelledTsv, type LabelledText } from "../../src/data/tsv.ts";
import { loadPretrainConfig, type PretrainConfig } from "../../src/pretrain/config.ts";
import { PRETRAIN_PRESETS } from "../../src/pretrain/presets.ts";
import { readCounters, type Counters } from "../../src/pretrain/state.ts";
import { writeDigests } from "../../src/store/digests.ts";
import type { RunResult } from "../../src/store/result.ts";
import { RunStore } from "../../src/store/run-store.ts";
import { ggufFile } from "./gguf.ts";
import type { FuzzFormat } from "./judge.ts";
import { damaged, mutateBytes, mutateJson, type Json } from "./mutate.ts";

const encoder = new TextEncoder();
const textOf = (bytes: Uint8Array): string => new TextDecoder("utf-8", { ignoreBOM: false }).decode(bytes);
const pick = <T>(random: RandomStream, items: readonly T[]): T => items[random.integer(items.length)]!;
const folder = mkdtempSync(join(tmpdir(), "lowrank-fuzz-"));

/** Files in memory. */
function memory(files: Readonly<Record<string, Uint8Array>>): Files {
  return {
    where: "memory",
    exists: (name) => Promise.resolve(Object.hasOwn(files, name)),
    text: (name) => Promise.resolve(textOf(files[name]!)),
    open: (name) => Promise.resolve(fromBytes(files[name]!)),
  };
}

/** The document as JSON reads it, for oracles that compare with the file. */
function rawJson(bytes: Uint8Array): Record<string, unknown> {
  return JSON.parse(textOf(bytes)) as Record<string, unknown>;
}

/** Sizes are positive whole numbers that memory could hold, probabilities lie in [0, 1), nothing is NaN: by the ends of the names. */
function strangeNumber(value: unknown, path = ""): string | undefined {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return `${path} is ${value}`;
    if (
      /(size|layers|heads|positions|intermediate|hidden|batchSize|epochs|steps|length|vocab|labels|\br|initR|targetR|multiple)$/i.test(
        path,
      ) &&
      !(value > 0 && value <= 2 ** 31)
    )
      return `${path} is ${value}`;
    if (/(dropout|prob|masking)$/i.test(path) && !(value >= 0 && value < 1)) return `${path} is ${value}`;
    if (/(eps|epsilon|lr)$/i.test(path) && !(value > 0)) return `${path} is ${value}`;
    return undefined;
  }
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return undefined;
  for (const [key, inner] of Object.entries(value)) {
    const strange = strangeNumber(inner, path === "" ? key : `${path}.${key}`);
    if (strange !== undefined) return strange;
  }
  return undefined;
}

const CONFIGS: readonly Json[] = [
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

const configJson: FuzzFormat = {
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

const adapterConfig: FuzzFormat = {
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

const WORDPIECE: Json = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [0, 1, 2, 3, 4].map((id) => ({
    id,
    content: ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"][id]!,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "TemplateProcessing",
    single: [
      { SpecialToken: { id: "[CLS]", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: "[SEP]", type_id: 0 } },
    ],
    pair: [
      { SpecialToken: { id: "[CLS]", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: "[SEP]", type_id: 0 } },
      { Sequence: { id: "B", type_id: 1 } },
      { SpecialToken: { id: "[SEP]", type_id: 1 } },
    ],
    special_tokens: {
      "[CLS]": { id: "[CLS]", ids: [2], tokens: ["[CLS]"] },
      "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] },
    },
  },
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: {
      "[PAD]": 0,
      "[UNK]": 1,
      "[CLS]": 2,
      "[SEP]": 3,
      "[MASK]": 4,
      a: 5,
      b: 6,
      "##a": 7,
      "##b": 8,
      hello: 9,
      world: 10,
      ".": 11,
    },
  },
};
const BPE: Json = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [
    { id: 6, content: "<|end|>", single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  ],
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
  decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: "",
    end_of_word_suffix: "",
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: { a: 0, b: 1, Ġ: 2, ab: 3, Ġa: 4, aab: 5 },
    merges: [
      ["a", "b"],
      ["Ġ", "a"],
      ["a", "ab"],
    ],
  },
};
const CHARACTER_MAP =
  "AAQAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAFAACACgUAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACsCAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC9BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAcAAIC9BQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIEFAAAAAACAAAAAAMIEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAwAAgIYFAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADvBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABmaQBmACAAMeKBhDIA";
/** The 256 bytes, of which damaged files lose some. */
const BYTES = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
const TURN = {
  id: 264,
  content: "<|end|>",
  single_word: true,
  lstrip: true,
  rstrip: true,
  normalized: true,
  special: false,
};
/** As Llama 2's. */
const BYTE_FALLBACK: Json = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [TURN],
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
      { type: "Strip", strip_left: false, strip_right: true },
    ],
  },
  pre_tokenizer: { type: "Split", pattern: { String: "▁" }, behavior: "MergedWithNext", invert: false },
  post_processor: null,
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: "<unk>",
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: true,
    ignore_merges: false,
    vocab: Object.fromEntries(["<unk>", "a", "b", "▁", "ab", "▁a", "▁b", "▁ab", ...BYTES].map((t, i) => [t, i])),
    merges: [
      ["a", "b"],
      ["▁", "a"],
      ["▁", "b"],
      ["▁", "ab"],
    ],
  },
};
/** As T5's, with a character map of four entries. */
const UNIGRAM: Json = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [TURN],
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Precompiled", precompiled_charsmap: CHARACTER_MAP },
      { type: "Nmt" },
      { type: "Replace", pattern: { Regex: " {2,}" }, content: " " },
    ],
  },
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true },
  post_processor: null,
  decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true },
  model: {
    type: "Unigram",
    unk_id: 0,
    byte_fallback: true,
    vocab: ["<unk>", "a", "b", "▁", "ab", "▁a", "▁b", "▁ab", ...BYTES].map((t, i) => [t, -(i % 9)]),
  },
};
const TEXTS = ["ab  ﬁ½ 🎬", "hello world. ab", "a b\tab aab é ²", "", "[CLS] a <|end|>b"];

const tokenizerJson: FuzzFormat = {
  name: "tokenizer.json",
  draw: (random) => damaged(pick(random, [WORDPIECE, BPE, BYTE_FALLBACK, UNIGRAM]), random),
  async read(bytes) {
    const tokenizer = await loadTokenizer(memory({ "tokenizer.json": bytes }));
    return TEXTS.map((text) => ({
      ids: [...tokenizer.encode(text).ids],
      text: tokenizer.decode(tokenizer.encode(text).ids),
      pair: [...tokenizer.encode(text, { pair: "b" }).ids],
      size: tokenizer.vocabSize,
    }));
  },
  senseless(_, read: readonly { ids: number[]; text: string; pair: number[]; size: number }[]) {
    const bad = read
      .flatMap(({ ids, pair }) => [...ids, ...pair])
      .find((id) => !Number.isSafeInteger(id) || id < 0 || id >= 2 ** 31);
    return bad === undefined ? undefined : `it gives the token ${bad}`;
  },
};

const tokenizerConfig: FuzzFormat = {
  name: "tokenizer_config.json",
  draw: (random) =>
    damaged(
      {
        model_max_length: 512,
        truncation_side: "right",
        padding_side: "right",
        clean_up_tokenization_spaces: true,
        tokenizer_class: "BertTokenizer",
        do_lower_case: true,
        cls_token: "[CLS]",
      },
      random,
    ),
  read: async (bytes) =>
    loadTokenizer(
      memory({ "tokenizer.json": encoder.encode(JSON.stringify(WORDPIECE)), "tokenizer_config.json": bytes }),
    ),
  senseless(_, tokenizer: { maxLength: number | undefined; encode(text: string): { ids: ArrayLike<number> } }) {
    const { maxLength } = tokenizer;
    if (maxLength !== undefined && !(Number.isSafeInteger(maxLength) && maxLength > 0))
      return `the longest input is ${maxLength}`;
    return Array.from(tokenizer.encode("hello world").ids).join() === "2,9,10,3" ? undefined : "it changed the tokens";
  },
};

const TENSORS: Readonly<Record<string, StoredTensor>> = {
  a: { dtype: "f32", shape: [2, 3], data: Float32Array.from([1, 2, 3, 4, 5, 6]) },
  "b.weight": { dtype: "f16", shape: [4], data: Uint16Array.of(1, 2, 3, 4) },
  empty: { dtype: "f32", shape: [0, 3], data: new Float32Array() },
  scalar: { dtype: "i32", shape: [], data: Int32Array.of(7) },
  flags: { dtype: "bool", shape: [3], data: Uint8Array.of(0, 1, 1) },
};
const SOUND = serialize(TENSORS);
const HEADER_END = 8 + Number(new DataView(SOUND.buffer, SOUND.byteOffset).getBigUint64(0, true));
const HEADER = JSON.parse(textOf(SOUND.subarray(8, HEADER_END))) as Json;

/** A header around bytes. */
function safetensors(header: Uint8Array, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + header.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(header.length), true);
  out.set(header, 8);
  out.set(data, 8 + header.length);
  return out;
}

const WIDTHS: Readonly<Record<string, number>> = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
};

/** A second, naive reader: why the file is not what the format says, for dtypes that it knows. */
function unsound(bytes: Uint8Array): string | undefined {
  if (bytes.length < 8) return "it is shorter than a length";
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (length > bytes.length - 8) return "the header is longer than the file";
  let header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>;
  try {
    header = JSON.parse(
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length)),
    ) as typeof header;
  } catch {
    return "the header is not JSON";
  }
  if (typeof header !== "object" || header === null || Array.isArray(header)) return "the header is no object";
  const spans: [number, number][] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (
      typeof entry !== "object" ||
      entry === null ||
      !Array.isArray(entry.shape) ||
      !Array.isArray(entry.data_offsets) ||
      entry.data_offsets.length !== 2
    )
      return `${name} is no entry`;
    if (![...entry.shape, ...entry.data_offsets].every((n) => Number.isSafeInteger(n) && n >= 0))
      return `${name} has a size that is none`;
    const [begin, end] = entry.data_offsets as [number, number];
    if (end < begin || end > bytes.length - 8 - length) return `${name} lies outside`;
    const width = WIDTHS[entry.dtype];
    if (width !== undefined && entry.shape.reduce((product, n) => product * n, width) !== end - begin)
      return `${name} has another size than its shape`;
    spans.push([begin, end]);
  }
  spans.sort((x, y) => x[0] - y[0] || x[1] - y[1]);
  let at = 0;
  for (const [begin, end] of spans) {
    if (begin !== at) return "there are gaps or overlaps";
    at = end;
  }
  return at === bytes.length - 8 - length ? undefined : "bytes are left over";
}

const safetensorsFile: FuzzFormat = {
  name: "safetensors",
  draw(random) {
    const data = SOUND.subarray(HEADER_END);
    switch (random.integer(4)) {
      case 0:
        return mutateBytes(SOUND, random);
      case 1:
        return mutateBytes(safetensors(damaged(HEADER, random), data), random);
      default:
        return safetensors(damaged(HEADER, random), data);
    }
  },
  async read(bytes) {
    const file = await SafetensorsFile.open(fromBytes(bytes));
    for (const name of file.names)
      if (Object.hasOwn(WIDTHS, file.info(name).dtype) && !/^(I8|I16|U16|U64|F8)/.test(file.info(name).dtype))
        await file.read(name);
    return file;
  },
  senseless: (bytes) => unsound(bytes),
};

const quantizationConfig: FuzzFormat = {
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

const FOUR_BIT = toEntries(
  "w",
  quantizeFourBit(
    Float32Array.from({ length: 192 }, (_, i) => Math.sin(i)),
    [3, 64],
  ),
);

const bnbEntries: FuzzFormat = {
  name: "bitsandbytes entries",
  draw(random) {
    const entries = Object.fromEntries(
      [...FOUR_BIT].map(([name, { dtype, shape, data }]) => [
        name,
        { dtype, shape: [...shape], data: [...data] } as Json,
      ]),
    );
    return encoder.encode(JSON.stringify(random.integer(8) === 0 ? entries : mutateJson(entries, random)) ?? "null");
  },
  read(bytes) {
    const raw = JSON.parse(textOf(bytes)) as unknown;
    // what SafetensorsFile could give: sound tensors of any content under any name
    const arrays = { f32: Float32Array, u8: Uint8Array, i32: Int32Array, f16: Uint16Array } as const;
    const entries = new Map(
      Object.entries((raw ?? {}) as Record<string, Partial<Record<"dtype" | "shape" | "data", unknown>>>).flatMap(
        ([name, entry]) => {
          const type = Object.hasOwn(arrays, String(entry?.dtype)) ? (entry.dtype as keyof typeof arrays) : "u8";
          const data = arrays[type].from(Array.isArray(entry?.data) ? entry.data.map(Number) : []);
          const shape =
            Array.isArray(entry?.shape) && entry.shape.reduce((p: number, n) => p * Number(n), 1) === data.length
              ? (entry.shape as number[])
              : [data.length];
          return shape.every((n) => Number.isSafeInteger(n) && n >= 0)
            ? [[name, { dtype: type, shape, data } as StoredTensor] as const]
            : [];
        },
      ),
    );
    return fromEntries("w", entries);
  },
  senseless(_, state: { shape: readonly number[]; blockSize: number }) {
    return state.shape.every((n) => Number.isSafeInteger(n) && n >= 0) && state.blockSize > 0
      ? undefined
      : `the shape is ${JSON.stringify(state.shape)}`;
  },
};

const device = await init({ device: "reference" });
const mlxTensors = serialize({
  "model.layers.0.self_attn.q_proj.lora_a": { dtype: "f32", shape: [16, 2], data: new Float32Array(32).fill(0.1) },
  "model.layers.0.self_attn.q_proj.lora_b": { dtype: "f32", shape: [2, 16], data: new Float32Array(32).fill(0.2) },
});

const mlxAdapter: FuzzFormat = {
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

/** A YAML document on disk, as a user has it. */
function yamlFile(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const study: FuzzFormat = {
  name: "study YAML",
  draw: (random) =>
    damaged(parseYamlText(PRESETS[pick(random, Object.keys(PRESETS))]!) as Json, random, (document) =>
      stringify(document),
    ),
  read: (bytes) => loadStudy(yamlFile("study.yaml", bytes)),
  senseless(_, read: Study) {
    if (read.seeds.length === 0 || read.seeds.some((seed) => !Number.isSafeInteger(seed) || seed < 0))
      return `the seeds are ${read.seeds.join()}`;
    return strangeNumber({ ...read, seeds: [] });
  },
};

const overrides: FuzzFormat = {
  name: "--set",
  draw(random) {
    const key = pick(random, [
      "train.lr",
      "train.batchSize",
      "task.length",
      "seeds",
      "configs.b-fp.r",
      "configs.b-fp",
      "model.hidden",
      "__proto__.x",
      "configs.__proto__.r",
      "train",
      "a.b.c.d",
      "",
      "train.",
      ".",
      "name",
    ]);
    const value = pick(random, [
      "1",
      "0",
      "-1",
      "1e300",
      "null",
      "[1, 2]",
      "{a: 1}",
      "&a [*a]",
      "!!js/function x",
      "nan",
      ".inf",
      "true",
      "x",
      "",
      "'",
      "{",
      "\u0000",
      "1e8",
      "[[[[]]]]",
    ]);
    return encoder.encode(random.integer(8) === 0 ? key : `${key}=${value}`);
  },
  read: (bytes) => loadStudy("demo", { set: [textOf(bytes)] }),
  senseless: (_, read: Study) => ("x" in {} ? "Object.prototype was changed" : strangeNumber({ ...read, seeds: [] })),
};

const pretrain: FuzzFormat = {
  name: "pretrain YAML",
  draw: (random) =>
    damaged(parseYamlText(PRETRAIN_PRESETS[pick(random, Object.keys(PRETRAIN_PRESETS))]!) as Json, random, (document) =>
      stringify(document),
    ),
  read: (bytes) => loadPretrainConfig(yamlFile("pretrain.yaml", bytes), []),
  senseless: (_, config: PretrainConfig) => strangeNumber(config),
};

/** A folder with its digests, in which one file is then replaced. */
function tampered(name: string, file: string, bytes: Uint8Array): string {
  const at = join(folder, name);
  writeFileSync(join(at, file), bytes);
  return at;
}

const EVALUATION = { step: 10, epoch: 1, loss: 0.5, accuracy: 0.9, f1: 0.9, f1Classes: [1], examples: 100 };
const RESULT = {
  id: "i",
  cell: "c",
  name: "b-fp-s1",
  study: "s",
  config: "b-fp",
  method: "lora",
  task: "t",
  seed: 1,
  resolved: {},
  device: "wasm",
  fresh: [],
  final: EVALUATION,
  best: EVALUATION,
  parameters: { trainable: 12, effective: 12, total: 48, percent: 25 },
  modules: [],
  steps: 10,
  seconds: { total: 7, training: 6, perStep: 0.6 },
  memory: {
    arenaBytes: 1,
    persistentBytes: 1,
    peakRssBytes: 1,
    split: { frozenWeights: 1, trainableWeights: 1, optimizerState: 1, activationsAndGradients: 1 },
  },
  predictions: { sha256: "a", labelsSha256: "b" },
  proofs: [],
};
mkdirSync(join(folder, "store", "runs", RESULT.name), { recursive: true });
writeFileSync(join(folder, "store", "runs", RESULT.name, "result.json"), JSON.stringify(RESULT));
for (const file of [
  "config.json",
  "env.json",
  "events.jsonl",
  "metrics.csv",
  "predictions.jsonl",
  "adapter/adapter_config.json",
  "adapter/adapter_model.safetensors",
]) {
  mkdirSync(dirname(join(folder, "store", "runs", RESULT.name, file)), { recursive: true });
  writeFileSync(join(folder, "store", "runs", RESULT.name, file), "");
}
writeDigests(join(folder, "store", "runs", RESULT.name));

const resultJson: FuzzFormat = {
  name: "result.json",
  draw: (random) =>
    random.integer(8) === 0 ? encoder.encode(JSON.stringify(RESULT)) : damaged(RESULT as Json, random),
  read(bytes) {
    tampered(join("store", "runs", RESULT.name), "result.json", bytes);
    return new RunStore(join(folder, "store")).finished(RESULT.name);
  },
  senseless: (bytes, _: RunResult) =>
    textOf(bytes) === JSON.stringify(RESULT) ? undefined : "it is not what was written",
};

const COUNTERS: Counters = { identity: "same", step: 12, seconds: 3.5, tokens: 4096, finished: false };
mkdirSync(join(folder, "pretrained", "state"), { recursive: true });
writeFileSync(join(folder, "pretrained", "state", "counters.json"), JSON.stringify(COUNTERS));
writeFileSync(join(folder, "pretrained", "state", "tensors.safetensors"), SOUND);
writeDigests(join(folder, "pretrained", "state"));

const counters: FuzzFormat = {
  name: "pretrain state",
  draw: (random) =>
    random.integer(8) === 0 ? encoder.encode(JSON.stringify(COUNTERS)) : damaged({ ...COUNTERS }, random),
  read(bytes) {
    tampered(join("pretrained", "state"), "counters.json", bytes);
    return readCounters(join(folder, "pretrained"), "same");
  },
  senseless: (bytes, _: Counters) =>
    textOf(bytes) === JSON.stringify(COUNTERS) ? undefined : "it is not what was written",
};

const builder = new TokenSetBuilder();
for (const row of [[1, 2, 3], [4], [70_000, 5]]) builder.push(row);
const TOKEN_SET = builder.build();
const cachePath = ((): string => {
  const at = join(folder, "cache");
  cachedTokenSet(at, "key", () => TOKEN_SET);
  return at;
})();
const cacheFile = join(cachePath, readdirSync(cachePath)[0]!);
const CACHE = Uint8Array.from(readFileSync(cacheFile));

const tokenCache: FuzzFormat = {
  name: "token cache",
  draw: (random) => mutateBytes(CACHE, random),
  read(bytes) {
    writeFileSync(cacheFile, bytes);
    return cachedTokenSet(cachePath, "key", () => {
      throw new Error("it is there");
    });
  },
  senseless: (_, set: TokenSet) =>
    set.ids.join() === TOKEN_SET.ids.join() && set.offsets.join() === TOKEN_SET.offsets.join()
      ? undefined
      : "it is not what was written",
};

const TSV = 'sentence\tlabel\nit \'s a charming film \t1\n"quoted" and "bad" \t0\nunflinchingly bleak\t0\n';

const labelledTsv: FuzzFormat = {
  name: "train.tsv",
  draw(random) {
    let bytes = mutateBytes(encoder.encode(TSV), random);
    for (let n = random.integer(3); n > 0; n--) bytes = mutateBytes(bytes, random);
    return bytes;
  },
  read: (bytes) => readLabelledTsv(yamlFile("train.tsv", bytes), 2),
  senseless: (_, rows: readonly LabelledText[]) =>
    rows.every(({ text, label }) => (label === 0 || label === 1) && text.trim() !== "" && !text.includes("\0")) &&
    rows.length > 0
      ? undefined
      : `a row is ${JSON.stringify(rows)}`,
};

export const FORMATS: readonly FuzzFormat[] = [
  configJson,
  adapterConfig,
  tokenizerJson,
  tokenizerConfig,
  safetensorsFile,
  ggufFile,
  quantizationConfig,
  bnbEntries,
  mlxAdapter,
  study,
  overrides,
  pretrain,
  resultJson,
  counters,
  tokenCache,
  labelledTsv,
];
