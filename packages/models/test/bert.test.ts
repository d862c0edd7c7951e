/** Checkpoints in and out, masks, and the cheap path of masked language modelling. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init, SafetensorsFile, serialize, fromBytes, type Device, type StoredTensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  architectureOf,
  BertForMaskedLM,
  BertForSequenceClassification,
  BertModel,
  fromPretrained,
  parseBertConfig,
  savePretrained,
} from "../src/index.ts";

const source = {
  vocab_size: 40,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 32,
  max_position_embeddings: 12,
  extra_key: "kept",
};
let device: Device;
let folder: string;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-models-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

async function saved(name: string, change: (tensors: Map<string, StoredTensor>) => void = () => {}): Promise<string> {
  const path = join(folder, name);
  const model = new BertForSequenceClassification(parseBertConfig(source));
  await model.materialize({ device, seed: 3 });
  await savePretrained(model, path);
  const file = await SafetensorsFile.open(fromBytes(readFileSync(join(path, "model.safetensors"))));
  const tensors = new Map<string, StoredTensor>();
  for (const n of file.names) tensors.set(n, await file.read(n));
  change(tensors);
  writeFileSync(join(path, "model.safetensors"), serialize(tensors));
  model.dispose();
  return path;
}

const ids = (rows: readonly (readonly number[])[]) => device.tensor(rows.flat(), [rows.length, rows[0]!.length], "i32");

describe("a checkpoint", () => {
  it("comes back bit for bit, with the config's unknown keys", async () => {
    const path = await saved("round");
    const { model, report } = await fromPretrained(path, BertForSequenceClassification, { device });
    expect(report).toEqual({ fresh: [], unused: [], forms: new Map() });
    await savePretrained(model, join(folder, "again"));
    expect(
      readFileSync(join(folder, "again", "model.safetensors")).equals(readFileSync(join(path, "model.safetensors"))),
    ).toBe(true);
    expect(JSON.parse(readFileSync(join(folder, "again", "config.json"), "utf8"))).toMatchObject({
      extra_key: "kept",
      architectures: ["BertForSequenceClassification"],
    });
  });

  it("is read under its old names, without the base's prefix and without a head", async () => {
    const plain = await fromPretrained(await saved("plain"), BertForSequenceClassification, { device });
    const old = await fromPretrained(
      await saved("old", (t) => {
        const before = new Map(t);
        t.clear();
        for (const [name, value] of before) {
          if (name.startsWith("classifier")) continue;
          t.set(
            name
              .replace(/^bert\./, "")
              .replace("LayerNorm.weight", "LayerNorm.gamma")
              .replace("LayerNorm.bias", "LayerNorm.beta"),
            value,
          );
        }
        t.set("cls.predictions.bias", { dtype: "f32", shape: [40], data: new Float32Array(40) });
        t.set("embeddings.position_ids", { dtype: "i32", shape: [1, 12], data: new Int32Array(12) });
      }),
      BertForSequenceClassification,
      { device },
    );
    expect(old.report).toEqual({
      fresh: ["classifier.weight", "classifier.bias"],
      unused: ["cls.predictions.bias"],
      forms: new Map(),
    });
    const x = { inputIds: ids([[1, 5, 9]]) };
    expect(await old.model.forward(x).lastHiddenState.data()).toEqual(
      await plain.model.forward(x).lastHiddenState.data(),
    );
  });

  it("of other shapes is refused with both shapes and where to look", async () => {
    const path = await saved("wrong", (t) => {
      t.set("bert.pooler.dense.weight", { dtype: "f32", shape: [16, 8], data: new Float32Array(128) });
    });
    await expect(fromPretrained(path, BertForSequenceClassification, { device })).rejects.toThrow(
      /bert.pooler.dense.weight is \[16, 8\] in the file and \[16, 16\] in the model; check vocab_size, hidden_size/,
    );
    await expect(fromPretrained(join(folder, "nowhere"), BertForSequenceClassification, { device })).rejects.toThrow(
      /there is no config.json/,
    );
  });

  it("names what a config may not say", () => {
    expect(() => parseBertConfig({ hidden_size: 10, num_attention_heads: 3 })).toThrow(
      /hidden_size 10 is not a multiple of num_attention_heads 3/,
    );
    expect(() => parseBertConfig({ hidden_size: "wide" })).toThrow(
      /"hidden_size" must be a positive whole number up to 1073741824, beyond which no memory holds it, got "wide"/,
    );
    expect(() => architectureOf("T5ForConditionalGeneration")).toThrow(
      /"T5ForConditionalGeneration" is not built; there are BertForSequenceClassification/,
    );
  });
});

describe("BERT", () => {
  it("does not look at masked positions: their ids change nothing", async () => {
    const model = new BertForSequenceClassification(parseBertConfig(source));
    await model.materialize({ device, seed: 3 });
    const mask = device.tensor(Uint8Array.of(1, 1, 1, 0, 0), [1, 5], "bool");
    const logits = async (tail: readonly number[]) =>
      await model.forward({ inputIds: ids([[1, 5, 9, ...tail]]), attentionMask: mask }).logits.data();
    // masked probabilities are exact zeros by choice, and 0·x adds nothing to a sum: the same bits
    expect(await logits([7, 8])).toEqual(await logits([30, 2]));
  });

  it("stays finite when a row may attend nothing", async () => {
    const model = new BertForSequenceClassification(parseBertConfig(source));
    await model.materialize({ device, seed: 3 });
    const out = await model
      .forward({ inputIds: ids([[1, 5, 9]]), attentionMask: device.tensor(new Uint8Array(3), [1, 3], "bool") })
      .logits.floats();
    expect(out.every(Number.isFinite)).toBe(true);
  });

  it("computes masked-language logits only where they are wanted", async () => {
    const model = new BertForMaskedLM(parseBertConfig(source));
    await model.materialize({ device, seed: 3 });
    const inputIds = ids([
      [1, 5, 9, 4],
      [2, 6, 7, 3],
    ]);
    const all = await model.forward({ inputIds }).logits.floats();
    const some = await model.forward({ inputIds, positions: device.tensor([6, 1], [2], "i32") }).logits.floats();
    // the same rows through a product of another height: only the order of k matters, and that is the same
    [6, 1].forEach((at, i) => expect(some.slice(i * 40, (i + 1) * 40)).toEqual(all.slice(at * 40, (at + 1) * 40)));
  });

  it("costs nothing to look at, whatever its size", () => {
    const before = device.memory().persistent;
    const model = new BertModel(parseBertConfig({}));
    expect(model.weights().reduce((n, w) => n + w.size, 0)).toBe(109_482_240);
    expect(device.memory().persistent).toBe(before);
  });

  it("says when a text is too long", async () => {
    const model = new BertForSequenceClassification(parseBertConfig(source));
    await model.materialize({ device, seed: 3 });
    expect(() => model.forward({ inputIds: ids([new Array<number>(13).fill(1)]) })).toThrow(
      /13 tokens is longer than the model's 12 positions/,
    );
  });
});
