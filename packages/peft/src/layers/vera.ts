/**
 * VeRA (Kopiczko et al. 2024, "VeRA: Vector-based Random Matrix Adaptation", arXiv:2310.11454): y + λ_b ⊙ B(λ_d ⊙ A(dropout(x))). A and B are
 * random, frozen and the same for all layers, the largest that any needs: a layer takes its first columns of A and rows of B. λ_b starts at
 * zero, so nothing changes at first; there is no scale.
 */
import { Dropout, Weight, type Module } from "@lowrank/nn";
import { ops, toMemory, type Device, type DType, type Tensor } from "@lowrank/tensor";
import { projectionsOf } from "../vera/torch-random.ts";
import { Update, type LowRank, type NamedUpdateWeight, type UpdateBase } from "./update.ts";

/** A and B of one adapter. Not in the model's tree: PEFT counts them as no parameters. */
export class Projections {
  /** [r, widest in]. */
  readonly a: Weight;
  /** [widest out, r]. */
  readonly b: Weight;
  readonly seed: number;

  constructor(seed: number, rank: number, inFeatures: number, outFeatures: number) {
    this.seed = seed;
    this.a = new Weight([rank, inFeatures], { kind: "zeros" });
    this.b = new Weight([outFeatures, rank], { kind: "zeros" });
    for (const weight of [this.a, this.b]) weight.trainable = false;
  }

  /** Draws both from the seed, as torch does. Does nothing the second time. */
  fill(device: Device, dtype: DType): void {
    if (this.a.materialized) return;
    const [rank, inFeatures] = this.a.shape as [number, number];
    const drawn = projectionsOf(this.seed, { rank, inFeatures, outFeatures: this.b.shape[0]! });
    this.a.parameter = device.parameter(drawn.a, this.a.shape, dtype, "f32");
    this.b.parameter = device.parameter(drawn.b, this.b.shape, dtype, "f32");
  }
}

export interface VeraUpdateOptions {
  readonly projections: Projections;
  readonly dropout: number;
  /** What λ_d starts from; undefined: λ_d is N(0, 1) and λ_b ones, PEFT's `init_weights: false`. */
  readonly dInitial: number | undefined;
  /** Whether files hold the projections. */
  readonly saveProjection: boolean;
}

export class VeraUpdate extends Update implements LowRank {
  readonly kind = "vera";
  readonly projections: Projections;
  readonly dropout: Dropout;
  /** λ_b [out]. */
  readonly b: Weight;
  /** λ_d [r]. */
  readonly d: Weight;
  readonly #dInitial: number | undefined;
  readonly #saveProjection: boolean;

  constructor(base: UpdateBase, { projections, dropout, dInitial, saveProjection }: VeraUpdateOptions) {
    super(base);
    this.projections = projections;
    this.dropout = new Dropout(dropout);
    this.b = new Weight([base.outFeatures], dInitial === undefined ? { kind: "ones" } : { kind: "zeros" });
    this.d = new Weight([this.rank], { kind: "normal", std: 1 });
    this.#dInitial = dInitial;
    this.#saveProjection = saveProjection;
  }

  get rank(): number {
    return this.projections.a.shape[0]!;
  }

  get weights(): readonly NamedUpdateWeight[] {
    return [
      { memory: "vera_lambda_b.{}", file: "vera_lambda_b", weight: this.b },
      { memory: "vera_lambda_d.{}", file: "vera_lambda_d", weight: this.d },
    ];
  }

  override get shared(): readonly NamedUpdateWeight[] {
    const file = (name: string): string => (this.#saveProjection ? name : "");
    const { a, b } = this.projections;
    return [
      { memory: "base_model.vera_A.{}", file: file("base_model.vera_A"), weight: a },
      { memory: "base_model.vera_B.{}", file: file("base_model.vera_B"), weight: b },
    ];
  }

  override get lowRank(): LowRank {
    return this;
  }

  override modules(adapter: string): [string, Module][] {
    return [[`vera_dropout.${adapter}`, this.dropout]];
  }

  /** This layer's part of A, [r, in]. */
  get #down(): Tensor {
    return ops.slice(this.projections.a.value, 1, 0, this.base.inFeatures);
  }

  /** This layer's part of B, [out, r]. */
  get #up(): Tensor {
    return ops.slice(this.projections.b.value, 0, 0, this.base.outFeatures);
  }

  forward(x: Tensor, y: Tensor, shape: readonly number[]): Tensor {
    const input = this.dropout.forward(ops.cast(x, this.d.value.dtype), { shape });
    const down = ops.mul(ops.matmul(input, ops.transpose(this.#down)), this.d.value);
    return ops.add(y, ops.mul(ops.matmul(down, ops.transpose(this.#up)), this.b.value));
  }

  delta(): Tensor {
    const column = (vector: Weight): Tensor => ops.reshape(vector.value, [-1, 1]);
    return ops.matmul(ops.mul(this.#up, column(this.b)), ops.mul(this.#down, column(this.d)));
  }

  mergedInto(matrix: Tensor): Tensor {
    return ops.add(matrix, ops.cast(this.delta(), matrix.dtype));
  }

  override async initialize(): Promise<void> {
    if (this.#dInitial === undefined) return;
    const { parameter } = this.d;
    parameter.write(toMemory(parameter.dtype, new Float64Array(this.rank).fill(this.#dInitial), "f64"));
  }
}
