/** Scales of scales: the bytes of bitsandbytes on a CPU, and the bound that holds on every backend. */
import { createHash } from "node:crypto";
import { NumericsError } from "@lowrank/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dynamicMap, nestScales, unnestScales } from "../src/index.ts";

const U = 2 ** -24;

/** Scales by a linear congruence, exact in f32 but for the one rounding. */
function scalesOf(n: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround((state >>> 8) + 2 ** 20) * 2 ** -27;
  });
}

const sha = (x: Uint8Array | Float32Array): string =>
  createHash("sha256")
    .update(new Uint8Array(x.buffer, x.byteOffset, x.byteLength))
    .digest("hex")
    .slice(0, 16);

describe("by bitsandbytes 0.50.2 and torch 2.13 on an x86 CPU with one thread", () => {
  it.each([
    [5, 0.05444737523794174, "fae0ddb17a2fd86b", "d3b6bd61862b84ef"],
    [7, 0.06155671551823616, "90b39cbdf2bf0c4f", "5de298026b027014"],
    [33, 0.06427061557769775, "2536b1170572d6f5", "e0dbe83208077251"],
    [257, 0.07032062858343124, "edee5eba28f8797d", "3345580117a57c87"],
    [2304, 0.07035134732723236, "ef8b4a99c98543e4", "ad5d146dbb0b620f"],
    [32767, 0.0701591745018959, "7409b98ecf955f15", "2fa01e7f71399242"],
    [36864, 0.0700802281498909, "543848986eaa0f3b", "6792ee0c5e62d6d1"],
  ])("mean, codes and scales of %i scales are the same to the last bit", (n, offset, codes, absmax) => {
    const nested = nestScales(scalesOf(n));
    expect([nested.offset, sha(nested.codes), sha(nested.absmax)]).toEqual([offset, codes, absmax]);
  });
});

/** Index of the nearest entry by midpoints, as GPUs find it. */
const nearest = (x: number): number =>
  dynamicMap.findIndex((v, i) => i === 255 || !(x > Math.fround(v + dynamicMap[i + 1]!) / 2));

it("a code is at most 4 from the nearest one, and that only beside zero", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(fc.double({ min: -1, max: 1, noNaN: true }), fc.double({ min: -1e-4, max: 1e-4, noNaN: true })),
        { minLength: 1, maxLength: 200 },
      ),
      (x) => {
        // the first makes the largest 1, and the offset is given: what is left is the scale itself
        const scales = Float32Array.from([1, ...x]);
        nestScales(scales, 0).codes.forEach((code, i) => {
          const off = Math.abs(code - nearest(scales[i]!));
          expect(off).toBeLessThanOrEqual(Math.abs(scales[i]!) < 2 ** -12 ? 4 : 1);
        });
      },
    ),
  );
  // the worst place: just below zero, whose nearest grid point is below three more codes
  expect(nearest(-1.75e-7) - nestScales(Float32Array.of(1, -1.75e-7), 0).codes[1]!).toBe(4);
});

it("any backend's mean, whole or halved or off by roundings, decodes within the documented bound", () => {
  const scale = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(scale, { minLength: 1, maxLength: 600 }),
      fc.integer({ min: -30, max: 30 }),
      fc.double({ min: -0.01, max: 0.01, noNaN: true }),
      (x, power, nudge) => {
        const scales = Float32Array.from(x, (s) => (s < 1e-6 ? 0 : s * 2 ** power));
        const own = nestScales(scales);
        for (const nested of [
          own,
          nestScales(scales, Math.fround(own.offset * (1 + nudge))),
          nestScales(scales, Math.fround(own.offset / 2)),
        ]) {
          unnestScales(nested).forEach((y, i) => {
            const absmax = nested.absmax[Math.floor(i / 256)]!;
            expect(Math.abs(y - scales[i]!)).toBeLessThanOrEqual(
              (0.0070313 + 2 ** -16) * absmax + 4 * U * (absmax + Math.abs(nested.offset)),
            );
          });
        }
      },
    ),
  );
});

it("scales whose sum f32 cannot hold are refused with the way out, and infinite ones by name", () => {
  expect(() => nestScales(new Float32Array(4).fill(3e38))).toThrow(
    new NumericsError(
      "double quantization: the scales add up to more than f32 holds, so their mean is Infinity; quantize without doubleQuantization",
    ),
  );
  expect(() => nestScales(Float32Array.of(1, NaN), 0, "h.0.weight")).toThrow(
    new NumericsError("h.0.weight: scale 1 is NaN; only finite scales can be quantized"),
  );
});
