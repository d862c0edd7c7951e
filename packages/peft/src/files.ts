/** Adapter directories: `adapter_config.json` and `adapter_model.safetensors`. */
import { LowrankError, SafetensorsFile, toMemory, writeSafetensors, type Device, type RandomAccess, type ByteSink, type DType, type StoredTensor } from "@lowrank/tensor";
import type { Module } from "@lowrank/nn";
import type { LoraAdapter } from "./adapter.ts";
import { attach } from "./attach.ts";
import { adapterConfigFile, parseAdapterConfig } from "./config.ts";

/** The part of a file store that adapters need; `directory` of @lowrank/models is one. */
export interface AdapterFiles {
  readonly where: string;
  exists(name: string): Promise<boolean>;
  text(name: string): Promise<string>;
  open(name: string): Promise<RandomAccess>;
  write(name: string, produce: (sink: ByteSink) => Promise<void>): Promise<void>;
}

const CONFIG = "adapter_config.json";
const TENSORS = "adapter_model.safetensors";

export async function readAdapterConfig(files: AdapterFiles): Promise<Record<string, unknown>> {
  if (!(await files.exists(CONFIG))) throw new LowrankError("FileError", `${files.where}: there is no ${CONFIG}; give the folder that PEFT's save_pretrained wrote`);
  try {
    return JSON.parse(await files.text(CONFIG)) as Record<string, unknown>;
  } catch (cause) {
    throw new LowrankError("FormatError", `${files.where}/${CONFIG} is not valid JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Attaches the adapter stored in `files` to `model`, under any name; it becomes the active one. Where it does not fit, the error lists what differs and the model is as it was. */
export async function loadAdapter(model: Module, files: AdapterFiles, where: { device: Device; dtype?: DType; name?: string }): Promise<LoraAdapter> {
  const config = parseAdapterConfig(await readAdapterConfig(files));
  if (!(await files.exists(TENSORS))) throw new LowrankError("FileError", `${files.where}: there is no ${TENSORS}`);
  const source = await files.open(TENSORS);
  try {
    const file = await SafetensorsFile.open(source);
    const trained = model.trainableWeights();
    const adapter = attach(model, config, where.name);
    try {
      adapter.check(new Map(file.names.map((n) => [n, file.info(n).shape])));
    } catch (error) {
      await adapter.delete();
      for (const weight of trained) weight.trainable = true;
      throw error;
    }
    await adapter.materialize(where);
    const tensors = new Map<string, StoredTensor>();
    for (const name of file.names) tensors.set(name, await file.read(name));
    adapter.load(tensors, (dtype, t) => toMemory(dtype, t.data, t.dtype));
    return adapter;
  } finally {
    await source.close?.();
  }
}

/** Writes what Python's PEFT reads. Tensors are f32. */
export async function saveAdapter(adapter: LoraAdapter, files: AdapterFiles): Promise<void> {
  const weights = adapter.fileWeights();
  await files.write(TENSORS, (sink) =>
    writeSafetensors(sink, new Map([...weights].map(([name, w]) => [name, { dtype: "f32" as const, shape: w.shape }])), async (name) => {
      const { parameter } = weights.get(name)!;
      return { dtype: "f32", shape: parameter.shape, data: toMemory("f32", await parameter.data(), parameter.dtype) };
    }));
  const { TextEncoder } = globalThis as unknown as { TextEncoder: new () => { encode(t: string): Uint8Array } };
  const text = JSON.stringify(adapterConfigFile(adapter.config), null, 2);
  await files.write(CONFIG, async (sink) => { await sink(new TextEncoder().encode(text)); });
}
