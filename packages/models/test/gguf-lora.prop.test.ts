/** Adapters as llama.cpp's files: what it would add to the file's own weights is what the adapter adds to the model's. */
import { fc, test } from "@fast-check/vitest";
import { fromBytes, init, LowrankError, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GgufFile, metaModel, saveGguf, saveGgufLora, type LoraFactors, type PretrainedModel } from "../src/index.ts";
import { written } from "./written-bytes.ts";

const SIZES = {
  vocab_size: 7,
  hidden_size: 12,
  intermediate_size: 5,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  num_key_value_heads: 1,
  head_dim: 4,
  max_position_embeddings: 16,
};
const FAMILIES = {
  LlamaForCausalLM: { model_type: "llama", ...SIZES },
  Qwen3ForCausalLM: { model_type: "qwen3", ...SIZES },
  Gemma3ForCausalLM: { model_type: "gemma3_text", ...SIZES, query_pre_attn_scalar: 4 },
};
const MODULES = {
  "self_attn.q_proj": [12, 12],
  "self_attn.k_proj": [12, 4],
  "self_attn.v_proj": [12, 4],
  "self_attn.o_proj": [12, 12],
  "mlp.gate_proj": [12, 5],
  "mlp.up_proj": [12, 5],
  "mlp.down_proj": [5, 12],
} as const;

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

const numbers = (count: number): fc.Arbitrary<Float32Array> =>
  fc.float32Array({ minLength: count, maxLength: count, noNaN: true, min: -8, max: 8 });
const one = fc
  .tuple(
    fc.constantFrom(...(Object.keys(MODULES) as (keyof typeof MODULES)[])),
    fc.integer({ min: 0, max: 1 }),
    fc.integer({ min: 1, max: 3 }),
    fc.constantFrom(2, 2, 0.5, 0, -1, 1 / 3, 16 / Math.sqrt(8)),
  )
  .chain(([part, layer, rank, scale]) => {
    const [inFeatures, outFeatures] = MODULES[part];
    return fc.record({
      module: fc.constant(`model.layers.${layer}.${part}`),
      rank: fc.constant(rank),
      scale: fc.constant(scale),
      inFeatures: fc.constant(inFeatures),
      outFeatures: fc.constant(outFeatures),
      a: numbers(rank * inFeatures),
      b: numbers(outFeatures * rank),
    });
  });
const drawn = fc.uniqueArray(one, { minLength: 1, maxLength: 6, selector: ({ module }) => module });

const numbersOf = async (file: GgufFile, name: string): Promise<Float32Array> => {
  const bytes = await file.range(name);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
};
const fileOf = async (write: Parameters<typeof written>[0]): Promise<GgufFile> =>
  GgufFile.open(fromBytes(await written(write)));

/** `llama_adapter_lora_weight::get_scale`, times B·A. */
function added(a: Float32Array, b: Float32Array, rank: number, width: number, alpha: number): Float64Array {
  const scale = alpha === 0 ? 1 : alpha / rank;
  return Float64Array.from({ length: (b.length / rank) * width }, (_, at) => {
    const [o, c] = [Math.floor(at / width), at % width];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += b[o * rank + k]! * a[k * width + c]!;
    return scale * sum;
  });
}

describe.each(Object.entries(FAMILIES))("%s", (architecture, config) => {
  const model = metaModel(architecture, config);

  test.prop([drawn], { numRuns: 40 })(
    "has llama.cpp add to the file's weights what the adapter adds to the model's, rows where the file has them",
    async (factors) => {
      const file = await fileOf((sink) => saveGgufLora(model, factors, sink));
      expect(file.value("general.type")).toBe("adapter");
      expect(file.value("adapter.type")).toBe("lora");
      const alpha = file.value("adapter.lora.alpha") as number;
      expect(file.names.length).toBe(2 * factors.length);
      for (const { module, rank, scale, inFeatures, outFeatures, a, b } of factors) {
        // the model with this one delta in the place of the weight, written as a model
        const delta = Float32Array.from(added(a, b, rank, inFeatures, rank), (v) => v * scale);
        const wanted = await fileWith(model, `${module}.weight`, delta);
        const stored = nameOf(module);
        expect(file.info(`${stored}.lora_a`).shape).toEqual([rank, inFeatures]);
        expect(file.info(`${stored}.lora_b`).shape).toEqual([outFeatures, rank]);
        const got = added(
          await numbersOf(file, `${stored}.lora_a`),
          await numbersOf(file, `${stored}.lora_b`),
          rank,
          inFeatures,
          alpha,
        );
        const want = await numbersOf(wanted, stored);
        // B was rounded once, alpha once, the delta once: 2^-24 each, of the largest sum there can be
        const bound = 8 * 2 ** -24 * Math.abs(scale) * rank * 64;
        got.forEach((v, i) => expect(Math.abs(v - want[i]!)).toBeLessThanOrEqual(bound));
      }
    },
  );
});

const blocks: Readonly<Record<string, string>> = {
  q_proj: "attn_q",
  k_proj: "attn_k",
  v_proj: "attn_v",
  o_proj: "attn_output",
  gate_proj: "ffn_gate",
  up_proj: "ffn_up",
  down_proj: "ffn_down",
};
/** llama.cpp's name, written down a second time. */
function nameOf(module: string): string {
  const [, , layer, , part] = module.split(".");
  return `blk.${layer}.${blocks[part!]}.weight`;
}

async function fileWith(model: PretrainedModel, name: string, values: Float32Array): Promise<GgufFile> {
  await model.materialize({ device });
  const weight = new Map(model.namedWeights()).get(name)!;
  weight.parameter.write(values);
  return fileOf(async (sink) => void (await saveGguf(model, sink, { type: "F32" })));
}

describe("what no file can say", () => {
  const factors = (module: string): LoraFactors[] => [
    { module, rank: 1, scale: 1, inFeatures: 2, outFeatures: 2, a: new Float32Array(2), b: new Float32Array(2) },
  ];
  it.each<[string, keyof typeof FAMILIES, LoraFactors[], string]>([
    ["a tied output layer", "Gemma3ForCausalLM", factors("lm_head"), "lm_head is the embedding table in this model"],
    ["another module", "LlamaForCausalLM", factors("score"), "score has no tensor in a file of llama.cpp's"],
    ["nothing", "LlamaForCausalLM", [], "the adapter changes no module"],
  ])("is refused: %s", async (_, architecture, given, message) => {
    const model = metaModel(architecture, FAMILIES[architecture]);
    const error = await written((sink) => saveGgufLora(model, given, sink)).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(LowrankError);
    expect((error as LowrankError).message).toContain(message);
  });
});
