/** Weights kept in four bits on the device. A product reads them through `dequantize`, so they never exist at full width. */
import type { WeightForm } from "@lowrank/nn";
import { transposeOf, ops, type Device, type FileEntry, type Parameter, type Tensor } from "@lowrank/tensor";
import { entriesOf } from "./bnb-file.ts";
import type { QuantizedFormat } from "./format.ts";
import { NESTED_BLOCK } from "./nested.ts";
import { findCodes } from "./on-device.ts";
import { fourBitOptions, quantizeFourBit, storedScales, type FourBitState } from "./state.ts";
import type { FourBitOptions } from "./options.ts";
import { codeBooks, dynamicMap } from "./tables.ts";

export class FourBitWeight implements WeightForm {
  readonly state: Omit<FourBitState, "codes" | "scales">;
  readonly #codes: Parameter;
  readonly #table: Parameter;
  readonly #scales: Parameter;
  /** Quantized scales: their own scales, the table and the offset. */
  readonly #nested: { readonly absmax: Parameter; readonly table: Parameter; readonly offset: Parameter } | undefined;
  readonly #transposed: boolean;

  /**
   * @param state with codes from the host, or in a parameter that this weight then owns
   * @param transposed whether the weight is used as [in, out] while its blocks run along [out, in]
   */
  constructor(
    device: Device,
    { codes, scales, ...state }: Omit<FourBitState, "codes"> & { readonly codes: Uint8Array | Parameter },
    transposed = false,
  ) {
    this.state = state;
    this.#transposed = transposed;
    const float = device.defaultFloat;
    this.#codes = codes instanceof Uint8Array ? device.parameter(codes, [codes.length], "u8") : codes;
    this.#table = device.parameter(codeBooks[state.type], [16], float);
    if (scales instanceof Float32Array) {
      this.#scales = device.parameter(scales, [scales.length], float);
    } else {
      this.#scales = device.parameter(scales.codes, [scales.codes.length], "u8");
      this.#nested = {
        absmax: device.parameter(scales.absmax, [scales.absmax.length], float),
        table: device.parameter(dynamicMap, [256], float),
        offset: device.parameter([scales.offset], [1], float),
      };
    }
  }

  get kind(): string {
    return this.state.type;
  }
  get doubleQuantized(): boolean {
    return this.#nested !== undefined;
  }
  get bytes(): number {
    return this.#parameters().reduce((sum, p) => sum + p.size * (p.dtype === "u8" ? 1 : 4), 0);
  }

  get format(): QuantizedFormat {
    const { type, blockSize } = this.state;
    return fourBit({ type, blockSize, doubleQuantization: this.doubleQuantized }, this.#transposed);
  }

  value(): Tensor {
    const { shape, blockSize } = this.state;
    const value = ops.dequantize(this.#codes.value, this.#scaleValues(), this.#table.value, shape, blockSize);
    return this.#transposed ? ops.transpose(value) : value;
  }

  /** What is on the device, read back. */
  async read(): Promise<FourBitState> {
    const f32 = async (p: Parameter): Promise<Float32Array> => Float32Array.from(await p.data());
    const codes = (await this.#codes.data()) as Uint8Array;
    const scales =
      this.#nested === undefined
        ? await f32(this.#scales)
        : {
            codes: (await this.#scales.data()) as Uint8Array,
            absmax: await f32(this.#nested.absmax),
            offset: (await f32(this.#nested.offset))[0]!,
          };
    return { ...this.state, codes, scales };
  }

  /** The entries of a bitsandbytes file: codes and scales are read from the device when their turn comes. */
  async entries(name: string): Promise<Map<string, FileEntry>> {
    const nested = this.#nested;
    const from = (p: Parameter) => async () => (p.dtype === "u8" ? p.data() : Float32Array.from(await p.data()));
    const parts = {
      codes: from(this.#codes),
      scales: from(this.#scales),
      // the offset stands in the state's text, whose length the header says
      ...(nested && { outer: { absmax: from(nested.absmax), offset: Number((await nested.offset.data())[0]) } }),
    };
    const entries = entriesOf<FileEntry["load"]>(name, this.state, parts, (data) => () => data);
    return new Map([...entries].map(([key, { data: load, ...entry }]) => [key, { ...entry, load }]));
  }

  dispose(): void {
    this.#parameters().forEach((p) => p.dispose());
  }

  #parameters(): Parameter[] {
    return [this.#codes, this.#table, this.#scales, ...(this.#nested === undefined ? [] : Object.values(this.#nested))];
  }

  #scaleValues(): Tensor {
    if (this.#nested === undefined) return this.#scales.value;
    const { absmax, table, offset } = this.#nested;
    const [blocks, groups] = [this.#scales.size, absmax.size];
    const each = ops.slice(
      ops.reshape(ops.expand(ops.reshape(absmax.value, [groups, 1]), [groups, NESTED_BLOCK]), [-1]),
      0,
      0,
      blocks,
    );
    return ops.add(ops.mul(ops.gatherRows(table.value, this.#scales.value), each), offset.value);
  }
}

/** The format for `materialize({ storage })`. @throws LowrankError (ConfigError) naming the option that is wrong */
export function fourBit(options: FourBitOptions = {}, transposed = false): QuantizedFormat {
  const { type, blockSize, doubleQuantization } = fourBitOptions("fourBit", options);
  return {
    kind: type,
    transposed,
    keep(device, name, shape, values) {
      const [rows, cols] = shape as [number, number];
      if (!transposed) return new FourBitWeight(device, quantizeFourBit(values, shape, options, name));
      return new FourBitWeight(
        device,
        quantizeFourBit(transposeOf(values, rows, cols), [cols, rows], options, name),
        true,
      );
    },
    async keepFrom(name, value) {
      const x = transposed ? ops.transpose(value) : value;
      const { codes, absmax } = await findCodes(x, type, blockSize, name);
      return new FourBitWeight(
        value.device,
        {
          type,
          blockSize,
          shape: x.shape,
          codes,
          scales: storedScales(absmax, doubleQuantization, name, "float32"),
          sourceDType: "float32",
        },
        transposed,
      );
    },
  };
}
