/**
 * Eight-bit weights with one scale per row (LLM.int8, Dettmers et al. 2022). In products the weight is widened while it is packed;
 * `llmInt8` is the original's integer product with its outlier columns, on the host.
 */
import type { WeightForm } from "@lowrank/nn";
import { transposeOf, NumericsError, ops, ShapeError, type Device, type Parameter, type Tensor } from "@lowrank/tensor";
import type { QuantizedFormat } from "./format.ts";

export interface Int8Rows {
  readonly codes: Int8Array;
  /** Largest magnitude of each row. */
  readonly absmax: Float32Array;
}

/** round(127·x/absmax) to nearest even, row by row of [rows, cols]. A row of zeros stays zeros. */
export function quantizeRows(
  values: Float32Array,
  rows: number,
  cols: number,
  name = "tensor",
  skip: (column: number) => boolean = () => false,
): Int8Rows {
  if (values.length !== rows * cols)
    throw new ShapeError(`${name}: ${values.length} values are no matrix of [${rows}, ${cols}]`);
  const codes = new Int8Array(values.length);
  const absmax = new Float32Array(rows);
  for (let r = 0; r < rows; r++) {
    let largest = 0;
    for (let c = 0; c < cols; c++) {
      const x = values[r * cols + c]!;
      if (!Number.isFinite(x))
        throw new NumericsError(`${name}: element ${r * cols + c} is ${x}; only finite weights can be quantized`);
      if (!skip(c)) largest = Math.max(largest, Math.abs(x));
    }
    absmax[r] = largest;
    if (largest === 0) continue;
    for (let c = 0; c < cols; c++)
      if (!skip(c)) codes[r * cols + c] = roundEven(Math.fround(127 * Math.fround(values[r * cols + c]! / largest)));
  }
  return { codes, absmax };
}

/** code · (absmax / 127), each step in f32: the numbers that the weight has on a device. */
export function dequantizeRows({ codes, absmax }: Int8Rows, cols: number): Float32Array {
  if (codes.length !== absmax.length * cols)
    throw new ShapeError(`dequantizeRows: ${codes.length} codes are not ${absmax.length} rows of ${cols}`);
  return Float32Array.from(codes, (q, i) => q * Math.fround(absmax[Math.floor(i / cols)]! / 127));
}

/**
 * a [m, k] · bᵀ [n, k] with both sides in int8, except columns of a that hold a magnitude ≥ threshold: those multiply at full precision.
 * @param threshold default 6; 0 turns outliers off
 */
export function llmInt8(
  a: Float32Array,
  b: Float32Array,
  m: number,
  n: number,
  k: number,
  threshold = 6,
): { product: Float32Array; outliers: number[] } {
  const outliers =
    threshold <= 0
      ? []
      : Array.from({ length: k }, (_, c) => c).filter((c) =>
          Array.from({ length: m }).some((_, r) => Math.abs(a[r * k + c]!) >= threshold),
        );
  const out = new Set(outliers);
  const left = quantizeRows(a, m, k, "activations", (c) => out.has(c));
  const right = quantizeRows(b, n, k, "weight");
  const product = new Float32Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let c = 0; c < k; c++) sum += left.codes[i * k + c]! * right.codes[j * k + c]!;
      let value = (sum * left.absmax[i]! * right.absmax[j]!) / (127 * 127);
      for (const c of outliers) value += a[i * k + c]! * b[j * k + c]!;
      product[i * n + j] = value;
    }
  }
  return { product, outliers };
}

function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

export class Int8Weight implements WeightForm {
  readonly kind = "int8";
  /** Of each row: absmax / 127 rounded, which is what the device has, does not tell it. */
  readonly absmax: Float32Array;
  readonly #codes: Parameter;
  readonly #scales: Parameter;
  readonly #transposed: boolean;

  /**
   * Codes are kept as bytes, 128 more than they are; as bytes they are taken for that.
   * @param shape [out, in]
   * @param transposed whether the weight is used as [in, out]
   */
  constructor(
    device: Device,
    { codes, absmax }: Pick<Int8Rows, "absmax"> & { readonly codes: Int8Array | Uint8Array },
    shape: readonly number[],
    transposed = false,
  ) {
    this.#transposed = transposed;
    this.absmax = absmax;
    this.#codes = device.parameter(
      codes instanceof Uint8Array ? codes : Uint8Array.from(codes, (q) => q + 128),
      shape,
      "u8",
    );
    this.#scales = device.parameter(
      Float32Array.from(absmax, (a) => a / 127),
      [shape[0]!, 1],
      device.defaultFloat,
    );
  }

  get bytes(): number {
    return this.#codes.size + 4 * this.#scales.size;
  }

  get format(): QuantizedFormat {
    return eightBit(this.#transposed);
  }

  value(): Tensor {
    const value = ops.mul(ops.sub(ops.cast(this.#codes.value, this.#scales.dtype), 128), this.#scales.value);
    return this.#transposed ? ops.transpose(value) : value;
  }

  /** [out, in] */
  get fileShape(): readonly number[] {
    return this.#codes.shape;
  }

  /** The codes as they came, read back. */
  async readCodes(): Promise<Int8Array> {
    return Int8Array.from(await this.#codes.data(), (byte) => byte - 128);
  }

  dispose(): void {
    this.#codes.dispose();
    this.#scales.dispose();
  }
}

/** One scale per output. `transposed` weights are turned from [in, out] first. */
export function eightBit(transposed = false): QuantizedFormat {
  return {
    kind: "int8",
    transposed,
    keep(device, name, shape, values) {
      const [rows, cols] = shape as [number, number];
      if (!transposed) return new Int8Weight(device, quantizeRows(values, rows, values.length / rows, name), shape);
      return new Int8Weight(
        device,
        quantizeRows(transposeOf(values, rows, cols), cols, rows, name),
        [cols, rows],
        true,
      );
    },
  };
}
