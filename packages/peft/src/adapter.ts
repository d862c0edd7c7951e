/** Attaching adapters to a model, and what can be done with them then. */
import { Conv1D, Embedding, Linear, Projection, type Module, type Weight } from "@lowrank/nn";
import { LowrankError, type Device, type DType, type StoredTensor } from "@lowrank/tensor";
import { adaLoraConfig, loraConfig, type LoraConfig } from "./config.ts";
import { initialise } from "./initialise.ts";
import { DoraUpdate } from "./layers/dora.ts";
import { LoraUpdate } from "./layers/lora.ts";
import { embeddingNames, LoraEmbedding, LoraProjection, type MergeOptions, type MergeReport } from "./layers/projection.ts";
import { SvdUpdate } from "./layers/svd.ts";
import type { NamedUpdateWeight, Update, UpdateBase } from "./layers/update.ts";
import { parameterReport, type ParameterReport } from "./report.ts";
import { SavedCopy } from "./saved-copy.ts";
import { resolveTargets, type TargetRow } from "./select.ts";

type Layer = LoraProjection | LoraEmbedding;

export class LoraAdapter {
  readonly model: Module;
  readonly name: string;
  config: LoraConfig;
  /** What was resolved: module, size, rank, alpha, scale, parameters. */
  table: readonly TargetRow[];
  readonly sites: ReadonlyMap<string, Layer>;
  readonly saved: ReadonlyMap<string, SavedCopy>;

  constructor(model: Module, name: string, config: LoraConfig, table: readonly TargetRow[], sites: ReadonlyMap<string, Layer>, saved: ReadonlyMap<string, SavedCopy>) {
    this.model = model;
    this.name = name;
    this.config = config;
    this.table = table;
    this.sites = sites;
    this.saved = saved;
  }

  /** The projections this adapter sits on. */
  get layers(): ReadonlyMap<string, LoraProjection> {
    return new Map([...this.sites].filter((entry): entry is [string, LoraProjection] => entry[1] instanceof LoraProjection));
  }

  /** This adapter's update on each module. */
  get updates(): ReadonlyMap<string, Update> { return new Map([...this.sites].map(([path, layer]) => [path, layer.updates.get(this.name)!])); }

  /** Memory for what was attached: drawn fresh from the seed, saved modules copied from their originals. Adapter weights are f32 whatever the base is. */
  async materialize(options: { device: Device; seed?: number; dtype?: DType }): Promise<void> {
    const dtype = options.dtype ?? options.device.defaultFloat;
    for (const { original, copies } of this.saved.values()) {
      const from = new Map(original.namedWeights());
      for (const [name, weight] of copies.get(this.name)!.namedWeights()) {
        const { data, dtype: stored } = await from.get(name)!.read();
        weight.parameter = options.device.parameter(data, weight.shape, dtype, stored);
      }
    }
    await this.model.materialize({ ...options, dtype });
    for (const [name, weight] of this.model.namedWeights()) weight.name = name;
    for (const [path, layer] of this.sites) await initialise(path, layer, this.updates.get(path)!, this.config, options.seed ?? 0);
  }

  /** PEFT's counts and the table. */
  report(): ParameterReport { return parameterReport(this.model, this.table); }

  /** Works active adapters into the base. See `MergeOptions` for quantised bases. */
  async merge(options: MergeOptions = {}): Promise<MergeReport[]> {
    const reports: MergeReport[] = [];
    for (const layer of this.layers.values()) {
      const report = await layer.merge(options);
      if (report !== undefined) reports.push(report);
    }
    return reports;
  }

  unmerge(): void {
    for (const layer of this.layers.values()) layer.unmerge();
  }

  /** Without adapters the model computes what the base computes; a merged adapter is unmerged first. Trained base biases stay trained, as in PEFT. */
  disable(): void {
    this.unmerge();
    this.#switch(false);
  }

  enable(): void { this.#switch(true); }

  /** Runs `body` with adapters disabled. */
  async disabled<T>(body: () => Promise<T> | T): Promise<T> {
    this.disable();
    try {
      return await body();
    } finally {
      this.enable();
    }
  }

  /** Multiplies the strength of this adapter. */
  scaleBy(factor: number): void {
    for (const update of this.updates.values()) update.scale *= factor;
  }

  /** Takes the adapter off the model; its weights are freed. */
  delete(): void {
    this.unmerge();
    for (const layer of this.sites.values()) {
      for (const { weight } of layer.updates.get(this.name)?.weights ?? []) weight.dispose();
      layer.remove(this.name);
    }
    for (const saved of this.saved.values()) {
      saved.copies.get(this.name)?.dispose();
      saved.copies.delete(this.name);
    }
  }

  #switch(on: boolean): void {
    for (const part of [...this.sites.values(), ...this.saved.values()]) part.enabled = on;
  }

  /** Tensors under the names of `adapter_model.safetensors`. */
  fileWeights(): Map<string, Weight> {
    const out = new Map<string, Weight>();
    for (const [path, layer] of this.sites) {
      const names = layer instanceof LoraEmbedding ? embeddingNames : (w: NamedUpdateWeight): NamedUpdateWeight => w;
      for (const { file, weight } of layer.updates.get(this.name)!.weights.map(names)) if (file !== "") out.set(`base_model.model.${path}.${file}`, weight);
      const bias = layer instanceof LoraProjection && this.config.bias === "lora_only" ? layer.base.bias : undefined;
      if (bias !== undefined) out.set(`base_model.model.${path}.base_layer.bias`, bias);
    }
    if (this.config.bias === "all") for (const [name, weight] of this.model.namedWeights()) if (isBaseBias(name)) out.set(`base_model.model.${name}`, weight);
    for (const [path, { copies }] of this.saved) for (const [name, weight] of copies.get(this.name)!.namedWeights()) out.set(`base_model.model.${path}.${name}`, weight);
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

/** Attaches an adapter to a model, structure only: works on models without memory. Freezes everything else. */
export function attach(model: Module, options: Partial<LoraConfig>, name = "default"): LoraAdapter {
  const config = loraConfig(options);
  const table = resolveTargets(model, config);
  const saved = findSaved(model, config);
  model.freeze();
  const sites = new Map<string, Layer>();
  for (const row of table) {
    const before = model.getModule(row.module);
    const layer = before instanceof LoraProjection || before instanceof LoraEmbedding ? before : before instanceof Embedding ? new LoraEmbedding(before) : new LoraProjection(before as Projection);
    if (layer.updates.has(name)) throw new LowrankError("AdapterError", `there is an adapter "${name}" on ${row.module} already; give this one another name`);
    const update = makeUpdate(layer, row, config);
    for (const { weight } of update.weights) weight.trainable = !(update instanceof SvdUpdate && weight === update.ranknum);
    layer.add(name, update);
    layer.active = [name];
    if (layer !== before) model.setModule(row.module, layer);
    sites.set(row.module, layer);
    if (config.bias === "lora_only" && layer instanceof LoraProjection && layer.base.bias !== undefined) layer.base.bias.trainable = true;
  }
  const copies = new Map<string, SavedCopy>();
  for (const [path, original] of saved) {
    if (original instanceof SavedCopy) {
      original.copies.set(name, sameShape(path, original.original));
      original.active = name;
      copies.set(path, original);
      for (const weight of original.copies.get(name)!.weights()) weight.trainable = true;
      continue;
    }
    const wrapper = new SavedCopy(original, sameShape(path, original), name);
    model.setModule(path, wrapper);
    copies.set(path, wrapper);
  }
  if (config.bias === "all") for (const [weightName, weight] of model.namedWeights()) if (isBaseBias(weightName)) weight.trainable = true;
  model.labelTree();
  return new LoraAdapter(model, name, config, table, sites, copies);
}

/** Attaches an adapter to a model in memory. */
export async function adapt(model: Module, options: Partial<LoraConfig>, where: { device: Device; seed?: number; dtype?: DType; name?: string }): Promise<LoraAdapter> {
  const adapter = attach(model, options, where.name);
  await adapter.materialize(where);
  return adapter;
}

/** Which adapters take part, in all layers; several add up. Others keep their weights. */
export function activate(model: Module, ...names: readonly string[]): void {
  let found = 0;
  for (const [, m] of model.namedModules()) {
    if (m instanceof LoraProjection || m instanceof LoraEmbedding) {
      m.active = names.filter((n) => m.updates.has(n));
      found += m.active.length;
    }
    if (m instanceof SavedCopy) m.active = names.find((n) => m.copies.has(n)) ?? "";
  }
  if (found === 0) throw new LowrankError("NameError", `activate: the model has no adapter called ${names.join(" or ")}`);
}

/**
 * A new adapter whose update is exactly Σ weightᵢ·updateᵢ: ranks add up (PEFT's combination type "cat").
 * The result becomes the active adapter.
 */
export async function combine(adapters: readonly (readonly [LoraAdapter, number])[], name: string, where: { device: Device }): Promise<LoraAdapter> {
  const [first] = adapters[0] ?? [];
  if (first === undefined) throw new LowrankError("AdapterError", "combine: give at least one adapter");
  const rankPattern = Object.fromEntries([...first.sites.keys()].map((path) => [path.replaceAll(".", "\\."), adapters.reduce((sum, [a]) => sum + (a.updates.get(path)?.rank ?? 0), 0)]));
  const r = Object.values(rankPattern)[0] ?? 1;
  const out = await adapt(first.model, { ...first.config, r, alpha: r, rankPattern, alphaPattern: rankPattern, modulesToSave: [], taskType: undefined, rsLora: false, source: {} }, { ...where, name });
  for (const [path, update] of out.updates) {
    const parts = adapters.map(([a, w]) => [a.updates.get(path), w] as const);
    if (!(update instanceof LoraUpdate) || parts.some(([u]) => !(u instanceof LoraUpdate) || u instanceof DoraUpdate)) throw new LowrankError("AdapterError", `combine: ${path} is not a plain LoRA in all of them`);
    const rows = await Promise.all(parts.map(async ([u, w]) => ({ a: await (u as LoraUpdate).a.value.floats(), b: await (u as LoraUpdate).b.value.floats(), rank: u!.rank, factor: w * u!.scale })));
    const { rank, base: { inFeatures, outFeatures } } = update;
    const [a, b] = [new Float64Array(rank * inFeatures), new Float64Array(outFeatures * rank)];
    let at = 0;
    for (const part of rows) {
      a.set(part.a, at * inFeatures);
      for (let o = 0; o < outFeatures; o++) for (let k = 0; k < part.rank; k++) b[o * rank + at + k] = part.factor * part.b[o * part.rank + k]!;
      at += part.rank;
    }
    const { device } = where;
    update.a.parameter = device.parameter(a, update.a.shape, device.defaultFloat);
    update.b.parameter = device.parameter(b, update.b.shape, device.defaultFloat);
  }
  return out;
}

function makeUpdate(layer: Layer, row: TargetRow, config: LoraConfig): Update {
  const base: UpdateBase = layer.site;
  const options = { rank: row.rank, scale: row.scale, dropout: config.dropout, loraBias: config.loraBias };
  if (config.adaLora !== undefined) {
    const { initR } = adaLoraConfig(config.adaLora);
    return new SvdUpdate(base, { ...options, scale: row.alpha > 0 ? row.alpha : initR, initialRank: initR });
  }
  if (layer instanceof LoraEmbedding) {
    if (config.dora) throw new LowrankError("NotBuiltError", `DoRA on the embedding ${row.module} is not built`);
    return new LoraUpdate(base, { ...options, initA: { kind: "zeros" }, initB: { kind: "normal", std: 1 } });
  }
  if (config.dora) return new DoraUpdate(base, options);
  const fresh = config.initLora === "gaussian" ? { initA: { kind: "normal", std: 1 / row.rank } as const } : config.initLora === false ? { initB: { kind: "uniform", bound: 1 / Math.sqrt(row.rank) } as const } : {};
  return new LoraUpdate(base, { ...options, ...fresh });
}

function isBaseBias(name: string): boolean {
  return name.endsWith("bias") && !name.includes("lora_") && !name.includes(".modules_to_save.");
}

function findSaved(model: Module, config: LoraConfig): [string, Projection][] {
  const wanted = (path: string): boolean => config.modulesToSave.some((name) => path === name || path.endsWith(`.${name}`));
  const out: [string, Projection][] = [];
  for (const [path, m] of model.namedModules()) {
    if (!wanted(path)) continue;
    if (m instanceof Projection) {
      out.push([path, m]);
      continue;
    }
    // a head of several layers: each of them is copied
    const inner = [...m.namedModules()].flatMap(([p, child]) => (child instanceof Projection ? [[`${path}.${p}`, child] as [string, Projection]] : []));
    if (inner.length === 0) throw new LowrankError("AdapterError", `modules_to_save: ${path} holds no projection that could be copied`);
    out.push(...inner);
  }
  return out;
}

function sameShape(path: string, original: Projection): Projection {
  if (original instanceof Linear) return new Linear(original.inFeatures, original.outFeatures, { bias: original.bias !== undefined });
  if (original instanceof Conv1D) return new Conv1D(original.inFeatures, original.outFeatures);
  throw new LowrankError("AdapterError", `modules_to_save: ${path} is neither a Linear nor a Conv1D`);
}
