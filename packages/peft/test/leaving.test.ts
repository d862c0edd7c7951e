/** What else lies beside an adapter's tensors: a card, and MLX's form. */
import { Linear, Module, type Projection } from "@lowrank/nn";
import { init, ops, type Tensor } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { adapt, loadMlxAdapter, saveAdapter, saveMlxAdapter, type AdapterOptions } from "../src/index.ts";
import { input, stir } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Toy } from "./toy.ts";

it("a card says base, method, data, metric, seed and command, and is written again; a person's own stays", async () => {
  const device = await init({ device: "reference" });
  const model = new Toy(4);
  await model.materialize({ device, seed: 1 });
  model.origin = "me/toy | old";
  const adapter = await adapt(model, { r: 2, targetModules: ["up"], taskType: "CAUSAL_LM" }, { device });
  const files = new MemoryFiles();
  const card = { data: "my.csv", metrics: { accuracy: 0.5 }, seed: 13, command: "lowrank run mine" };
  await saveAdapter(adapter, files, { revision: "abc", card });
  const text = await files.text("README.md");
  expect(text.split("---")[1]).toBe(
    '\nbase_model: "me/toy | old"\nlibrary_name: peft\npipeline_tag: text-generation\ntags:\n- "base_model:adapter:me/toy | old"\n- lora\n- lowrank\n',
  );
  for (const line of [
    "| base | me/toy \\| old, revision abc |",
    "| method | LoRA |",
    "| data | my.csv |",
    "| seed | 13 |",
    "| accuracy | 0.5 |",
    "| trained values | 48 |",
    "```\nlowrank run mine\n```",
  ])
    expect(text).toContain(line);
  expect(JSON.parse(await files.text("adapter_config.json"))).toMatchObject({
    base_model_name_or_path: "me/toy | old",
    revision: "abc",
  });
  await saveAdapter(adapter, files);
  expect(await files.text("README.md")).toContain("| seed | not known |");
  files.content.set("README.md", new TextEncoder().encode("mine"));
  await saveAdapter(adapter, files);
  expect(await files.text("README.md")).toBe("mine");
  const bare = new MemoryFiles();
  await saveAdapter(adapter, bare, { card: false });
  expect(await bare.exists("README.md")).toBe(false);
  device.close();
});

class Layer extends Module {
  up: Projection = new Linear(4, 8);
  down: Projection = new Linear(8, 4);
}
class Body extends Module {
  layers: Layer[] = [new Layer(), new Layer()];
}
class Causal extends Module {
  transformer: Body = new Body();
  lm_head: Projection = new Linear(4, 5);

  forward(x: Tensor): Tensor {
    let h = x;
    for (const layer of this.transformer.layers) h = ops.add(h, layer.down.forward(ops.tanh(layer.up.forward(h))));
    return this.lm_head.forward(h);
  }
}

it.each<[string, AdapterOptions]>([
  ["one rank and one scale", { r: 2, alpha: 6 }],
  ["patterns and rsLoRA", { r: 2, alpha: 6, rsLora: true, rankPattern: { up: 3 }, alphaPattern: { lm_head: 5 } }],
  ["PiSSA, beside the original base", { r: 2, initLora: "pissa" }],
])("MLX's form has the same function: %s", async (_, options) => {
  const device = await init({ device: "wasm", threads: 1 });
  const fresh = async (): Promise<Causal> => {
    const model = new Causal();
    await model.materialize({ device, seed: 2 });
    return model;
  };
  const model = await fresh();
  const adapter = await adapt(model, { ...options, targetModules: ["up", "down", "lm_head"] }, { device });
  stir(adapter, 3);
  const files = new MemoryFiles();
  await saveMlxAdapter(adapter, files);
  const { lora_parameters: said } = JSON.parse(await files.text("adapter_config.json")) as {
    lora_parameters: { keys: string[]; rank: number };
  };
  expect(said.keys).toEqual(["up", "down", "lm_head"]);
  const other = await fresh();
  await loadMlxAdapter(other, files, { device });
  const x = input(device, 6, 4);
  const [got, want] = [await other.forward(x).floats(), await model.forward(x).floats()];
  // f32: B or the base is rounded once more, of numbers up to about 10
  want.forEach((v, i) => expect(Math.abs(got[i]! - v)).toBeLessThanOrEqual(2e-5 * Math.max(1, Math.abs(v))));
  device.close();
});

it("MLX's form refuses what it cannot say", async () => {
  const device = await init({ device: "reference" });
  const model = new Causal();
  await model.materialize({ device });
  const adapter = await adapt(model, { r: 2, dora: true, targetModules: ["up"] }, { device });
  await expect(saveMlxAdapter(adapter, new MemoryFiles())).rejects.toThrow("an MLX adapter cannot hold DoRA");
  device.close();
});
