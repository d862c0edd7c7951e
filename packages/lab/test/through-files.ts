/** A training's state as files would hold it. */
import { fromBytes, SafetensorsFile, serialize, type StoredTensor } from "@lowrank/tensor";
import type { Json, Saved, State } from "../src/train/state.ts";

export async function throughFiles({ values, tensors }: State): Promise<Saved> {
  const loaded = new Map<string, StoredTensor>();
  for (const [name, { dtype, shape, load }] of tensors)
    loaded.set(name, { dtype, shape, data: await load() } as StoredTensor);
  const file = await SafetensorsFile.open(fromBytes(serialize(loaded)));
  const read = new Map<string, StoredTensor>();
  for (const name of file.names) read.set(name, await file.read(name));
  return { values: JSON.parse(JSON.stringify(values)) as Json, tensors: read };
}
