/** f16 and bf16 against torch's bits, and the loss scaler on the device against torch's trace. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SGD, Weight } from "@lowrank/nn";
import { bf16ToF32, compile, f16ToF32, f32ToBf16, f32ToF16, grad, init, ops } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { DeviceLossScaler } from "../src/index.ts";

const folder = join(process.env["LOWRANK_FIXTURES"] ?? join(import.meta.dirname, "../../../../shared/fixtures"), "peft");
const here = existsSync(join(folder, "fp16_vectors.json")) && existsSync(join(folder, "gradscaler_trace.json"));
const read = <T>(name: string): T => JSON.parse(readFileSync(join(folder, name), "utf8")) as T;

describe.skipIf(!here)("torch's golden numbers", () => {
  it("every f32 of the vectors file narrows to torch's f16 and bf16 bits", () => {
    const { cases } = read<{ cases: { f32_bits: string; f16_bits: string; bf16_bits: string }[] }>("fp16_vectors.json");
    expect(cases.length).toBeGreaterThan(20);
    for (const { f32_bits: bits, f16_bits: half, bf16_bits: brain } of cases) {
      const x = new Float32Array(Uint32Array.of(Number.parseInt(bits, 16)).buffer);
      const [mine, theirs] = [[f32ToF16(x)[0]!, f32ToBf16(x)[0]!], [half, brain].map((b) => Number.parseInt(b, 16))];
      // which NaN is the platform's choice
      if (Number.isNaN(x[0])) expect([f16ToF32(Uint16Array.of(mine[0]!))[0], bf16ToF32(Uint16Array.of(mine[1]!))[0]]).toEqual([NaN, NaN]);
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

  it.each(["wasm", "reference"] as const)("the scaler's trace on %s", async (name) => {
    const golden = read<{ init_scale: number; growth_factor: number; backoff_factor: number; growth_interval: number; steps: { raw_grad: string; param: number; scale: number; tracker: number }[] }>("gradscaler_trace.json");
    const device = await init({ device: name, threads: 1 });
    const p = new Weight([1], { kind: "zeros" });
    p.parameter = device.parameter(Float32Array.of(1), [1], device.defaultFloat);
    const optimizer = new SGD([p], { lr: 1 });
    const scaler = new DeviceLossScaler(device, { initScale: golden.init_scale, growthFactor: golden.growth_factor, backoffFactor: golden.backoff_factor, growthInterval: golden.growth_interval });
    const step = compile(device, ({ slope }) => {
      const { grads, finite } = scaler.unscale(grad(scaler.scaleLoss(ops.sum(ops.mul(p.value, slope!))), optimizer.parameters));
      optimizer.step(grads, finite);
      scaler.update(finite);
      return { finite };
    });
    let skipped = 0;
    for (const { raw_grad: raw, param, scale, tracker } of golden.steps) {
      if (raw === "inf" || raw === "nan") skipped++;
      await step({ slope: { data: Float32Array.of(raw === "nan" ? NaN : Number(raw.replace("inf", "Infinity"))), shape: [1] } });
      expect({ param: (await p.parameter.data())[0], ...(await scaler.read()) }).toEqual({ param, scale, tracker, skipped });
    }
    device.close();
  });
});
