/** Entries of a quantized weight, as bitsandbytes writes them. */
import { fromEntries, quantizeFourBit, toEntries } from "@lowrank/quant";
import type { StoredTensor } from "@lowrank/tensor";
import { encoder, textOf } from "./files.ts";
import type { FuzzFormat } from "./judge.ts";
import { mutateJson, type Json } from "./mutate.ts";
const FOUR_BIT = toEntries(
  "w",
  quantizeFourBit(
    Float32Array.from({ length: 192 }, (_, i) => Math.sin(i)),
    [3, 64],
  ),
);

export const bnbEntries: FuzzFormat = {
  name: "bitsandbytes entries",
  draw(random) {
    const entries = Object.fromEntries(
      [...FOUR_BIT].map(([name, { dtype, shape, data }]) => [
        name,
        { dtype, shape: [...shape], data: [...data] } as Json,
      ]),
    );
    return encoder.encode(JSON.stringify(random.integer(8) === 0 ? entries : mutateJson(entries, random)) ?? "null");
  },
  read(bytes) {
    const raw = JSON.parse(textOf(bytes)) as unknown;
    // what SafetensorsFile could give: sound tensors of any content under any name
    const arrays = { f32: Float32Array, u8: Uint8Array, i32: Int32Array, f16: Uint16Array } as const;
    const entries = new Map(
      Object.entries((raw ?? {}) as Record<string, Partial<Record<"dtype" | "shape" | "data", unknown>>>).flatMap(
        ([name, entry]) => {
          const type = Object.hasOwn(arrays, String(entry?.dtype)) ? (entry.dtype as keyof typeof arrays) : "u8";
          const data = arrays[type].from(Array.isArray(entry?.data) ? entry.data.map(Number) : []);
          const shape =
            Array.isArray(entry?.shape) && entry.shape.reduce((p: number, n) => p * Number(n), 1) === data.length
              ? (entry.shape as number[])
              : [data.length];
          return shape.every((n) => Number.isSafeInteger(n) && n >= 0)
            ? [[name, { dtype: type, shape, data } as StoredTensor] as const]
            : [];
        },
      ),
    );
    return fromEntries("w", entries);
  },
  senseless(_, state: { shape: readonly number[]; blockSize: number }) {
    return state.shape.every((n) => Number.isSafeInteger(n) && n >= 0) && state.blockSize > 0
      ? undefined
      : `the shape is ${JSON.stringify(state.shape)}`;
  },
};
