/** What changes the type of values, unpacks them, or chooses between them. */
import { isFloat, type DType } from "../dtype.ts";
import { sizeOf } from "../shape.ts";
import type { Primitive } from "./primitive.ts";

export const cast: Primitive = {
  name: "cast",
  lowering: { class: "cast" },
  cost: 1,
  reference: ([x], attrs) => {
    if (attrs["to"] === "bool") return x!.data.map((v) => (v === 0 ? 0 : 1));
    if (isFloat(attrs["to"] as DType)) return x!.data;
    const [low, high] =
      attrs["to"] === "i32" ? [-2147483648, 2147483647] : attrs["to"] === "u32" ? [0, 4294967295] : [0, 255];
    return x!.data.map((v) => (Number.isNaN(v) ? 0 : Math.min(Math.max(Math.trunc(v), low), high)));
  },
};

export const where: Primitive = {
  name: "where",
  lowering: { class: "select" },
  cost: 1,
  reference: ([c, a, b]) => a!.data.map((v, i) => (c!.data[i] !== 0 ? v : b!.data[i]!)),
};

export const dequantize: Primitive = {
  name: "dequantize",
  lowering: { class: "dequantize" },
  cost: 6,
  reference: ([codes, scales, table], attrs, shape) => {
    const blockSize = attrs["blockSize"] as number;
    return Float64Array.from({ length: sizeOf(shape) }, (_, i) => {
      const byte = codes!.data[i >> 1]!;
      return table!.data[i % 2 === 0 ? byte >> 4 : byte & 15]! * scales!.data[Math.floor(i / blockSize)]!;
    });
  },
};
