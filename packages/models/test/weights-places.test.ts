/** Where weights may lie in a folder, and where they may not. */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBytes, init, SafetensorsFile, serialize, type Device, type StoredTensor } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fromPretrained, GPT2LMHeadModel, metaModel, savePretrained } from "../src/index.ts";
import { SMALL } from "./small-models.ts";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-places-"));
  const model = metaModel(
    "GPT2LMHeadModel",
    SMALL["GPT2LMHeadModel"]!({ vocab: 11, heads: 2, width: 4, layers: 1, positions: 6 }),
  );
  await model.materialize({ device, seed: 3 });
  await savePretrained(model, folder);
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

it("weights in shards are those of one file, and one file is taken where both are", async () => {
  const { model: whole } = await fromPretrained(folder, GPT2LMHeadModel, { device });
  const file = await SafetensorsFile.open(fromBytes(readFileSync(join(folder, "model.safetensors"))));
  const shards: Record<string, StoredTensor>[] = [{}, {}, {}];
  for (const [i, name] of file.names.entries()) shards[i % 3]![name] = await file.read(name);
  for (const [i, shard] of shards.entries()) writeFileSync(join(folder, `part-${i}.safetensors`), serialize(shard));
  const weight_map = Object.fromEntries(file.names.map((name, i) => [name, `part-${i % 3}.safetensors`]));
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map }));
  renameSync(join(folder, "model.safetensors"), join(folder, "aside"));
  const { model, report } = await fromPretrained(folder, GPT2LMHeadModel, { device });
  expect([report.fresh, report.unused]).toEqual([[], []]);
  const others = new Map(whole.namedWeights());
  for (const [name, weight] of model.namedWeights())
    expect((await weight.read()).data, name).toEqual((await others.get(name)!.read()).data);
  rmSync(join(folder, "part-1.safetensors"));
  await expect(fromPretrained(folder, GPT2LMHeadModel, { device })).rejects.toThrow(
    'names "part-1.safetensors", which is not there',
  );
  renameSync(join(folder, "aside"), join(folder, "model.safetensors"));
  await fromPretrained(folder, GPT2LMHeadModel, { device });
});

it.each(["pytorch_model.bin", "pytorch_model.bin.index.json"])(
  "%s is never read, and how to convert it is said",
  async (name) => {
    const other = mkdtempSync(join(folder, "pickled-"));
    writeFileSync(join(other, "config.json"), readFileSync(join(folder, "config.json")));
    await expect(fromPretrained(other, GPT2LMHeadModel, { device })).rejects.toThrow(
      "there is no model.safetensors; give the folder of a Hugging Face checkpoint",
    );
    writeFileSync(join(other, name), "whatever");
    await expect(fromPretrained(other, GPT2LMHeadModel, { device })).rejects.toThrow(
      `there is no model.safetensors; ${name} is a pickle, which is a program and never run here: convert it once in Python with`,
    );
  },
);
