/** Adapters looked at without a model: what the file says, what its tensors are, and what is wrong with them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { metaModel } from "@lowrank/models";
import { directory, init, LowrankError, serialize, type StoredTensor } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { adapt, inspectAdapter, loadAdapter, saveAdapter } from "@lowrank/peft";
import { MemoryFiles } from "../../peft/test/memory-files.ts";

const fixtures = resolve(import.meta.dirname, "../../..", process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures");
const present = existsSync(join(fixtures, "families", "manifest.json"));

/** Folders of adapters below `folder`. */
function adapters(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const inside = readdirSync(folder, { withFileTypes: true });
  const here = inside.some((entry) => entry.name === "adapter_config.json") ? [folder] : [];
  return [...here, ...inside.filter((e) => e.isDirectory()).flatMap((e) => adapters(join(folder, e.name)))];
}

const json = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;

describe.skipIf(!present)("every adapter of the fixtures", () => {
  const found = ["peft", "models", "families"].flatMap((kind) => adapters(join(fixtures, kind)));
  it("is there", () => expect(found.length).toBeGreaterThan(60));

  it.each(found.map((path) => [path.slice(fixtures.length + 1), path]))("%s", async (_, path) => {
    const facts = await inspectAdapter(directory(path));
    const config = json(join(path, "adapter_config.json"));
    expect(JSON.parse(JSON.stringify(facts))).toEqual(facts);
    if (config["r"] !== undefined && facts.refused === null) expect(facts.rank).toBe(config["init_r"] ?? config["r"]);
    const where = join(path, "..", "checkpoint");
    if (!existsSync(where)) return;
    // against its base the verdict is the one that loading gives
    const source = json(join(where, "config.json"));
    const make = () => metaModel((source["architectures"] as string[])[0]!, source);
    const against = await inspectAdapter(directory(path), make());
    const device = await init({ device: "wasm", threads: 1 });
    const model = make();
    await model.materialize({ device });
    if (config["init_lora_weights"] === "loftq") {
      // fits the model, and loading waits for one in NF4 beside the original
      expect(against.refused).toBeNull();
      await expect(loadAdapter(model, directory(path), { device })).rejects.toThrow(/NF4/);
    } else if (against.refused === null) {
      const adapter = await loadAdapter(model, directory(path), { device });
      const ranks = adapter.table.flatMap(({ module, rank }) => (rank === undefined ? [] : [[module, rank] as const]));
      if (facts.method !== "vera" && facts.method !== "adalora")
        expect(
          new Map(facts.modules.flatMap(({ module, rank }) => (rank === null ? [] : [[module, rank] as const]))),
        ).toEqual(new Map(ranks));
      expect(new Set(facts.modules.map(({ module }) => module))).toEqual(
        new Set(adapter.table.map(({ module }) => module)),
      );
    } else await expect(loadAdapter(model, directory(path), { device })).rejects.toThrow(LowrankError);
    device.close();
  });
});

const BERT = {
  model_type: "bert",
  vocab_size: 11,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 12,
  max_position_embeddings: 6,
};

async function saved(): Promise<MemoryFiles> {
  const device = await init({ device: "reference" });
  const model = metaModel("BertForSequenceClassification", BERT);
  await model.materialize({ device });
  const files = new MemoryFiles();
  const options = { r: 2, alpha: 4, rankPattern: { "layer.1.attention.self.query": 3 }, taskType: "SEQ_CLS" } as const;
  await saveAdapter(await adapt(model, options, { device }), files, { baseModel: "../base" });
  device.close();
  return files;
}

const tensor: StoredTensor = { dtype: "f32", shape: [2, 3], data: new Float32Array(6) };

describe("an adapter", () => {
  it("with a pattern of ranks", async () => {
    const facts = await inspectAdapter(await saved(), metaModel("BertForSequenceClassification", BERT));
    expect(facts).toMatchObject({
      format: "peft",
      method: "lora",
      rank: 2,
      alpha: 4,
      targets: ["query", "value"],
      task: "SEQ_CLS",
      base: "../base",
      refused: null,
      warnings: [],
    });
    expect(facts.modules.map(({ rank }) => rank ?? 0).sort((a, b) => a - b)).toEqual([2, 2, 2, 3]);
  });

  it("that is another base's", async () => {
    const other = metaModel("BertForSequenceClassification", { ...BERT, hidden_size: 12 });
    expect((await inspectAdapter(await saved(), other)).refused).toMatch(/^the adapter does not fit this base: /);
  });

  it("of a method that is not built, as a pickle, with half of a product", async () => {
    const files = new MemoryFiles();
    const config = (keys: object): unknown =>
      files.content.set("adapter_config.json", new TextEncoder().encode(JSON.stringify(keys)));
    config({ peft_type: "LOHA", base_model_name_or_path: "org/base" });
    expect(await inspectAdapter(files)).toMatchObject({
      label: "LOHA",
      method: null,
      base: "org/base",
      refused: expect.stringMatching(/peft_type "LOHA" is not built/),
    });
    config({ peft_type: "LORA", r: 2 });
    expect((await inspectAdapter(files)).refused).toBe("there is no adapter_model.safetensors");
    files.content.set("adapter_model.bin", new Uint8Array(1));
    expect((await inspectAdapter(files)).refused).toMatch(/^adapter_model\.bin is a pickle/);
    const a = "base_model.model.x.lora_A.weight";
    files.content.set("adapter_model.safetensors", serialize({ [a]: tensor }));
    expect((await inspectAdapter(files)).warnings).toEqual([`"${a}" is there, and "${a.replace("_A", "_B")}" is not`]);
    files.content.set("adapter_model.safetensors", new Uint8Array(20));
    await expect(inspectAdapter(files)).rejects.toThrow(/^memory\/adapter_model\.safetensors: safetensors: /);
  });

  it("of mlx-lm", async () => {
    const files = new MemoryFiles([
      [
        "adapter_config.json",
        new TextEncoder().encode(JSON.stringify({ fine_tune_type: "lora", lora_parameters: { rank: 2, scale: 5 } })),
      ],
      [
        "adapters.safetensors",
        serialize({ "model.up.lora_a": { ...tensor, shape: [3, 2] }, "model.up.lora_b": tensor }),
      ],
    ]);
    expect(await inspectAdapter(files)).toMatchObject({
      format: "mlx",
      method: "lora",
      rank: 2,
      alpha: 10,
      modules: [{ module: "model.up", rank: 2, parameters: 12 }],
    });
  });
});
