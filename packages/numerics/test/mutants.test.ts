/** Wrong versions of ops, each of a kind that is made by people: the parity check, with each op's own samples, must refuse them all. */
import { init, ops, sizeOf, type Device, type Tensor } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allRecords, checkOpParity } from "../src/index.ts";
import type { Implementation } from "../src/op-case.ts";

const seed = fc.readConfigureGlobal().seed!;

type T = Tensor;
const mutant = <Args extends unknown[]>(f: (...args: Args) => unknown): Implementation =>
  f as unknown as Implementation;

/** y with one element of its row scaled. */
function spoil(y: T, by: number): T {
  return y.rank === 0 ? ops.mul(y, by) : ops.where(ops.eq(ops.iota(y, -1), 0), ops.mul(y, by), y);
}
function statistics(x: T): { centred: T; variance: T } {
  const centred = ops.sub(x, ops.mean(x, -1, true));
  return { centred, variance: ops.mean(ops.square(centred), -1, true) };
}
/** Adds up in f16, one term after the other. */
function halfSum(x: T): T {
  const flat = ops.cast(ops.flatten(x), "f16");
  let total = ops.slice(flat, 0, 0, 1);
  for (let i = 1; i < flat.size; i++) total = ops.add(total, ops.slice(flat, 0, i, i + 1));
  return ops.cast(ops.reshape(total, []), x.dtype);
}

const MUTANTS: readonly (readonly [string, string, Implementation])[] = [
  [
    "softmax",
    "one element of a row off by 9e-4",
    mutant((x: T, d: number, m?: T) => spoil(ops.softmax(x, d, m), 1 + 9e-4)),
  ],
  [
    "softmax",
    "one element of a row off by 3e-6",
    mutant((x: T, d: number, m?: T) => spoil(ops.softmax(x, d, m), 1 + 3e-6)),
  ],
  [
    "softmax",
    "no maximum subtracted",
    mutant((x: T, d: number, m?: T) => {
      const e = ops.exp(m === undefined ? x : ops.where(m, x, -Infinity));
      const total = ops.sum(e, d, true);
      return ops.mul(e, ops.where(ops.eq(total, 0), 0, ops.reciprocal(total)));
    }),
  ],
  [
    "logsumexp",
    "a maximum that is not put back in",
    mutant((x: T, d: number, keep?: boolean) => ops.log(ops.sum(ops.exp(x), d, keep))),
  ],
  [
    "softmax",
    "a masked position counts a little",
    mutant((x: T, d: number, m?: T) => ops.softmax(m === undefined ? x : ops.where(m, x, -10), d)),
  ],
  [
    "layerNorm",
    "eps outside of the root",
    mutant((x: T, w: T, b: T, eps: number) => {
      const { centred, variance } = statistics(x);
      return ops.add(ops.mul(ops.div(centred, ops.add(ops.sqrt(variance), eps)), w), b);
    }),
  ],
  [
    "layerNorm",
    "variance over n − 1",
    mutant((x: T, w: T, b: T, eps: number) => {
      const { centred, variance } = statistics(x);
      const n = x.shape.at(-1)!;
      return ops.add(ops.mul(ops.mul(centred, ops.rsqrt(ops.add(ops.mul(variance, n / (n - 1)), eps))), w), b);
    }),
  ],
  ["rmsNorm", "eps ten times too large", mutant((x: T, w: T, eps: number) => ops.rmsNorm(x, w, 10 * eps))],
  ["gelu", "always the tanh form", mutant((x: T) => ops.gelu(x, "tanh"))],
  ["gelu", "1.702 σ form", mutant((x: T) => ops.mul(x, ops.sigmoid(ops.mul(x, 1.702))))],
  [
    "gelu",
    "1 + erf in the place of Φ",
    mutant((x: T, form: string) =>
      form === "tanh" ? ops.gelu(x, "tanh") : ops.mul(ops.mul(x, 0.5), ops.add(ops.erf(ops.mul(x, Math.SQRT1_2)), 1)),
    ),
  ],
  [
    "sum",
    "in half precision",
    mutant((x: T, dims?: number[], keep?: boolean) =>
      dims === undefined || dims.length === x.rank
        ? ops.reshape(halfSum(x), keep === true ? x.shape.map(() => 1) : [])
        : ops.sum(x, dims, keep),
    ),
  ],
  [
    "sum",
    "of operands rounded to bf16",
    mutant((x: T, dims?: number[], keep?: boolean) => ops.sum(ops.cast(ops.cast(x, "bf16"), x.dtype), dims, keep)),
  ],
  [
    "matmul",
    "of operands rounded to f16",
    mutant((a: T, b: T) => ops.matmul(ops.cast(ops.cast(a, "f16"), a.dtype), b)),
  ],
  ["matmul", "result rounded to 16 bits of mantissa", mutant((a: T, b: T) => spoil(ops.matmul(a, b), 1 + 2 ** -16))],
  [
    "crossEntropy",
    "no maximum subtracted",
    mutant((logits: T, labels: T, o: Parameters<typeof ops.crossEntropy>[2] = {}) => {
      const e = ops.exp(logits);
      return ops.crossEntropy(ops.log(ops.div(e, ops.sum(e, 1, true))), labels, o);
    }),
  ],
  [
    "crossEntropy",
    "ignored rows counted in the mean",
    mutant((logits: T, labels: T, o: Parameters<typeof ops.crossEntropy>[2] = {}) =>
      o.reduction === "mean"
        ? ops.div(ops.crossEntropy(logits, labels, { ...o, reduction: "sum" }), logits.shape[0]!)
        : ops.crossEntropy(logits, labels, o),
    ),
  ],
  [
    "crossEntropy",
    "no label smoothing",
    mutant((x: T, l: T, o: object = {}) => ops.crossEntropy(x, l, { ...o, labelSmoothing: 0 })),
  ],
  [
    "attention",
    "scaled by 1/d",
    mutant((q: T, k: T, v: T, o: object = {}) => ops.attention(q, k, v, { scale: 1 / q.shape.at(-1)!, ...o })),
  ],
  [
    "attention",
    "not causal",
    mutant((q: T, k: T, v: T, { window: _, ...o }: { window?: number } = {}) =>
      ops.attention(q, k, v, { ...o, causal: false }),
    ),
  ],
  ["rope", "turned the other way", mutant((x: T, cos: T, sin: T) => ops.rope(x, cos, ops.neg(sin)))],
  [
    "dropout",
    "scaled by 1 − p",
    mutant((x: T, p: number, key: Parameters<typeof ops.dropout>[2]) =>
      p === 0 ? x : ops.mul(ops.dropout(x, p, key), (1 - p) ** 2),
    ),
  ],
  [
    "embedding",
    "ids off by one",
    mutant((w: T, ids: T, p?: number) => ops.embedding(w, ops.maximum(ops.sub(ids, 1), 0), p)),
  ],
  ["embedding", "gradients of the padding row", mutant((w: T, ids: T) => ops.embedding(w, ids))],
  ["concat", "the last two parts swapped", mutant((parts: T[], dim?: number) => ops.concat([...parts].reverse(), dim))],
  [
    "attention",
    "dropout left out",
    mutant((q: T, k: T, v: T, { dropout: _, ...o }: { dropout?: object }) => ops.attention(q, k, v, o)),
  ],
  [
    "attention",
    "the scale squared",
    mutant((q: T, k: T, v: T, o: { scale?: number }) =>
      ops.attention(q, k, v, o.scale === undefined ? o : { ...o, scale: o.scale * Math.abs(o.scale) }),
    ),
  ],
  ["mean", "over n − 1", mutant((x: T, d?: number[], keep?: boolean) => spoil(ops.mean(x, d, keep), 1.01))],
  [
    "amax",
    "rounded to f16",
    mutant((x: T, d?: number[], keep?: boolean) => ops.cast(ops.cast(ops.amax(x, d, keep), "f16"), x.dtype)),
  ],
];

/** `randomBits` on the host, of as many rounds as one likes. */
function threefryBits(
  rounds: number,
): (shape: readonly number[], key: { words: T; site: number }, bits?: 16 | 32) => T {
  const word = (k: readonly [number, number], place: number, row: number): [number, number] => {
    const keys = [k[0], k[1], 0x1bd11bda ^ k[0] ^ k[1]];
    let [x, y] = [(place + keys[0]!) | 0, (row + keys[1]!) | 0];
    for (let round = 0; round < rounds; round++) {
      const by = [13, 15, 26, 6, 17, 29, 16, 24][round % 8]!;
      x = (x + y) | 0;
      y = ((y << by) | (y >>> (32 - by))) ^ x;
      if (round % 4 !== 3) continue;
      const group = (round + 1) / 4;
      x = (x + keys[group % 3]!) | 0;
      y = (y + keys[(group + 1) % 3]! + group) | 0;
    }
    return [x >>> 0, y >>> 0];
  };
  return (shape, { words, site }, bits = 32) => {
    const [k0, k1, first = 0] = (words.node.leaf as unknown as { data: Uint32Array }).data;
    // the key is moved by the call site; dimension 0 counts rows
    const key = [(k0! + Math.imul(site, 0x9e3779b9)) >>> 0, k1!] as const;
    const size = shape.length > 1 ? sizeOf(shape.slice(1)) : sizeOf(shape);
    const draw = (i: number): number => {
      const at = i % size;
      const each = bits === 16 ? 16 : 8;
      const both = word(key, Math.floor(at / each) * 4 + (at & 3), first + Math.floor(i / size));
      const full = both[(at >> 2) & 1]!;
      return bits === 32 ? full : (at & 8) === 0 ? full & 0xffff : full >>> 16;
    };
    return words.device.tensor(
      Uint32Array.from({ length: sizeOf(shape) }, (_, i) => draw(i)),
      shape,
      "u32",
    );
  };
}

describe("the parity check refuses", () => {
  let device: Device;
  let reference: Device;
  beforeAll(async () => {
    reference = await init({ device: "reference" });
    // every value is stored, and with it rounded
    device = await init({ device: "wasm", threads: 1, fusion: false });
  });
  afterAll(() => [device, reference].forEach((d) => d.close()));
  const records = new Map(allRecords());

  it.for(MUTANTS)("%s: %s", async ([name, , implementation]) => {
    const check = checkOpParity(name, records.get(name)!, device, reference, { seed, runs: 16, implementation });
    await expect(check).rejects.toThrow(/Property failed/);
    await expect(check).rejects.toThrow(
      expect.objectContaining({ cause: expect.objectContaining({ message: expect.stringContaining("is allowed") }) }),
    );
  });

  it("random bits of Threefry with one round fewer, and takes those with all twenty", async () => {
    const check = (rounds: number): Promise<void> =>
      checkOpParity("randomBits", records.get("randomBits")!, device, reference, {
        seed,
        runs: 16,
        implementation: mutant(threefryBits(rounds)),
      });
    await check(20);
    await expect(check(19)).rejects.toThrow(/Property failed/);
  });

  it("nothing where the op is as it should be", async () => {
    for (const name of new Set(MUTANTS.map(([op]) => op)))
      await checkOpParity(name, records.get(name)!, device, reference, { seed, runs: 4 });
  });
});
