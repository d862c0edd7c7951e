/** Files as PEFT really writes them: what the adapter needs must fit, what the base has is taken, the rest is listed. */
import { Embedding, LayerNorm, Linear, Module, type FamilyFacts, type Projection } from "@lowrank/nn";
import { init, ops, SafetensorsFile, serialize, type Device, type StoredTensor, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { adapt, loadAdapter, saveAdapter, type LoraConfig } from "../src/index.ts";
import { DECODER } from "./family.ts";
import { enlarge, random, stir } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";

class Layer extends Module {
  q_proj: Projection = new Linear(4, 4, { bias: false });
  input_layernorm: LayerNorm = new LayerNorm(4);
}
class Decoder extends Module {
  embed_tokens: Embedding = new Embedding(10, 4);
  layers: Layer[] = [new Layer()];
  norm: LayerNorm = new LayerNorm(4);
}
class Llama extends Module {
  model: Decoder = new Decoder();
  pre_classifier: Projection = new Linear(4, 4);
  lm_head: Projection = new Linear(4, 10, { bias: false });
  override get family(): FamilyFacts {
    return DECODER;
  }
  forward(ids: Tensor): Tensor {
    const [layer] = this.model.layers;
    return this.lm_head.forward(
      this.model.norm.forward(
        layer!.q_proj.forward(layer!.input_layernorm.forward(this.model.embed_tokens.forward(ids))),
      ),
    );
  }
}

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

async function llama(): Promise<Llama> {
  const model = new Llama();
  await model.materialize({ device, seed: 1 });
  return model;
}
const value = async (model: Llama): Promise<number[]> => [
  ...(await ops.cast(model.forward(device.tensor(Int32Array.of(1, 2, 9), [3])), "f64").floats()),
];

/** A saved adapter, its model's output, and tensors added to the file or taken out of it. */
async function file(
  config: Partial<LoraConfig>,
  extra: Record<string, StoredTensor | undefined> = {},
): Promise<{ files: MemoryFiles; want: number[] }> {
  const model = await llama();
  const adapter = await adapt(model, config, { device, seed: 3 });
  stir(adapter, 2);
  enlarge([...adapter.copies.values()].flatMap((copy) => copy.weights()));
  const files = new MemoryFiles();
  await saveAdapter(adapter, files);
  const stored = await SafetensorsFile.open(await files.open("adapter_model.safetensors"));
  const tensors = new Map<string, StoredTensor>();
  for (const name of stored.names) tensors.set(name, await stored.read(name));
  for (const [name, tensor] of Object.entries(extra)) {
    if (tensor === undefined) tensors.delete(`base_model.model.${name}`);
    else tensors.set(`base_model.model.${name}`, tensor);
  }
  files.content.set("adapter_model.safetensors", serialize(tensors));
  return { files, want: await value(model) };
}
const f32 = (shape: readonly number[], seed: number): StoredTensor => ({
  dtype: "f32",
  shape,
  data: Float32Array.from(
    random(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
  ),
});
const near = (a: readonly number[], b: readonly number[]): void =>
  a.forEach((v, i) => expect(Math.abs(v - b[i]!)).toBeLessThan(1e-5 * (1 + Math.abs(v))));

it("base weights of embeddings and heads replace the model's, as in PEFT, and that is said", async () => {
  const [table, head] = [f32([10, 4], 5), f32([10, 4], 6)];
  const { files } = await file(
    { targetModules: ["q_proj", "embed_tokens"] },
    { "model.embed_tokens.base_layer.weight": table, "lm_head.weight": head },
  );
  const model = await llama();
  const { warnings } = await loadAdapter(model, files, { device });
  expect(warnings).toEqual([
    expect.stringMatching(/^base_model\.model\.lm_head\.weight replaces the base's weight/),
    expect.stringMatching(/embed_tokens\.base_layer\.weight replaces the base's weight/),
  ]);
  expect([...(await model.model.embed_tokens.weight.value.floats())]).toEqual([...table.data]);
  expect([...(await model.lm_head.weight.value.floats())]).toEqual([...head.data]);
  const same = await llama();
  const own = (await same.lm_head.weight.read()).data;
  const plain = await file(
    { targetModules: ["q_proj"] },
    { "lm_head.weight": { dtype: "f64", shape: [10, 4], data: own } },
  );
  expect((await loadAdapter(same, plain.files, { device })).warnings).toEqual([]);
  near(await value(same), plain.want);
});

it("a larger vocabulary gives its first rows; the function of the ids that the model has is the file's", async () => {
  const [table, head] = [f32([12, 4], 5), f32([12, 4], 6)];
  const { files } = await file(
    { targetModules: ["q_proj", "embed_tokens"] },
    {
      "model.embed_tokens.base_layer.weight": table,
      "lm_head.weight": head,
      "model.embed_tokens.lora_embedding_A": f32([8, 12], 7),
    },
  );
  const model = await llama();
  const adapter = await loadAdapter(model, files, { device });
  expect(adapter.warnings.filter((w) => w.includes("for a larger vocabulary than the model's"))).toHaveLength(3);
  expect([...(await model.lm_head.weight.value.floats())]).toEqual(Array.from(head.data.subarray(0, 40)));
  const a = await adapter.updates.get("model.embed_tokens")!.weights[0]!.weight.value.floats();
  const stored = f32([8, 12], 7).data;
  expect([...a.subarray(10, 20)]).toEqual(Array.from(stored.subarray(12, 22)));
});

it("what has no place is left out and listed, unless it is a part of the adapter", async () => {
  const { files, want } = await file(
    { targetModules: ["q_proj"] },
    { "visual.proj.weight": f32([2, 2], 1), "model.norm.weight": f32([3], 1), "lm_head.bias": f32([10], 1) },
  );
  const model = await llama();
  const { warnings } = await loadAdapter(model, files, { device });
  expect(warnings).toEqual([
    "base_model.model.lm_head.bias has no place in this model; it is left out",
    "base_model.model.model.norm.weight is left out: it is [3], and the base's [4]",
    "base_model.model.visual.proj.weight has no place in this model; it is left out",
  ]);
  near(await value(model), want);
  const foreign = await file({ targetModules: ["q_proj"] }, { "model.layers.0.k_proj.lora_A.weight": f32([8, 4], 1) });
  const other = await llama();
  const [before, trained] = [await value(other), other.trainableWeights().length];
  await expect(loadAdapter(other, foreign.files, { device })).rejects.toThrow(
    "does not fit this base: base_model.model.model.layers.0.k_proj.lora_A.weight has no place in this model",
  );
  await expect(
    loadAdapter(
      other,
      (await file({ targetModules: ["q_proj"] }, { "model.layers.0.q_proj.lora_B.weight": undefined })).files,
      { device },
    ),
  ).rejects.toThrow("lora_B.weight is missing");
  expect([await value(other), other.trainableWeights().length]).toEqual([before, trained]);
});

it("modules that modules_to_save names only by the end of their name may be missing; others not", async () => {
  const both = { targetModules: ["q_proj"], modulesToSave: ["classifier", "norm"] };
  const { files } = await file(both, { "pre_classifier.weight": undefined, "pre_classifier.bias": undefined });
  const model = await llama();
  const adapter = await loadAdapter(model, files, { device });
  expect(adapter.warnings).toEqual(
    ["weight", "bias"].map(
      (w) =>
        `base_model.model.pre_classifier.${w} is missing; the base's values stay, since modules_to_save names its module only by the end of its name`,
    ),
  );
  expect(await adapter.copies.get("pre_classifier")!.weights()[0]!.value.floats()).toEqual(
    await (await llama()).pre_classifier.weight.value.floats(),
  );
  await expect(
    loadAdapter(await llama(), (await file(both, { "model.norm.weight": undefined })).files, { device }),
  ).rejects.toThrow("model.norm.weight is missing");
});

it("saved tables and norms come back, in whatever form PEFT repeats them", async () => {
  const { files, want } = await file(
    { targetModules: ["q_proj"], modulesToSave: ["embed_tokens", "lm_head", "norm"] },
    { "lm_head.modules_to_save.weight": f32([10, 4], 9) },
  );
  const model = await llama();
  expect((await loadAdapter(model, files, { device })).warnings).toEqual([]);
  near(await value(model), want);
});

it("names of biases that older PEFT wrote are taken", async () => {
  const config = { targetModules: ["pre_classifier"], bias: "lora_only" as const };
  const bias = f32([4], 3);
  const { files } = await file(config, { "pre_classifier.base_layer.bias": undefined, "pre_classifier.bias": bias });
  const model = await llama();
  await loadAdapter(model, files, { device });
  expect([...(await model.pre_classifier.bias!.value.floats())]).toEqual([...bias.data]);
});
