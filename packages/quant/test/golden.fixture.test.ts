/** Codes, scales and decoded values against bitsandbytes' own. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  dequantizeBlocks,
  dynamicMap,
  nestScales,
  quantizeBlocks,
  unnestScales,
  type FourBitType,
} from "../src/index.ts";

const folder = join(
  process.env["LOWRANK_FIXTURES"] ?? join(import.meta.dirname, "../../../../shared/fixtures"),
  "peft",
);
const here = existsSync(join(folder, "bnb_4bit_golden.json"));

interface Golden {
  readonly n: number;
  readonly blocksize: number;
  readonly packed_sha256: string;
  readonly absmax_sha256: string;
  readonly dequant_sha256_f32: string;
  readonly mean_abs_err: number;
  readonly offset?: number;
  readonly nested_absmax?: readonly number[];
}
const cases = here
  ? Object.entries(
      (JSON.parse(readFileSync(join(folder, "bnb_4bit_golden.json"), "utf8")) as { cases: Record<string, Golden> })
        .cases,
    )
  : [];

const sha = (x: Uint8Array | Float32Array): string =>
  createHash("sha256")
    .update(new Uint8Array(x.buffer, x.byteOffset, x.byteLength))
    .digest("hex");
const f = Math.fround;
/** The fixture's formula, every operation in f32, left to right. */
const input = (n: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) =>
    f(f(f(f(((i * 7919 + 11) % 2017) - 1008) / 1008) * f(0.05)) * f(f((Math.floor(i / 64) % 7) + 1) / 7)),
  );

describe.skipIf(!here)("bitsandbytes' golden cases", () => {
  it("are there", () => expect(cases.length).toBeGreaterThan(0));

  it.each(cases)("%s", (key, golden) => {
    const type = key.split("|")[0] as FourBitType;
    const x = input(golden.n);
    const blocks = quantizeBlocks(x, type, golden.blocksize);
    expect(sha(blocks.codes)).toBe(golden.packed_sha256);
    if (golden.offset === undefined) {
      expect(sha(blocks.absmax)).toBe(golden.absmax_sha256);
      expect(sha(dequantizeBlocks(blocks, type, golden.n, golden.blocksize))).toBe(golden.dequant_sha256_f32);
    } else {
      const nested = nestScales(blocks.absmax, golden.offset);
      expect(sha(nested.codes)).toBe(golden.absmax_sha256);
      golden.nested_absmax!.forEach((a, i) => expect(nested.absmax[i]).toBe(f(a)));
      expect(sha(dequantizeBlocks({ ...blocks, absmax: unnestScales(nested) }, type, golden.n, golden.blocksize))).toBe(
        golden.dequant_sha256_f32,
      );
      expect(nestScales(blocks.absmax).offset).toBe(golden.offset);
    }
    const back = dequantizeBlocks(blocks, type, golden.n, golden.blocksize);
    if (golden.offset === undefined)
      expect(
        Math.abs(x.reduce((s, v, i) => s + Math.abs(v - back[i]!), 0) / golden.n - golden.mean_abs_err),
      ).toBeLessThan(1e-8);
  });

  it("the dynamic map is theirs, bit for bit", () => {
    const golden = JSON.parse(readFileSync(join(folder, "dynamic_map_signed.json"), "utf8")) as unknown;
    const values = (
      Array.isArray(golden) ? golden : Object.values(golden as Record<string, unknown>).find(Array.isArray)
    ) as number[];
    expect([...dynamicMap]).toEqual(values.map(f));
    expect(sha(dynamicMap)).toBe("e732639a65f497b4ad684bb166a4467708255edd5207757de8b8f0c7e1fda89c");
  });
});
