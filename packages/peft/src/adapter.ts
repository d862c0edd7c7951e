/** One adapter on a model, and what can be done with it. `attach` makes it. */
import { LowrankError } from "@lowrank/tensor";
import { checkOptions, fields, flag, oneOf, optional, real } from "@lowrank/tensor/check";
import type { Module, Weight } from "@lowrank/nn";
import { AdaptedProjection } from "./layers/adapted-projection.ts";
import type { MergeOptions, MergeReport } from "./layers/adapters.ts";
import type { Product, Update } from "./layers/update.ts";
import { baseBiases, copiesOf, layersOf, sharerOf, type Layer } from "./layers/walk.ts";
import type { AdapterConfig, Method, StartError, TargetRow } from "./methods/method.ts";
import { MEMORY, type Memory } from "./memory.ts";
import { parameterReport, type ParameterReport } from "./report.ts";
import type { SavedCopy } from "./saved-copy.ts";
import { Starts } from "./starting.ts";
import { releaseFollowers, type TokenPlace } from "./tokens.ts";

export interface AdapterParts {
  readonly model: Module;
  readonly name: string;
  readonly config: AdapterConfig;
  readonly table: readonly TargetRow[];
  readonly sites: ReadonlyMap<string, Layer>;
  readonly updates: ReadonlyMap<string, Update>;
  readonly tokens: ReadonlyMap<string, TokenPlace>;
  readonly saved: ReadonlyMap<string, SavedCopy>;
  readonly copies: ReadonlyMap<string, Module>;
  readonly warnings: readonly string[];
}

const MERGE_RULES = fields<MergeOptions>({ safe: optional(flag), into: optional(oneOf("dequantized", "quantized")) });

const MEMORY_RULES = fields<Memory>(MEMORY);

const adapters = /* @__PURE__ */ new WeakMap<Module, Map<string, Adapter>>();

/** Adapters by name that were attached to a model and not deleted. */
export function register(model: Module): Map<string, Adapter> {
  const found = adapters.get(model) ?? new Map<string, Adapter>();
  adapters.set(model, found);
  return found;
}

export class Adapter {
  readonly model: Module;
  readonly name: string;
  config: AdapterConfig;
  /** What was resolved: module, size, rank, alpha, scale, parameters. */
  table: readonly TargetRow[];
  readonly sites: ReadonlyMap<string, Layer>;
  /** Tables of which some rows are trained, by path. */
  readonly tokens: ReadonlyMap<string, TokenPlace>;
  /** Modules that are trained whole, by path. */
  readonly saved: ReadonlyMap<string, SavedCopy>;
  /** This adapter's copies of them. */
  readonly copies: ReadonlyMap<string, Module>;
  /** What a file says and nothing comes of: names without a module, tensors without a place. For whoever loads it to print. */
  readonly warnings: string[];
  readonly #updates: Map<string, Update>;
  readonly #starts = new Starts();
  /** Product of what `scaleBy` was given. */
  #strength = 1;
  #on = true;
  /** Runs of `disabled` that have not ended. */
  #resting = 0;

  /** Base weights that came with the adapter's file, by their names there: saving writes those again, and of an adapter made here those that PEFT would. */
  baseFromFile: ReadonlyMap<string, Weight> | undefined;
  /** Tensors that the adapter's file had in half precision, by their names there. */
  narrowInFile: ReadonlyMap<string, "f16" | "bf16"> = new Map();

  constructor({ model, name, config, table, sites, updates, tokens, saved, copies, warnings }: AdapterParts) {
    this.model = model;
    this.name = name;
    this.config = config;
    this.table = table;
    this.sites = sites;
    this.tokens = tokens;
    this.saved = saved;
    this.copies = copies;
    this.#updates = new Map(updates);
    this.warnings = [...warnings];
  }

  get method(): Method {
    return this.config.method;
  }

  /** The configuration, where the adapter is of this method. */
  configOf<C extends AdapterConfig>(method: Method<C>): C | undefined {
    return (this.method as unknown) === method ? (this.config as C) : undefined;
  }

  /** The projections this adapter sits on. */
  get layers(): ReadonlyMap<string, AdaptedProjection> {
    return new Map(
      [...this.sites].filter((entry): entry is [string, AdaptedProjection] => entry[1] instanceof AdaptedProjection),
    );
  }

  /** Every layer with what this adapter does to it: target modules, and tables of which rows are trained. */
  *everywhere(): Generator<readonly [string, Layer, Update]> {
    for (const [path, layer] of this.sites) yield [path, layer, this.updates.get(path)!];
    for (const [path, { layer, update }] of this.tokens) yield [path, layer, update];
  }

  /** This adapter's update on each target module. */
  get updates(): ReadonlyMap<string, Update> {
    return this.#updates;
  }

  /** The products that starts like PiSSA took from the base, by module path: the base is what it was less these. */
  get taken(): ReadonlyMap<string, Product> {
    return this.#starts.taken;
  }

  /** What LoftQ's start made up for, by module path; empty for other starts. */
  get startErrors(): ReadonlyMap<string, StartError> {
    return this.#starts.errors;
  }

  /** The factor that `scaleBy` has come to. */
  get strength(): number {
    return this.#strength;
  }

  /** Puts another update in the place of one, after its ranks were cut. */
  replaceUpdate(path: string, update: Update): void {
    this.#updates.set(path, update);
    this.sites.get(path)!.updates.set(this.name, update);
  }

  /** Biases of the base that train with this adapter. */
  biases(): Weight[] {
    if (this.config.bias === "all") return [...baseBiases(this.model, this.sites.keys(), this.saved.keys()).values()];
    return this.config.bias === "none" ? [] : [...this.layers.values()].flatMap(({ bias }) => bias ?? []);
  }

  /** Memory for what was attached: drawn fresh from the seed, saved modules copied from their originals. Adapter weights are f32 whatever the base is. */
  async materialize(options: Memory): Promise<void> {
    const {
      device,
      seed = 0,
      dtype = device.defaultFloat,
      original,
    } = checkOptions("materialize", MEMORY_RULES, options);
    for (const [path, { original }] of this.saved) {
      const from = new Map(original.namedWeights());
      for (const [name, weight] of this.copies.get(path)!.namedWeights()) {
        // a tied output layer's weight is the table's, and not among its own
        const { data, dtype: stored } = await (from.get(name) ?? original.weight).read();
        weight.parameter = device.parameter(data, weight.shape, dtype, stored);
      }
    }
    await this.model.materialize({ device, dtype, seed });
    for (const [name, weight] of this.model.namedWeights()) weight.name = name;
    const contexts = [...this.sites].map(([path, layer]) => {
      const { model, config } = this;
      return { model, config, path, layer, update: this.#updates.get(path)!, seed, device, dtype, original };
    });
    await this.#starts.begin(this.method, contexts);
    for (const { update } of this.tokens.values()) await update.initialize();
  }

  /**
   * PEFT's counts, the table and the warnings.
   * @param masks ranks an allocator keeps, by module path: the effective count leaves the others out
   */
  report(masks?: ReadonlyMap<string, readonly boolean[]>): ParameterReport {
    return { ...parameterReport(this.model, this.table, masks), warnings: this.warnings };
  }

  /**
   * Works the adapters that take part into the base, on this adapter's layers. With `safe` everything is checked, as it will be stored,
   * before anything is written. A weight that another module reads as well is refused, because that module would change too.
   * @throws LowrankError (MergeError) where this adapter takes no part, (NumericsError) where a value is too large for the base's dtype
   */
  async merge(options: MergeOptions = {}): Promise<MergeReport[]> {
    const checked = checkOptions("merge", MERGE_RULES, options);
    for (const [path, { weight, adapters: here }] of this.everywhere()) {
      if (!here.taking.includes(this.name))
        throw new LowrankError(
          "MergeError",
          `merge: adapter ${this.name} takes no part on ${path}; activate or enable it first`,
        );
      const sharer = sharerOf(this.model, path, weight);
      // rows of a table mean the same to what is tied to it
      if (sharer !== undefined && !(this.tokens.get(path)?.followers.has(sharer) ?? false))
        throw new LowrankError(
          "MergeError",
          `merge: ${path} shares its weight with ${sharer}, which the update must not reach; keep the adapter apart, or untie the two`,
        );
      await here.checkMerge(checked);
    }
    const reports: MergeReport[] = [];
    const done: Layer[] = [];
    try {
      for (const [, layer] of this.everywhere()) {
        const report = await layer.adapters.merge({ ...checked, safe: false });
        if (report === undefined) continue;
        reports.push(report);
        done.push(layer);
      }
    } catch (error) {
      for (const { adapters: here } of done) if (!here.final) here.unmerge();
      throw error;
    }
    return reports;
  }

  unmerge(): void {
    for (const [, { adapters: here }] of this.everywhere()) here.unmerge();
  }

  /** Merges and puts plain layers back, saved copies in the place of their originals; all adapters of the model are gone. The model can then be saved as a checkpoint. */
  async mergeAndUnload(options: MergeOptions = {}): Promise<MergeReport[]> {
    for (const [path, { original, copy }] of copiesOf(this.model)) {
      const sharer = copy === original ? undefined : sharerOf(this.model, path, original.weight);
      if (sharer !== undefined)
        throw new LowrankError(
          "MergeError",
          `mergeAndUnload: ${path}, trained apart (modules_to_save), is ${sharer} in this model, whose checkpoint has one weight for both; keep the adapter apart, or untie the two`,
        );
    }
    const reports = await this.merge(options);
    for (const [path, layer] of layersOf(this.model)) {
      const report = await layer.adapters.merge(options);
      if (report !== undefined) reports.push(report);
      for (const { weights, shared } of layer.updates.values())
        for (const { weight } of [...weights, ...shared]) weight.dispose();
      this.model.setModule(path, layer.base);
    }
    releaseFollowers(this.model, true);
    for (const [path, saved] of copiesOf(this.model)) {
      const { copy } = saved;
      for (const other of saved.copies.values()) if (other !== copy) other.dispose();
      this.model.setModule(path, copy);
      const kept = new Set(this.model.weights());
      for (const weight of saved.original.weights()) if (!kept.has(weight)) weight.dispose();
    }
    register(this.model).clear();
    this.model.labelTree();
    for (const [name, weight] of this.model.namedWeights()) weight.name = name;
    return reports;
  }

  /**
   * This adapter takes no part any more; others that are active still do, and without any the model computes what the base computes. Merged
   * layers are unmerged first. Trained base biases stay trained, as in PEFT.
   */
  disable(): void {
    this.#on = false;
    this.#switch();
  }

  /** Takes part again, where it is active and no `disabled` runs. */
  enable(): void {
    this.#on = true;
    this.#switch();
  }

  /** Runs `body` with this adapter disabled; afterwards it is as it was, however such runs lie in one another. */
  async disabled<T>(body: () => Promise<T> | T): Promise<T> {
    this.#resting++;
    try {
      this.#switch();
      return await body();
    } finally {
      this.#resting--;
      this.#switch();
    }
  }

  #switch(): void {
    const on = this.#on && this.#resting === 0;
    for (const [, { adapters: here }] of this.everywhere()) here.switch(this.name, on);
    for (const saved of this.saved.values()) saved.switch(this.name, on);
  }

  /**
   * Multiplies the strength of this adapter. A merged adapter is unmerged first. Saving writes the strength into alpha.
   * @throws LowrankError (AdapterError) where the method has no scale
   */
  scaleBy(factor: number): void {
    checkOptions("scaleBy", fields<{ factor: number }>({ factor: real() }), { factor });
    const { method, config } = this;
    if (method.scaled === undefined)
      throw new LowrankError(
        "AdapterError",
        `scaleBy: ${method.label} has no scale, in PEFT's files neither; change its values, or train it longer`,
      );
    this.unmerge();
    this.#strength *= factor;
    // as a file will say it, so that what is loaded has the same bits
    for (const row of this.table) this.updates.get(row.module)!.scale = method.scaled(config, row, this.#strength);
  }

  /**
   * Takes the adapter off the model and frees its weights; layers that carry no other are themselves again, and the base gets back
   * what a start like PiSSA took from it (to rounding). No other adapter becomes active by itself.
   */
  async delete(): Promise<void> {
    for (const [, layer] of this.everywhere()) layer.adapters.remove(this.name);
    await this.#starts.undo();
    for (const weight of this.#weights()) weight.dispose();
    for (const [path, layer] of this.everywhere()) if (layer.updates.size === 0) this.model.setModule(path, layer.base);
    releaseFollowers(this.model);
    for (const [path, saved] of this.saved) {
      saved.copies.get(this.name)?.dispose();
      saved.remove(this.name);
      if (saved.copies.size === 0) this.model.setModule(path, saved.original);
    }
    if (register(this.model).get(this.name) === this) register(this.model).delete(this.name);
  }

  /** All weights of the updates, each once. */
  #weights(): Set<Weight> {
    return new Set(
      [...this.everywhere()].flatMap(([, , { weights, shared }]) =>
        [...weights, ...shared].map(({ weight }) => weight),
      ),
    );
  }

  /** Tensors under the names of `adapter_model.safetensors`. */
  fileWeights(): Map<string, Weight> {
    const out = new Map<string, Weight>();
    const set = (name: string, weight: Weight): unknown => out.set(`base_model.model.${name}`, weight);
    for (const [path, layer, { weights, shared }] of this.everywhere()) {
      for (const { file, weight } of weights.map((w) => layer.rename(w)))
        if (file !== "") set(`${path}.${file}`, weight);
      for (const { file, weight } of shared) if (file !== "") out.set(file, weight);
      if (this.config.bias.endsWith("_only") && layer instanceof AdaptedProjection && layer.bias !== undefined)
        set(`${path}.base_layer.bias`, layer.bias);
    }
    if (this.config.bias === "all")
      for (const [name, weight] of baseBiases(this.model, this.sites.keys(), this.saved.keys())) set(name, weight);
    for (const [path, copy] of this.copies)
      for (const [name, weight] of copy.namedWeights()) set(`${path}.${name}`, weight);
    return out;
  }
}
