/** What a config.json of Llama and of the families that follow it may say of rotary positions and windows. */
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  architectureOf,
  metaModel,
  parseGemma3Config,
  parseLlamaConfig,
  parseMistralConfig,
  parseQwen2Config,
  parseQwen3Config,
  type ConfigSource,
} from "../src/index.ts";
import { attentionFactor, frequencies } from "../src/shared/rope-scaling.ts";

const small: ConfigSource = {
  vocab_size: 9,
  hidden_size: 4,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 6,
};

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());
const ids = () => device.tensor(Int32Array.of(3, 4, 5), [1, 3]);

it("rotary options count in all their spellings, and disagree in none", () => {
  expect(
    parseLlamaConfig({ ...small, rope_parameters: { rope_theta: 5e5, rope_type: "default" }, rope_scaling: null }),
  ).toMatchObject({ ropeTheta: 5e5, notBuilt: [] });
  expect(() => parseLlamaConfig({ ...small, rope_theta: 1e4, rope_parameters: { rope_theta: 5e5 } })).toThrow(
    "rope_theta 10000 and rope_parameters.rope_theta 500000 disagree",
  );
  const linear = { type: "linear", factor: 2 };
  expect(() =>
    parseLlamaConfig({
      ...small,
      rope_parameters: { rope_theta: 1e4, rope_type: "default" },
      rope_scaling: linear,
    }),
  ).toThrow('rope_parameters of rope_type "default" and rope_scaling of rope_type "linear" disagree; keep one');
  const both = { rope_parameters: { rope_theta: 1e4, rope_type: "linear", factor: 2 }, rope_scaling: linear };
  expect(parseLlamaConfig({ ...small, ...both }).rope.scaling).toEqual({ kind: "linear", factor: 2 });
  const unknown = metaModel("LlamaForCausalLM", { ...small, rope_scaling: { rope_type: "longrope" } });
  expect(() => unknown.forward({ inputIds: ids() } as never)).toThrow(
    'rope_scaling of rope_type "longrope" is not built; there are default, linear, dynamic, llama3, yarn',
  );
});

it.each([
  [{ rope_scaling: { rope_type: "linear" } }, /rope_scaling: "factor" is missing|rope_scaling: "factor" must be/],
  [{ rope_scaling: { rope_type: "linear", factor: 0.5 } }, /rope_scaling: "factor" must be a number at least 1/],
  [{ rope_parameters: { rope_type: "llama3", factor: 8 } }, /rope_parameters: .*"low_freq_factor"/],
  [{ rope_parameters: { rope_type: "yarn", factor: 4, beta_fast: "32" } }, /rope_parameters: "beta_fast" must be/],
])("rotary options %j are refused", (source, message) => {
  expect(() => parseLlamaConfig({ ...small, ...source })).toThrow(message);
});

it("rotary options are written for each version of transformers, and as they came", () => {
  const { family } = architectureOf("LlamaForCausalLM");
  const options = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 10, truncate: false };
  const written = family.file(
    family.parse({ ...small, rope_theta: 5e5, rope_scaling: options }) as never,
    "LlamaForCausalLM",
  );
  expect(written).toMatchObject({
    rope_theta: 5e5,
    rope_scaling: options,
    rope_parameters: { ...options, rope_theta: 5e5 },
  });
});

it("rotary options of Gemma 3 are two, in both forms", () => {
  const nested = {
    rope_parameters: {
      full_attention: { rope_theta: 1e6, rope_type: "linear", factor: 8 },
      sliding_attention: { rope_theta: 5e3, rope_type: "default" },
    },
  };
  const flat = { rope_theta: 1e6, rope_local_base_freq: 5e3, rope_scaling: { rope_type: "linear", factor: 8 } };
  for (const source of [nested, flat, { ...nested, ...flat }])
    expect(parseGemma3Config({ ...small, ...source })).toMatchObject({
      rope: { theta: 1e6, scaling: { kind: "linear", factor: 8 } },
      localRope: { theta: 5e3, scaling: { kind: "default" } },
    });
  expect(parseGemma3Config(small)).toMatchObject({ ropeTheta: 1e6, localRope: { theta: 1e4 } });
  const file = architectureOf("Gemma3ForCausalLM").family.file(
    parseGemma3Config({ ...small, ...flat }) as never,
    "Gemma3ForCausalLM",
  );
  expect(file).toMatchObject({ ...nested, ...flat });
  expect(() => parseGemma3Config({ ...small, rope_parameters: { rope_theta: 1e6 } })).toThrow(
    'config.json: rope_parameters must have an object for each kind of layer, such as "full_attention"',
  );
  expect(() => parseGemma3Config({ ...small, ...nested, rope_local_base_freq: 1e4 })).toThrow(
    "rope_local_base_freq 10000 and rope_parameters.sliding_attention.rope_theta 5000 disagree",
  );
});

it("layers have windows as layer_types says, or as older files do", () => {
  const full = "full_attention";
  const sliding = "sliding_attention";
  const three = { ...small, num_hidden_layers: 3 };
  expect(parseQwen2Config({ ...three, max_window_layers: 1 }).layerTypes).toEqual([full, full, full]);
  const slides = { use_sliding_window: true, sliding_window: 4, max_window_layers: 1 };
  expect(parseQwen2Config({ ...three, ...slides }).layerTypes).toEqual([full, sliding, sliding]);
  expect(parseQwen2Config({ ...three, ...slides, sliding_window: null }).layerTypes).toEqual([full, full, full]);
  const stated = { ...slides, layer_types: [sliding, full, full] };
  expect(parseQwen3Config({ ...three, ...stated }).layerTypes).toEqual([sliding, full, full]);
  expect(parseGemma3Config({ ...three, sliding_window_pattern: 2 }).layerTypes).toEqual([sliding, full, sliding]);
  expect(() => parseQwen2Config({ ...small, layer_types: [full, full] })).toThrow(
    "layer_types has 2 entries and num_hidden_layers is 1",
  );
  expect(() => parseQwen2Config({ ...small, layer_types: ["chunked_attention"] })).toThrow(/layer_types/);
});

const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
const yarn = { rope_type: "yarn", factor: 4 };

// `inv_freq` of transformers 5.24's LlamaRotaryEmbedding for θ 100, heads of 8 and max_position_embeddings 64, in f32
it.each([
  [llama3, undefined, undefined, [1, 0.24438459, 0.013042256, 0.0039528473]],
  [llama3, undefined, 48, [1, 0.1701123, 0.0125, 0.0039528473]],
  [llama3, 16, undefined, [0.57605636, 0.03952847, 0.0125, 0.0039528473]],
  [llama3, 16, 48, [0.57605636, 0.03952847, 0.0125, 0.0039528473]],
  [yarn, undefined, undefined, [1, 0.23717082, 0.049999997, 0.0079056947]],
  [yarn, undefined, 48, [1, 0.19764236, 0.025, 0.0079056947]],
  [yarn, 16, undefined, [1, 0.079056941, 0.025, 0.0079056947]],
  [yarn, 16, 48, [1, 0.079056941, 0.025, 0.0079056947]],
  // the factor is then the ratio of the two lengths
  [{ rope_type: "yarn" }, 16, undefined, [1, 0.079056941, 0.025, 0.0079056947]],
])("%j: the length before stretching is %s beside the options and %s among them", (options, beside, among, want) => {
  const scaling = { ...options, ...(among === undefined ? {} : { original_max_position_embeddings: among }) };
  const source = {
    ...small,
    max_position_embeddings: 64,
    rope_theta: 100,
    ...(beside === undefined ? {} : { original_max_position_embeddings: beside }),
  };
  for (const place of [{ rope_scaling: scaling }, { rope_parameters: scaling }]) {
    const { rope } = parseLlamaConfig({ ...source, ...place });
    const got = [...frequencies(rope.theta, 8, rope.scaling, 64)];
    // f32: half a unit in the last place of each of a few roundings
    got.forEach((f, i) => expect(Math.abs(f / want[i]! - 1)).toBeLessThan(2 ** -21));
    if (options.rope_type === "yarn") expect(attentionFactor(rope.scaling)).toBeCloseTo(1.138629436111989, 14);
  }
});

it("the length before stretching is a size, stays where it stood, and is not looked for there where layers differ", () => {
  const source = { ...small, max_position_embeddings: 64, original_max_position_embeddings: 16, rope_scaling: yarn };
  const { family } = architectureOf("LlamaForCausalLM");
  const written = family.file(family.parse(source) as never, "LlamaForCausalLM");
  expect(written).toMatchObject({ original_max_position_embeddings: 16, rope_scaling: yarn });
  expect((family.parse(written) as ReturnType<typeof parseLlamaConfig>).rope).toMatchObject({
    scaling: { positions: 16 },
  });
  expect(() => parseLlamaConfig({ ...source, original_max_position_embeddings: "16" })).toThrow(
    'config.json: "original_max_position_embeddings" must be a positive whole number',
  );
  expect(() => parseLlamaConfig({ ...source, originalMaxPositionEmbeddings: 16 })).toThrow(
    'the key "originalMaxPositionEmbeddings" is spelt "original_max_position_embeddings"',
  );
  // as in transformers
  expect(parseGemma3Config(source).rope.scaling).toMatchObject({ positions: 64 });
});

const SLIDING = "sliding_attention";
const FULL = "full_attention";

/** Every weight from its place alone, so that transformers' numbers can be had for the same ones. */
async function byPlace(name: string, source: ConfigSource): Promise<number[]> {
  const model = metaModel(name, source);
  const weights = new Map(model.namedWeights());
  const names = [...weights.keys()].sort();
  await model.materialize({
    device,
    values: {
      has: () => true,
      async read(weight) {
        const { shape } = weights.get(weight)!;
        const data = Float64Array.from(
          { length: shape.reduce((a, b) => a * b, 1) },
          (_, j) => 0.5 * Math.sin(1 + names.indexOf(weight) + 0.7 * j),
        );
        return { dtype: "f64", shape, data };
      },
    },
  });
  const { logits } = model.forward({ inputIds: device.tensor(Int32Array.of(1, 2, 3, 4, 5, 6), [1, 6]) });
  return [...(await logits!.floats())].slice(-11, -8);
}

// the last token's first three logits in transformers 5.24, loaded by AutoConfig: a Mistral with the key is a Ministral, Llama has no such key
it.each([
  ["MistralForCausalLM", [SLIDING, FULL], [0.028281354, -0.034765085, -0.082206581]],
  ["MistralForCausalLM", [FULL, SLIDING], [0.034319351, -0.039076473, -0.094932109]],
  ["Qwen2ForCausalLM", [SLIDING, FULL], [-0.013483991, -0.008514667, 0.000276621]],
  ["Qwen2ForCausalLM", [FULL, SLIDING], [-0.014142914, -0.007640863, 0.002290928]],
  ["Qwen3ForCausalLM", [SLIDING, FULL], [-0.02771902, 0.040089581, 0.089903243]],
  ["Qwen3ForCausalLM", [FULL, SLIDING], [-0.024434546, 0.02448266, 0.062410378]],
  ["Gemma3ForCausalLM", [SLIDING, FULL], [-1.465037304, -0.374465788, 0.884191528]],
  ["Gemma3ForCausalLM", [FULL, SLIDING], [0.220453819, 1.108045701, 1.498271056]],
  ["LlamaForCausalLM", [SLIDING, FULL], [0.032359211, -0.038375148, -0.091884122]],
  ["LlamaForCausalLM", [FULL, SLIDING], [0.032359211, -0.038375148, -0.091884122]],
])("a %s with layer_types %j computes what transformers does", async (name, types, want) => {
  const got = await byPlace(name, {
    vocab_size: 11,
    hidden_size: 8,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 4,
    intermediate_size: 6,
    max_position_embeddings: 64,
    sliding_window: 2,
    use_sliding_window: true,
    tie_word_embeddings: false,
    pad_token_id: 0,
    layer_types: types,
  });
  // transformers turns by f32 cosines and sines
  got.forEach((logit, i) => expect(Math.abs(logit - want[i]!)).toBeLessThan(2e-6));
});

it("a Mistral says layer_types only where a file without them would mean others: the key makes another class of it", () => {
  const two = { ...small, num_hidden_layers: 2 };
  const written = (source: ConfigSource): unknown => {
    const { family } = architectureOf("MistralForCausalLM");
    const file = family.file(family.parse({ ...two, ...source }) as never, "MistralForCausalLM");
    expect(parseMistralConfig(file).layerTypes).toEqual(parseMistralConfig({ ...two, ...source }).layerTypes);
    return Object.hasOwn(file, "layer_types") ? file["layer_types"] : "absent";
  };
  expect(written({})).toBe("absent");
  expect(written({ sliding_window: null })).toBe("absent");
  expect(written({ layer_types: null })).toBe("absent");
  expect(written({ layer_types: [SLIDING, SLIDING] })).toBe("absent");
  expect(written({ layer_types: [FULL, SLIDING] })).toEqual([FULL, SLIDING]);
  expect(written({ layer_types: [FULL, FULL] })).toEqual([FULL, FULL]);
});

it.each([
  ["Mistral", parseMistralConfig, { sliding_window: null }],
  ["Qwen 2", parseQwen2Config, { use_sliding_window: false, sliding_window: 4 }],
  ["Qwen 3", parseQwen3Config, { use_sliding_window: true, sliding_window: null }],
  ["Gemma 3", parseGemma3Config, { sliding_window: null }],
])("a %s with a layer that slides and no window is refused, as transformers fails", (_, parse, window) => {
  expect(() => parse({ ...small, ...window, layer_types: [SLIDING] })).toThrow(
    "config.json: layer_types has sliding_attention, and there is no window: set sliding_window",
  );
  expect(parse({ ...small, ...window, layer_types: [FULL] }).layerTypes).toEqual([FULL]);
});
