/** Adapters worked into bases that are kept in four or eight bits: what is stored, and what the report says it cost. */
import { Conv1D, Linear, Module, type Projection } from "@lowrank/nn";
import { encodeGgml, formats, quantize } from "@lowrank/quant";
import { adapt } from "@lowrank/peft";
import { init, ops, RandomStream, type Device, type TensorSource } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";

const [IN, OUT, SCALE] = [64, 32, 2];
class One extends Module {
  readonly l: Projection;
  constructor(turned: boolean) {
    super();
    this.l = turned ? new Conv1D(IN, OUT) : new Linear(IN, OUT, { bias: false });
  }
}

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

const drawn = (count: number, name: string, std: number): Float32Array => {
  const out = new Float64Array(count);
  new RandomStream(1, name).fillNormal(out, 0, std);
  return Float32Array.from(out);
};

async function base(form: string, turned: boolean): Promise<One> {
  const model = new One(turned);
  await model.materialize({ device });
  const values = drawn(IN * OUT, "w", 0.3);
  model.l.weight.parameter.write(values);
  model.l.weight.name = "l.weight";
  if (["nf4", "fp4", "int8"].includes(form)) {
    await quantize(model, { format: form, include: ["l"] });
    return model;
  }
  const bytes = form === "Q8_0" ? encodeGgml(form, values, IN, "w") : new Uint8Array((IN * OUT * 18) / 32).fill(0x31);
  const source: TensorSource = {
    names: ["w"],
    has: (name) => name === "w",
    info: () => ({ dtype: form, shape: [OUT, IN], bytes: bytes.length }),
    range: async (_, from = 0, to = bytes.length) => bytes.slice(from, to),
  };
  const target = { shape: model.l.weight.shape, transposed: turned, allowNonFinite: false };
  model.l.weight.form = await formats.find(({ name }) => name === form)!.load(device, source, "w", target);
  return model;
}

/** Half of the widest gap between neighbouring codes, as a part of a block's or row's largest number; scales are off by at most as much again. */
const STEPS: Readonly<Record<string, number>> = { nf4: 0.152, fp4: 1 / 6, int8: 1 / 254, Q8_0: 1 / 254 };

it.each(Object.keys(STEPS).flatMap((form) => [[form, false] as const, [form, true] as const]))(
  "%s (turned: %s) is quantized again, in its own form, and the error is said",
  async (form, turned) => {
    const model = await base(form, turned);
    const { weight } = model.l;
    const [kind, bytes] = [weight.form!.kind, weight.bytes];
    const adapter = await adapt(model, { r: 2, alpha: SCALE * 2, targetModules: ["l"] }, { device });
    const [update] = adapter.updates.values();
    const b = update!.lowRank!.factors!.b;
    b.parameter.write(drawn(b.size, "b", 0.2));
    const wanted = ops.add(turned ? ops.transpose(weight.value) : weight.value, update!.lowRank!.delta());
    const exact = await (turned ? ops.transpose(wanted) : wanted).floats();
    const before = await weight.value.floats();
    const [report] = await adapter.mergeAndUnload({ into: "quantized" });
    expect([weight.form!.kind, weight.bytes]).toEqual([kind, bytes]);
    const stored = await weight.value.floats();
    // it has taken the update in
    expect(stored.some((v, i) => Math.abs(v - before[i]!) > 0.05)).toBe(true);
    let [most, off, whole, largest] = [0, 0, 0, 0];
    for (const [i, v] of exact.entries()) {
      most = Math.max(most, Math.abs(v - stored[i]!));
      off += (v - stored[i]!) ** 2;
      whole += v * v;
      largest = Math.max(largest, Math.abs(v));
    }
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(2 * STEPS[form]! * largest);
    expect(report).toMatchObject({ module: "l.weight", form: kind });
    expect(report!.rounding).toBeCloseTo(most, 6);
    expect(report!.relative).toBeCloseTo(Math.sqrt(off / whole), 6);
  },
);

it("what is only read is refused, and says what helps", async () => {
  const adapter = await adapt(await base("Q4_0", false), { r: 2, targetModules: ["l"] }, { device });
  await expect(adapter.merge({ into: "quantized" })).rejects.toThrow(
    'merge: l.weight is kept as Q4_0, which is only read here and cannot be made again; say merge({ into: "dequantized" })',
  );
  const [report] = await adapter.merge({ into: "dequantized" });
  expect(report).toEqual({ module: "l.weight", rounding: 0, relative: 0 });
});
