/** f16 and bf16: every half, golden vectors, rounding to nearest even. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "../src/index.ts";

const vectors = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "peft/fp16_vectors.json",
);
const toF16 = (x: number): number => f32ToF16(Float32Array.of(x))[0]!;
const fromF16 = (bits: number): number => f16ToF32(Uint16Array.of(bits))[0]!;
const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
const isFiniteHalf = (bits: number): boolean => (bits & 0x7c00) !== 0x7c00;

describe("f16", () => {
  it("takes every half through f32 and back", () => {
    const back = f32ToF16(f16ToF32(all));
    expect(
      all.every((bits, i) =>
        isFiniteHalf(bits) || (bits & 0x3ff) === 0 ? back[i] === bits : Number.isNaN(fromF16(back[i]!)),
      ),
    ).toBe(true);
  });

  it("agrees with the golden vectors", ({ skip }) => {
    if (!existsSync(vectors)) return skip(`no golden numbers at ${vectors}; set LOWRANK_FIXTURES`);
    const golden = JSON.parse(readFileSync(vectors, "utf8")) as Record<string, unknown>;
    const sha = Object.values(golden).find((v): v is string => typeof v === "string" && /^[0-9a-f]{64}$/.test(v));
    const finite = f16ToF32(all.filter(isFiniteHalf));
    expect(finite.length).toBe(63488);
    expect(createHash("sha256").update(new Uint8Array(finite.buffer)).digest("hex")).toBe(sha);
  });

  it("overflows at 65520 and underflows below 2⁻²⁵", () => {
    expect([65519.99609375, 65520, 2 ** -25, 2 ** -25 * (1 + 2 ** -23), -65520].map(toF16)).toEqual([
      0x7bff, 0x7c00, 0, 1, 0xfc00,
    ]);
  });

  it("rounds to the nearest half, ties to even", () => {
    fc.assert(
      fc.property(fc.float({ min: -65504, max: 65504, noNaN: true }), (x) => {
        const bits = toF16(x);
        const mine = Math.abs(fromF16(bits) - x);
        for (const neighbour of [bits - 1, bits + 1]) {
          if (neighbour < 0 || neighbour > 0xffff || !isFiniteHalf(neighbour)) continue;
          const other = Math.abs(fromF16(neighbour) - x);
          expect(
            mine < other ||
              (mine === other && bits % 2 === 0) ||
              (mine === other && fromF16(bits) === fromF16(neighbour)),
          ).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("bf16", () => {
  it("takes every value through f32 and back", () => {
    const back = f32ToBf16(bf16ToF32(all));
    expect(
      all.every((bits, i) =>
        (bits & 0x7f80) === 0x7f80 && (bits & 0x7f) !== 0
          ? Number.isNaN(bf16ToF32(Uint16Array.of(back[i]!))[0])
          : back[i] === bits,
      ),
    ).toBe(true);
  });

  it("is at most half a unit away", () => {
    fc.assert(
      fc.property(fc.float({ min: Math.fround(1e-30), max: Math.fround(1e30), noNaN: true }), (x) => {
        expect(Math.abs(bf16ToF32(f32ToBf16(Float32Array.of(x)))[0]! - x)).toBeLessThanOrEqual(Math.abs(x) * 2 ** -8);
      }),
    );
  });
});
