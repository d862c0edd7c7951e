/** Rows in eight bits as bitsandbytes keeps them: I8 codes under the weight's name, the rows' largest magnitudes as `SCB`. */
import type { LoadTarget } from "@lowrank/nn";
import { transposeOf, LowrankError, readTensor, type FileEntry, type TensorSource } from "@lowrank/tensor";
import { bnbConfig } from "../bnb-config.ts";
import type { QuantizableFormat } from "../format.ts";
import { dequantizeRows, eightBit, Int8Weight, type Int8Rows } from "../int8.ts";

/** How the codes lie; bitsandbytes writes 0, row after row, since 0.38. */
const LAYOUT = "weight_format";

/** `model.layer.weight` → `model.layer.SCB`. */
function beside(name: string, key: string): string {
  return `${name.slice(0, name.lastIndexOf(".") + 1)}${key}`;
}

async function rowsOf(
  source: TensorSource,
  name: string,
  { shape, transposed, allowNonFinite }: LoadTarget,
): Promise<Int8Rows> {
  const fail = (why: string): never => {
    throw new LowrankError("FormatError", `${name}: not a bitsandbytes eight-bit weight: ${why}`);
  };
  const wanted = transposed ? [...shape].reverse() : shape;
  const info = source.info(name);
  if (info.shape.join() !== wanted.join())
    throw new LowrankError(
      "FormatError",
      `${name}: the file has [${info.shape.join(", ")}] in eight bits, the model wants [${wanted.join(", ")}]`,
    );
  const scales = await readTensor(source, beside(name, "SCB"));
  if (scales.dtype !== "f32" || scales.data.length !== wanted[0])
    fail(`SCB has ${scales.data.length} elements of ${scales.dtype}, ${wanted[0]} rows need as many of f32`);
  const absmax = scales.data as Float32Array;
  const bad = allowNonFinite ? -1 : absmax.findIndex((s) => !(s >= 0 && s < Infinity));
  if (bad >= 0) fail(`scale ${bad} in SCB is ${absmax[bad]}; a scale is a finite number of at least 0`);
  const layout = beside(name, LAYOUT);
  if (source.has(layout)) {
    const { data } = await readTensor(source, layout);
    if (data.some((v) => v !== 0)) fail(`${LAYOUT} is ${data.join(", ")}; only rows (0) are read`);
  }
  const bytes = await source.range(name);
  return { codes: new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length), absmax };
}

export const bnbInt8: QuantizableFormat = {
  name: "int8",
  matches(source, name) {
    if (!name.endsWith(".weight") || !source.has(name) || !source.has(beside(name, "SCB"))) return undefined;
    if (source.info(name).dtype !== "I8") return undefined;
    return [name, beside(name, "SCB"), beside(name, LAYOUT)].filter((n) => source.has(n));
  },
  async load(device, source, name, target) {
    const rows = await rowsOf(source, name, target);
    return new Int8Weight(device, rows, source.info(name).shape, target.transposed);
  },
  async decode(source, name, target) {
    const [out, into] = source.info(name).shape as [number, number];
    const data = dequantizeRows(await rowsOf(source, name, target), into);
    return { dtype: "f32", shape: target.shape, data: target.transposed ? transposeOf(data, out, into) : data };
  },
  partOf: (name) => (name.endsWith(".SCB") ? beside(name, "weight") : undefined),
  write: {
    async entries(name, form) {
      const weight = form as Int8Weight;
      const [rows] = weight.fileShape;
      return new Map<string, FileEntry>([
        [name, { dtype: "i8", shape: weight.fileShape, load: () => weight.readCodes() }],
        [beside(name, "SCB"), { dtype: "f32", shape: [rows!], load: () => weight.absmax }],
        [beside(name, LAYOUT), { dtype: "u8", shape: [], load: () => Uint8Array.of(0) }],
      ]);
    },
    config: (kept) => bnbConfig(kept, { format: "int8", doubleQuantization: false }),
  },
  empty(device, shape, { transposed }) {
    const [out, into] = (transposed ? [...shape].reverse() : shape) as [number, number];
    const rows = { codes: new Uint8Array(out * into), absmax: new Float32Array(out) };
    return new Int8Weight(device, rows, [out, into], transposed);
  },
  // one plain scale a row, made on the host
  quantizer: { takes: [], make: (_, transposed) => eightBit(transposed) },
};
