/**
 * The steps that a text is made of, each compiled: the whole prompt, then one token after the other. What they give are the scores of the next
 * word, and of no other place.
 */
import { type Projection } from "@lowrank/nn";
import {
  compile,
  LowrankError,
  ops,
  type Compiled,
  type CompileInputs,
  type Device,
  type Parameter,
  type Tensor,
  type TypedArray,
} from "@lowrank/tensor";
import type { PretrainedModel } from "../pretrained.ts";
import { CausalHead } from "../shared/heads.ts";
import { CacheStep, KeyValueCache, type CacheShape } from "../shared/key-value-cache.ts";
import { bucketOf, layoutOf, type Layout } from "./layout.ts";

/** A model that scores next words, as steps see it. */
export interface CausalModel extends PretrainedModel {
  readonly lm_head: Projection;
  readonly base: { readonly cacheShape?: CacheShape | undefined };
}

/** @throws LowrankError (ConfigError) where it is none, or trains */
export function causalModel(what: string, model: PretrainedModel): CausalModel {
  if (!(model instanceof CausalHead))
    throw new LowrankError(
      "ConfigError",
      `${what}: ${model.architecture} does not score next words; load the model with task: "CAUSAL_LM"`,
    );
  return model as unknown as CausalModel;
}

/** How a batch of texts grows. One at a time: a text that begins forgets the one before, but for what it goes on from. */
export interface Steps {
  /**
   * Scores of the word after each text, [texts · words].
   * @param capacity how long they may become
   * @param continues whether what one text has in common with the one before it need not be computed again
   */
  begin(texts: readonly (readonly number[])[], capacity: number, continues?: boolean): Promise<TypedArray>;
  /** Scores of the word after one more token of each text. */
  next(ids: readonly number[]): Promise<TypedArray>;
  /** How many plans have been made. */
  readonly plans: number;
  dispose(): void;
}

/** Positions are as many as the model has, or endless. */
export function positionsOf(model: CausalModel): number {
  return model.base.cacheShape?.positions ?? Infinity;
}

/** The device that a model's weights are on. */
function deviceOf(model: CausalModel): Device {
  return model.weights()[0]!.value.device;
}

/** Scores of each text's next word, in memory that stays: a plan's results would be others at each token. */
class Scores {
  readonly parameter: Parameter;
  readonly #model: CausalModel;

  constructor(model: CausalModel, device: Device, batch: number) {
    this.#model = model;
    const words = model.lm_head.outFeatures;
    this.parameter = device.parameter(new Float32Array(batch * words), [batch, words], device.defaultFloat);
  }

  /** @param hidden [batch, length, hidden] @param last i32 [1], a place in it */
  assign(hidden: Tensor, last: Tensor | undefined): void {
    const one = last === undefined ? hidden : ops.indexSelect(hidden, 1, last);
    const scores = this.#model.lm_head.forward(one);
    this.parameter.assign(ops.cast(ops.reshape(scores, this.parameter.shape), this.parameter.dtype));
  }

  read(): Promise<TypedArray> {
    return this.parameter.data();
  }
}

/** Inputs of a step over whole texts. A single text has nothing before it, and what is behind it is never seen. */
function inputsOf({ batch, length, last, ids, positions, mask }: Layout): CompileInputs {
  const shape = [batch, length];
  return {
    ids: { data: ids, shape },
    positions: { data: positions, shape },
    last: { data: Int32Array.of(last), shape: [1] },
    ...(batch === 1 ? {} : { mask: { data: mask, shape, dtype: "bool" } }),
  };
}

type Inputs = Record<string, Tensor>;

function forward(model: CausalModel, { ids, positions, mask }: Inputs, cache?: CacheStep): Tensor {
  return model.forward({
    inputIds: ids!,
    positionIds: positions!,
    ...(mask === undefined ? {} : { attentionMask: mask }),
    ...(cache === undefined ? {} : { cache }),
  }).lastHiddenState;
}

/** Capacities are multiples of it, and powers of two of it, so that texts of like lengths share plans. */
const LEAST_CAPACITY = 64;

/** Steps with a cache: a token costs as much as one token. */
export class CachedSteps implements Steps {
  readonly #model: CausalModel;
  readonly #device: Device;
  readonly #shape: CacheShape;
  readonly #begin: Compiled<Record<string, Tensor>>;
  readonly #next: Compiled<Record<string, Tensor>>;
  /** Several more tokens of one text. */
  readonly #goOn: Compiled<Record<string, Tensor>>;
  #cache: KeyValueCache | undefined;
  #scores: Scores | undefined;
  #layout: Layout | undefined;
  /** Place of the newest token of every text. */
  #newest = 0;
  /** Tokens that are kept, of a single text. */
  #kept: number[] = [];

  /** @throws LowrankError (NotBuiltError) where the family takes no cache */
  constructor(model: CausalModel) {
    const shape = model.base.cacheShape;
    if (shape === undefined)
      throw new LowrankError(
        "NotBuiltError",
        `${model.architecture} takes no cache of keys and values: its base has no cacheShape; generate with cache: false`,
      );
    this.#model = model;
    this.#shape = shape;
    this.#device = deviceOf(model);
    const step = (last: boolean, goesOn?: true) => (inputs: Inputs) => {
      const { slots, padding } = inputs;
      const options = { slots: slots!, padding, ...(goesOn === undefined ? {} : { goesOn }) };
      const cache = new CacheStep(this.#cache!, options);
      this.#scores!.assign(forward(model, inputs, cache), last ? inputs["last"] : undefined);
      return {};
    };
    this.#begin = compile(this.#device, step(true));
    this.#next = compile(this.#device, step(false));
    this.#goOn = compile(this.#device, step(true, true));
  }

  get plans(): number {
    return this.#begin.info().length + this.#next.info().length + this.#goOn.info().length;
  }

  async begin(texts: readonly (readonly number[])[], capacity: number, continues?: boolean): Promise<TypedArray> {
    const { positions } = this.#shape;
    const layout = layoutOf(texts, positions);
    this.#room(texts.length, Math.max(capacity, layout.length));
    this.#layout = layout;
    const before = continues === true ? this.#common(texts[0]!) : 0;
    this.#kept = texts.length === 1 ? [...texts[0]!] : [];
    this.#newest = layout.last;
    if (before > 0) return this.#rest(texts[0]!, before);
    await this.#begin({ ...inputsOf(layout), ...this.#place() });
    return this.#scores!.read();
  }

  async next(ids: readonly number[]): Promise<TypedArray> {
    const { batch, padding } = this.#layout!;
    this.#newest++;
    if (batch === 1) this.#kept.push(ids[0]!);
    await this.#next({
      ids: { data: Int32Array.from(ids), shape: [batch, 1] },
      positions: { data: padding.map((n) => this.#newest - n), shape: [batch, 1] },
      ...this.#place(),
    });
    return this.#scores!.read();
  }

  dispose(): void {
    this.#cache?.dispose();
    this.#scores?.parameter.dispose();
    [this.#cache, this.#scores, this.#layout, this.#kept] = [undefined, undefined, undefined, []];
  }

  /** Tokens that the text has in common with the one that is kept, as far as it can go on from them: 0 where it is as well computed whole. */
  #common(text: readonly number[]): number {
    const differs = text.findIndex((id, i) => id !== this.#kept[i]);
    // its last token is asked for what comes after it
    const common = Math.min(differs < 0 ? text.length : differs, text.length - 1);
    const more = this.#rowsFor(text.length - common);
    // a layer with a window has token s in row s until there are more tokens than rows
    const fits = common + more <= Math.min(...this.#cache!.sizes) && this.#newest < Math.min(...this.#cache!.sizes);
    return fits && more < this.#layout!.length ? common : 0;
  }

  /** Places that so many more tokens are computed in. One by itself is a token as any. */
  #rowsFor(tokens: number): number {
    return tokens === 1 ? 1 : bucketOf(tokens, this.#shape.positions);
  }

  /** The text from place `before` on, what stands there being kept. What fills the step up is overwritten before anything sees it. */
  async #rest(text: readonly number[], before: number): Promise<TypedArray> {
    const rest = text.slice(before);
    const rows = this.#rowsFor(rest.length);
    const at = (i: number): number => Math.min(i, rest.length - 1);
    const shape = [1, rows];
    const step = rows === 1 ? this.#next : this.#goOn;
    await step({
      ids: { data: Int32Array.from({ length: rows }, (_, i) => rest[at(i)]!), shape },
      positions: { data: Int32Array.from({ length: rows }, (_, i) => before + at(i)), shape },
      ...(rows === 1 ? {} : { last: { data: Int32Array.of(rest.length - 1), shape: [1] } }),
      ...this.#place(before),
    });
    return this.#scores!.read();
  }

  /** Where in the cache the newest tokens belong. */
  #place(newest = this.#newest): CompileInputs {
    const { batch, padding } = this.#layout!;
    const { sizes } = this.#cache!;
    return {
      slots: { data: Int32Array.from(sizes, (rows) => newest % rows), shape: [sizes.length] },
      ...(batch === 1 ? {} : { padding: { data: padding, shape: [batch] } }),
    };
  }

  #room(batch: number, tokens: number): void {
    if (this.#cache !== undefined && this.#cache.batch === batch && this.#cache.capacity >= tokens) return;
    this.dispose();
    const rounded = LEAST_CAPACITY * 2 ** Math.ceil(Math.log2(Math.max(1, tokens / LEAST_CAPACITY)));
    const capacity = Math.max(tokens, Math.min(rounded, this.#shape.positions));
    this.#cache = new KeyValueCache(this.#device, this.#shape, { batch, capacity });
    this.#scores = new Scores(this.#model, this.#device, batch);
  }
}

/** Steps that compute the whole text for each token. */
export class WholeSteps implements Steps {
  readonly #model: CausalModel;
  readonly #device: Device;
  readonly #step: Compiled<Record<string, Tensor>>;
  #scores: Scores | undefined;
  #texts: readonly (readonly number[])[] = [];

  constructor(model: CausalModel) {
    this.#model = model;
    this.#device = deviceOf(model);
    this.#step = compile(this.#device, (inputs: Inputs) => {
      this.#scores!.assign(forward(model, inputs), inputs["last"]);
      return {};
    });
  }

  get plans(): number {
    return this.#step.info().length;
  }

  async begin(texts: readonly (readonly number[])[]): Promise<TypedArray> {
    if (this.#scores?.parameter.shape[0] !== texts.length) {
      this.dispose();
      this.#scores = new Scores(this.#model, this.#device, texts.length);
    }
    this.#texts = texts;
    await this.#step(inputsOf(layoutOf(texts, positionsOf(this.#model))));
    return this.#scores!.read();
  }

  next(ids: readonly number[]): Promise<TypedArray> {
    return this.begin(this.#texts.map((text, row) => [...text, ids[row]!]));
  }

  dispose(): void {
    this.#scores?.parameter.dispose();
    this.#scores = undefined;
  }
}
