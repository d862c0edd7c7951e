/** What PEFT writes beside an adapter, and the words that its configuration has for it: our files are PEFT's to the byte. */
import { Embedding, Linear, Module, type FamilyFacts, type Weight } from "@lowrank/nn";
import { f32ToBf16, init, SafetensorsFile, serialize, type StoredTensor } from "@lowrank/tensor";
import fc from "fast-check";
import { expect, it } from "vitest";
import { adapt, loadAdapter, parseAdapterConfig, saveAdapter, type LoraConfig } from "../src/index.ts";
import { shortestNames } from "../src/shortest-names.ts";
import { DECODER } from "./family.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Toy } from "./toy.ts";

class Decoder extends Module {
  readonly embed_tokens: Embedding = new Embedding(7, 4);
  readonly layer: Linear[] = [new Linear(4, 4), new Linear(4, 4)];
  readonly lm_head: Linear = new Linear(4, 7, { bias: false });
  override get family(): FamilyFacts {
    return DECODER;
  }
}

/** As a family says it: the output layer is the table. */
class TiedDecoder extends Module {
  readonly embed_tokens: Embedding = new Embedding(7, 4);
  readonly layer: Linear[] = [new Linear(4, 4), new Linear(4, 4)];
  override get family(): FamilyFacts {
    return DECODER;
  }
  get tied(): ReadonlyMap<string, string> {
    return new Map([["embed_tokens.weight", "lm_head.weight"]]);
  }
}

/** Layers are counted from the second name of a path on. */
class Inner extends Module {
  readonly model: Toy = new Toy(3);
}
class Held extends Module {
  readonly base: Inner = new Inner();
}

const namesOf = async (files: MemoryFiles): Promise<string[]> =>
  (await SafetensorsFile.open(await files.open("adapter_model.safetensors"))).names
    .map((n) => n.replace("base_model.model.", ""))
    .filter((n) => !n.includes("lora_"));

it.each<[string, () => Module, Partial<LoraConfig>, string[]]>([
  [
    "a table among the targets: its base weight",
    () => new Decoder(),
    { targetModules: ["embed_tokens", "0"] },
    ["embed_tokens.base_layer.weight"],
  ],
  [
    "an output layer: its base weight",
    () => new Decoder(),
    { targetModules: ["lm_head", "0"] },
    ["lm_head.base_layer.weight"],
  ],
  ["neither: nothing", () => new Decoder(), { targetModules: ["0"] }, []],
  [
    "biases of a module trained whole: three times",
    () => new Toy(3),
    { targetModules: ["up"], bias: "all", taskType: "SEQ_CLS" },
    [
      "classifier.bias",
      "classifier.modules_to_save.bias",
      "classifier.original_module.bias",
      "classifier.weight",
      "layer.0.down.bias",
      "layer.0.up.base_layer.bias",
      "layer.1.down.bias",
      "layer.1.up.base_layer.bias",
    ],
  ],
])("writes what PEFT writes along with %s, and the same again after loading", async (_, make, config, along) => {
  const device = await init({ device: "wasm", threads: 1 });
  const [first, second] = [new MemoryFiles(), new MemoryFiles()];
  const [model, other] = [make(), make()];
  await model.materialize({ device, seed: 1 });
  await other.materialize({ device, seed: 1 });
  await saveAdapter(await adapt(model, { r: 2, alpha: 4, ...config }, { device, seed: 3 }), first);
  expect(await namesOf(first)).toEqual(along);
  await saveAdapter(await loadAdapter(other, first, { device }), second);
  expect(second.content.get("adapter_model.safetensors")).toEqual(first.content.get("adapter_model.safetensors"));
  device.close();
});

it("a file without base weights is written without them, one with other base weights keeps them", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const model = new Decoder();
  await model.materialize({ device, seed: 1 });
  const files = new MemoryFiles();
  await saveAdapter(
    await adapt(model, { r: 2, alpha: 4, targetModules: ["embed_tokens", "0"] }, { device, seed: 3 }),
    files,
  );
  const file = await SafetensorsFile.open(await files.open("adapter_model.safetensors"));
  const tensors = new Map<string, StoredTensor>();
  for (const name of file.names) tensors.set(name, await file.read(name));
  tensors.delete("base_model.model.embed_tokens.base_layer.weight");
  for (const [extra, wanted] of [
    [[], []],
    [["base_model.model.lm_head.weight"], ["lm_head.weight"]],
  ] as const) {
    for (const name of extra) tensors.set(name, { dtype: "f32", shape: [7, 4], data: new Float32Array(28).fill(0.25) });
    const [from, to] = [
      new MemoryFiles([...files.content, ["adapter_model.safetensors", serialize(tensors)]]),
      new MemoryFiles(),
    ];
    const fresh = new Decoder();
    await fresh.materialize({ device, seed: 1 });
    await saveAdapter(await loadAdapter(fresh, from, { device }), to);
    expect(await namesOf(to)).toEqual(wanted);
    expect(
      Buffer.compare(to.content.get("adapter_model.safetensors")!, from.content.get("adapter_model.safetensors")!),
    ).toBe(0);
  }
  device.close();
});

it("what a file had in half precision is written so while it is exact, and in f32 once it was trained", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const model = new Decoder();
  await model.materialize({ device, seed: 1 });
  const files = new MemoryFiles();
  await saveAdapter(await adapt(model, { r: 2, alpha: 4, targetModules: ["0"] }, { device, seed: 3 }), files);
  const file = await SafetensorsFile.open(await files.open("adapter_model.safetensors"));
  const half = new Map<string, StoredTensor>();
  for (const name of file.names)
    half.set(name, {
      ...(await file.read(name)),
      dtype: "bf16",
      data: f32ToBf16((await file.read(name)).data as Float32Array),
    });
  const [from, to, trained] = [
    new MemoryFiles([...files.content, ["adapter_model.safetensors", serialize(half)]]),
    new MemoryFiles(),
    new MemoryFiles(),
  ];
  const fresh = new Decoder();
  await fresh.materialize({ device, seed: 1 });
  const adapter = await loadAdapter(fresh, from, { device });
  await saveAdapter(adapter, to);
  expect(
    Buffer.compare(to.content.get("adapter_model.safetensors")!, from.content.get("adapter_model.safetensors")!),
  ).toBe(0);
  const [[name, weight]] = adapter.fileWeights() as unknown as [[string, Weight]];
  weight.parameter.write(Float32Array.from(await weight.parameter.data(), (v) => v + 1e-4));
  await saveAdapter(adapter, trained);
  const after = await SafetensorsFile.open(await trained.open("adapter_model.safetensors"));
  expect(after.names.map((n) => after.info(n).dtype)).toEqual(after.names.map((n) => (n === name ? "F32" : "BF16")));
  device.close();
});

it("an output layer that was trained apart does not become the table's, nor is it left out", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const [model, tied, files] = [new Decoder(), new TiedDecoder(), new MemoryFiles()];
  await model.materialize({ device, seed: 1 });
  await tied.materialize({ device, seed: 1 });
  await saveAdapter(
    await adapt(model, { r: 2, alpha: 4, targetModules: ["0"], modulesToSave: ["lm_head"] }, { device, seed: 3 }),
    files,
  );
  await expect(loadAdapter(tied, files, { device })).rejects.toThrow(
    "base_model.model.lm_head.weight was trained apart (modules_to_save), and this base has it as the embedding table: untie the two first",
  );
  device.close();
});

it("one layer or name that stood without a list in a file stands so again", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  for (const part of [
    { layers_to_transform: 1 },
    { layers_to_transform: [1] },
    { layers_to_transform: [0, 1], layers_pattern: "layer" },
    { layers_to_transform: [1], layers_pattern: ["layer"] },
  ]) {
    const [held, files] = [new Held(), new MemoryFiles()];
    await held.materialize({ device, seed: 1 });
    await saveAdapter(
      await adapt(held, parseAdapterConfig({ peft_type: "LORA", r: 2, target_modules: ["up"], ...part }), {
        device,
        seed: 1,
      }),
      files,
    );
    expect(JSON.parse(await files.text("adapter_config.json"))).toMatchObject(part);
  }
  device.close();
});

it("shortened names take the targets and no other module, and short lists stay", () => {
  const path = fc
    .array(fc.constantFrom("a", "b", "dense", "query", "0", "1", "2"), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join("."));
  fc.assert(
    fc.property(
      fc.uniqueArray(path, { minLength: 20, maxLength: 60 }),
      fc.integer({ min: 0, max: 40 }),
      (all, spared) => {
        // a module that ends with another's whole path cannot be told from it by names
        const others = all.slice(0, spared);
        const targets = all.slice(spared).filter((t) => !others.some((o) => o.endsWith(`.${t}`)));
        const short = shortestNames(targets, [...others, ...targets]);
        const takes = (p: string): boolean => short.some((name) => p === name || p.endsWith(`.${name}`));
        expect(targets.every(takes)).toBe(true);
        expect(others.some(takes)).toBe(false);
        if (targets.length < 20) expect(short).toEqual(targets);
        else expect(short.length).toBeLessThanOrEqual(targets.length);
      },
    ),
  );
  const layers = Array.from({ length: 12 }, (_, i) => ["query", "value"].map((n) => `bert.layer.${i}.${n}`)).flat();
  expect([...shortestNames(layers, [...layers, "bert.layer.0.key", "bert.layer.0"])].sort()).toEqual([
    "query",
    "value",
  ]);
});
