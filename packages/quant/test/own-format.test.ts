/** A form of the user's own: one record, given to what loads. Codes of four bits with one f16 scale for 32 of them, as GGUF's Q4_0 has. */
import { Linear, Module, type Format, type WeightForm } from "@lowrank/nn";
import {
  f32ToF16,
  fromTensors,
  init,
  ops,
  readTensor,
  type Device,
  type StoredTensor,
  type Tensor,
} from "@lowrank/tensor";
import { expect, it } from "vitest";
import { loadQuantized } from "../src/index.ts";

const BLOCK = 32;

class Blocks implements WeightForm {
  readonly kind = "q4";
  readonly #codes;
  readonly #scales;
  readonly #shape: readonly number[];

  constructor(device: Device, codes: StoredTensor, scales: StoredTensor, shape: readonly number[]) {
    this.#codes = device.parameter(codes.data, codes.shape, "u8");
    this.#scales = device.parameter(scales.data, [scales.data.length, 1], "f16", "f16");
    this.#shape = shape;
  }

  get bytes(): number {
    return this.#codes.size + 2 * this.#scales.size;
  }

  /** (code − 8) · scale; the low halves of a block's 16 bytes come first. */
  value(): Tensor {
    const byte = ops.cast(this.#codes.value, "i32");
    const high = ops.cast(ops.floor(ops.div(ops.cast(byte, "f32"), 16)), "i32");
    const codes = ops.concat([ops.sub(byte, ops.mul(high, 16)), high], 1);
    const values = ops.mul(ops.cast(ops.sub(codes, 8), "f32"), ops.cast(this.#scales.value, "f32"));
    return ops.reshape(values, this.#shape);
  }

  dispose(): void {
    this.#codes.dispose();
    this.#scales.dispose();
  }
}

const q4: Format = {
  name: "q4",
  matches: (source, name) => (source.has(`${name}.q4_scales`) ? [name, `${name}.q4_scales`] : undefined),
  async load(device, source, name, { shape }) {
    const [codes, scales] = [await readTensor(source, name), await readTensor(source, `${name}.q4_scales`)];
    return new Blocks(device, codes, scales, shape);
  },
  decode: () => Promise.reject(new Error("not needed here")),
};

class Net extends Module {
  readonly first: Linear = new Linear(64, 3, { bias: false });
}

it("a format is one record: its bytes go to the device, its products decode them", async () => {
  const blocks = (3 * 64) / BLOCK;
  const codes = Uint8Array.from({ length: blocks * 16 }, (_, i) => (i * 37) % 256);
  const scales = Float32Array.from({ length: blocks }, (_, i) => 2 ** -(i % 5));
  const source = fromTensors({
    "first.weight": { dtype: "u8", shape: [blocks, 16], data: codes },
    "first.weight.q4_scales": { dtype: "f16", shape: [blocks], data: f32ToF16(scales) },
  });
  const want = Float64Array.from({ length: 3 * 64 }, (_, i) => {
    const [block, at] = [Math.floor(i / BLOCK), i % BLOCK];
    const byte = codes[block * 16 + (at % 16)]!;
    return ((at < 16 ? byte & 15 : byte >> 4) - 8) * scales[block]!;
  });
  const device = await init({ device: "wasm", threads: 1 });
  const net = new Net();
  expect(await loadQuantized(net, source, device, { formats: [q4] })).toEqual(["first.weight"]);
  expect(net.first.weight.bytes).toBe(codes.length + 2 * blocks);
  expect(await net.first.weight.value.floats()).toEqual(want);
  const x = device.tensor(
    Float32Array.from({ length: 64 }, (_, i) => (i % 3) - 1),
    [1, 64],
  );
  const y = await net.first.forward(x).floats();
  for (let o = 0; o < 3; o++)
    expect(y[o]).toBe(want.subarray(o * 64, (o + 1) * 64).reduce((s, w, i) => s + w * ((i % 3) - 1), 0));
  device.close();
});
