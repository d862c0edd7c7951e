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
  /**
   * Needed for a quantized base. `dequantized`: its place is taken by the dequantized matrix, which is what the adapter was trained on, plus the
   * update. `quantized`: that is quantized again, in the form that the base had, and the report says what it cost. Either stays.
   */
  readonly into?: "dequantized" | "quantized";
}

/** What storing the result cost, and where. */
export interface MergeReport {
  readonly module: string;
  /** The largest change that rounding to the base's dtype or form made. */
  readonly rounding: number;
  /** The change as a whole, beside the weight as a whole: ‖stored − exact‖ / ‖exact‖. */
  readonly relative: number;
  /** The form that it was quantized to again. */
  readonly form?: string;
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
    if (weight.form !== undefined && options.into === undefined)
      throw new LowrankError(
        "MergeError",
        `merge: ${weight.name} is kept as ${weight.form.kind}; say merge({ into: "dequantized" }) to put the dequantized matrix in its place, "quantized" to quantize that again, or load the original base and merge there`,
      );
    if (options.into === "quantized" && weight.form !== undefined && weight.form.format === undefined)
      throw new LowrankError(
        "MergeError",
        `merge: ${weight.name} is kept as ${weight.form.kind}, which is only read here and cannot be made again; say merge({ into: "dequantized" })`,
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
    let [rounding, changed, whole] = [0, 0, 0];
    for (const [target, value] of results) {
      const { device }: { device: Device } = value;
      const exact = await value.floats();
      const dtype = storedAs(target, value);
      if (target.form !== undefined && options.into === "quantized") requantize(target, device, exact);
      else if (target.form !== undefined) target.parameter = device.parameter(exact, target.shape, dtype);
      else {
        const { parameter } = target;
        pristine.push([parameter, await parameter.data()]);
        parameter.assign(ops.cast(value, parameter.dtype));
        await device.realize();
      }
      const stored = await (target.form?.value() ?? target.parameter.value).floats();
      if (stored.some((v, i) => !Number.isFinite(v) && Number.isFinite(exact[i]))) {
        for (const [parameter, values] of pristine) parameter.write(values);
        throw overflow(target, exact, dtype);
      }
      for (let i = 0; i < exact.length; i++) {
        const off = exact[i]! - stored[i]!;
        rounding = Math.max(rounding, Math.abs(off));
        changed += off * off;
        whole += exact[i]! * exact[i]!;
      }
    }
    this.#pristine = quantized ? undefined : pristine;
    this.#merged = true;
    structureChanged();
    const relative = whole === 0 ? 0 : Math.sqrt(changed / whole);
    const { form } = weight;
    return { module: weight.name, rounding, relative, ...(form === undefined ? {} : { form: form.kind }) };
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

/** Puts a form of the same kind, of these numbers, in the place of a weight's. */
function requantize(target: Weight, device: Device, exact: ArrayLike<number>): void {
  const before = target.form!;
  const next = before.format!.keep(device, target.name, target.shape, Float32Array.from(exact));
  before.dispose();
  target.form = next;
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
