/** Attaching adapters to a model, and what can be done with them then. */
import { Conv1D, Linear, Projection, type Module, type Weight } from "@lowrank/nn";
import { LowrankError, type Device, type DType, type StoredTensor } from "@lowrank/tensor";
import { loraConfig, type LoraConfig } from "./config.ts";
import { LoraProjection, SavedCopy } from "./lora-layer.ts";
import { parameterReport, type ParameterReport } from "./report.ts";
import { resolveTargets, type TargetRow } from "./select.ts";

export class LoraAdapter {
  readonly model: Module;
  readonly config: LoraConfig;
  /** What was resolved: module, size, rank, alpha, scale, parameters. */
  readonly table: readonly TargetRow[];
  readonly layers: ReadonlyMap<string, LoraProjection>;
  readonly saved: ReadonlyMap<string, SavedCopy>;

  constructor(model: Module, config: LoraConfig, table: readonly TargetRow[], layers: ReadonlyMap<string, LoraProjection>, saved: ReadonlyMap<string, SavedCopy>) {
    this.model = model;
    this.config = config;
    this.table = table;
    this.layers = layers;
    this.saved = saved;
  }

  /** Memory for what was attached: A drawn fresh from the seed, B zero, saved modules copied from their originals. Adapter weights are f32 whatever the base is. */
  async materialize(options: { device: Device; seed?: number; dtype?: DType }): Promise<void> {
    const dtype = options.dtype ?? options.device.defaultFloat;
    for (const { original, copy } of this.saved.values()) {
      const from = new Map(original.namedWeights());
      for (const [name, weight] of copy.namedWeights()) {
        const source = from.get(name)!.parameter;
        weight.parameter = options.device.parameter(await source.data(), weight.shape, dtype, source.dtype);
      }
    }
    await this.model.materialize({ ...options, dtype });
    for (const [name, weight] of this.model.namedWeights()) weight.name = name;
  }

  /** PEFT's counts and the table. */
  report(): ParameterReport { return parameterReport(this.model, this.table); }

  async merge(options: { safe?: boolean } = {}): Promise<void> {
    for (const layer of this.layers.values()) await layer.merge(options);
  }

  unmerge(): void {
    for (const layer of this.layers.values()) layer.unmerge();
  }

  /** Without adapters the model computes what the base computes; a merged adapter is unmerged first. */
  disable(): void {
    this.unmerge();
    this.#switch(false);
  }

  enable(): void { this.#switch(true); }

  #switch(on: boolean): void {
    for (const part of [...this.layers.values(), ...this.saved.values()]) part.enabled = on;
  }

  /** Tensors under the names of `adapter_model.safetensors`. */
  fileWeights(): Map<string, Weight> {
    const out = new Map<string, Weight>();
    for (const [path, layer] of this.layers) {
      out.set(`base_model.model.${path}.lora_A.weight`, layer.a);
      out.set(`base_model.model.${path}.lora_B.weight`, layer.b);
    }
    for (const [path, { copy }] of this.saved) for (const [name, weight] of copy.namedWeights()) out.set(`base_model.model.${path}.${name}`, weight);
    return out;
  }

  /** Writes tensors read from a file into the adapter. Names and shapes must meet exactly. */
  load(tensors: ReadonlyMap<string, StoredTensor>, toMemory: (dtype: DType, t: StoredTensor) => StoredTensor["data"]): void {
    const weights = this.fileWeights();
    const problems = [
      ...[...weights.keys()].filter((n) => !tensors.has(n)).map((n) => `${n} is missing`),
      ...[...tensors.keys()].filter((n) => !weights.has(n)).map((n) => `${n} has no place in this model`),
      ...[...tensors].flatMap(([n, t]) => {
        const w = weights.get(n);
        return w !== undefined && w.shape.join() !== t.shape.join() ? [`${n} is [${t.shape.join(", ")}], the model wants [${w.shape.join(", ")}]`] : [];
      }),
    ];
    if (problems.length > 0) throw new LowrankError("AdapterError", `the adapter does not fit this base: ${problems.slice(0, 4).join("; ")}${problems.length > 4 ? `; and ${problems.length - 4} more` : ""}`);
    for (const [name, tensor] of tensors) {
      const { parameter } = weights.get(name)!;
      parameter.write(toMemory(parameter.dtype, tensor));
    }
  }
}

/** Attaches LoRA to a model, structure only: works on models without memory. Freezes everything else. */
export function attach(model: Module, options: Partial<LoraConfig>): LoraAdapter {
  const config = loraConfig(options);
  const table = resolveTargets(model, config);
  const saved = findSaved(model, config);
  model.freeze();
  const layers = new Map<string, LoraProjection>();
  for (const row of table) {
    const layer = new LoraProjection(model.getModule(row.module) as Projection, { rank: row.rank, scale: row.scale, dropout: config.dropout });
    model.setModule(row.module, layer);
    layers.set(row.module, layer);
  }
  const copies = new Map<string, SavedCopy>();
  for (const [path, original] of saved) {
    const wrapper = new SavedCopy(original, sameShape(path, original));
    model.setModule(path, wrapper);
    copies.set(path, wrapper);
  }
  model.labelTree();
  return new LoraAdapter(model, config, table, layers, copies);
}

/** Attaches LoRA to a model in memory. */
export async function adapt(model: Module, options: Partial<LoraConfig>, where: { device: Device; seed?: number; dtype?: DType }): Promise<LoraAdapter> {
  const adapter = attach(model, options);
  await adapter.materialize(where);
  return adapter;
}

function findSaved(model: Module, config: LoraConfig): [string, Projection][] {
  return [...model.namedModules()].filter((entry): entry is [string, Projection] =>
    entry[1] instanceof Projection && config.modulesToSave.some((name) => entry[0] === name || entry[0].endsWith(`.${name}`)));
}

function sameShape(path: string, original: Projection): Projection {
  if (original instanceof Linear) return new Linear(original.inFeatures, original.outFeatures, { bias: original.bias !== undefined });
  if (original instanceof Conv1D) return new Conv1D(original.inFeatures, original.outFeatures);
  throw new LowrankError("AdapterError", `modules_to_save: ${path} is neither a Linear nor a Conv1D`);
}
