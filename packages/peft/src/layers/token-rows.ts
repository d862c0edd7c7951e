/**
 * Rows of a table that are trained while the others stay (PEFT's `trainable_token_indices`): of an embedding, or of an output layer. The rows
 * themselves are kept, not differences. Where they take part is told by a selection, so that the table may be stored in any form, and only they have
 * gradients and moments.
 */
import { Weight } from "@lowrank/nn";
import { ops, toMemory, type Device, type Tensor } from "@lowrank/tensor";
import { Update, type NamedUpdateWeight, type UpdateBase } from "./update.ts";

export class TokenRows extends Update {
  readonly kind = "trainable tokens";
  readonly indices: readonly number[];
  /** [tokens, width] */
  readonly rows: Weight;
  /** Of the table. */
  readonly #words: number;
  /** Whether the base's matrix [out, in] has a column for each word, as an embedding's, and not a row. */
  readonly #across: boolean;

  /** @param across whether the base is an embedding, whose matrix is [width, words] */
  constructor(base: UpdateBase, indices: readonly number[], across: boolean) {
    super(base);
    this.indices = indices;
    this.#across = across;
    const width = across ? base.outFeatures : base.inFeatures;
    this.#words = across ? base.inFeatures : base.outFeatures;
    this.rows = new Weight([indices.length, width], { kind: "zeros" });
  }

  get weights(): readonly NamedUpdateWeight[] {
    return [
      {
        memory: "token_adapter.trainable_tokens_delta.{}",
        file: "token_adapter.trainable_tokens_delta",
        weight: this.rows,
      },
    ];
  }

  /** Begins as the table's rows. */
  override async initialize(): Promise<void> {
    const { parameter } = this.rows;
    const matrix = this.base.matrix();
    const table = this.#across ? ops.transpose(matrix) : matrix;
    const ids = parameter.device.tensor(Int32Array.from(this.indices), [this.indices.length], "i32");
    parameter.write(toMemory(parameter.dtype, await ops.gatherRows(table, ids).floats(), "f64"));
  }

  /** i32 [words]: the place among the rows, −1 where the table's own row stays. */
  #places(device: Device): Tensor {
    const places = new Int32Array(this.#words).fill(-1);
    this.indices.forEach((word, place) => (places[word] = place));
    return device.constant(places, [this.#words], "i32");
  }

  override embed(ids: Tensor, y: Tensor, paddingIndex: number | undefined): Tensor {
    const place = ops.gatherRows(this.#places(y.device), ids);
    const own = ops.ge(place, 0);
    const padding = paddingIndex === undefined ? -1 : this.indices.indexOf(paddingIndex);
    const rows = ops.embedding(this.rows.value, ops.maximum(place, 0), padding < 0 ? undefined : padding);
    return ops.where(ops.expand(ops.unsqueeze(own, own.rank), rows.shape), ops.cast(rows, y.dtype), y);
  }

  /** x [n, width], y [n, words], bias [words]: the columns of these words from their own rows. */
  score(x: Tensor, y: Tensor, bias: Tensor | undefined): Tensor {
    const { value } = this.rows;
    const own = ops.matmul(ops.cast(x, value.dtype), ops.transpose(value));
    const [k, words] = [this.indices.length, this.#words];
    const places = ops.reshape(this.#places(y.device), [1, words]);
    const order = y.device.constant(
      Int32Array.from({ length: k }, (_, i) => i),
      [k, 1],
      "i32",
    );
    // a one in the column of each word: its product puts columns into their places without rounding
    const spread = ops.cast(ops.eq(places, order), value.dtype);
    const wide = ops.matmul(own, spread);
    const scores = bias === undefined ? wide : ops.add(wide, ops.cast(bias, wide.dtype));
    return ops.where(ops.ge(places, 0), ops.cast(scores, y.dtype), y);
  }

  forward(x: Tensor, y: Tensor): Tensor {
    return this.score(x, y, this.base.bias());
  }

  mergedInto(matrix: Tensor): Tensor {
    const places = this.#places(matrix.device);
    const rows = ops.cast(ops.gatherRows(this.rows.value, ops.maximum(places, 0)), matrix.dtype);
    const own = ops.ge(places, 0);
    return this.#across
      ? ops.where(ops.reshape(own, [1, this.#words]), ops.transpose(rows), matrix)
      : ops.where(ops.reshape(own, [this.#words, 1]), rows, matrix);
  }
}
