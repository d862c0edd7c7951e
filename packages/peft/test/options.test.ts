/** Option objects and configuration files: unknown keys, wrong types and senseless numbers are errors that name the key. */
import { Linear, Module, type Projection } from "@lowrank/nn";
import { init, LowrankError } from "@lowrank/tensor";
import { expect, it } from "vitest";
import {
  activate,
  adaLora,
  adaLoraConfig,
  adapt,
  attach,
  combine,
  explainedVariance,
  familyRanks,
  inputDirections,
  loadAdapter,
  loadMlxAdapter,
  adapterConfig,
  magnitudeBudget,
  parseAdapterConfig,
  saveAdapter,
  tripletsOf,
} from "../src/index.ts";
import { MemoryFiles } from "./memory-files.ts";

class One extends Module {
  l: Projection = new Linear(16, 16);
}

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
  [{ lora_alpha: 8 }, 'LoRA: has an unknown key "lora_alpha"; did you mean "alpha"?'],
  [{ target_modules: ["l"] }, 'did you mean "targetModules"?'],
  [{ targetModule: ["l"] }, 'did you mean "targetModules"?'],
  [{ r: "8" }, '"r" must be a positive whole number'],
  [{ r: 0 }, '"r" must be'],
  [{ r: 1.5 }, '"r" must be'],
  [{ r: 2 ** 31 }, "beyond which no memory holds it"],
  [{ alpha: NaN }, '"alpha" must be a finite number'],
  [{ dropout: 1.5 }, '"dropout" must be a number at least 0 and below 1'],
  [{ dora: "true" }, '"dora" must be true or false'],
  [{ rsLora: 1 }, '"rsLora" must be true or false'],
  [{ taskType: "SEQ_CLASS" }, '"taskType" must be one of "SEQ_CLS"'],
  [{ bias: "some" }, '"bias" must be one of'],
  [{ initLora: "pissa_niter_4" }, '"initLora" must be one of true, false, "gaussian"'],
  [{ initLora: "eva" }, '"initLora" must be one of'],
  [{ targetModules: 5 }, '"targetModules" must be'],
  [{ targetModules: ["l", 5] }, '"targetModules" must be'],
  [{ modulesToSave: "head" }, '"modulesToSave" must be a list'],
  [{ rankPattern: { l: "4" } }, '"rankPattern.l" must be a positive whole number'],
  [{ layersToTransform: ["0"] }, '"layersToTransform.0" must be'],
  [{ onUnmatchedPattern: "ignore" }, '"onUnmatchedPattern" must be one of'],
  [
    { rankPattern: new Map([["l", 4]]) },
    '"rankPattern" must be an object whose values are each a positive whole number up to 1073741824, beyond which no memory holds it, got a Map',
  ],
  [{ adaLora: { totalSteps: 10 } }, 'did you mean "totalStep"?'],
  [{ adaLora: { totalStep: 10, initR: 4, targetR: 50 } }, "target_r 50 is more than init_r 4"],
  [{ adaLora: { totalStep: 100, tinit: 900 } }, "tinit 900 and tfinal 0 leave no step of 100"],
  [{ adaLora: { totalStep: 10 }, rsLora: true }, "use_rslora has no meaning under AdaLoRA"],
  [{ adaLora: { totalStep: 10 }, alphaPattern: { l: 4 } }, "alpha_pattern has no meaning under AdaLoRA"],
  [{ adaLora: { totalStep: 10 }, loraBias: true }, "lora_bias has no meaning under AdaLoRA"],
  [{ adaLora: { totalStep: 10, beta1: 1 } }, '"adaLora.beta1" must be'],
])("loraConfig(%j)", (options, message) => {
  expect(input(() => adapterConfig(options as never))).toContain(message);
});

it("a rank that the layer cannot use is one line, before anything is made", () => {
  expect(input(() => attach(new One(), { r: 1_000_000, targetModules: ["l"] }))).toBe(
    "LoRA: rank 1000000 on l, which is 16 × 16: ranks above 16 add nothing to it, and above 1024 are refused; give a smaller r",
  );
  expect(attach(new One(), { r: 1024, targetModules: ["l"] }).table[0]!.rank).toBe(1024);
  expect(input(() => attach(new One(), { r: 1025, targetModules: ["l"] }))).toContain("above 1024 are refused");
  expect(
    input(() =>
      attach(new One(), { adaLora: adaLoraConfig({ totalStep: 10, initR: 1_000_000 }), targetModules: ["l"] }),
    ),
  ).toContain("rank 1000000 on l");
});

it.each<[unknown, string]>([
  [null, "must be an object, got null"],
  [[], "must be an object"],
  ["{}", "must be an object"],
  [{}, 'there is no "peft_type"; PEFT writes it into every file'],
  [{ fine_tune_type: "lora" }, "the file is mlx-lm's; read it with loadMlxAdapter"],
  [{ config: { architecture: "lora" }, model_name: "bert" }, "AdapterHub's"],
  [{ peft_type: "LORA", use_dora: "true" }, '"use_dora" must be true or false'],
  [{ peft_type: "LORA", lora_dropout: 1.5 }, '"lora_dropout" must be'],
  [{ peft_type: "LORA", lora_alpha: "16" }, '"lora_alpha" must be a finite number'],
  [{ peft_type: "LORA", r: 1e300 }, '"r" must be'],
  [{ peft_type: "LORA", task_type: "SEQ" }, '"task_type" must be one of'],
  [{ peft_type: "LORA", modules_to_save: "classifier" }, '"modules_to_save" must be a list'],
  [
    { peft_type: "LORA", init_lora_weights: "pissa_niter_16" },
    '"init_lora_weights": "pissa_niter_16" is not built: random numbers decided the base',
  ],
  [{ peft_type: "LORA", init_lora_weights: "mica" }, '"mica" is not built'],
  [{ peft_type: "LORA", init_lora_weights: "lora_ga" }, "is not built"],
  [{ peft_type: "LORA", init_lora_weights: "constructor" }, "is no start that PEFT knows"],
  [{ peft_type: "LORA", init_lora_weights: "gausian" }, "is no start that PEFT knows"],
  [{ peft_type: "LORA", ensure_weight_tying: true }, '"ensure_weight_tying": true is not built'],
  [
    { peft_type: "ADALORA", total_step: 10, rank_pattern: { "l.lora_E": [true] } },
    "the kept ranks of l.lora_E are 1, and modules start with init_r 12",
  ],
  [{ peft_type: "ADALORA", total_step: 10, rank_pattern: { l: 4 } }, '"rank_pattern.l" must be a list'],
])("adapter_config.json %j is refused", (file, message) => {
  expect(input(() => parseAdapterConfig(file as never))).toContain(message);
});

it("a key that is no field of PEFT's class is listed, with the one that is meant; PEFT's own fields are not", async () => {
  const warnings = (file: Record<string, unknown>): readonly string[] =>
    attach(new One(), parseAdapterConfig({ peft_type: "LORA", target_modules: ["l"], ...file })).warnings;
  const line = (key: string, meant?: string): string =>
    `adapter_config.json: "${key}" is no field of PEFT's LoraConfig and is ignored${meant === undefined ? "" : `; did you mean "${meant}"?`}`;
  expect(
    warnings({
      lora_aplha: 32,
      rank: 4,
      frobnicate: 1,
      r_: 2,
      loraDropout: 0.5,
      init_r: 4,
      constructor: 1,
      unset: null,
    }),
  ).toEqual([
    line("lora_aplha", "lora_alpha"),
    line("rank", "r"),
    line("frobnicate"),
    line("r_", "r"),
    line("loraDropout", "lora_dropout"),
    line("init_r"),
    line("constructor"),
    line("unset"),
  ]);
  // dataclass fields of LoraConfig in PEFT 0.21.2
  const fields =
    `alora_invocation_tokens alpha_pattern arrow_config auto_mapping base_model_name_or_path bias corda_config ensure_weight_tying eva_config exclude_modules fan_in_fan_out inference_mode init_lora_weights
    kasa_config layer_replication layers_pattern layers_to_transform loftq_config lora_alpha lora_bias lora_dropout lora_ga_config megatron_config megatron_core modules_to_save monteclora_config peft_version
    qalora_group_size r rank_pattern revision runtime_config target_parameters task_type trainable_token_indices use_bdlora use_dora use_qalora use_rslora velora_config`.split(
      /\s+/,
    );
  const nulls = (keys: readonly string[]): Record<string, null> => Object.fromEntries(keys.map((key) => [key, null]));
  expect(warnings(nulls(fields))).toEqual([]);
  const ada = {
    ...nulls(fields),
    ...nulls("beta1 beta2 deltaT init_r orth_reg_weight target_r tfinal tinit".split(" ")),
    peft_type: "ADALORA",
    total_step: 10,
  };
  expect(warnings(ada)).toEqual([]);
  expect(warnings({ ...ada, target_rr: 4 })).toEqual([
    expect.stringMatching(/"target_rr" is no field of PEFT's AdaLoraConfig .* "target_r"\?$/),
  ]);
  const [device, model, files] = [await init({ device: "reference" }), new One(), new MemoryFiles()];
  await model.materialize({ device });
  const adapter = await adapt(model, parseAdapterConfig({ peft_type: "LORA", target_modules: ["l"], lora_aplha: 32 }), {
    device,
  });
  await saveAdapter(adapter, files);
  expect(JSON.parse(await files.text("adapter_config.json"))).toMatchObject({ lora_aplha: 32 });
  expect((await loadAdapter(model, files, { device, name: "again" })).warnings).toEqual([
    line("lora_aplha", "lora_alpha"),
  ]);
  device.close();
});

it("a path where a store of files is meant is one line that says so", async () => {
  const [device, model] = [await init({ device: "reference" }), new One()];
  await model.materialize({ device });
  const adapter = await adapt(model, { targetModules: ["l"] }, { device });
  const line = '"files" must be a store of files, such as directory(path) gives, got "/tmp/x"';
  const wrong = "/tmp/x" as never;
  for (const call of [
    () => saveAdapter(adapter, wrong),
    () => loadAdapter(model, wrong, { device, name: "b" }),
    () => loadMlxAdapter(model, wrong, { device, name: "b" }),
  ]) {
    await expect(call()).rejects.toMatchObject({ kind: "input", message: expect.stringContaining(line) as string });
  }
  device.close();
});

it("what PEFT takes is taken: null for absent, EVA's values, starts in any case", () => {
  expect(
    parseAdapterConfig({
      peft_type: "LORA",
      r: null,
      target_modules: null,
      use_dora: null,
      init_lora_weights: "eva",
    } as never),
  ).toMatchObject({ r: 8, targetModules: undefined, dora: false, initLora: true });
  expect(parseAdapterConfig({ peft_type: "LORA", init_lora_weights: "OLoRA" })).toMatchObject({ initLora: "olora" });
  expect(
    attach(
      new One(),
      parseAdapterConfig({
        peft_type: "ADALORA",
        total_step: 10,
        r: 4,
        alpha_pattern: { l: 99 },
        target_modules: ["l"],
      }),
    ).warnings,
  ).toEqual([
    expect.stringMatching(/^r \(4\) .* ignored, as in PEFT$/),
    expect.stringMatching(/^alpha_pattern .* ignored/),
  ]);
});

it("every function names a key that it does not know", async () => {
  const device = await init({ device: "reference" });
  const model = new One();
  await model.materialize({ device });
  const adapter = await adapt(
    model,
    { adaLora: adaLoraConfig({ totalStep: 10, initR: 2, targetR: 1 }), targetModules: ["l"] },
    { device },
  );
  const layers = tripletsOf(adapter);
  await expect(adapt(model, { targetModules: ["l"] }, { device, sed: 1 } as never)).rejects.toThrow(
    'adapt: has an unknown key "sed"; did you mean "seed"?',
  );
  await expect(adapt(model, { targetModules: ["l"] }, {} as never)).rejects.toThrow('adapt: "device" is missing');
  await expect(adapter.materialize({ device, sed: 1 } as never)).rejects.toThrow(
    'materialize: has an unknown key "sed"; did you mean "seed"?',
  );
  await expect(adapter.merge({ save: true } as never)).rejects.toThrow(
    'merge: has an unknown key "save"; did you mean "safe"?',
  );
  await expect(loadAdapter(model, new MemoryFiles(), { device, nme: "x" } as never)).rejects.toThrow(
    'did you mean "name"?',
  );
  await expect(loadMlxAdapter(model, new MemoryFiles(), { device, nme: "x" } as never)).rejects.toThrow(
    'did you mean "name"?',
  );
  await expect(saveAdapter(adapter, new MemoryFiles(), { base: "x" } as never)).rejects.toThrow(
    'did you mean "baseModel"?',
  );
  await expect(combine([[adapter, NaN]], "x", { device })).rejects.toThrow(
    'combine: "weights.0" must be a finite number',
  );
  await expect(explainedVariance(layers, new Map(), { totalSteps: 3, targetR: 1 } as never)).rejects.toThrow(
    'did you mean "targetRank"?',
  );
  await expect(
    inputDirections(model, layers, device, { batches: [], foward: () => undefined } as never),
  ).rejects.toThrow('did you mean "forward"?');
  expect(() => adaLora(layers, { total_step: 4 } as never)).toThrow('did you mean "totalSteps"?');
  expect(() => magnitudeBudget(layers, { totalSteps: 4, beta1: 0.5 } as never)).toThrow(
    'magnitudeBudget: has an unknown key "beta1"',
  );
  expect(() => familyRanks(model, { attn: 4 } as never)).toThrow('familyRanks: has an unknown key "attn"');
  expect(() => adapter.scaleBy("2" as never)).toThrow('scaleBy: "factor" must be a finite number');
  expect(() => activate(model, "nobody")).toThrow("no adapter called nobody; it has default");
  device.close();
});
