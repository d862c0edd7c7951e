/** One adapter on a model, and what can be done with it. `attach` makes it. */
import { LowrankError, type Device, type DType, type StoredTensor } from "@lowrank/tensor";
import type { Module, Weight } from "@lowrank/nn";
import type { LoraConfig } from "./config.ts";
import { initialise, restore, type Start } from "./initialise.ts";
import type { MergeOptions, MergeReport } from "./layers/adapters.ts";
import { LoraProjection } from "./layers/projection.ts";
import type { Update } from "./layers/update.ts";
import { baseBiases, isLayer, placesOf, sharerOf, type Layer } from "./layers/walk.ts";
import { parameterReport, type ParameterReport } from "./report.ts";
import { SavedCopy } from "./saved-copy.ts";
import type { TargetRow } from "./select.ts";

export interface AdapterParts {
  readonly model: Module;
  readonly name: string;
  readonly config: LoraConfig;
  readonly table: readonly TargetRow[];
  readonly sites: ReadonlyMap<string, Layer>;
  readonly saved: ReadonlyMap<string, SavedCopy>;
}

export class LoraAdapter {
  readonly model: Module;
  readonly name: string;
  config: LoraConfig;
  /** What was resolved: module, size, rank, alpha, scale, parameters. */
  table: readonly TargetRow[];
  readonly sites: ReadonlyMap<string, Layer>;
  readonly saved: ReadonlyMap<string, SavedCopy>;
  /** What A and B took from the base, by module, to be given back by `delete`. */
  readonly #starts = new Map<string, Start>();

  constructor({ model, name, config, table, sites, saved }: AdapterParts) {
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
    for (const [path, layer] of this.sites) {
      const start = await initialise(this, path, layer, options.seed ?? 0);
      if (start !== undefined) this.#starts.set(path, start);
    }
  }

  /**
   * PEFT's counts and the table.
   * @param masks ranks an allocator keeps, by module path: the effective count leaves the others out
   */
  report(masks?: ReadonlyMap<string, readonly boolean[]>): ParameterReport { return parameterReport(this.model, this.table, masks); }

  /**
   * Works active adapters into the base. With `safe` everything is checked before anything is written. A weight that another module
   * reads as well is refused, because that module would change too.
   */
  async merge(options: MergeOptions = {}): Promise<MergeReport[]> {
    const reports: MergeReport[] = [];
    for (const [path, { weight, adapters }] of this.sites) {
      const sharer = sharerOf(this.model, path, weight);
      if (sharer !== undefined) throw new LowrankError("MergeError", `merge: ${path} shares its weight with ${sharer}, which the update must not reach; keep the adapter apart, or untie the two`);
      await adapters.checkMerge(options);
    }
    for (const { adapters } of this.sites.values()) {
      const report = await adapters.merge({ ...options, safe: false });
      if (report !== undefined) reports.push(report);
    }
    return reports;
  }

  unmerge(): void {
    for (const { adapters } of this.sites.values()) adapters.unmerge();
  }

  /** Merges and puts plain layers back, saved copies in the place of their originals; all adapters of the model are gone. The model can then be saved as a checkpoint. */
  async mergeAndUnload(options: MergeOptions = {}): Promise<MergeReport[]> {
    const reports = await this.merge(options);
    for (const [path, layer] of placesOf(this.model)) {
      if (!isLayer(layer)) continue;
      const report = await layer.adapters.merge(options);
      if (report !== undefined) reports.push(report);
      for (const update of layer.updates.values()) for (const { weight } of update.weights) weight.dispose();
      this.model.setModule(path, layer.base);
    }
    for (const [path, saved] of placesOf(this.model)) {
      if (!(saved instanceof SavedCopy)) continue;
      const { copy } = saved;
      for (const other of saved.copies.values()) if (other !== copy) other.dispose();
      const shared = saved.original.weights().some((w) => sharerOf(this.model, path, w) !== undefined);
      this.model.setModule(path, copy);
      if (!shared && copy !== saved.original) saved.original.dispose();
    }
    this.model.labelTree();
    for (const [name, weight] of this.model.namedWeights()) weight.name = name;
    return reports;
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

  /** Multiplies the strength of this adapter. A merged adapter is unmerged first. */
  scaleBy(factor: number): void {
    this.unmerge();
    for (const update of this.updates.values()) update.scale *= factor;
  }

  /**
   * Takes the adapter off the model and frees its weights; layers that carry no other are themselves again, and the base gets back
   * what a start like PiSSA took from it (to rounding). No other adapter becomes active by itself.
   */
  async delete(): Promise<void> {
    for (const [path, layer] of this.sites) {
      const update = layer.updates.get(this.name);
      layer.adapters.remove(this.name);
      const start = this.#starts.get(path);
      if (start !== undefined) await restore(layer as LoraProjection, start);
      for (const { weight } of update?.weights ?? []) weight.dispose();
      if (layer.updates.size === 0) this.model.setModule(path, layer.base);
    }
    this.#starts.clear();
    for (const [path, saved] of this.saved) {
      saved.copies.get(this.name)?.dispose();
      saved.copies.delete(this.name);
      if (saved.copies.size === 0) this.model.setModule(path, saved.original);
    }
  }

  #switch(on: boolean): void {
    for (const { adapters } of this.sites.values()) adapters.enabled = on;
    for (const saved of this.saved.values()) saved.enabled = on;
  }

  /** Tensors under the names of `adapter_model.safetensors`. */
  fileWeights(): Map<string, Weight> {
    const out = new Map<string, Weight>();
    const set = (name: string, weight: Weight): unknown => out.set(`base_model.model.${name}`, weight);
    for (const [path, layer] of this.sites) {
      for (const { file, weight } of layer.updates.get(this.name)!.weights.map((w) => layer.rename(w))) if (file !== "") set(`${path}.${file}`, weight);
      if (this.config.bias === "lora_only" && layer instanceof LoraProjection && layer.bias !== undefined) set(`${path}.base_layer.bias`, layer.bias);
    }
    if (this.config.bias === "all") for (const [name, weight] of baseBiases(this.model)) set(name, weight);
    for (const [path, { copies }] of this.saved) for (const [name, weight] of copies.get(this.name)!.namedWeights()) set(`${path}.${name}`, weight);
    return out;
  }

  /** Throws, and lists what differs, where names or shapes of a file do not meet the adapter's, but for what PEFT writes twice. Returns the names to read. */
  check(shapes: ReadonlyMap<string, readonly number[]>): string[] {
    const weights = this.fileWeights();
    const given = new Map([...shapes].filter(([n]) => !(this.config.bias === "all" && /\.(original_module|modules_to_save)\.(.*\.)?bias$/.test(n))));
    const problems = [
      ...[...weights.keys()].filter((n) => !given.has(n)).map((n) => `${n} is missing`),
      ...[...given.keys()].filter((n) => !weights.has(n)).map((n) => `${n} has no place in this model`),
      ...[...given].flatMap(([n, shape]) => {
        const w = weights.get(n);
        return w !== undefined && w.shape.join() !== shape.join() ? [`${n} is [${shape.join(", ")}], the model wants [${w.shape.join(", ")}]`] : [];
      }),
    ];
    if (problems.length > 0) throw new LowrankError("AdapterError", `the adapter does not fit this base: ${problems.slice(0, 4).join("; ")}${problems.length > 4 ? `; and ${problems.length - 4} more` : ""}`);
    return [...given.keys()];
  }

  /** Writes tensors read from a file into the adapter, which they must fit. */
  load(tensors: ReadonlyMap<string, StoredTensor>, toMemory: (dtype: DType, t: StoredTensor) => StoredTensor["data"]): void {
    const weights = this.fileWeights();
    for (const name of this.check(new Map([...tensors].map(([n, t]) => [n, t.shape])))) {
      const { parameter } = weights.get(name)!;
      parameter.write(toMemory(parameter.dtype, tensors.get(name)!));
    }
  }
}
