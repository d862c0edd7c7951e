/** Putting an adapter on a model: layers are wrapped, everything else is frozen. */
import { Conv1D, Embedding, Linear, Projection, type Module } from "@lowrank/nn";
import { LowrankError, type Device, type DType } from "@lowrank/tensor";
import { LoraAdapter } from "./adapter.ts";
import { loraConfig, type LoraConfig } from "./config.ts";
import { DoraUpdate } from "./layers/dora.ts";
import { LoraEmbedding } from "./layers/embedding.ts";
import { LoraUpdate, type LoraOptions } from "./layers/lora.ts";
import { LoraProjection } from "./layers/projection.ts";
import { SvdUpdate } from "./layers/svd.ts";
import type { Update } from "./layers/update.ts";
import { baseBiases, isLayer, placesOf, type Layer } from "./layers/walk.ts";
import { SavedCopy } from "./saved-copy.ts";
import { resolveTargets, type TargetRow } from "./select.ts";

/** Attaches an adapter to a model, structure only: works on models without memory. It becomes the active one; everything else is frozen. */
export function attach(model: Module, options: Partial<LoraConfig>, name = "default"): LoraAdapter {
  const config = loraConfig(options);
  if (!/^[\w-]+$/.test(name)) throw new LowrankError("AdapterError", `"${name}" is no name for an adapter; letters, digits, "_" and "-" are`);
  const table = resolveTargets(model, config);
  // everything that can fail comes first, so that a refused adapter leaves the model as it was
  const planned = table.map((row): [TargetRow, Layer, Update] => {
    const before = model.getModule(row.module);
    const layer = isLayer(before) ? before : before instanceof Embedding ? new LoraEmbedding(before) : new LoraProjection(before as Projection);
    if (layer.updates.has(name)) throw new LowrankError("AdapterError", `there is an adapter "${name}" on ${row.module} already; give this one another name`);
    return [row, layer, makeUpdate(layer, row, config)];
  });
  const heads = findSaved(model, config).map(([path, head]): [string, SavedCopy] => {
    const saved = head instanceof SavedCopy ? head : new SavedCopy(head);
    saved.copies.set(name, sameShape(path, saved.original));
    return [path, saved];
  });
  model.freeze();
  // the others rest everywhere, also where this one has no layer
  for (const [, place] of placesOf(model)) if (isLayer(place) && !place.adapters.final) place.adapters.activate([]);
  const sites = new Map<string, Layer>();
  for (const [{ module }, layer, update] of planned) {
    layer.adapters.add(name, update);
    layer.adapters.activate([name]);
    if (model.getModule(module) !== layer) model.setModule(module, layer);
    sites.set(module, layer);
    if (config.bias === "lora_only" && layer instanceof LoraProjection && layer.bias !== undefined) layer.bias.trainable = true;
  }
  for (const [path, saved] of heads) {
    saved.active = name;
    if (model.getModule(path) !== saved) model.setModule(path, saved);
  }
  if (config.bias === "all") for (const weight of baseBiases(model).values()) weight.trainable = true;
  model.labelTree();
  return new LoraAdapter({ model, name, config, table, sites, saved: new Map(heads) });
}

/** Attaches an adapter to a model in memory. Where its start is refused, the model has its layers back (frozen). */
export async function adapt(model: Module, options: Partial<LoraConfig>, where: { device: Device; seed?: number; dtype?: DType; name?: string }): Promise<LoraAdapter> {
  const adapter = attach(model, options, where.name);
  try {
    await adapter.materialize(where);
  } catch (error) {
    await adapter.delete();
    throw error;
  }
  return adapter;
}

function makeUpdate(layer: Layer, row: TargetRow, config: LoraConfig): Update {
  const { site } = layer;
  const embedding = layer instanceof LoraEmbedding;
  const options: LoraOptions = { rank: row.rank, scale: row.scale, dropout: config.dropout, loraBias: config.loraBias };
  if (config.adaLora !== undefined) {
    const { initR } = config.adaLora;
    if (embedding) throw new LowrankError("NotBuiltError", `AdaLoRA on the embedding ${row.module} is not built; name projections only`);
    return new SvdUpdate(site, { ...options, scale: row.alpha > 0 ? row.alpha : initR, initialRank: initR, identity: config.initLora !== false });
  }
  if (embedding && config.loraBias) throw new LowrankError("ConfigError", `lora_bias: the embedding ${row.module} can have none`);
  const Method = config.dora ? DoraUpdate : LoraUpdate;
  return new Method(site, { ...options, ...(embedding ? { initA: { kind: "zeros" }, initB: { kind: "normal", std: 1 } } : startOf(config, row.rank)) });
}

/** What a start draws; starts that need the base are `initialise`'s. */
function startOf({ initLora }: LoraConfig, rank: number): Partial<LoraOptions> {
  if (initLora === "gaussian") return { initA: { kind: "normal", std: 1 / rank } };
  // without PEFT's reset B keeps the values of a fresh linear layer
  return initLora === false ? { initB: { kind: "uniform", bound: 1 / Math.sqrt(rank) } } : {};
}

/** Projections under the names of `modules_to_save`: themselves, or all of a head of several layers. */
function findSaved(model: Module, config: LoraConfig): [string, Projection][] {
  const places = placesOf(model);
  return config.modulesToSave.flatMap((wanted) => [...model.namedModules()].filter(([path]) => path === wanted || path.endsWith(`.${wanted}`)).flatMap(([path]) => {
    const inner = places.filter((entry): entry is [string, Projection] => entry[1] instanceof Projection && (entry[0] === path || entry[0].startsWith(`${path}.`)));
    if (inner.length === 0 && !places.some(([place]) => path.startsWith(`${place}.`))) throw new LowrankError("AdapterError", `modules_to_save: ${path} holds no projection that could be copied`);
    return inner;
  })).filter(([path], i, all) => all.findIndex(([other]) => other === path) === i);
}

function sameShape(path: string, original: Projection): Projection {
  if (original instanceof Linear) return new Linear(original.inFeatures, original.outFeatures, { bias: original.bias !== undefined });
  if (original instanceof Conv1D) return new Conv1D(original.inFeatures, original.outFeatures);
  throw new LowrankError("AdapterError", `modules_to_save: ${path} is neither a Linear nor a Conv1D`);
}
