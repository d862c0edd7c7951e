/** A projection or embedding with adapters on it. Several may sit on one layer; those that are active add up in order. */
import { Module, Projection, type Embedding, type Weight } from "@lowrank/nn";
import { LowrankError, ops, type Tensor, type TypedArray } from "@lowrank/tensor";
import { LoraUpdate, type LoraOptions } from "./lora.ts";
import type { NamedUpdateWeight, Update, UpdateBase } from "./update.ts";

/** What can be merged where. */
export interface MergeOptions {
  /** Checks the result before anything is written. */
  readonly safe?: boolean;
  /** Needed for a quantised base: its place is taken by the dequantised matrix, which is what the adapter was trained on, plus the update. */
  readonly into?: "dequantised";
}

/** Largest change that rounding to the base's dtype made, and where. */
export interface MergeReport { readonly module: string; readonly rounding: number }

export class LoraProjection extends Projection {
  readonly base: Projection;
  readonly updates: Map<string, Update> = new Map();
  /** Names of the adapters that take part, in order. */
  active: readonly string[] = [];
  enabled = true;
  /** The base weight before a merge, so that undoing it is exact. */
  #pristine: TypedArray | undefined;
  #merged = false;

  /** @param options a LoRA update called "default" to begin with */
  constructor(base: Projection, options?: LoraOptions) {
    super();
    this.base = base;
    if (options !== undefined) this.add("default", new LoraUpdate(this.site, options));
  }

  get inFeatures(): number { return this.base.inFeatures; }
  get outFeatures(): number { return this.base.outFeatures; }
  get weight(): Weight { return this.base.weight; }
  get bias(): Weight | undefined { return this.base.bias; }
  get fanInFanOut(): boolean { return this.base.fanInFanOut; }
  get merged(): boolean { return this.#merged; }

  /** The base as updates see it. */
  get site(): UpdateBase {
    const { base } = this;
    return {
      inFeatures: base.inFeatures, outFeatures: base.outFeatures,
      matrix: () => (base.fanInFanOut ? ops.transpose(base.weight.value) : base.weight.value),
      bias: () => base.bias?.value,
    };
  }

  add(name: string, update: Update): void {
    this.updates.set(name, update);
    this.active = [...this.active.filter((n) => n !== name), name];
  }

  remove(name: string): void {
    this.updates.delete(name);
    this.active = this.active.filter((n) => n !== name);
  }

  /** The first active update's parts, for the common case of one LoRA. */
  get first(): Update { return this.updates.get(this.active[0] ?? "default")!; }
  get a(): Weight { return (this.first as LoraUpdate).a; }
  get b(): Weight { return (this.first as LoraUpdate).b; }
  get rank(): number { return this.first.rank; }
  get scale(): number { return this.first.scale; }
  set scale(scale: number) { this.first.scale = scale; }

  /** The base keeps its checkpoint names; adapters have PEFT's in-memory names. */
  override *namedWeights(prefix = ""): Generator<[string, Weight]> {
    yield* this.base.namedWeights(prefix);
    yield* updateWeights(prefix, this.updates);
  }

  override *children(): Generator<[string, Module]> {
    yield ["base", this.base];
    for (const [name, { dropout }] of this.updates) yield [`lora_dropout.${name}`, dropout];
  }

  forward(x: Tensor): Tensor {
    const y = this.base.forward(x);
    if (!this.enabled || this.merged || this.active.length === 0) return y;
    return this.scoped(() => {
      const input = ops.reshape(x, [-1, this.inFeatures]);
      const flat = ops.reshape(y, [-1, this.outFeatures]);
      const out = this.active.reduce((sum, name) => this.updates.get(name)!.forward(input, sum), flat);
      return ops.reshape(ops.cast(out, y.dtype), y.shape);
    });
  }

  /** What merging adds, in the orientation of the base weight. */
  delta(): Tensor {
    const sum = this.active.map((name) => this.updates.get(name)!.delta()).reduce((a, b) => ops.add(a, b));
    return this.fanInFanOut ? ops.transpose(sum) : sum;
  }

  /** Works the active updates into the base weight. Merging twice does nothing. Returns how much rounding changed. */
  async merge(options: MergeOptions = {}): Promise<MergeReport | undefined> {
    if (this.merged || this.active.length === 0) return undefined;
    const { weight } = this;
    if (weight.form !== undefined && options.into !== "dequantised") throw new LowrankError("MergeError", `merge: ${weight.name} is kept as ${weight.form.kind}; say merge({ into: "dequantised" }) to put the dequantised matrix in its place, or load the original base and merge there`);
    const wide = this.active.reduce((w, name) => this.updates.get(name)!.mergedInto(w), ops.cast(this.site.matrix(), this.first.weights[0]!.weight.value.dtype));
    const target = this.fanInFanOut ? ops.transpose(wide) : wide;
    const { device } = target;
    const exact = await device.readFloats(target);
    if (options.safe === true && !exact.every(Number.isFinite)) throw new LowrankError("NumericsError", `merge: ${weight.name} would hold values that are not finite; the adapter is damaged`);
    if (weight.form !== undefined) {
      weight.parameter = device.parameter(exact, weight.shape, device.defaultFloat);
    } else {
      const { parameter } = weight;
      const pristine = await parameter.data();
      parameter.assign(ops.cast(target, parameter.dtype));
      await device.realize();
      this.#pristine = pristine;
    }
    this.#merged = true;
    const stored = await device.readFloats(weight.parameter.value);
    return { module: weight.name, rounding: exact.reduce((most, v, i) => Math.max(most, Math.abs(v - stored[i]!)), 0) };
  }

  /** Puts the exact original weight back. */
  unmerge(): void {
    if (!this.merged) return;
    if (this.#pristine === undefined) throw new LowrankError("MergeError", `unmerge: ${this.weight.name} was quantised before the merge; load the base again`);
    this.weight.parameter.write(this.#pristine);
    this.#pristine = undefined;
    this.#merged = false;
  }
}

/** An embedding with LoRA: rows of Aᵀ are looked up and multiplied by B. A [r, vocab] starts at zero, B [dim, r] normal. */
export class LoraEmbedding extends Module {
  readonly base: Embedding;
  readonly updates: Map<string, Update> = new Map();
  active: readonly string[] = [];
  enabled = true;

  constructor(base: Embedding) {
    super();
    this.base = base;
  }

  get weight(): Weight { return this.base.weight; }

  get site(): UpdateBase {
    const [count, dim] = this.base.weight.shape as [number, number];
    return { inFeatures: count, outFeatures: dim, matrix: () => ops.transpose(this.base.weight.value), bias: () => undefined };
  }

  add(name: string, update: Update): void {
    this.updates.set(name, update);
    this.active = [...this.active.filter((n) => n !== name), name];
  }

  remove(name: string): void {
    this.updates.delete(name);
    this.active = this.active.filter((n) => n !== name);
  }

  override *namedWeights(prefix = ""): Generator<[string, Weight]> {
    yield* this.base.namedWeights(prefix);
    yield* updateWeights(prefix, this.updates, embeddingNames);
  }

  override *children(): Generator<[string, Module]> { yield ["base", this.base]; }

  forward(ids: Tensor): Tensor {
    const y = this.base.forward(ids);
    if (!this.enabled) return y;
    return this.scoped(() => this.active.reduce((sum, name) => {
      const { a, b, scale } = this.updates.get(name) as LoraUpdate;
      return ops.add(sum, ops.mul(ops.matmul(ops.embedding(ops.transpose(a.value), ids), ops.transpose(b.value)), scale));
    }, y));
  }
}

/** `lora_embedding_A.default` instead of `lora_A.default.weight`; in files without the adapter's name. */
export function embeddingNames({ memory, file, weight }: NamedUpdateWeight): NamedUpdateWeight {
  const turn = (s: string): string => s.replace("lora_", "lora_embedding_").replace(/\.weight$/, "");
  return { memory: turn(memory), file: turn(file), weight };
}

function* updateWeights(prefix: string, updates: ReadonlyMap<string, Update>, rename: (w: NamedUpdateWeight) => NamedUpdateWeight = (w) => w): Generator<[string, Weight]> {
  for (const [name, update] of updates) for (const w of update.weights.map(rename)) yield [`${prefix}.${w.memory.replace("{}", name)}`, w.weight];
}
