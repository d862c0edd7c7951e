import { describe, expect, it } from "vitest";
import { metaModel } from "@lowrank/models";
import { shapeOf } from "../src/bases/shape.ts";
import type { BaseShape } from "../src/bases/shape.ts";
import type { MethodConfig } from "../src/config/study.ts";
import { methods } from "../src/methods/registry.ts";
import type { Prediction } from "../src/records/method.ts";
import type { LoraMethod } from "../src/methods/lora.ts";

/** bert-base-uncased is what a config.json without sizes means. */
const bertBase = shapeOf(metaModel("BertForSequenceClassification", { model_type: "bert" }), "SEQ_CLS");
const predictParameters = <O extends MethodConfig>(shape: BaseShape, method: O): Prediction =>
  methods.get(method.method).predict(shape, method);
const plain = { storage: "f32", precision: "f32", gradientCheckpointing: false, train: {} } as const;
const lora = (overrides: Partial<LoraMethod> = {}): LoraMethod => ({
  method: "lora",
  r: 8,
  alpha: 16,
  dropout: 0,
  target: ["query", "key", "value", "dense"],
  rankPattern: {},
  alphaPattern: {},
  rsLora: false,
  modulesToSave: ["classifier"],
  dora: false,
  ...plain,
  ...overrides,
});

describe("predicted parameter counts of BERT-base", () => {
  // Expected numbers: printed by Python PEFT for bert-base-uncased with two labels.
  it.each([
    ["r8 on query, key, value, dense", lora(), 1_340_930, 110_824_708],
    ["r8, all-linear", lora({ target: "all-linear" }), 1_340_930, 110_824_708],
    ["r8 without trained head", lora({ modulesToSave: [], exclude: ["classifier"] }), 1_339_392, 110_823_170],
    ["r8 on query and value", lora({ target: ["query", "value"] }), 296_450, 109_780_228],
    [
      "attention 6, feed-forward 10, pooler 8",
      lora({
        rankPattern: {
          "attention\\.(self\\.(query|key|value)|output\\.dense)": 6,
          "(intermediate|layer\\.\\d+\\.output)\\.dense": 10,
        },
      }),
      1_377_794,
      110_861_572,
    ],
    [
      "keys whose order lets output.dense win everywhere",
      lora({ rankPattern: { "output.dense": 10, "intermediate.dense": 10, query: 6, key: 6, value: 6 } }),
      1_451_522,
      110_935_300,
    ],
  ])("%s", (_, method, trainable, total) => {
    expect(predictParameters(bertBase, method)).toMatchObject({ trainable, total });
  });

  it("counts everything for full fine-tuning and the classifier alone for the head", () => {
    expect(predictParameters(bertBase, { method: "full", ...plain })).toMatchObject({
      trainable: 109_483_778,
      total: 109_483_778,
    });
    expect(predictParameters(bertBase, { method: "head", modules: ["classifier"], ...plain })).toMatchObject({
      trainable: 1538,
    });
    expect(predictParameters(bertBase, { method: "head", modules: ["classifier", "pooler"], ...plain })).toMatchObject({
      trainable: 1538 + 768 * 769,
    });
  });

  it("counts AdaLoRA's singular values as trained and its rank numbers as frozen", () => {
    const method = {
      ...lora(),
      ...plain,
      method: "adalora",
      initR: 12,
      targetR: 8,
      tinit: 0,
      tfinal: 0,
      deltaT: 1,
      beta1: 0.85,
      beta2: 0.85,
      orthRegWeight: 0.5,
      compat: "strict",
      allocator: true,
    } as const;
    expect(predictParameters(bertBase, method)).toMatchObject({ trainable: 2_011_502, total: 111_495_353 });
  });

  it("counts IA³'s vectors by what they scale, and VeRA's vectors without its projections", () => {
    const common = { modulesToSave: ["classifier"], ...plain };
    const ia3 = { method: "ia3", target: ["key", "value", "output.dense"], ...common } as const;
    expect(predictParameters(bertBase, ia3)).toMatchObject({ trainable: 66_050, total: 109_549_828 });
    const outputs = { ...ia3, target: ["query", "value"], feedforward: [] };
    expect(predictParameters(bertBase, outputs)).toMatchObject({ trainable: 19_970, total: 109_503_748 });
    const vera = { r: 256, dropout: 0, dInitial: 0.1, projectionPrngKey: 0, saveProjection: true, ...common } as const;
    expect(predictParameters(bertBase, { method: "vera", target: ["query", "value"], ...vera })).toMatchObject({
      trainable: 26_114,
      total: 109_509_892,
    });
    expect(() => predictParameters(bertBase, { ...ia3, feedforward: ["dense"] })).toThrow(
      '"feedforward" "dense" must stand in "target" too',
    );
    expect(() => predictParameters(bertBase, { ...ia3, feedforward: "query" })).toThrow(
      '"feedforward" "query" matches none of the adapted modules',
    );
  });

  it("refuses a pattern or a target that matches nothing", () => {
    expect(() => predictParameters(bertBase, lora({ rankPattern: { attention: 6 } }))).toThrow(
      /pattern "attention" matches none of the adapted modules/,
    );
    expect(() => predictParameters(bertBase, lora({ target: ["querry"] }))).toThrow(
      /"target" "querry" matches no module; did you mean "query"\?/,
    );
  });
});
