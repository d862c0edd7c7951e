/**
 * Rotary position embedding (Su et al. 2021): the tables of cosines and sines that `ops.rope` turns heads by, made once for all layers.
 * They are kept in f64 and as long as the positions in use ask for: a power of two, at most as many as the model has.
 */
import { LowrankError, largestIndex, ops, structureChanged, type Device, type Tensor } from "@lowrank/tensor";
import { attentionFactor, frequencies, type RopeScaling } from "./rope-scaling.ts";

export interface RotaryTables {
  /** Broadcastable to [batch, heads, length, d]. */
  readonly cos: Tensor;
  readonly sin: Tensor;
}

export interface RotaryOptions {
  readonly theta: number;
  /** Width of a head. */
  readonly width: number;
  readonly maxPositions: number;
  /** Default: none. One that is dynamic has a class of its own, `DynamicRotary`. */
  readonly scaling?: RopeScaling;
}

/** Where a layer's angles come from. */
export interface RotaryAngles {
  /** Texts without positions of their own may be so long. */
  readonly maxPositions: number;
  /**
   * @param like [batch, length, …], for the device, the lengths and the dtype
   * @param positionIds [batch, length], values and not part of what is captured; without them positions are 0, 1, …
   * @param reach how many positions the text may come to have, where that is known. Default: its length
   */
  tables(like: Tensor, positionIds: Tensor | undefined, reach?: number): RotaryTables;
}

/** @throws LowrankError (ConfigError) where the halves of a head are not equally wide */
export function requireEvenWidth(width: number): void {
  if (width % 2 !== 0) throw new LowrankError("ConfigError", `rotary positions need heads of even width, got ${width}`);
}

export class Rotary implements RotaryAngles {
  readonly #options: RotaryOptions;
  readonly #frequencies: Float64Array;
  readonly #factor: number;
  #cos: Float64Array<ArrayBufferLike> = new Float64Array(0);
  #sin: Float64Array<ArrayBufferLike> = new Float64Array(0);
  /** Rows that the positions given to compiled functions have needed so far. */
  #inputRows = 1;
  readonly #onDevice = new WeakMap<Device, Map<number, RotaryTables>>();

  constructor(options: RotaryOptions) {
    const { theta, width, maxPositions, scaling = { kind: "default" } } = options;
    requireEvenWidth(width);
    this.#options = options;
    this.#frequencies = frequencies(theta, width, scaling, maxPositions);
    this.#factor = attentionFactor(scaling);
  }

  get maxPositions(): number {
    return this.#options.maxPositions;
  }

  /** Angle of element i at position p is p·θ^(−2(i mod d/2)/d), where nothing scales it. */
  tables(like: Tensor, positionIds: Tensor | undefined, reach?: number): RotaryTables {
    const [batch, length] = like.shape as [number, number];
    if (positionIds === undefined) {
      const { cos, sin } = this.#constants(like.device, this.#roundUp(length));
      const first = (table: Tensor): Tensor => ops.cast(ops.slice(table, 0, 0, length), like.dtype);
      return { cos: first(cos), sin: first(sin) };
    }
    const { maxPositions: limit, width } = this.#options;
    const rows = this.#rowsFor(positionIds, reach ?? length);
    const at = ops.checkIndices(positionIds, {
      size: rows,
      op: "rotary",
      name: "position",
      ...(rows < limit ? { grows: { limit, to: (size) => this.#grow(size) } } : {}),
    });
    const { cos, sin } = this.#constants(like.device, rows);
    const looked = (table: Tensor): Tensor =>
      ops.reshape(ops.gatherRows(ops.cast(table, like.dtype), at), [batch, 1, length, width]);
    return { cos: looked(cos), sin: looked(sin) };
  }

  /** All positions where nobody can tell before a run which will be asked for. */
  #rowsFor(positionIds: Tensor, length: number): number {
    const largest = largestIndex(positionIds);
    if (largest === undefined) return this.#options.maxPositions;
    if (largest !== "input") return this.#roundUp(largest + 1);
    this.#inputRows = Math.max(this.#inputRows, this.#roundUp(length));
    return this.#inputRows;
  }

  /** What was captured with a shorter table must be captured again. */
  #grow(size: number): void {
    this.#inputRows = Math.max(this.#inputRows, this.#roundUp(size));
    structureChanged();
  }

  #roundUp(positions: number): number {
    return Math.min(2 ** Math.ceil(Math.log2(Math.max(1, positions))), this.#options.maxPositions);
  }

  #constants(device: Device, rows: number): RotaryTables {
    const known = this.#onDevice.get(device) ?? new Map<number, RotaryTables>();
    this.#onDevice.set(device, known);
    let tables = known.get(rows);
    if (tables === undefined) {
      const { width } = this.#options;
      this.#extend(rows);
      const constant = (values: Float64Array): Tensor =>
        device.constant(values.subarray(0, rows * width), [rows, width], device.defaultFloat);
      tables = { cos: constant(this.#cos), sin: constant(this.#sin) };
      known.set(rows, tables);
    }
    return tables;
  }

  #extend(rows: number): void {
    const { width } = this.#options;
    const size = rows * width;
    if (size <= this.#cos.length) return;
    const angle = (i: number): number => Math.floor(i / width) * this.#frequencies[i % (width / 2)]!;
    this.#cos = Float64Array.from({ length: size }, (_, i) => this.#cos[i] ?? this.#factor * Math.cos(angle(i)));
    this.#sin = Float64Array.from({ length: size }, (_, i) => this.#sin[i] ?? this.#factor * Math.sin(angle(i)));
  }
}
