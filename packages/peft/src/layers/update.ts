/** What one adapter adds to one layer. A method is one file that extends this. */
import type { Dropout, Weight } from "@lowrank/nn";
import { LowrankError, structureChanged, type Tensor } from "@lowrank/tensor";

/** A weight with its names: in memory (`{}` stands for the adapter) and in a file. */
export interface NamedUpdateWeight {
  readonly memory: string;
  readonly file: string;
  readonly weight: Weight;
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

export interface UpdateOptions {
  readonly rank: number;
  /** Factor of the update. */
  readonly scale: number;
  readonly dropout: number;
}

export abstract class Update {
  abstract readonly kind: "lora" | "dora" | "svd";
  readonly base: UpdateBase;
  readonly rank: number;
  #scale: number;
  abstract readonly dropout: Dropout;

  constructor(base: UpdateBase, { rank, scale }: UpdateOptions) {
    this.base = base;
    this.rank = rank;
    this.#scale = scale;
  }

  /** Factor of the update, built into what is traced. */
  get scale(): number {
    return this.#scale;
  }

  set scale(scale: number) {
    if (scale !== this.#scale) structureChanged();
    this.#scale = scale;
  }

  abstract get weights(): readonly NamedUpdateWeight[];

  /** x [n, in], y [n, out] of the base → [n, out]. */
  abstract forward(x: Tensor, y: Tensor): Tensor;

  /** ids […], y […, out] of an embedding → […, out]. Methods that have no form for embeddings throw. */
  embed(_ids: Tensor, _y: Tensor, _paddingIndex: number | undefined): Tensor {
    throw new LowrankError("NotBuiltError", `${this.kind} on an embedding is not built`);
  }

  /** The low-rank product itself, [out, in]. */
  abstract delta(): Tensor;

  /** What merging adds to the base's bias, [out]. */
  biasDelta(): Tensor | undefined {
    return undefined;
  }

  /** The base's matrix [out, in] with this update worked in. */
  abstract mergedInto(matrix: Tensor): Tensor;

  /** Values that depend on the base, once both have memory. */
  async initialize(): Promise<void> {
    /* most methods have none */
  }
}
