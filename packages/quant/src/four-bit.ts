/** Weights kept in four bits on the device. A product reads them through `dequantise`, so they never exist at full width. */
import type { WeightForm, WeightFormat } from "@lowrank/nn";
import { ops, type Device, type Parameter, type Tensor } from "@lowrank/tensor";
import { quantiseBlocks, type Blocks } from "./blockwise.ts";
import { NESTED_BLOCK, nestScales, type NestedScales } from "./nested.ts";
import { codeBooks, dynamicMap, type FourBitType } from "./tables.ts";

export interface FourBitOptions {
  /** Default nf4. */
  readonly type?: FourBitType;
  /** Elements that share a scale. Default 64. */
  readonly blockSize?: number;
  /** Whether scales are quantised too: 4.13 instead of 4.5 bits an element. Default true. */
  readonly doubleQuantisation?: boolean;
}

/** A quantised tensor on the host: what a bitsandbytes file holds. */
export interface FourBitState {
  readonly type: FourBitType;
  readonly blockSize: number;
  readonly shape: readonly number[];
  readonly codes: Uint8Array;
  /** Plain scales, or quantised ones. */
  readonly scales: Float32Array | NestedScales;
  /** dtype of the weight before, as torch spells it. */
  readonly sourceDType: string;
}

export function quantiseFourBit(values: Float32Array, shape: readonly number[], options: FourBitOptions = {}, name = "tensor", sourceDType = "float32"): FourBitState {
  const { type = "nf4", blockSize = 64, doubleQuantisation = true } = options;
  const { codes, absmax }: Blocks = quantiseBlocks(values, type, blockSize, name);
  return { type, blockSize, shape, codes, scales: doubleQuantisation ? nestScales(absmax) : absmax, sourceDType };
}

export class FourBitWeight implements WeightForm {
  readonly state: Omit<FourBitState, "codes" | "scales">;
  readonly #codes: Parameter;
  readonly #table: Parameter;
  readonly #scales: Parameter;
  /** Quantised scales: their own scales, the table and the offset. */
  readonly #nested: { readonly absmax: Parameter; readonly table: Parameter; readonly offset: Parameter } | undefined;
  readonly #transposed: boolean;

  /** @param transposed whether the weight is used as [in, out] while its blocks run along [out, in] */
  constructor(device: Device, { codes, scales, ...state }: FourBitState, transposed = false) {
    this.state = state;
    this.#transposed = transposed;
    const float = device.defaultFloat;
    this.#codes = device.parameter(codes, [codes.length], "u8");
    this.#table = device.parameter(codeBooks[state.type], [16], float);
    if (scales instanceof Float32Array) {
      this.#scales = device.parameter(scales, [scales.length], float);
    } else {
      this.#scales = device.parameter(scales.codes, [scales.codes.length], "u8");
      this.#nested = { absmax: device.parameter(scales.absmax, [scales.absmax.length], float), table: device.parameter(dynamicMap, [256], float), offset: device.parameter([scales.offset], [1], float) };
    }
  }

  get kind(): string { return this.state.type; }
  get doubleQuantised(): boolean { return this.#nested !== undefined; }
  get bytes(): number { return this.#parameters().reduce((sum, p) => sum + p.size * (p.dtype === "u8" ? 1 : 4), 0); }

  value(): Tensor {
    const { shape, blockSize } = this.state;
    const value = ops.dequantise(this.#codes.value, this.#scaleValues(), this.#table.value, shape, blockSize);
    return this.#transposed ? ops.transpose(value) : value;
  }

  /** What is on the device, read back. */
  async read(): Promise<FourBitState> {
    const f32 = async (p: Parameter): Promise<Float32Array> => Float32Array.from(await p.data());
    const codes = (await this.#codes.data()) as Uint8Array;
    const scales = this.#nested === undefined ? await f32(this.#scales)
      : { codes: (await this.#scales.data()) as Uint8Array, absmax: await f32(this.#nested.absmax), offset: (await f32(this.#nested.offset))[0]! };
    return { ...this.state, codes, scales };
  }

  dispose(): void { this.#parameters().forEach((p) => p.dispose()); }

  #parameters(): Parameter[] {
    return [this.#codes, this.#table, this.#scales, ...(this.#nested === undefined ? [] : Object.values(this.#nested))];
  }

  #scaleValues(): Tensor {
    if (this.#nested === undefined) return this.#scales.value;
    const { absmax, table, offset } = this.#nested;
    const [blocks, groups] = [this.#scales.size, absmax.size];
    const each = ops.slice(ops.reshape(ops.expand(ops.reshape(absmax.value, [groups, 1]), [groups, NESTED_BLOCK]), [-1]), 0, 0, blocks);
    return ops.add(ops.mul(ops.gatherRows(table.value, this.#scales.value), each), offset.value);
  }
}

/** The format for `materialize({ storage })`. */
export function fourBit(options: FourBitOptions = {}, transposed = false): WeightFormat {
  return {
    kind: options.type ?? "nf4",
    keep(device, name, shape, values) {
      const [rows, cols] = shape as [number, number];
      if (!transposed) return new FourBitWeight(device, quantiseFourBit(values, shape, options, name));
      return new FourBitWeight(device, quantiseFourBit(transposeOf(values, rows, cols), [cols, rows], options, name), true);
    },
  };
}

function transposeOf(x: Float32Array, rows: number, cols: number): Float32Array {
  const out = new Float32Array(x.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = x[r * cols + c]!;
  return out;
}
