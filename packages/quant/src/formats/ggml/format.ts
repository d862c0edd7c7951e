/** A form of ggml's blocks as a `Format`: which tensors have it, what of them is on the device, and their numbers. */
import type { LoadTarget, WeightForm, WeightFormat } from "@lowrank/nn";
import {
  composite,
  f16ToF32,
  FormatError,
  ops,
  transposeOf,
  type Device,
  type Parameter,
  type Tensor,
  type TensorSource,
} from "@lowrank/tensor";
import { blockRow } from "@lowrank/tensor/backend";
import type { QuantizableFormat } from "../../format.ts";
import { encodeGgml } from "./encode.ts";
import type { BlockLayout } from "./layout.ts";

/** Bytes of a file that are asked for at once. */
const PIECE = 1 << 20;

/** Rows of blocks, taken apart: bits of the f16 scales, and all other bytes. Block after block, in the file's order. */
interface Blocks {
  readonly rows: number;
  /** Blocks of a row. */
  readonly blocks: number;
  readonly codes: Uint8Array;
  readonly halves: Uint16Array;
}

class BlockWeight implements WeightForm {
  readonly kind: string;
  readonly #layout: BlockLayout;
  readonly #codes: Parameter;
  readonly #halves: Parameter;
  readonly #shape: readonly number[];
  readonly #transposed: boolean;

  /** @param shape of the tensor in the file; the last dimension is what blocks run along */
  constructor(device: Device, layout: BlockLayout, parts: Blocks, shape: readonly number[], transposed: boolean) {
    const { rows, blocks, codes, halves } = parts;
    const count = layout.halves.length;
    this.kind = layout.name;
    this.#layout = layout;
    this.#codes = device.parameter(codes, [rows, blocks, layout.bytes - 2 * count], "u8");
    this.#halves = device.parameter(halves, [rows, blocks, count], "f16", "f16");
    this.#shape = shape;
    this.#transposed = transposed;
  }

  get bytes(): number {
    return this.#codes.size + 2 * this.#halves.size;
  }

  get format(): WeightFormat | undefined {
    const layout = this.#layout;
    const transposed = this.#transposed;
    if (layout.encode === undefined) return undefined;
    return {
      kind: layout.name,
      keep(device, name, shape, values) {
        const [rows, cols] = shape as [number, number];
        const kept = transposed ? [cols, rows] : shape;
        const numbers = transposed ? transposeOf(values, rows, cols) : values;
        const bytes = encodeGgml(layout.name, numbers, kept.at(-1)!, name);
        return new BlockWeight(device, layout, takenApart(layout, bytes, kept), kept, transposed);
      },
    };
  }

  value(): Tensor {
    const halves = ops.cast(this.#halves.value, "f32");
    const each = this.#layout.halves.map((_, i) => ops.slice(halves, 2, i, i + 1));
    const value = ops.reshape(this.#layout.value(ops.cast(this.#codes.value, "f32"), each), this.#shape);
    composite("dequantize", value, [this.#codes.value, this.#halves.value], { format: this.kind }, blockRow);
    const wide = ops.cast(value, value.device.defaultFloat);
    return this.#transposed ? ops.transpose(wide) : wide;
  }

  dispose(): void {
    this.#codes.dispose();
    this.#halves.dispose();
  }
}

/** Blocks one after the other, in codes and scales. @param shape of the tensor in a file */
function takenApart(layout: BlockLayout, bytes: Uint8Array, shape: readonly number[]): Blocks {
  const blocks = shape.at(-1)! / layout.elements;
  const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  const coded = layout.bytes - 2 * layout.halves.length;
  const parts = {
    rows,
    blocks,
    codes: new Uint8Array(rows * blocks * coded),
    halves: new Uint16Array(rows * blocks * layout.halves.length),
  };
  for (let i = 0; i < rows * blocks; i++) takeApart(layout, bytes, i * layout.bytes, parts, i);
  return parts;
}

/** One block at `at` of `piece` as block `i` of `to`. */
function takeApart(
  { bytes, halves: places }: BlockLayout,
  piece: Uint8Array,
  at: number,
  to: Pick<Blocks, "codes" | "halves">,
  i: number,
): void {
  let [from, codesAt] = [0, i * (bytes - 2 * places.length)];
  for (const [k, place] of places.entries()) {
    to.halves[i * places.length + k] = piece[at + place]! | (piece[at + place + 1]! << 8);
    for (; from < place; from++) to.codes[codesAt++] = piece[at + from]!;
    from += 2;
  }
  for (; from < bytes; from++) to.codes[codesAt++] = piece[at + from]!;
}

export function blockFormat(layout: BlockLayout): QuantizableFormat {
  const { name: form, elements, bytes, halves: places } = layout;

  const shapeOf = (source: TensorSource, name: string, { shape, transposed }: LoadTarget): readonly number[] => {
    const info = source.info(name);
    const wanted = transposed ? [...shape].reverse() : shape;
    if (info.shape.join() !== wanted.join())
      throw new FormatError(
        `${name}: the file has [${info.shape.join(", ")}] in ${form}, the model wants [${wanted.join(", ")}]`,
      );
    const width = wanted.at(-1) ?? 1;
    const size = wanted.reduce((a, b) => a * b, 1);
    if (width % elements !== 0 || info.bytes !== (size / elements) * bytes)
      throw new FormatError(
        `${name}: ${form} [${wanted.join(", ")}] needs rows of whole blocks of ${elements} and ${bytes} bytes for each, the file has ${info.bytes} bytes`,
      );
    return wanted;
  };

  /** A piece at a time: what was read is taken apart before the next is asked for. */
  const read = async (source: TensorSource, name: string, shape: readonly number[]): Promise<Blocks> => {
    const blocks = shape.at(-1)! / elements;
    const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
    const [count, coded] = [rows * blocks, bytes - 2 * places.length];
    const [codes, halves] = [new Uint8Array(count * coded), new Uint16Array(count * places.length)];
    // pieces are whole rows where these are shorter
    const step = Math.max(1, Math.floor(PIECE / (bytes * blocks))) * blocks;
    for (let from = 0; from < count; from += step) {
      const to = Math.min(count, from + step);
      const piece = await source.range(name, from * bytes, to * bytes);
      for (let i = from; i < to; i++) takeApart(layout, piece, (i - from) * bytes, { codes, halves }, i);
    }
    return { rows, blocks, codes, halves };
  };

  const finite = (name: string, { halves }: Blocks, allowNonFinite: boolean): void => {
    const bad = allowNonFinite ? -1 : halves.findIndex((bits) => (bits & 0x7c00) === 0x7c00);
    if (bad >= 0)
      throw new FormatError(
        `${name}: the scale of ${form} block ${Math.floor(bad / places.length)} is not finite: the file is damaged, or say allowNonFinite: true`,
      );
  };

  return {
    name: form,
    matches: (source, name) => (source.has(name) && source.info(name).dtype === form ? [name] : undefined),
    async load(device, source, name, target) {
      const shape = shapeOf(source, name, target);
      const parts = await read(source, name, shape);
      finite(name, parts, target.allowNonFinite);
      return new BlockWeight(device, layout, parts, shape, target.transposed);
    },
    empty(device, shape, { transposed }) {
      const kept = transposed ? [...shape].reverse() : shape;
      const blocks = kept.at(-1)! / elements;
      const rows = kept.slice(0, -1).reduce((a, b) => a * b, 1);
      const codes = new Uint8Array(rows * blocks * (bytes - 2 * places.length));
      const parts = { rows, blocks, codes, halves: new Uint16Array(rows * blocks * places.length) };
      return new BlockWeight(device, layout, parts, kept, transposed);
    },
    async decode(source, name, target) {
      const shape = shapeOf(source, name, target);
      const parts = await read(source, name, shape);
      finite(name, parts, target.allowNonFinite);
      const { codes, halves } = parts;
      const data = new Float32Array((halves.length / places.length) * elements);
      const scales = f16ToF32(halves);
      const coded = bytes - 2 * places.length;
      for (let i = 0; i * coded < codes.length; i++)
        layout.decode(
          codes,
          i * coded,
          places.map((_, k) => scales[i * places.length + k]!),
          data,
          i * elements,
        );
      return {
        dtype: "f32",
        shape: target.shape,
        data: target.transposed ? transposeOf(data, shape[0]!, shape[1]!) : data,
      };
    },
  };
}
