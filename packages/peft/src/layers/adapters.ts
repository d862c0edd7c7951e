/** The adapters on one layer: which there are, which take part, and working them into the base weight and out of it again. */
import type { Weight } from "@lowrank/nn";
import {
  LowrankError,
  NumericsError,
  ops,
  structureChanged,
  type Device,
  type DType,
  type Parameter,
  type Tensor,
  type TypedArray,
} from "@lowrank/tensor";
import type { NamedUpdateWeight, Update, UpdateBase } from "./update.ts";

export interface MergeOptions {
  /** Checks every result, as it will be stored, before anything is written. */
  readonly safe?: boolean;
  /** Needed for a quantized base: its place is taken by the dequantized matrix, which is what the adapter was trained on, plus the update. */
  readonly into?: "dequantized";
}

/** Largest change that rounding to the base's dtype made, and where. */
export interface MergeReport {
  readonly module: string;
  readonly rounding: number;
}

/** A layer's base: as updates see it, and as it is stored. */
export interface AdaptedBase {
  readonly site: UpdateBase;
  readonly weight: Weight;
  readonly bias: Weight | undefined;
  /** Whether the weight is stored [in, out]. */
  readonly transposed: boolean;
}

export class Adapters {
  readonly updates: Map<string, Update> = new Map();
  #active: readonly string[] = [];
  readonly #off = new Set<string>();
  readonly #base: () => AdaptedBase;
  /** Values from before a merge, so that undoing it is exact; undefined where the base was quantized. */
  #pristine: (readonly [Parameter, TypedArray])[] | undefined;
  #merged = false;

  constructor(base: () => AdaptedBase) {
    this.#base = base;
  }

  /** Names of those that take part unless they are switched off, in order. */
  get active(): readonly string[] {
    return this.#active;
  }

  set active(names: readonly string[]) {
    this.#active = names;
    structureChanged();
  }

  get merged(): boolean {
    return this.#merged;
  }

  /** Merged into a base that was quantized: that stays. */
  get final(): boolean {
    return this.#merged && this.#pristine === undefined;
  }

  /** Those that take part: active and not switched off. */
  get taking(): readonly string[] {
    return this.#active.filter((name) => !this.#off.has(name));
  }

  /** Those that a forward pass adds to the base. */
  get acting(): readonly Update[] {
    return this.#merged ? [] : this.taking.map((name) => this.updates.get(name)!);
  }

  add(name: string, update: Update): void {
    this.unmerge();
    this.updates.set(name, update);
    this.active = [...this.active.filter((n) => n !== name), name];
  }

  remove(name: string): void {
    this.unmerge();
    this.updates.delete(name);
    this.#off.delete(name);
    this.active = this.active.filter((n) => n !== name);
  }

  /** Takes a merge back, then lets these take part. Returns how many of them are here. */
  activate(names: readonly string[]): number {
    this.unmerge();
    this.active = names.filter((n) => this.updates.has(n));
    return this.active.length;
  }

  /** Switches one adapter off or on; a merged layer is unmerged first. */
  switch(name: string, on: boolean): void {
    if (on !== this.#off.has(name)) return;
    this.unmerge();
    if (on) this.#off.delete(name);
    else this.#off.add(name);
    structureChanged();
  }

  /** Throws where merging would store values that are not finite, or cannot be done. */
  async checkMerge(options: MergeOptions): Promise<void> {
    if (this.#merged || this.taking.length === 0) return;
    const { weight } = this.#base();
    if (weight.form !== undefined && options.into !== "dequantized")
      throw new LowrankError(
        "MergeError",
        `merge: ${weight.name} is kept as ${weight.form.kind}; say merge({ into: "dequantized" }) to put the dequantized matrix in its place, or load the original base and merge there`,
      );
    const results = this.#results();
    if (options.safe !== true) return;
    for (const [target, value] of results) {
      const stored = await ops.cast(value, storedAs(target, value)).floats();
      if (!stored.every(Number.isFinite)) throw overflow(target, await value.floats(), storedAs(target, value));
    }
  }

  /**
   * Works the updates that take part into the base weight, and their biases into its bias. Merging twice does nothing.
   * @throws LowrankError (NumericsError) where a finite value becomes infinite in the base's dtype; nothing is changed then
   */
  async merge(options: MergeOptions = {}): Promise<MergeReport | undefined> {
    if (this.#merged || this.taking.length === 0) return undefined;
    await this.checkMerge(options);
    const { weight } = this.#base();
    const results = this.#results();
    const quantized = weight.form !== undefined;
    const pristine: [Parameter, TypedArray][] = [];
    let rounding = 0;
    for (const [target, value] of results) {
      const { device }: { device: Device } = value;
      const exact = await value.floats();
      const dtype = storedAs(target, value);
      if (target.form !== undefined) target.parameter = device.parameter(exact, target.shape, dtype);
      else {
        const { parameter } = target;
        pristine.push([parameter, await parameter.data()]);
        parameter.assign(ops.cast(value, parameter.dtype));
        await device.realize();
      }
      const stored = await target.parameter.value.floats();
      if (stored.some((v, i) => !Number.isFinite(v) && Number.isFinite(exact[i]))) {
        for (const [parameter, values] of pristine) parameter.write(values);
        throw overflow(target, exact, dtype);
      }
      rounding = exact.reduce((most, v, i) => Math.max(most, Math.abs(v - stored[i]!)), rounding);
    }
    this.#pristine = quantized ? undefined : pristine;
    this.#merged = true;
    structureChanged();
    return { module: weight.name, rounding };
  }

  /** Puts the exact original values back. */
  unmerge(): void {
    if (!this.#merged) return;
    if (this.#pristine === undefined)
      throw new LowrankError(
        "MergeError",
        `unmerge: ${this.#base().weight.name} was quantized before the merge; load the base again`,
      );
    for (const [parameter, values] of this.#pristine) parameter.write(values);
    this.#pristine = undefined;
    this.#merged = false;
    structureChanged();
  }

  /** What the base would hold, in the dtype of the adapter. */
  #results(): [Weight, Tensor][] {
    const { site, weight, bias, transposed } = this.#base();
    const updates = this.taking.map((name) => this.updates.get(name)!);
    const dtype = updates[0]!.weights[0]!.weight.value.dtype;
    const wide = updates.reduce((w, update) => update.mergedInto(w), ops.cast(site.matrix(), dtype));
    const results: [Weight, Tensor][] = [[weight, transposed ? ops.transpose(wide) : wide]];
    const biased = updates.find((u) => u.changesBias);
    if (biased !== undefined) {
      if (bias === undefined)
        throw new LowrankError(
          "MergeError",
          `merge: ${weight.name} has no bias beside it, and ${biased.kind} would change one; use the adapter unmerged`,
        );
      results.push([bias, updates.reduce((b, update) => update.mergedBias(b), ops.cast(bias.value, dtype))]);
    }
    return results;
  }

  /** Weights under their names in memory. */
  *namedWeights(
    prefix: string,
    rename: (w: NamedUpdateWeight) => NamedUpdateWeight = (w) => w,
  ): Generator<[string, Weight]> {
    for (const [name, update] of this.updates)
      for (const w of update.weights.map(rename)) yield [`${prefix}.${w.memory.replace("{}", name)}`, w.weight];
  }
}

/** The dtype that a merged value is stored in. */
function storedAs(target: Weight, value: Tensor): DType {
  return target.form === undefined ? target.parameter.dtype : value.device.defaultFloat;
}

function overflow(target: Weight, exact: ArrayLike<number>, dtype: DType): NumericsError {
  const damaged = Array.from(exact).some((v) => !Number.isFinite(v));
  return new NumericsError(
    `merge: ${target.name} would hold values that are not finite; ${damaged ? "the adapter is damaged" : `they are too large for ${dtype}, in which the base is kept; load the base as f32 and merge there`}`,
  );
}
