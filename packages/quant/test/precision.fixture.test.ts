/** f16 and bf16 against torch's bits. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";

const folder = join(
  process.env["LOWRANK_FIXTURES"] ?? join(import.meta.dirname, "../../../../shared/fixtures"),
  "peft",
);
const here = existsSync(join(folder, "fp16_vectors.json"));
const read = <T>(name: string): T => JSON.parse(readFileSync(join(folder, name), "utf8")) as T;

describe.skipIf(!here)("torch's golden numbers", () => {
  it("every f32 of the vectors file narrows to torch's f16 and bf16 bits", () => {
    const { cases } = read<{ cases: { f32_bits: string; f16_bits: string; bf16_bits: string }[] }>("fp16_vectors.json");
    expect(cases.length).toBeGreaterThan(20);
    for (const { f32_bits: bits, f16_bits: half, bf16_bits: brain } of cases) {
      const x = new Float32Array(Uint32Array.of(Number.parseInt(bits, 16)).buffer);
      const [mine, theirs] = [[f32ToF16(x)[0]!, f32ToBf16(x)[0]!], [half, brain].map((b) => Number.parseInt(b, 16))];
      // which NaN is the platform's choice
      if (Number.isNaN(x[0]))
        expect([f16ToF32(Uint16Array.of(mine[0]!))[0], bf16ToF32(Uint16Array.of(mine[1]!))[0]]).toEqual([NaN, NaN]);
      else expect({ bits, mine }).toEqual({ bits, mine: theirs });
    }
  });

  it("all 63,488 finite halves widen to torch's bits and narrow back", () => {
    const golden = read<Record<string, unknown>>("fp16_vectors.json");
    const sha = Object.values(golden).find((v): v is string => typeof v === "string" && /^[0-9a-f]{64}$/.test(v));
    const halves = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((b) => (b & 0x7c00) !== 0x7c00);
    const wide = f16ToF32(halves);
    expect(halves.length).toBe(63488);
    expect(createHash("sha256").update(new Uint8Array(wide.buffer)).digest("hex")).toBe(sha);
    expect(Buffer.compare(Buffer.from(f32ToF16(wide).buffer), Buffer.from(halves.buffer))).toBe(0);
  });
});
