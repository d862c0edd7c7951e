/** Quantizing on a device gives the host's bytes. */
import { Conv1D, Linear, Module } from "@lowrank/nn";
import { init, NumericsError, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  dequantizeFourBit,
  quantize,
  quantizeBlocks,
  quantizeBlocksOnDevice,
  quantizeFourBit,
  quantizeFourBitOnDevice,
  type FourBitType,
  type FourBitWeight,
} from "../src/index.ts";

class Pair extends Module {
  readonly first: Linear = new Linear(70, 33);
  readonly second: Conv1D = new Conv1D(33, 50);
  readonly head: Linear = new Linear(50, 2);
}

const value = fc.oneof(fc.double({ min: -1, max: 1, noNaN: true }), fc.constantFrom(0, -0, 1, -1)).map(Math.fround);
const data = fc
  .tuple(fc.array(value, { minLength: 1, maxLength: 400 }), fc.integer({ min: -60, max: 60 }))
  .map(([x, power]) => Float32Array.from(x, (v) => v * 2 ** power));
/** Without numbers so small that 1/absmax or a power of two would leave the range of normal f32; those lose accuracy as in bitsandbytes. */
const normal = data.map((x) => x.map((v) => (Math.abs(v) < 2 ** -100 ? 0 : v)));
const type = fc.constantFrom<FourBitType>("nf4", "fp4");
const blockSize = fc.constantFrom(32, 64, 128, 4096);

describe.each(["wasm", "reference"] as const)("on %s", (name) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  const onDevice = async (
    x: Float32Array,
    kind: FourBitType,
    size: number,
  ): Promise<{ codes: number[]; absmax: number[] }> => {
    const { codes, absmax } = quantizeBlocksOnDevice(device.tensor(x, [x.length], "f32"), kind, size);
    await device.realize(codes, absmax);
    return { codes: [...(await codes.data())], absmax: [...(await absmax.data())] };
  };

  it("codes and scales are the host's, byte for byte, partial blocks and odd lengths included", async () => {
    await fc.assert(
      fc.asyncProperty(data, type, blockSize, async (x, kind, size) => {
        const host = quantizeBlocks(x, kind, size);
        expect(await onDevice(x, kind, size)).toEqual({ codes: [...host.codes], absmax: [...host.absmax] });
      }),
      { numRuns: 60 },
    );
  });

  it("ties fall as on the host, in whole blocks and in partial ones", async () => {
    const pair = [1.0002000331878662, 0.03979811072349548];
    for (const length of [2, 32, 34]) {
      const x = Float32Array.from({ length }, (_, i) => pair[i % 2]!);
      expect((await onDevice(x, "nf4", 32)).codes).toEqual([...quantizeBlocks(x, "nf4", 32).codes]);
    }
  });

  it("Q3: quantizing what was decoded gives the same scales, and codes that decode alike", async () => {
    await fc.assert(
      fc.asyncProperty(normal, type, async (x, kind) => {
        const first = await quantizeFourBitOnDevice(device.tensor(x, [x.length], "f32"), {
          type: kind,
          doubleQuantization: false,
        });
        const decoded = dequantizeFourBit(first);
        const again = await quantizeFourBitOnDevice(device.tensor(decoded, [x.length], "f32"), {
          type: kind,
          doubleQuantization: false,
        });
        expect(again.scales).toEqual(first.scales);
        expect([...dequantizeFourBit(again)].map(Math.abs)).toEqual([...decoded].map(Math.abs));
      }),
      { numRuns: 30 },
    );
  });

  it("Q4: a power of two changes the scales and nothing else", async () => {
    await fc.assert(
      fc.asyncProperty(normal, fc.integer({ min: -8, max: 8 }), type, async (x, k, kind) => {
        const [once, scaled] = [
          await onDevice(x, kind, 64),
          await onDevice(
            x.map((v) => v * 2 ** k),
            kind,
            64,
          ),
        ];
        expect(scaled).toEqual({ codes: once.codes, absmax: once.absmax.map((a) => a * 2 ** k) });
      }),
      { numRuns: 30 },
    );
  });

  it("Q8: what is not finite is refused by name and place", async () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const x = new Float32Array(200).fill(0.5);
      x[137] = bad;
      await expect(quantizeFourBitOnDevice(device.tensor(x, [2, 100], "f32"), {}, "h.0.weight")).rejects.toThrow(
        new NumericsError(`h.0.weight: element 137 is ${bad}; only finite weights can be quantized`),
      );
    }
  });

  it("a model quantized on the device holds what one quantized on the host holds", async () => {
    const [host, here] = [new Pair(), new Pair()];
    await host.materialize({ device, seed: 3, dtype: "f32" });
    await here.materialize({ device, seed: 3, dtype: "f32" });
    await quantize(host);
    await quantize(here, { on: "device" });
    for (const layer of ["first", "second"] as const) {
      const states = await Promise.all([host, here].map((m) => (m[layer].weight.form as FourBitWeight).read()));
      expect(states[1]).toEqual(states[0]);
    }
    expect(here.second.weight.form).toMatchObject({ state: { shape: [50, 33] } });
  });
});

it("double quantization is the host's too", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const x = Float32Array.from({ length: 64 * 300 + 5 }, (_, i) => Math.sin(i * i + 1) * (1 + (i % 977)));
  expect(await quantizeFourBitOnDevice(device.tensor(x, [x.length], "f32"))).toEqual(quantizeFourBit(x, [x.length]));
  device.close();
});
