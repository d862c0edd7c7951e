/** What one adapter does to one layer. A kind of update is one file that extends this; low rank is one of them (`low-rank.ts`). */
import type { Module, Weight } from "@lowrank/nn";
import { LowrankError, type StoredTensor, type Tensor } from "@lowrank/tensor";

/** A weight with its names: in memory (`{}` stands for the adapter) and in a file. */
export interface NamedUpdateWeight {
  readonly memory: string;
  readonly file: string;
  readonly weight: Weight;
  /** Counted, and never trained. */
  readonly fixed?: true;
}

/** The layer under an adapter, with its weight seen as [out, in]. */
export interface UpdateBase {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** [out, in], whatever the storage. */
  matrix(): Tensor;
  /** [out], or undefined. */
  bias(): Tensor | undefined;
}

/** A product as numbers on the host: scale·B·A, A [r, in], B [out, r]. */
export interface Product {
  readonly rank: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly scale: number;
}

/** What is known of an update that adds a product of low rank. */
export interface LowRank {
  readonly rank: number;
  /** Whether the product is all that the update does. Absent: it is not. */
  readonly alone?: boolean;
  /** The product's numbers; absent where it is of more than two matrices. */
  numbers?(): Promise<Product>;
  /**
   * Values of its weights for the same update beside what the base had before it took `start`: [A; A₀] and [B, −(s₀/s)·B₀] of twice the rank,
   * so that s·B·A − s₀·B₀·A₀ is added. Without a start zeros stand there. Absent where no start takes anything.
   */
  beside?(start: Product | undefined): Promise<ReadonlyMap<Weight, StoredTensor>>;
  /** What is added to the base's matrix, [out, in]. */
  delta(): Tensor;
  /** Where that is scale·B·A and nothing else: A [r, in], B [out, r]. */
  readonly factors?: { readonly a: Weight; readonly b: Weight; readonly scale: number } | undefined;
}

/** An update as a sum of rank-one parts that can be dropped one by one: Σ_k e_k · b_k a_kᵀ with A [r, in], B [out, r], E [r, 1]. */
export interface Ranks {
  readonly a: Weight;
  readonly b: Weight;
  readonly e: Weight;
  /** The update with these parts only; the old one's memory is freed. */
  cut(kept: readonly number[]): Promise<Update>;
}

export abstract class Update {
  /** The method's word. */
  abstract readonly kind: string;
  readonly base: UpdateBase;

  constructor(base: UpdateBase) {
    this.base = base;
  }

  /** Its own weights. */
  abstract get weights(): readonly NamedUpdateWeight[];

  /** Weights that all updates of the adapter read, never trained and counted by no one; whole names. */
  get shared(): readonly NamedUpdateWeight[] {
    return [];
  }

  /** Modules with a mode or random numbers, by their names in the tree. @param _adapter its name */
  modules(_adapter: string): readonly [string, Module][] {
    return [];
  }

  /** What the layer sees instead of x […, in]. */
  input(x: Tensor): Tensor {
    return x;
  }

  /**
   * x [n, in] as the layer was given it, y [n, out] of the layer below this update → [n, out].
   * @param shape what x was before its rows were laid out one after another, […, in]: dropout goes by examples and places in them
   */
  abstract forward(x: Tensor, y: Tensor, shape: readonly number[]): Tensor;

  /** ids […], y […, out] of an embedding → […, out]. Methods that have no form for embeddings throw. */
  embed(_ids: Tensor, _y: Tensor, _paddingIndex: number | undefined): Tensor {
    throw new LowrankError("NotBuiltError", `${this.kind} on an embedding is not built`);
  }

  /** The base's matrix [out, in] with this update worked in. */
  abstract mergedInto(matrix: Tensor): Tensor;

  /** Whether merging changes the base's bias. */
  get changesBias(): boolean {
    return false;
  }

  /** The base's bias [out] with this update worked in. */
  mergedBias(bias: Tensor): Tensor {
    return bias;
  }

  /** Factor of the update, built into what is traced. @throws LowrankError (AdapterError) on setting it where the method has none */
  get scale(): number {
    return 1;
  }

  set scale(_: number) {
    throw new LowrankError(
      "AdapterError",
      `${this.kind} has no scale that could be changed; PEFT's files of it have no word for one`,
    );
  }

  get lowRank(): LowRank | undefined {
    return undefined;
  }

  get ranks(): Ranks | undefined {
    return undefined;
  }

  /** Whether what is saved is computed from the base, which must then be unmerged. */
  get readsBase(): boolean {
    return false;
  }

  /** Values to be saved instead of those in memory, where a file must say the same function in other numbers. @param _path for messages */
  saved(_path: string): Promise<ReadonlyMap<Weight, StoredTensor>> {
    return Promise.resolve(new Map());
  }

  /** Values that depend on the base, once both have memory. */
  async initialize(): Promise<void> {
    /* most methods have none */
  }
}
