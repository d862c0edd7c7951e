/**
 * Keys and values of a text that grows token by token, as parameters of compiled steps, which write them in place.
 *
 *   a whole text      its keys and values are kept, and attended as if nothing were kept
 *   one more token    its keys and values are kept, and its query attends all that is kept
 *   several more      as one more, each query up to its own token: a text that is kept goes on by what somebody else wrote
 *
 * Texts of a batch end at the same slot, the shorter ones padded on the left. A layer with a window keeps as many tokens as the window has: token s
 * is in row s mod rows, so a new one replaces the one that is out of sight.
 */
import { LowrankError, ops, type Device, type Parameter, type Tensor } from "@lowrank/tensor";

/** What one layer keeps of a token. */
export interface KeptLayer {
  /** Of keys and values. */
  readonly heads: number;
  /** Of a key and of a value. */
  readonly width: number;
  /** How many tokens a query sees at most. Undefined: all. */
  readonly window?: number | undefined;
}

/** What a cache for a model has. */
export interface CacheShape {
  readonly layers: readonly KeptLayer[];
  /** The longest text that the model has positions for. */
  readonly positions: number;
}

interface Kept {
  readonly keys: Parameter;
  readonly values: Parameter;
  readonly rows: number;
}

export interface CacheOptions {
  readonly batch: number;
  /** Tokens of the longest text, padding included. */
  readonly capacity: number;
}

export class KeyValueCache {
  readonly batch: number;
  readonly capacity: number;
  /** How many tokens layers keep: the capacity, then each smaller number that some layer has. */
  readonly sizes: readonly number[];
  readonly #kept: readonly Kept[];

  /** @throws LowrankError (DeviceError) where there is no room for it */
  constructor(device: Device, { layers }: CacheShape, { batch, capacity }: CacheOptions) {
    this.batch = batch;
    this.capacity = capacity;
    const rowsOf = ({ window }: KeptLayer): number => Math.min(window ?? capacity, capacity);
    this.sizes = [...new Set([capacity, ...layers.map(rowsOf)])];
    const sizeOf = (layer: KeptLayer): number => batch * layer.heads * rowsOf(layer) * layer.width;
    device.ensureRoom(layers.reduce((sum, layer) => sum + 2 * sizeOf(layer) * BYTES[device.defaultFloat]!, 0));
    this.#kept = layers.map((layer) => {
      const shape = [batch, layer.heads, rowsOf(layer), layer.width];
      const empty = (): Parameter => device.parameter(new Float32Array(sizeOf(layer)), shape, device.defaultFloat);
      return { keys: empty(), values: empty(), rows: rowsOf(layer) };
    });
  }

  /** Of all layers. */
  get parameters(): readonly Parameter[] {
    return this.#kept.flatMap(({ keys, values }) => [keys, values]);
  }

  dispose(): void {
    for (const parameter of this.parameters) parameter.dispose();
  }

  layer(index: number): Kept {
    const kept = this.#kept[index];
    if (kept === undefined)
      throw new LowrankError(
        "ConfigError",
        `the cache has ${this.#kept.length} layers, and layer ${index} asks for its own`,
      );
    return kept;
  }
}

const BYTES: Readonly<Partial<Record<string, number>>> = { f32: 4, f64: 8 };

/** What one layer's attention is given. */
export interface LayerCache {
  /**
   * Keeps k and v [batch, heads, length, d]. Where the step is one more token or several, what q [batch, heads or a multiple, length, d] gets from all that
   * is kept: mixed as q is, weights [batch, heads of q, length, rows]. Undefined where the step is a whole text, which has all that its queries attend.
   */
  readonly attend: (
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: number,
  ) => { readonly mixed: Tensor; readonly weights: Tensor } | undefined;
}

export interface CacheStepOptions {
  /** i32 [sizes]: the row of each size that the newest token is in, its place in the text modulo the size. */
  readonly slots: Tensor;
  /** i32 [batch]: places that are padding. Default: none. */
  readonly padding?: Tensor | undefined;
  /**
   * Whether the step's tokens go on from what is kept. There is one text then, without padding; `slots` are of the first of its new tokens, and no layer may
   * have to keep more than it has rows for. Default: one token goes on, several are a whole text.
   */
  readonly goesOn?: boolean;
}

/** A step of generation, as a causal model's input `cache`: the cache and where in it the step's last token belongs. */
export class CacheStep {
  readonly #cache: KeyValueCache;
  readonly #options: CacheStepOptions;
  readonly #ages = new Map<number, Tensor>();

  constructor(cache: KeyValueCache, options: CacheStepOptions) {
    this.#cache = cache;
    this.#options = options;
  }

  /** How long the text may become. */
  get capacity(): number {
    return this.#cache.capacity;
  }

  layer(index: number): LayerCache {
    const kept = this.#cache.layer(index);
    return {
      attend: (q, k, v, scale) => {
        const goesOn = this.#options.goesOn ?? k.shape[2] === 1;
        for (const [parameter, x] of [
          [kept.keys, k],
          [kept.values, v],
        ] as const)
          this.#keep(parameter, kept.rows, ops.cast(x, parameter.dtype));
        return goesOn ? this.#recall(kept, q, scale) : undefined;
      },
    };
  }

  #keep(parameter: Parameter, rows: number, x: Tensor): void {
    const length = x.shape[2]!;
    if (length === 1 || this.#options.goesOn === true) parameter.assignRows(this.#slot(rows), x, 2);
    else if (length <= rows) parameter.assignRows(x.device.full([1], 0, "i32"), x, 2);
    else {
      // the row of a token that is not there yet may hold any other
      const token = ops.maximum(ops.sub(this.#slot(this.capacity), this.#age(rows)), 0);
      parameter.assign(ops.indexSelect(x, 2, token));
    }
  }

  /** Heads of queries that share keys are rows of one product. */
  #recall({ keys, values, rows }: Kept, q: Tensor, scale: number): { mixed: Tensor; weights: Tensor } {
    const [batch, heads, length, width] = q.shape as [number, number, number, number];
    const shared = keys.shape[1]!;
    const group = heads / shared;
    const grouped = ops.reshape(q, [batch, shared, group * length, width]);
    const [k, v] = [ops.cast(keys.value, q.dtype), ops.cast(values.value, q.dtype)];
    const mask = length === 1 ? this.#visible(rows) : this.#upTo(rows, group, length);
    const weights = ops.attentionWeights(grouped, k, { mask, scale });
    return {
      mixed: ops.reshape(ops.matmul(weights, v), [batch, heads, length, v.shape[3]!]),
      weights: ops.reshape(weights, [batch, heads, length, rows]),
    };
  }

  /** Which rows hold tokens of the text: bool [batch or 1, 1, 1, rows]. */
  #visible(rows: number): Tensor {
    const { padding } = this.#options;
    const newest = this.#slot(this.capacity);
    const oldest = padding === undefined ? newest : ops.sub(newest, padding);
    return ops.le(ops.reshape(this.#age(rows), [1, 1, 1, rows]), ops.reshape(oldest, [oldest.size, 1, 1, 1]));
  }

  /** Rows up to each of several new tokens, token s being in row s: bool [1, 1, group · length, rows]. */
  #upTo(rows: number, group: number, length: number): Tensor {
    const first = this.#slot(rows);
    const own = ops.add(first.device.arange(length), first);
    const seen = ops.le(ops.reshape(first.device.arange(rows), [1, rows]), ops.reshape(own, [length, 1]));
    return ops.reshape(ops.expand(seen, [group, length, rows]), [1, 1, group * length, rows]);
  }

  /** How many tokens ago each row was written, as far as the text reaches: i32 [rows]. */
  #age(rows: number): Tensor {
    const known = this.#ages.get(rows);
    if (known !== undefined) return known;
    const slot = this.#slot(rows);
    const row = slot.device.arange(rows);
    const behind = ops.sub(slot, row);
    const age = ops.where(ops.ge(behind, 0), behind, ops.add(behind, rows));
    this.#ages.set(rows, age);
    return age;
  }

  /** i32 [1]. */
  #slot(rows: number): Tensor {
    const at = this.#cache.sizes.indexOf(rows);
    return ops.slice(this.#options.slots, 0, at, at + 1);
  }
}
