/** Adapter directories: what is written comes back, what is not built is refused by name. */
import { init, SafetensorsFile } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { adapt, loadAdapter, parseAdapterConfig, saveAdapter } from "../src/index.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Toy } from "./toy.ts";

it("an adapter comes back bit for bit, with the config's unknown keys", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const model = new Toy(3);
  await model.materialize({ device, seed: 1 });
  const config = parseAdapterConfig({
    peft_type: "LORA",
    r: 2,
    lora_alpha: 6,
    target_modules: ["up", "down"],
    task_type: "SEQ_CLS",
    some_future_key: [1],
    rank_pattern: { up: 3 },
  });
  const adapter = await adapt(model, config, { device, seed: 7 });
  const [first, second] = [new MemoryFiles(), new MemoryFiles()];
  await saveAdapter(adapter, first);
  const other = new Toy(3);
  await other.materialize({ device, seed: 2 });
  await saveAdapter(await loadAdapter(other, first, { device }), second);
  expect(second.content).toEqual(first.content);
  const file = await SafetensorsFile.open(await first.open("adapter_model.safetensors"));
  expect(file.names).toContain("base_model.model.layer.0.up.lora_A.weight");
  expect(file.names).toContain("base_model.model.classifier.weight");
  expect(file.info("base_model.model.layer.1.up.lora_B.weight").shape).toEqual([6, 3]);
  const text = await first.text("adapter_config.json");
  expect(JSON.parse(text)).toMatchObject({
    some_future_key: [1],
    r: 2,
    lora_alpha: 6,
    inference_mode: true,
    modules_to_save: ["classifier", "score"],
  });
  expect(Object.keys(JSON.parse(text) as object)).toEqual(Object.keys(JSON.parse(text) as object).sort());

  const wider = new Toy(4);
  await wider.materialize({ device, seed: 2 });
  await expect(loadAdapter(wider, first, { device })).rejects.toThrow(
    /does not fit this base: .*lora_A.weight is \[3, 3\], the model wants \[3, 4\]/,
  );
  device.close();
});

it.each([
  [{ use_qalora: true }, "use_qalora"],
  [{ peft_type: "LOHA" }, "LOHA"],
  [{ layer_replication: [[0, 1]] }, "layer_replication"],
  [{ r: "8" }, '"r" must be a positive whole number'],
  [{ target_modules: [1] }, "target_modules"],
  [{ bias: "some" }, '"bias" must be one of "none", "all", "lora_only"'],
  [{ init_lora_weights: "loftq", loftq_config: { loftq_bits: 8 } }, "loftq_bits 8 is not built"],
  [{ kasa_config: {} }, "kasa_config"],
  [{ lora_bias: true, use_dora: true }, "lora_bias"],
  [{ layers_pattern: "layer" }, "layers_to_transform too"],
  [{ target_modules: ".*query", layers_to_transform: [1] }, "which can name layers itself"],
])("refuses %j by name", (part, named) => {
  expect(() => parseAdapterConfig({ peft_type: "LORA", bias: "none", ...part })).toThrow(named);
});

it("several adapters are loaded side by side under names of one's own", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const [model, stored] = [new Toy(3), new MemoryFiles()];
  await model.materialize({ device, seed: 1 });
  const first = await adapt(
    model,
    { r: 2, targetModules: ["up"], taskType: "SEQ_CLS" },
    { device, seed: 7, name: "first" },
  );
  await saveAdapter(first, stored);
  const second = await loadAdapter(model, stored, { device, name: "second" });
  expect([...second.fileWeights().keys()]).toEqual([...first.fileWeights().keys()]);
  for (const [name, weight] of second.fileWeights())
    expect(await weight.parameter.data()).toEqual(await first.fileWeights().get(name)!.parameter.data());
  expect([...model.namedWeights()].map(([n]) => n)).toContain("layer.0.up.lora_A.second.weight");
  await expect(loadAdapter(model, stored, { device, name: "second" })).rejects.toThrow('there is an adapter "second"');
  device.close();
});
