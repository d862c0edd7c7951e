/**
 * DoRA (Liu et al. 2024): W' = m ⊙ (W + sBA)/‖W + sBA‖, norms per output row. The norm is a constant for the gradient (section 4.3
 * of the paper), as in PEFT; the bias is not rescaled.
 *
 * Where the norm of a row is exactly 0 (a row of zeros in the base, before B moves), PEFT divides 0 by 0; here the factor m/‖·‖ is 1
 * and the gradient of m is 0, so that the row is 0 and B learns. Everywhere else the value is PEFT's: m = 0 gives a row of zeros.
 * `saveAdapter` writes such a row with m = 0 beside a B that is not 0, which is the same function and one that PEFT reads without NaN.
 */
import { Weight } from "@lowrank/nn";
import { LowrankError, ops, toMemory, type StoredTensor, type Tensor } from "@lowrank/tensor";
import { LoraUpdate, type LoraOptions } from "./lora.ts";
import type { LowRank, NamedUpdateWeight, UpdateBase } from "./update.ts";

/** A row of A whose square does not vanish in f32. */
const TINY = 1e-15;

export class DoraUpdate extends LoraUpdate {
  override readonly kind = "dora";
  /** [out]: starts as the row norms of the base. */
  readonly magnitude: Weight;

  constructor(base: UpdateBase, options: LoraOptions) {
    super(base, options);
    this.magnitude = new Weight([base.outFeatures], { kind: "ones" });
  }

  /** What is added is no product: rows are rescaled with the base in them. */
  override get factors(): LowRank["factors"] {
    return undefined;
  }

  override get readsBase(): boolean {
    return true;
  }

  override get weights(): readonly NamedUpdateWeight[] {
    return [
      ...super.weights,
      { memory: "lora_magnitude_vector.{}.weight", file: "lora_magnitude_vector", weight: this.magnitude },
    ];
  }

  override async initialize(): Promise<void> {
    const { parameter } = this.magnitude;
    parameter.write(toMemory(parameter.dtype, await this.#norm().floats(), "f64"));
  }

  /** ‖W + sBA‖ of each row, [out]. */
  #norm(): Tensor {
    const matrix = ops.cast(this.base.matrix(), this.a.value.dtype);
    return ops.sqrt(ops.sum(ops.square(ops.add(matrix, this.delta())), 1));
  }

  /** Rows of W + sBA that are exactly zero, bool [out]. */
  zeroRows(): Tensor {
    return ops.eq(this.#norm(), 0);
  }

  /** m/‖W + sBA‖, and 1 where that is 0/0 or m/0, [out]. */
  #factor(): Tensor {
    const norm = ops.detach(this.#norm());
    const zero = ops.eq(norm, 0);
    // the branch that is not taken must have a finite gradient too
    return ops.where(zero, 1, ops.div(this.magnitude.value, ops.where(zero, 1, norm)));
  }

  override forward(x: Tensor, y: Tensor, shape: readonly number[]): Tensor {
    const factor = this.#factor();
    const input = this.dropout.forward(ops.cast(x, this.a.value.dtype), { shape });
    const bias = this.base.bias();
    // under dropout the base's part of the update sees the dropped-out input too
    const plain = this.dropout.active
      ? ops.matmul(input, ops.transpose(this.base.matrix()))
      : bias === undefined
        ? y
        : ops.sub(y, bias);
    return ops.add(y, ops.add(ops.mul(ops.sub(factor, 1), plain), ops.mul(factor, this.product(input))));
  }

  override embed(ids: Tensor, y: Tensor, paddingIndex: number | undefined): Tensor {
    return ops.mul(this.#factor(), ops.add(y, this.lookUp(ids, paddingIndex)));
  }

  override mergedInto(matrix: Tensor): Tensor {
    const factor = ops.reshape(this.#factor(), [-1, 1]);
    return ops.cast(ops.mul(factor, ops.add(ops.cast(matrix, factor.dtype), this.delta())), matrix.dtype);
  }

  /**
   * Rows of W + sBA that are exactly 0: PEFT would divide 0 by their norm. With m = 0 and any B that is not 0 it reads a row of
   * zeros, which is what ours is.
   */
  override async saved(path: string): Promise<ReadonlyMap<Weight, StoredTensor>> {
    const rows = [...(await this.zeroRows().floats())].flatMap((zero, row) => (zero === 0 ? [] : [row]));
    if (rows.length === 0) return new Map();
    const [a, b, m] = await Promise.all([this.a.value.floats(), this.b.value.floats(), this.magnitude.value.floats()]);
    const inner = this.base.inFeatures;
    const moves = Array.from({ length: this.rank }, (_, k) => k).find((k) =>
      a.subarray(k * inner, (k + 1) * inner).some((v) => Math.abs(v) > TINY),
    );
    if (moves === undefined || this.scale === 0)
      throw new LowrankError(
        "AdapterError",
        `saveAdapter: row ${rows[0]} of ${path} is exactly zero, base and update, and PEFT would read NaN there; leave ${path} out of the targets, or save without DoRA`,
      );
    for (const row of rows) {
      b[row * this.rank + moves] = 1;
      m[row] = 0;
    }
    return new Map<Weight, StoredTensor>([
      [this.b, { dtype: "f64", shape: this.b.shape, data: b }],
      [this.magnitude, { dtype: "f64", shape: this.magnitude.shape, data: m }],
    ]);
  }
}
