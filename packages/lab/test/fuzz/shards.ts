/** `model.safetensors.index.json` beside two sound shards; what it names must be where it says. */
import { openShards, readTensor, serialize, type StoredTensor } from "@lowrank/tensor";
import { memory, rawJson } from "./files.ts";
import type { FuzzFormat } from "./judge.ts";
import { damaged, type Json } from "./mutate.ts";

const INDEX = "model.safetensors.index.json";
const tensor = (...values: number[]): StoredTensor => ({
  dtype: "f32",
  shape: [values.length],
  data: Float32Array.from(values),
});
const SHARDS: Readonly<Record<string, Readonly<Record<string, StoredTensor>>>> = {
  "model-00001-of-00002.safetensors": { a: tensor(1, 2), "b.weight": tensor(3) },
  "model-00002-of-00002.safetensors": { c: tensor(4, 5, 6) },
};
const FILES = Object.fromEntries(Object.entries(SHARDS).map(([name, tensors]) => [name, serialize(tensors)]));
const SOUND: Json = {
  metadata: { total_size: 24 },
  weight_map: Object.fromEntries(
    Object.entries(SHARDS).flatMap(([file, tensors]) => Object.keys(tensors).map((name) => [name, file])),
  ),
};

export const shardIndex: FuzzFormat = {
  name: "safetensors index",
  draw: (random) => damaged(SOUND, random),
  async read(bytes) {
    const files = memory({ ...FILES, [INDEX]: bytes });
    const source = await openShards(files);
    try {
      const values = new Map<string, StoredTensor>();
      for (const name of source.names) values.set(name, await readTensor(source, name));
      return values;
    } finally {
      await source.close();
    }
  },
  senseless(bytes, values: ReadonlyMap<string, StoredTensor>) {
    const map = (rawJson(bytes)["weight_map"] ?? undefined) as Record<string, unknown> | undefined;
    if (typeof map !== "object" || Array.isArray(map)) return "there is no weight_map";
    // as for transformers, an index says which files there are, and a file's other tensors are there as well
    const files = new Set(Object.values(map));
    const names = Object.keys(SHARDS)
      .filter((file) => files.has(file))
      .flatMap((file) => Object.keys(SHARDS[file]!));
    if (names.toSorted().join() !== [...values.keys()].toSorted().join()) return `there are ${names.join()}`;
    for (const [name, shard] of Object.entries(map)) {
      const said = Object.hasOwn(SHARDS, String(shard)) ? SHARDS[String(shard)]![name] : undefined;
      if (said === undefined || JSON.stringify(said) !== JSON.stringify(values.get(name)))
        return `${name} is not what is in ${JSON.stringify(shard)}`;
    }
    return undefined;
  },
};
