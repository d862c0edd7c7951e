/** Option objects and configuration files: unknown keys, wrong types and senseless numbers are errors that name the key. */
import { Linear, Module, type Projection } from "@lowrank/nn";
import { init, LowrankError } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { activate, adaLora, adaLoraConfig, adapt, attach, combine, explainedVariance, familyRanks, inputDirections, loadAdapter, loadMlxAdapter, loraConfig, magnitudeBudget, parseAdapterConfig, saveAdapter, tripletsOf } from "../src/index.ts";
import { MemoryFiles } from "./memory-files.ts";

class One extends Module { l: Projection = new Linear(16, 16); }

const input = (body: () => unknown): unknown => {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(LowrankError);
    expect((error as LowrankError).kind).toBe("input");
    return (error as LowrankError).message;
  }
  throw new Error("nothing was thrown");
};

it.each<[Record<string, unknown>, string]>([
  [{ lora_alpha: 8 }, 'loraConfig: has an unknown key "lora_alpha"; did you mean "alpha"?'], [{ target_modules: ["l"] }, 'did you mean "targetModules"?'], [{ targetModule: ["l"] }, 'did you mean "targetModules"?'],
  [{ r: "8" }, '"r" must be a positive whole number'], [{ r: 0 }, '"r" must be'], [{ r: 1.5 }, '"r" must be'], [{ r: 2 ** 31 }, "beyond which no memory holds it"], [{ alpha: NaN }, '"alpha" must be a finite number'], [{ dropout: 1.5 }, '"dropout" must be a number at least 0 and below 1'],
  [{ dora: "true" }, '"dora" must be true or false'], [{ rsLora: 1 }, '"rsLora" must be true or false'], [{ taskType: "SEQ_CLASS" }, '"taskType" must be one of "SEQ_CLS"'], [{ bias: "some" }, '"bias" must be one of'],
  [{ initLora: "pissa_niter_4" }, '"initLora" must be one of true, false, "gaussian"'], [{ initLora: "eva" }, '"initLora" must be one of'], [{ targetModules: 5 }, '"targetModules" must be'], [{ targetModules: ["l", 5] }, '"targetModules" must be'],
  [{ modulesToSave: "head" }, '"modulesToSave" must be a list'], [{ rankPattern: { l: "4" } }, '"rankPattern.l" must be a positive whole number'], [{ layersToTransform: ["0"] }, '"layersToTransform.0" must be'], [{ onUnmatchedPattern: "ignore" }, '"onUnmatchedPattern" must be one of'],
  [{ adaLora: { totalSteps: 10 } }, 'did you mean "totalStep"?'], [{ adaLora: { totalStep: 10, initR: 4, targetR: 50 } }, "target_r 50 is more than init_r 4"], [{ adaLora: { totalStep: 100, tinit: 900 } }, "tinit 900 and tfinal 0 leave no step of 100"],
  [{ adaLora: { totalStep: 10 }, rsLora: true }, "use_rslora has no meaning under AdaLoRA"], [{ adaLora: { totalStep: 10 }, alphaPattern: { l: 4 } }, "alpha_pattern has no meaning under AdaLoRA"], [{ adaLora: { totalStep: 10 }, loraBias: true }, "lora_bias has no meaning under AdaLoRA"],
  [{ adaLora: { totalStep: 10, beta1: 1 } }, '"adaLora.beta1" must be'],
])("loraConfig(%j)", (options, message) => {
  expect(input(() => loraConfig(options as never))).toContain(message);
});

it("a rank that the layer cannot use is one line, before anything is made", () => {
  expect(input(() => attach(new One(), { r: 1_000_000, targetModules: ["l"] }))).toBe("LoRA: rank 1000000 on l, which is 16 × 16: an update of it has at most 16; give a smaller r");
  expect(input(() => attach(new One(), { adaLora: adaLoraConfig({ totalStep: 10, initR: 1_000_000 }), targetModules: ["l"] }))).toContain("rank 1000000 on l");
});

it.each<[unknown, string]>([
  [null, "must be an object, got null"], [[], "must be an object"], ["{}", "must be an object"], [{}, 'there is no "peft_type"; PEFT writes it into every file'], [{ fine_tune_type: "lora" }, "the file is mlx-lm's; read it with loadMlxAdapter"],
  [{ config: { architecture: "lora" }, model_name: "bert" }, "AdapterHub's"], [{ peft_type: "LORA", use_dora: "true" }, '"use_dora" must be true or false'], [{ peft_type: "LORA", lora_dropout: 1.5 }, '"lora_dropout" must be'],
  [{ peft_type: "LORA", lora_alpha: "16" }, '"lora_alpha" must be a finite number'], [{ peft_type: "LORA", r: 1e300 }, '"r" must be'], [{ peft_type: "LORA", task_type: "SEQ" }, '"task_type" must be one of'], [{ peft_type: "LORA", modules_to_save: "classifier" }, '"modules_to_save" must be a list'],
  [{ peft_type: "LORA", init_lora_weights: "pissa_niter_16" }, '"init_lora_weights": "pissa_niter_16" is not built: random numbers decided the base'], [{ peft_type: "LORA", init_lora_weights: "mica" }, '"mica" is not built'], [{ peft_type: "LORA", init_lora_weights: "lora_ga" }, "is not built"],
  [{ peft_type: "LORA", init_lora_weights: "constructor" }, "is no start that PEFT knows"], [{ peft_type: "LORA", init_lora_weights: "gausian" }, "is no start that PEFT knows"], [{ peft_type: "LORA", ensure_weight_tying: true }, '"ensure_weight_tying": true is not built'],
  [{ peft_type: "ADALORA", total_step: 10, rank_pattern: { "l.lora_E": [true] } }, "the kept ranks of l.lora_E are 1, and modules start with init_r 12"], [{ peft_type: "ADALORA", total_step: 10, rank_pattern: { l: 4 } }, '"rank_pattern.l" must be a list'],
])("adapter_config.json %j is refused", (file, message) => {
  expect(input(() => parseAdapterConfig(file as never))).toContain(message);
});

it("what PEFT takes is taken: null for absent, EVA's values, starts in any case", () => {
  expect(parseAdapterConfig({ peft_type: "LORA", r: null, target_modules: null, use_dora: null, init_lora_weights: "eva" } as never)).toMatchObject({ r: 8, targetModules: undefined, dora: false, initLora: true });
  expect(parseAdapterConfig({ peft_type: "LORA", init_lora_weights: "OLoRA" }).initLora).toBe("olora");
  expect(attach(new One(), parseAdapterConfig({ peft_type: "ADALORA", total_step: 10, r: 4, alpha_pattern: { l: 99 }, target_modules: ["l"] })).warnings).toEqual([expect.stringMatching(/^r \(4\) .* ignored, as in PEFT$/), expect.stringMatching(/^alpha_pattern .* ignored/)]);
});

it("every function names a key that it does not know", async () => {
  const device = await init({ device: "reference" });
  const model = new One();
  await model.materialize({ device });
  const adapter = await adapt(model, { adaLora: adaLoraConfig({ totalStep: 10, initR: 2, targetR: 1 }), targetModules: ["l"] }, { device });
  const layers = tripletsOf(adapter);
  await expect(adapt(model, { targetModules: ["l"] }, { device, sed: 1 } as never)).rejects.toThrow('adapt: has an unknown key "sed"; did you mean "seed"?');
  await expect(adapt(model, { targetModules: ["l"] }, {} as never)).rejects.toThrow('adapt: "device" is missing');
  await expect(adapter.merge({ save: true } as never)).rejects.toThrow('merge: has an unknown key "save"; did you mean "safe"?');
  await expect(loadAdapter(model, new MemoryFiles(), { device, nme: "x" } as never)).rejects.toThrow('did you mean "name"?');
  await expect(loadMlxAdapter(model, new MemoryFiles(), { device, nme: "x" } as never)).rejects.toThrow('did you mean "name"?');
  await expect(saveAdapter(adapter, new MemoryFiles(), { base: "x" } as never)).rejects.toThrow('did you mean "baseModel"?');
  await expect(combine([[adapter, NaN]], "x", { device })).rejects.toThrow('combine: "weights.0" must be a finite number');
  await expect(explainedVariance(layers, new Map(), { totalSteps: 3, targetR: 1 } as never)).rejects.toThrow('did you mean "targetRank"?');
  await expect(inputDirections(model, layers, device, { batches: [], foward: () => undefined } as never)).rejects.toThrow('did you mean "forward"?');
  expect(() => adaLora(layers, { total_step: 4 } as never)).toThrow('did you mean "totalSteps"?');
  expect(() => magnitudeBudget(layers, { totalSteps: 4, beta1: 0.5 } as never)).toThrow('magnitudeBudget: has an unknown key "beta1"');
  expect(() => familyRanks("bert", { attn: 4 } as never)).toThrow('familyRanks: has an unknown key "attn"');
  expect(() => adapter.scaleBy("2" as never)).toThrow('scaleBy: "factor" must be a finite number');
  expect(() => activate(model, "nobody")).toThrow("no adapter called nobody; it has default");
  device.close();
});
