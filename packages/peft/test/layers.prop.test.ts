/** What must hold of every method on every kind of layer: it starts as the base, merges to the same function and comes off again. */
import { Conv1D, Embedding, Linear, Module, type Projection } from "@lowrank/nn";
import { quantize } from "@lowrank/quant";
import { grad, init, ops, svd, type Device, type Tensor } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  adaLoraConfig,
  adapt,
  attach,
  DoraUpdate,
  type LoraConfig,
  type LoraUpdate,
  type LowRankUpdate,
} from "../src/index.ts";
import { enlarge, input, stir, write } from "./helpers.ts";

class One extends Module {
  l: Projection;
  constructor(inputs: number, outputs: number, conv: boolean) {
    super();
    this.l = conv ? new Conv1D(inputs, outputs) : new Linear(inputs, outputs);
  }
}

class Words extends Module {
  table: Embedding = new Embedding(10, 4, undefined, 9);
  forward(ids: Tensor): Tensor {
    return this.table.forward(ids);
  }
}

const METHODS = {
  lora: {},
  rsLora: { rsLora: true },
  loraBias: { loraBias: true },
  dora: { dora: true },
  adaLora: { adaLora: adaLoraConfig({ initR: 3, targetR: 1, totalStep: 10 }) },
} satisfies Record<string, Partial<LoraConfig>>;

const layer = fc.record({
  inputs: fc.integer({ min: 2, max: 9 }),
  outputs: fc.integer({ min: 2, max: 9 }),
  r: fc.integer({ min: 1, max: 4 }),
  alpha: fc.integer({ min: 1, max: 16 }),
  seed: fc.nat({ max: 1000 }),
  conv: fc.boolean(),
  method: fc.constantFrom(...(Object.keys(METHODS) as (keyof typeof METHODS)[])),
});

describe.each([
  ["reference", 2 ** -53],
  ["wasm", 2 ** -24],
] as const)("on %s", (name, u) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  const close = (a: ArrayLike<number>, b: ArrayLike<number>, tolerance = 100 * u): void =>
    Array.from(a).forEach((v, i) => expect(Math.abs(v - b[i]!)).toBeLessThanOrEqual(tolerance * (1 + Math.abs(v))));
  const absolute = (t: Tensor): Tensor => ops.abs(t);

  it("L1, L2, L3: starts as the base, merges to the same function within rounding, comes off to the same bytes", async () => {
    await fc.assert(
      fc.asyncProperty(layer, async ({ inputs, outputs, r, alpha, seed, conv, method }) => {
        const model = new One(inputs, outputs, conv);
        await model.materialize({ device, seed });
        enlarge(model.weights());
        const x = input(device, 3, inputs, seed);
        const base = await model.l.forward(x).floats();
        const adapter = await adapt(model, { r, alpha, targetModules: ["l"], ...METHODS[method] }, { device, seed });
        // DoRA divides by the norm it starts from: one rounding each of norm, quotient, product and sum
        close(await model.l.forward(x).floats(), base, method === "dora" ? 20 * u : 0);
        stir(adapter, seed);
        const adapted = model.l.forward(x);
        const before = await model.l.weight.parameter.data();
        const biasBefore = await model.l.bias!.parameter.data();
        // |Δ| ≤ (γ_in + γ_r + …)·(|W||x| + |s||B||A||x| + |b|): what rounding can do to either order of sums (Higham 2002, chapter 3)
        const site = adapter.layers.get("l")!;
        const update = adapter.updates.get("l") as LowRankUpdate;
        const bulk = ops.add(absolute(site.site.matrix()), absolute(update.delta()));
        const biases = ops.add(absolute(model.l.bias!.value), absolute(update.mergedBias(model.l.bias!.value)));
        const factor =
          update instanceof DoraUpdate
            ? 4 *
              Math.max(
                ...(await ops
                  .div(
                    absolute(update.magnitude.value),
                    ops.sqrt(ops.sum(ops.square(ops.add(site.site.matrix(), update.delta())), 1)),
                  )
                  .floats()),
                1,
              )
            : 1;
        const bound = (await ops.add(ops.matmul(absolute(x), ops.transpose(bulk)), biases).floats()).map(
          (v) => 2 * (inputs + update.rank + 8) * u * factor * v,
        );
        const want = await adapted.floats();
        await adapter.merge({ safe: true });
        await adapter.merge();
        (await model.l.forward(x).floats()).forEach((v, i) =>
          expect(Math.abs(v - want[i]!)).toBeLessThanOrEqual(bound[i]!),
        );
        adapter.unmerge();
        expect(await model.l.weight.parameter.data()).toEqual(before);
        expect(await model.l.bias!.parameter.data()).toEqual(biasBefore);
        expect(await model.l.forward(x).floats()).toEqual(want);
        model.dispose();
      }),
      { numRuns: 30 },
    );
  });

  it("L7: an update of rank r has r singular values", async () => {
    await fc.assert(
      fc.asyncProperty(layer, async ({ inputs, outputs, r, seed, conv }) => {
        const model = new One(inputs, outputs, conv);
        await model.materialize({ device, seed });
        const adapter = await adapt(model, { r, targetModules: ["l"] }, { device, seed });
        stir(adapter, seed);
        const delta = adapter.layers.get("l")!.delta();
        const { s } = svd(await delta.floats(), delta.shape[0]!, delta.shape[1]!);
        // each element carries at most r + 2 roundings; a perturbation moves a singular value by at most its Frobenius norm
        for (const tail of s.subarray(r))
          expect(tail).toBeLessThan(4 * (r + 2) * Math.sqrt(inputs * outputs) * u * Math.max(s[0]!, 1));
        model.dispose();
      }),
      { numRuns: 15 },
    );
  });

  it("L11: rows of DoRA's merged weight are as long as its magnitudes", async () => {
    await fc.assert(
      fc.asyncProperty(layer, async ({ inputs, outputs, r, alpha, seed, conv }) => {
        const model = new One(inputs, outputs, conv);
        await model.materialize({ device, seed });
        enlarge(model.weights());
        const adapter = await adapt(model, { r, alpha, dora: true, targetModules: ["l"] }, { device, seed });
        stir(adapter, seed);
        await adapter.merge();
        const rows = await adapter.layers.get("l")!.site.matrix().floats();
        const m = await (adapter.updates.get("l") as DoraUpdate).magnitude.value.floats();
        m.forEach((want, o) =>
          expect(Math.abs(Math.hypot(...rows.subarray(o * inputs, (o + 1) * inputs)) - want)).toBeLessThan(
            (inputs + 10) * u * want,
          ),
        );
        model.dispose();
      }),
      { numRuns: 15 },
    );
  });

  it("L12: what an adapter adds grows linearly with its strength", async () => {
    for (const method of ["lora", "rsLora", "loraBias", "adaLora"] as const) {
      const model = new One(5, 4, false);
      await model.materialize({ device, seed: 1 });
      const x = input(device, 3, 5);
      const base = await model.l.forward(x).floats();
      const adapter = await adapt(
        model,
        { r: 2, alpha: 3, targetModules: ["l"], ...METHODS[method] },
        { device, seed: 1 },
      );
      stir(adapter, 3);
      const once = (await model.l.forward(x).floats()).map((v, i) => v - base[i]!);
      adapter.scaleBy(3);
      close(
        (await model.l.forward(x).floats()).map((v, i) => v - base[i]!),
        once.map((v) => 3 * v),
      );
      model.dispose();
    }
  });

  it.each([["pissa"], ["olora"], ["orthogonal"], ["gaussian"], [true]] as const)(
    "start %s: the function is the base's, and A is not zero",
    async (initLora) => {
      // PEFT has no OLoRA for Conv1D
      for (const conv of initLora === "olora" ? [false] : [false, true])
        for (const [inputs, outputs] of [
          [6, 9],
          [9, 6],
        ] as const) {
          const model = new One(inputs, outputs, conv);
          await model.materialize({ device, seed: 2 });
          enlarge(model.weights());
          const base = await model.l.forward(input(device, 3, inputs)).floats();
          const adapter = await adapt(model, { r: 2, alpha: 6, targetModules: ["l"], initLora }, { device, seed: 4 });
          close(await model.l.forward(input(device, 3, inputs)).floats(), base);
          expect((await (adapter.updates.get("l") as LoraUpdate).a.value.floats()).some((v) => v !== 0)).toBe(true);
        }
    },
  );

  it("PiSSA takes the largest singular values and leaves the rest", async () => {
    const model = new One(7, 6, false);
    await model.materialize({ device, seed: 2 });
    enlarge(model.weights());
    const before = svd(await model.l.weight.value.floats(), 6, 7).s;
    const adapter = await adapt(
      model,
      { r: 2, alpha: 6, targetModules: ["l"], initLora: "pissa" },
      { device, seed: 4 },
    );
    close(svd(await adapter.layers.get("l")!.delta().floats(), 6, 7).s.subarray(0, 2), before.subarray(0, 2));
    close(svd(await adapter.layers.get("l")!.weight.value.floats(), 6, 7).s.subarray(0, 4), before.subarray(2));
  });

  it("OLoRA takes the first columns of Q, orthonormal, and the first rows of R", async () => {
    const model = new One(7, 6, false);
    await model.materialize({ device, seed: 2 });
    enlarge(model.weights());
    const w = await model.l.weight.value.floats();
    const adapter = await adapt(
      model,
      { r: 2, alpha: 6, targetModules: ["l"], initLora: "olora" },
      { device, seed: 4 },
    );
    const { a, b } = adapter.updates.get("l") as LoraUpdate;
    close(await ops.matmul(ops.transpose(b.value), b.value).floats(), [1, 0, 0, 1]);
    const product = await ops.matmul(b.value, a.value).floats();
    // R is upper triangular, so the first r columns of W are in the product whole
    for (let o = 0; o < 6; o++) for (let c = 0; c < 2; c++) close([product[o * 7 + c]!], [w[o * 7 + c]!]);
  });

  it("a quantized base is adapted, and merged only where that is said", async () => {
    const model = new (class extends Module {
      up: Linear = new Linear(64, 64);
      readonly head: Linear = new Linear(64, 2);
      forward(x: Tensor): Tensor {
        return this.head.forward(this.up.forward(x));
      }
    })();
    await model.materialize({ device, seed: 2 });
    await quantize(model);
    const adapter = await adapt(model, { r: 2, alpha: 4, targetModules: ["up"] }, { device, seed: 4 });
    stir(adapter, 3);
    const adapted = await model.forward(input(device, 3, 64)).floats();
    await expect(adapter.merge()).rejects.toThrow('kept as nf4; say merge({ into: "dequantized" })');
    await adapter.merge({ into: "dequantized" });
    // sums of 64 products of values near 10, in another order
    close(await model.forward(input(device, 3, 64)).floats(), adapted, 2000 * u);
    expect(() => adapter.unmerge()).toThrow("was quantized before the merge");
    await expect(
      adapt(model, { r: 2, targetModules: ["head"], initLora: "pissa" }, { device, name: "p" }),
    ).resolves.toBeDefined();
    const other = new One(64, 64, false);
    await other.materialize({ device });
    other.l.weight.form = { kind: "nf4", bytes: 0, value: () => device.full([64, 64], 0.5), dispose: () => undefined };
    await expect(adapt(other, { r: 2, targetModules: ["l"], initLora: "pissa" }, { device })).rejects.toThrow(
      "kept as nf4; start from the unquantized base",
    );
  });

  it.each([[false], [true]])(
    "an embedding with DoRA %j: rows of Aᵀ times B, padding without gradient, merged and unmerged",
    async (dora) => {
      const model = new Words();
      await model.materialize({ device, seed: 1 });
      enlarge(model.weights());
      const ids = device.tensor(Int32Array.of(3, 9, 3), [3]);
      const base = await model.forward(ids).floats();
      const adapter = await adapt(model, { r: 2, alpha: 6, targetModules: ["table"], dora }, { device, seed: 1 });
      close(await model.forward(ids).floats(), base, dora ? 20 * u : 0);
      stir(adapter, 8);
      const update = adapter.updates.get("table") as LoraUpdate;
      const [a, b, rows] = await Promise.all([
        update.a.value.floats(),
        update.b.value.floats(),
        model.table.weight.value.floats(),
      ]);
      const full = rows.map(
        (v, i) => v + 3 * (a[Math.floor(i / 4)]! * b[(i % 4) * 2]! + a[10 + Math.floor(i / 4)]! * b[(i % 4) * 2 + 1]!),
      );
      const m = dora ? await (update as DoraUpdate).magnitude.value.floats() : undefined;
      const want = full.map((v, i) =>
        m === undefined
          ? v
          : (v * m[i % 4]!) / Math.hypot(...Array.from({ length: 10 }, (_, row) => full[row * 4 + (i % 4)]!)),
      );
      const looked = [3, 9, 3].flatMap((id) => Array.from(want.subarray(id * 4, id * 4 + 4)));
      close(await model.forward(ids).floats(), looked);
      const gradient = await grad(ops.sum(ops.square(model.forward(ids))), [update.a.parameter])[0]!.floats();
      expect([gradient[9], gradient[19]]).toEqual([0, 0]);
      expect(Math.abs(gradient[3]!)).toBeGreaterThan(0);
      expect([...adapter.fileWeights().keys()]).toEqual(
        ["lora_embedding_A", "lora_embedding_B", ...(dora ? ["lora_magnitude_vector"] : [])].map(
          (n) => `base_model.model.table.${n}`,
        ),
      );
      const before = await model.table.weight.parameter.data();
      await adapter.merge({ safe: true });
      close(await model.table.weight.value.floats(), want);
      close(await model.forward(ids).floats(), looked);
      adapter.unmerge();
      expect(await model.table.weight.parameter.data()).toEqual(before);
    },
  );

  it("safe merging checks all layers before it writes any", async () => {
    const model = new (class extends Module {
      a: Projection = new Linear(3, 3);
      b: Projection = new Linear(3, 3);
    })();
    await model.materialize({ device, seed: 1 });
    const adapter = await adapt(model, { r: 1, targetModules: ["a", "b"] }, { device, seed: 1 });
    stir(adapter, 1);
    write((adapter.updates.get("b") as LoraUpdate).b, [1, NaN, 1]);
    const before = await model.a.weight.parameter.data();
    await expect(adapter.merge({ safe: true })).rejects.toThrow("b.weight would hold values that are not finite");
    expect(await model.a.weight.parameter.data()).toEqual(before);
    expect(adapter.layers.get("a")!.merged).toBe(false);
  });

  it("PiSSA of a tied weight and merging into one are refused: the other reader would change", async () => {
    class Tied extends Module {
      table: Embedding = new Embedding(10, 4);
      head: Projection = new Linear(4, 10, { bias: false });
      constructor() {
        super();
        (this.head as { weight: unknown }).weight = this.table.weight;
      }
    }
    const model = new Tied();
    await model.materialize({ device, seed: 1 });
    const adapter = await adapt(model, { r: 2, targetModules: ["table"] }, { device });
    await expect(adapter.merge()).rejects.toThrow("table shares its weight with head");
    await expect(
      adapt(model, { r: 2, targetModules: ["head"], initLora: "pissa" }, { device, name: "p" }),
    ).rejects.toThrow("changes the base of head, which table reads as well");
  });
});

it("embeddings refuse what they have no form for", () => {
  expect(() => attach(new Words(), { r: 1, targetModules: ["table"], loraBias: true })).toThrow(
    "the embedding table can have none",
  );
  expect(() => attach(new Words(), { r: 1, targetModules: ["table"], ...METHODS.adaLora })).toThrow(
    "AdaLoRA on the embedding table is not built",
  );
});
