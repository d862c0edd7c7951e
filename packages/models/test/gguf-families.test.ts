/** Small random models of every architecture written as GGUF, as llama.cpp's conversion writes them: the same logits to the bit as from Hugging Face's names. */
import { fromBytes, init, LowrankError, RandomStream, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  blobs,
  fromPretrained,
  GgufFile,
  metaModel,
  openGguf,
  saveGguf,
  type ConfigSource,
  type GgufMatrixType,
  type PretrainedModel,
} from "../src/index.ts";
import { writeGguf, type Metadata, type WrittenTensor } from "./gguf-writer.ts";
import { written as bytesOf } from "./written-bytes.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => {
  device.close();
});

const SIZES = { vocab: 29, hidden: 24, inner: 40, layers: 7, heads: 4, keyValueHeads: 2, positions: 64 };
/** A length that says factors of Llama 3 apart: with the base below, some frequencies stay, some are divided, some are in between. */
const [WIDTH, THETA] = [8, 20_000];

const COMMON: ConfigSource = {
  vocab_size: SIZES.vocab,
  hidden_size: SIZES.hidden,
  intermediate_size: SIZES.inner,
  num_hidden_layers: SIZES.layers,
  num_attention_heads: SIZES.heads,
  num_key_value_heads: SIZES.keyValueHeads,
  head_dim: WIDTH,
  max_position_embeddings: SIZES.positions,
  rms_norm_eps: 2 ** -12,
  rope_theta: THETA,
  bos_token_id: 1,
};
const said = (name: string, more: Metadata = {}): Metadata => ({
  "general.architecture": name,
  [`${name}.embedding_length`]: SIZES.hidden,
  [`${name}.feed_forward_length`]: SIZES.inner,
  [`${name}.block_count`]: SIZES.layers,
  [`${name}.context_length`]: SIZES.positions,
  [`${name}.attention.head_count`]: SIZES.heads,
  [`${name}.attention.head_count_kv`]: SIZES.keyValueHeads,
  [`${name}.attention.key_length`]: WIDTH,
  [`${name}.attention.value_length`]: WIDTH,
  [`${name}.attention.layer_norm_rms_epsilon`]: 2 ** -12,
  [`${name}.rope.freq_base`]: THETA,
  [`${name}.vocab_size`]: SIZES.vocab,
  "tokenizer.ggml.bos_token_id": 1,
  ...Object.fromEntries(Object.entries(more).map(([key, value]) => [`${name}.${key}`, value])),
});

/** As `generate_extra_tensors` of llama.cpp's conversion has them. */
const factors = Float32Array.from({ length: WIDTH / 2 }, (_, i) => {
  const wavelength = 2 * Math.PI * THETA ** ((2 * i) / WIDTH);
  if (wavelength < 8192 / 4) return 1;
  if (wavelength > 8192) return 8;
  const smooth = (8192 / wavelength - 1) / 3;
  return 1 / ((1 - smooth) / 8 + smooth);
});

interface Case {
  readonly architecture: string;
  readonly config: ConfigSource;
  readonly metadata: Metadata;
  readonly factors?: Float32Array;
}

const llama3 = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};
const CASES: Readonly<Record<string, Case>> = {
  Llama: {
    architecture: "LlamaForCausalLM",
    config: { model_type: "llama" },
    metadata: said("llama", { "rope.dimension_count": WIDTH }),
  },
  "Llama, tied, scaled by llama3": {
    architecture: "LlamaForCausalLM",
    config: { model_type: "llama", tie_word_embeddings: true, rope_scaling: llama3 },
    metadata: said("llama"),
    factors,
  },
  "Llama, scaled by yarn": {
    architecture: "LlamaForCausalLM",
    config: {
      model_type: "llama",
      rope_scaling: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 16, beta_fast: 16 },
    },
    metadata: said("llama", {
      "rope.scaling.type": "yarn",
      "rope.scaling.factor": 4,
      "rope.scaling.original_context_length": 16,
      "rope.scaling.yarn_beta_fast": 16,
    }),
  },
  Mistral: {
    architecture: "MistralForCausalLM",
    config: { model_type: "mistral", sliding_window: 3 },
    metadata: said("llama", { "attention.sliding_window": 3 }),
  },
  "Qwen 2": { architecture: "Qwen2ForCausalLM", config: { model_type: "qwen2" }, metadata: said("qwen2") },
  "Qwen 3, tied": {
    architecture: "Qwen3ForCausalLM",
    config: { model_type: "qwen3", tie_word_embeddings: true },
    metadata: said("qwen3"),
  },
  "Gemma 3, of a pattern and a base of its own": {
    architecture: "Gemma3ForCausalLM",
    config: {
      model_type: "gemma3_text",
      sliding_window: 3,
      sliding_window_pattern: 2,
      query_pre_attn_scalar: WIDTH,
      rope_local_base_freq: 500,
      tie_word_embeddings: true,
    },
    metadata: said("gemma3", {
      "attention.sliding_window": 3,
      "attention.sliding_window_pattern": 2,
      "rope.freq_base_swa": 500,
    }),
  },
  "Gemma 3, scaled": {
    architecture: "Gemma3ForCausalLM",
    config: {
      model_type: "gemma3_text",
      sliding_window: 3,
      query_pre_attn_scalar: WIDTH,
      tie_word_embeddings: true,
      rope_scaling: { rope_type: "linear", factor: 8 },
    },
    metadata: said("gemma3", {
      "attention.sliding_window": 3,
      "rope.scaling.type": "linear",
      "rope.scaling.factor": 8,
    }),
  },
};

const OUTER: Readonly<Record<string, string>> = {
  "model.embed_tokens.weight": "token_embd.weight",
  "model.norm.weight": "output_norm.weight",
  "lm_head.weight": "output.weight",
};
const PARTS: Readonly<Record<string, string>> = {
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
  input_layernorm: "attn_norm",
};
const BEHIND: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  gemma3: {
    post_attention_layernorm: "post_attention_norm",
    pre_feedforward_layernorm: "ffn_norm",
    post_feedforward_layernorm: "post_ffw_norm",
  },
};

/** llama.cpp's name of a tensor. */
function theirName(name: string, architecture: string): string {
  if (Object.hasOwn(OUTER, name)) return OUTER[name]!;
  const [, layer, part, what] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name)!;
  const names = { ...PARTS, ...(BEHIND[architecture] ?? { post_attention_layernorm: "ffn_norm" }) };
  return `blk.${layer}.${names[part as keyof typeof names]}.${what}`;
}

/** Rows of each head by turns from its first and its second half. */
function paired(data: Float32Array, rows: number): Float32Array {
  const width = data.length / rows;
  return Float32Array.from(data, (_, at) => {
    const [row, column] = [Math.floor(at / width), at % width];
    const [head, r] = [Math.floor(row / WIDTH), row % WIDTH];
    return data[(head * WIDTH + (r % 2) * (WIDTH / 2) + (r >> 1)) * width + column]!;
  });
}

/** A model with weights that are multiples of 2^-10, so that adding 1 and taking it away again loses nothing. */
async function drawn({ architecture, config }: Case): Promise<PretrainedModel> {
  const model = metaModel(architecture, { ...COMMON, ...config });
  await model.materialize({ device });
  const random = new RandomStream(5, "gguf");
  for (const [, weight] of model.namedWeights()) {
    const value = Float32Array.from({ length: weight.size }, () => Math.round(random.normal() * 300) / 1024);
    weight.parameter.write(value);
  }
  return model;
}

async function written({ metadata, factors: extra }: Case, model: PretrainedModel): Promise<Uint8Array> {
  const architecture = metadata["general.architecture"] as string;
  const tensors = new Map<string, WrittenTensor>();
  for (const [name, weight] of model.namedWeights()) {
    if (model.tied.has(name) && name === "lm_head.weight") continue;
    let data = (await weight.value.data()) as Float32Array;
    if (architecture === "llama" && /\.[qk]_proj\./.test(name)) data = paired(data, weight.shape[0]!);
    if (architecture === "gemma3" && name.endsWith("norm.weight")) data = data.map((v) => v + 1);
    tensors.set(theirName(name, architecture), { shape: weight.shape, data });
  }
  if (extra !== undefined) tensors.set("rope_freqs.weight", { shape: [extra.length], data: extra });
  return writeGguf(metadata, tensors);
}

const ids = Int32Array.from({ length: 2 * 11 }, (_, i) => (7 * i + 3) % SIZES.vocab);
async function logitsOf(model: PretrainedModel): Promise<Float32Array> {
  const outputs = model.forward({ inputIds: device.tensor(ids, [2, 11], "i32") }) as {
    logits: { data(): Promise<unknown> };
  };
  return (await outputs.logits.data()) as Float32Array;
}

describe.each(Object.entries(CASES))("%s", (_, one) => {
  it("has the logits of the same weights under Hugging Face's names, to the bit", async () => {
    const model = await drawn(one);
    const bytes = await written(one, model);
    const { model: read, report } = await fromPretrained(blobs({ "model.gguf": new Blob([bytes as BlobPart]) }), {
      device,
      task: "CAUSAL_LM",
    });
    expect([read.constructor.name, report.fresh, report.unused]).toEqual([one.architecture, [], []]);
    expect(await logitsOf(read)).toEqual(await logitsOf(model));
  });
});

const saved = async (model: PretrainedModel, type: GgufMatrixType): Promise<Uint8Array> =>
  bytesOf(async (sink) => void (await saveGguf(model, sink, { type })));

describe.each(Object.entries(CASES))("%s, written here", (_, one) => {
  it("says what llama.cpp's conversion says, and has the same tensors and logits, to the bit", async () => {
    const model = await drawn(one);
    const bytes = await saved(model, "F32");
    const [ours, theirs] = [
      await GgufFile.open(fromBytes(bytes)),
      await GgufFile.open(fromBytes(await written(one, model))),
    ];
    for (const key of theirs.keys.filter((k) => !k.startsWith("tokenizer.")))
      expect([key, ours.value(key)]).toEqual([key, theirs.value(key)]);
    expect(ours.names.toSorted()).toEqual(theirs.names.toSorted());
    for (const name of theirs.names) {
      expect(ours.info(name)).toEqual(theirs.info(name));
      expect(await ours.range(name)).toEqual(await theirs.range(name));
    }
    const { model: read, report } = await fromPretrained(blobs({ "model.gguf": new Blob([bytes as BlobPart]) }), {
      device,
      task: "CAUSAL_LM",
    });
    // a file has no word for a window that nothing is outside of
    expect([read.constructor.name, report.fresh, report.unused]).toEqual([one.architecture, [], []]);
    expect(await logitsOf(read)).toEqual(await logitsOf(model));
  });
});

it("has matrices in F16 or Q8_0 where their rows are whole blocks, and vectors as they are", async () => {
  const model = await drawn(CASES["Qwen 2"]!);
  for (const type of ["F16", "Q8_0"] as const) {
    const file = await GgufFile.open(fromBytes(await saved(model, type)));
    expect(file.value("general.file_type")).toBe({ F16: 1, Q8_0: 7 }[type]);
    for (const name of file.names) {
      const { dtype, shape } = file.info(name);
      // rows of 24 and 40 are no whole blocks, those of the heads are
      expect([name, dtype]).toEqual([
        name,
        shape.length === 1 ? "F32" : type === "Q8_0" && shape.at(-1)! % 32 === 0 ? "Q8_0" : "F16",
      ]);
    }
  }
});

describe("what llama.cpp's files cannot say", () => {
  const refused = async (architecture: string, config: ConfigSource): Promise<string> => {
    const model = metaModel(architecture, { ...COMMON, ...config });
    await model.materialize({ device });
    const error = await bytesOf(async (sink) => void (await saveGguf(model, sink))).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(LowrankError);
    return (error as LowrankError).message;
  };
  const gemma = { model_type: "gemma3_text", sliding_window: 3, query_pre_attn_scalar: WIDTH };
  it.each<[string, ConfigSource, string]>([
    ["Gemma3ForCausalLM", { ...gemma, query_pre_attn_scalar: 3 }, `"query_pre_attn_scalar" is 3`],
    [
      "Gemma3ForCausalLM",
      { ...gemma, layer_types: [...Array(6).fill("sliding_attention"), "full_attention"].toReversed() },
      '"layer_types" is',
    ],
    [
      "LlamaForCausalLM",
      { model_type: "llama", rope_scaling: { rope_type: "dynamic", factor: 2 } },
      '"rope_scaling.rope_type" is "dynamic"',
    ],
    [
      "LlamaForCausalLM",
      { model_type: "llama", rope_scaling: { ...llama3, low_freq_factor: 2 } },
      '"rope_scaling.low_freq_factor" is 2',
    ],
    ["Qwen3ForCausalLM", { model_type: "qwen3", attention_bias: true }, '"attention_bias" is true'],
    [
      "LlamaForSequenceClassification",
      { model_type: "llama" },
      "score.weight of LlamaForSequenceClassification has no place",
    ],
    ["GPT2LMHeadModel", { model_type: "gpt2" }, 'models of the family "gpt2" are not written'],
  ])("is refused by name: %s %o", async (architecture, config, message) => {
    expect(await refused(architecture, config)).toContain(message);
  });
});

describe("metadata that would change the numbers", () => {
  const opened = async (
    metadata: Metadata,
    extra: ReadonlyMap<string, WrittenTensor> = new Map(),
  ): Promise<unknown> => {
    const embedding = { shape: [SIZES.vocab, SIZES.hidden], data: new Float32Array(SIZES.vocab * SIZES.hidden) };
    const bytes = writeGguf(metadata, new Map([["token_embd.weight", embedding], ...extra]));
    const found = await openGguf(blobs({ "model.gguf": new Blob([bytes as BlobPart]) }));
    await found!.close();
    return found!.config["rope_scaling"];
  };

  it("is refused by name where it is not built", async () => {
    for (const [metadata, message] of [
      [said("llama", { expert_count: 8 }), '"llama.expert_count" must be 0'],
      [said("qwen2", { "attention.sliding_window": 4 }), '"qwen2.attention.sliding_window" is not built'],
      [
        said("qwen3", { "rope.scaling.yarn_log_multiplier": 0.1 }),
        '"qwen3.rope.scaling.yarn_log_multiplier" is not built',
      ],
      [said("gemma3", { final_logit_softcapping: 30.5 }), '"gemma3.final_logit_softcapping" is not built'],
      [said("llama", { "attention.causal": false }), '"llama.attention.causal" must be true'],
      [said("phi3"), 'the architecture "phi3" is not built; there are gemma3, llama, qwen2, qwen3'],
    ] as const) {
      const error = await opened(metadata).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(LowrankError);
      expect([(error as LowrankError).code, (error as Error).message]).toEqual([
        "NotBuiltError",
        expect.stringContaining(message),
      ]);
    }
  });

  it("factors of rotary frequencies are the config's scaling, or refused", async () => {
    const tensor = (data: Float32Array): WrittenTensor => ({ shape: [data.length], data });
    expect(await opened(said("llama"), new Map([["rope_freqs.weight", tensor(factors)]]))).toEqual(llama3);
    const scaled = said("llama", { "rope.scaling.type": "linear", "rope.scaling.factor": 2 });
    expect(await opened(scaled)).toEqual({ rope_type: "linear", factor: 2 });
    for (const [metadata, name, message] of [
      [scaled, "rope_freqs.weight", 'both "rope_freqs.weight" and "rope.scaling.type"'],
      [said("qwen3"), "rope_factors_long.weight", '"rope_factors_long.weight" scales'],
    ] as const)
      await expect(opened(metadata, new Map([[name, tensor(factors)]]))).rejects.toThrow(message);
  });
});
