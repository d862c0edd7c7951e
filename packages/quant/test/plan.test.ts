/** Which modules transformers converts, on the shapes its models have. */
import { Conv1D, Embedding, LayerNorm, Linear, Module, Projection, Weight } from "@lowrank/nn";
import { LowrankError, ops, type Tensor } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { foreignEntries, planQuantization, quantizationConfig, readQuantizationConfig } from "../src/index.ts";

class Base extends Module {
  readonly embeddings: Embedding = new Embedding(12, 8);
  readonly layer: Linear[] = [new Linear(8, 8), new Linear(8, 8)];
  readonly pooler: Linear = new Linear(8, 8);
}

class Classifier extends Module {
  readonly bert: Base = new Base();
  readonly classifier: Linear = new Linear(8, 2);
}

class TwoStepClassifier extends Module {
  readonly bert: Base = new Base();
  readonly pre_classifier: Linear = new Linear(8, 8);
  readonly classifier: Linear = new Linear(8, 2, { bias: false });
}

class Decoder extends Module {
  readonly wte: Embedding = new Embedding(12, 8);
  readonly h: Conv1D[] = [new Conv1D(8, 24), new Conv1D(24, 8)];
  readonly ln_f: LayerNorm = new LayerNorm(8);
}

class Tied extends Projection {
  readonly #table: Weight;
  readonly bias = undefined;
  readonly fanInFanOut = false;
  readonly inFeatures = 8;
  readonly outFeatures = 12;
  constructor(table: Weight) {
    super();
    this.#table = table;
  }
  get weight(): Weight {
    return this.#table;
  }
  forward(x: Tensor): Tensor {
    return ops.linear(x, this.#table.value);
  }
}

class LanguageModel extends Module {
  readonly transformer: Decoder = new Decoder();
  readonly lm_head: Projection;
  constructor(tied: boolean) {
    super();
    this.lm_head = tied ? new Tied(this.transformer.wte.weight) : new Linear(8, 12, { bias: false });
  }
}

class MaskedModel extends Module {
  readonly bert: Base = new Base();
  readonly transform: Linear = new Linear(8, 8);
  readonly norm: LayerNorm = new LayerNorm(8);
  readonly decoder: Tied = new Tied(this.bert.embeddings.weight);
}

class Wrapped extends Projection {
  readonly base: Projection;
  readonly extra: Weight = new Weight([2, 8], { kind: "zeros" });
  constructor(base: Projection) {
    super();
    this.base = base;
  }
  get weight(): Weight {
    return this.base.weight;
  }
  get bias(): Weight | undefined {
    return this.base.bias;
  }
  get fanInFanOut(): boolean {
    return this.base.fanInFanOut;
  }
  get inFeatures(): number {
    return this.base.inFeatures;
  }
  get outFeatures(): number {
    return this.base.outFeatures;
  }
  forward(x: Tensor): Tensor {
    return this.base.forward(x);
  }
}

/** Its last weight appears earlier, under another name. */
class Repeated extends Module {
  readonly first: Linear = new Linear(8, 8);
  readonly second: Linear = new Linear(8, 8);
  readonly also: Weight = this.first.weight;
  readonly last: Linear[] = [this.first];
}

const chosen = (model: Module): string[] => [...planQuantization(model).modules.keys()];
const body = ["bert.layer.0", "bert.layer.1", "bert.pooler"];

describe("transformers' default choice", () => {
  it("leaves the classifier out, and nothing else", () => expect(chosen(new Classifier())).toEqual(body));
  it("takes the first of two classifier layers", () =>
    expect(chosen(new TwoStepClassifier())).toEqual([...body, "pre_classifier"]));
  it("leaves a tied output layer out and takes the last block whole", () =>
    expect(chosen(new LanguageModel(true))).toEqual(["transformer.h.0", "transformer.h.1"]));
  it("leaves an untied output layer out", () =>
    expect(chosen(new LanguageModel(false))).toEqual(["transformer.h.0", "transformer.h.1"]));
  it("takes the transform before a tied decoder", () =>
    expect(chosen(new MaskedModel())).toEqual([...body, "transform"]));
  it("leaves the last module of a base model out, as transformers does", () =>
    expect(chosen(new Base())).toEqual(["layer.0", "layer.1"]));
  it("counts a weight with two names where it is first", () => expect(chosen(new Repeated())).not.toContain("second"));
  it("chooses the same under adapters: a layer and its wrapper are one, by the wrapper's path", () => {
    const model = new Classifier();
    model.bert.layer[0] = new Wrapped(model.bert.layer[0]!) as unknown as Linear;
    model.setModule("classifier", new Wrapped(model.classifier));
    expect(chosen(model)).toEqual(body);
  });
  it("leaves what trains, once something is frozen", () => {
    const model = new Classifier().freeze().unfreeze("bert.pooler");
    expect(chosen(model)).toEqual(["bert.layer.0", "bert.layer.1"]);
  });
  it("turns [in, out] weights", () => {
    expect([...planQuantization(new LanguageModel(true)).modules.values()].map((f) => f.transposed)).toEqual([
      true,
      true,
    ]);
    expect(
      [...planQuantization(new Classifier(), { format: "int8" }).modules.values()].map((f) => f.transposed),
    ).toEqual([false, false, false]);
  });
});

describe("quantization_config", () => {
  it("comes back as it was written", () => {
    for (const format of ["nf4", "fp4"] as const) {
      for (const doubleQuantization of [true, false]) {
        const choice = { format, doubleQuantization, computeDType: "bfloat16", skip: ["lm_head"] };
        expect(readQuantizationConfig({ quantization_config: quantizationConfig(choice) })).toEqual(choice);
      }
    }
    expect(readQuantizationConfig({ quantization_config: quantizationConfig({ format: "int8" }) })).toEqual({
      format: "int8",
      doubleQuantization: false,
      computeDType: "float32",
    });
  });

  it("has transformers' defaults where keys are left out, and is absent where there is none", () => {
    expect(
      readQuantizationConfig({ quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true } }),
    ).toEqual({ format: "fp4", doubleQuantization: false, computeDType: "float32" });
    expect(readQuantizationConfig({ model_type: "bert" })).toBeUndefined();
  });

  it("reads the skip list under both of its names, and refuses two lists that differ", () => {
    const own = { load_in_4bit: true, llm_int8_skip_modules: ["lm_head", "score"] };
    const read = (extra: object): readonly string[] | undefined =>
      readQuantizationConfig({ quantization_config: { ...own, ...extra } })!.skip;
    expect(read({ llm_int8_skip_modules: null, modules_to_not_convert: ["classifier"] })).toEqual(["classifier"]);
    expect(read({ modules_to_not_convert: ["score", "lm_head"] })).toEqual(["lm_head", "score"]);
    expect(() => read({ modules_to_not_convert: ["classifier"] })).toThrow("are two names of one list and differ");
    expect(() => read({ llm_int8_skip_modules: "lm_head" })).toThrow('"llm_int8_skip_modules" must be a list');
  });

  it.each<[object, string]>([
    [{ quant_method: "gptq", bits: 4, group_size: 128 }, "GPTQ"],
    [{ quant_method: "AWQ" }, "AWQ"],
    [{ quant_method: "fp8", activation_scheme: "dynamic" }, "FP8"],
    [{ quant_method: "hqq" }, "HQQ"],
    [{ quant_method: "compressed-tensors" }, "compressed-tensors"],
    [{ quant_method: "intel/auto-round" }, "AutoRound"],
    [{ quant_method: "something-new" }, 'the method "something-new"'],
    [{ group_size: 64, bits: 4 }, "MLX"],
    [{}, "a method that config.json does not name"],
  ])("refuses what %j says by name, with what to do", (quantization, label) => {
    expect(() => readQuantizationConfig({ quantization_config: quantization })).toThrow(
      new LowrankError(
        "NotBuiltError",
        `config.json: quantization_config: the weights are quantized by ${label}, which is not read here: take the checkpoint at full width and quantize it as it loads (storage: (model) => planQuantization(model).storage), or take a GGUF file or a bitsandbytes folder of it`,
      ),
    );
  });

  it("knows other methods by the entries that they leave beside one another", () => {
    const module = (...entries: string[]): string[] =>
      entries.map((entry) => `model.layers.0.self_attn.q_proj.${entry}`);
    expect(foreignEntries(module("qweight", "qzeros", "scales", "g_idx", "bias"))).toBe("GPTQ");
    expect(foreignEntries(module("qweight", "qzeros", "scales"))).toBe("AWQ or GPTQ");
    expect(foreignEntries(module("weight", "scales", "biases"))).toBe("MLX");
    expect(foreignEntries(module("weight", "weight_scale_inv"))).toBe("FP8");
    expect(foreignEntries(module("weight_packed", "weight_scale", "weight_shape"))).toBe("compressed-tensors");
    expect(foreignEntries(module("weight", "weight_scales"))).toBe("EETQ");
    expect(foreignEntries(module("weight", "bias", "weight.absmax", "SCB"))).toBeUndefined();
    // of two modules
    expect(foreignEntries(["a.weight", "b.weight_scales", "c.scales"])).toBeUndefined();
  });

  it("refuses values of another kind by their key", () => {
    for (const [key, value] of Object.entries({
      load_in_4bit: "true",
      bnb_4bit_use_double_quant: 1,
      bnb_4bit_compute_dtype: "half",
      llm_int8_threshold: -1,
      llm_int8_has_fp16_weight: "no",
      quant_method: 4,
    })) {
      expect(() =>
        readQuantizationConfig({
          quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true, [key]: value },
        }),
      ).toThrow(`config.json: quantization_config: "${key}" must be`);
    }
    expect(() => readQuantizationConfig({ quantization_config: [] })).toThrow("must be an object");
    expect(() =>
      readQuantizationConfig({ quantization_config: { load_in_8bit: true, llm_int8_has_fp16_weight: true } }),
    ).toThrow("llm_int8_has_fp16_weight");
  });

  it("refuses what it does not know", () => {
    expect(() => readQuantizationConfig({ quantization_config: { quant_method: "bitsandbytes" } })).toThrow(
      "exactly one of load_in_4bit and load_in_8bit",
    );
    expect(() =>
      readQuantizationConfig({
        quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true, bnb_4bit_quant_type: "int4" },
      }),
    ).toThrow('"bnb_4bit_quant_type" must be one of "nf4", "fp4", got "int4"');
  });
});
