/** Capturing and replaying: what is traced, what is written in place, and what is refused. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkpoint, compile, grad, init, ops, type Device, type Parameter, type Tensor } from "../src/index.ts";

const values = async (p: Parameter): Promise<number[]> => [...(await p.value.floats())];

describe.each([["reference"], ["interpreter"], ["wasm"]] as const)("compile on %s", (name) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());
  const host = (data: readonly number[], shape: readonly number[] = [data.length]) => ({
    data: name === "reference" ? Float64Array.from(data) : Float32Array.from(data),
    shape,
  });

  it("traces twice per signature and never again", async () => {
    let traced = 0;
    const double = compile(device, ({ x }) => {
      traced++;
      return { y: ops.mul(x!, 2) };
    });
    for (let i = 0; i < 5; i++) expect([...(await (await double({ x: host([i, 1]) })).y.floats())]).toEqual([2 * i, 2]);
    expect(traced).toBe(2);
    await double({ x: host([1, 2, 3]) });
    expect(traced).toBe(3);
  });

  it("refuses a number that changed between the first calls", async () => {
    let rate = 0.1;
    const step = compile(device, ({ x }) => ({ y: ops.mul(x!, rate) }));
    await step({ x: host([1]) });
    rate = 0.2;
    await expect(step({ x: host([1]) })).rejects.toThrow(/a JavaScript number changed between calls/);
  });

  it("updates parameters in place, each from the values before the step", async () => {
    const [p, q] = [device.parameter([1, 2, 3, 4], [2, 2]), device.parameter([5, 6, 7, 8], [2, 2])];
    const swap = compile(device, () => {
      const [a, b] = [p.value, q.value];
      p.assign(b);
      q.assign(a);
      return {};
    });
    await swap({});
    expect([await values(p), await values(q)]).toEqual([
      [5, 6, 7, 8],
      [1, 2, 3, 4],
    ]);
    const turn = compile(device, () => {
      p.assign(ops.add(ops.transpose(p.value), p.value));
      return {};
    });
    await turn({});
    expect(await values(p)).toEqual([10, 13, 13, 16]);
  });

  it("shows an assigned value to what comes later in the step, and returns it", async () => {
    const p = device.parameter([1, 2]);
    const step = compile(device, () => {
      p.assign(ops.add(p.value, 1));
      const seen = ops.mul(p.value, 10);
      p.assign(ops.add(p.value, 1));
      return { seen, last: p.value, again: p.value };
    });
    const { seen, last, again } = await step({});
    expect([
      [...(await seen.floats())],
      [...(await last.floats())],
      [...(await again.floats())],
      await values(p),
    ]).toEqual([
      [20, 30],
      [3, 4],
      [3, 4],
      [3, 4],
    ]);
  });

  it("notices a tensor that is read after the parameter behind it was updated", async () => {
    const p = device.parameter([1]);
    const old = ops.add(p.value, 1);
    p.assign(ops.add(p.value, 5));
    await device.realize();
    await expect(old.item()).rejects.toThrow(/read after the parameter was updated in place; realize it before/);
    expect(await ops.add(p.value, 1).item()).toBe(7);
  });

  it("calls live values at every replay", async () => {
    let n = 0;
    const counter = device.live([1], device.defaultFloat, () => [++n]);
    const step = compile(device, () => ({ y: ops.add(counter, 0.5) }));
    for (let i = 1; i <= 4; i++) expect(await (await step({})).y.item()).toBe(i + 0.5);
  });

  it.each([true, false])(
    "checkpoint recomputes: the same loss and gradients, its weight an input: %s",
    async (given) => {
      const x = device.tensor(
        Array.from({ length: 12 }, (_, i) => Math.sin(i)),
        [3, 4],
      );
      const w = device.parameter(
        Array.from({ length: 16 }, (_, i) => Math.cos(i)),
        [4, 4],
      );
      const block = (h: Tensor, m: Tensor): Tensor => ops.tanh(ops.matmul(ops.gelu(ops.matmul(h, m)), m));
      const run = async (wrap: boolean): Promise<[number, number[]]> => {
        let h: Tensor = x;
        const again = (x: Tensor): Tensor =>
          given ? checkpoint(block, [x, w.value]) : checkpoint((y) => block(y, w.value), [x]);
        for (let i = 0; i < 3; i++) h = wrap ? again(h) : block(h, w.value);
        const loss = ops.mean(ops.square(h));
        const [g] = grad(loss, [w]);
        await device.realize(loss, g!);
        return [await loss.item(), [...(await g!.floats())]];
      };
      const [plain, wrapped] = [await run(false), await run(true)];
      expect(wrapped[0]).toBe(plain[0]);
      wrapped[1].forEach((v, i) => expect(Math.abs(v - plain[1][i]!)).toBeLessThanOrEqual(1e-6 * (1 + Math.abs(v))));
    },
  );
});

describe("plans on wasm", () => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: "wasm", threads: 1 });
  });
  afterAll(() => device.close());
  const steps = (fn: (x: Tensor) => Record<string, Tensor>, shape: readonly number[] = [8, 16]): number =>
    compile(device, ({ x }) => fn(x!)).plan({ x: { shape, dtype: "f32" } }).steps;

  it("keep softmax, layer norm and an AdamW update in one kernel each", () => {
    expect(steps((x) => ({ y: ops.softmax(x) }))).toBe(1);
    const [w, b] = [device.parameter(new Float32Array(16)), device.parameter(new Float32Array(16))];
    expect(steps((x) => ({ y: ops.layerNorm(x, w.value, b.value, 1e-5) }))).toBe(1);
    expect(
      steps((x) => {
        const h = ops.add(x, 1);
        const s = ops.mul(h, h);
        return { h: s, y: ops.layerNorm(s, w.value, b.value, 1e-5) };
      }),
    ).toBe(1);
    const [p, m, v] = [0, 0, 0].map(() => device.parameter(new Float32Array(128), [8, 16])) as [
      Parameter,
      Parameter,
      Parameter,
    ];
    expect(
      steps((g) => {
        const m1 = ops.add(ops.mul(m.value, 0.9), ops.mul(g, 0.1));
        const v1 = ops.add(ops.mul(v.value, 0.99), ops.mul(ops.square(g), 0.01));
        p.assign(ops.sub(p.value, ops.div(m1, ops.add(ops.sqrt(v1), 1e-8))));
        m.assign(m1);
        v.assign(v1);
        return {};
      }),
    ).toBe(1);
  });

  it("run bias and residual in the product's epilogue, and attention's head shuffle in its store", () => {
    const [w, b] = [device.parameter(new Float32Array(256), [16, 16]), device.parameter(new Float32Array(16))];
    expect(steps((x) => ({ y: ops.add(ops.linear(x, w.value, b.value), x) }))).toBe(1);
    // q·kᵀ with scale, softmax, ·v stored as [batch, length, heads·d]
    expect(
      steps((x) => {
        const q = ops.permute(ops.reshape(x, [2, 4, 2, 8]), [0, 2, 1, 3]);
        return { y: ops.reshape(ops.permute(ops.attention(q, q, q), [0, 2, 1, 3]), [8, 16]) };
      }),
    ).toBe(3);
  });

  it("need no more memory than they planned, and less when layers are recomputed", async () => {
    const w = device.parameter(new Float32Array(64 * 64).fill(0.01), [64, 64]);
    const deep = (wrap: boolean) =>
      compile(device, ({ x }) => {
        const layer = (h: Tensor, m: Tensor): Tensor =>
          ops.gelu(ops.matmul(ops.gelu(ops.matmul(ops.gelu(ops.matmul(h, m)), m)), m));
        let h = x!;
        for (let i = 0; i < 6; i++) h = wrap ? checkpoint(layer, [h, w.value]) : layer(h, w.value);
        return { g: grad(ops.mean(h), [w])[0]! };
      });
    const spec = { x: { shape: [512, 64], dtype: "f32" as const } };
    const [plain, wrapped] = [deep(false).plan(spec).arenaBytes, deep(true).plan(spec).arenaBytes];
    expect(wrapped).toBeLessThan(0.7 * plain);
    const fresh = await init({ device: "wasm", threads: 1 });
    const step = compile(fresh, ({ x }) => ({ y: ops.sum(ops.softmax(ops.matmul(x!, ops.transpose(x!)))) }));
    await step({ x: { data: new Float32Array(64 * 8), shape: [64, 8] } });
    expect(fresh.memory().arena).toBe(step.info()[0]!.arenaBytes);
    fresh.close();
  });
});
