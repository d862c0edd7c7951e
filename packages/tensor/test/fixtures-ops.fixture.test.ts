/** Golden numbers of torch for single ops: outputs, vector–Jacobian products, and torch's own f32 error as the measure for ours. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  floatsOf,
  grad,
  init,
  isFloat,
  openFile,
  ops,
  SafetensorsFile,
  type Device,
  type StoredTensor,
  type Tensor,
} from "../src/index.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "models",
);
const present = existsSync(join(folder, "manifest.json"));

interface OpCase {
  readonly op: string;
  readonly note: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly inputs: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
  readonly cotangents: Readonly<Record<string, string>>;
  readonly grads: Readonly<Record<string, string>>;
  readonly f32: Readonly<Record<string, { readonly maxAbs: number }>>;
}
interface Case extends OpCase {
  readonly title: string;
  readonly folder: string;
}

const cases: readonly Case[] = !present
  ? []
  : (
      JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { cases: { folder: string; kind: string }[] }
    ).cases
      .filter((c) => c.kind === "ops")
      .flatMap((c) =>
        (JSON.parse(readFileSync(join(folder, c.folder, "case.json"), "utf8")) as { cases: OpCase[] }).cases.map(
          (op, i) => ({
            ...op,
            folder: c.folder,
            title: `${c.folder} ${i}: ${op.op} ${JSON.stringify(op.params)}${op.note === "" ? "" : `, ${op.note}`}`,
          }),
        ),
      );

type Inputs = Readonly<Record<string, Tensor>>;
interface Params {
  readonly approximate: "none" | "tanh";
  readonly reduction: "mean" | "sum" | "none";
  readonly ignore_index?: number;
  readonly label_smoothing?: number;
  readonly dim: number;
  readonly dims: readonly number[];
  readonly keepdim: boolean;
  readonly eps: number;
  readonly descending: boolean;
  readonly k: number;
  readonly pad: readonly number[];
  readonly value: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
  readonly causal: boolean;
  readonly theta: number;
}
type Build = (x: Inputs, p: Params) => Tensor | Readonly<Record<string, Tensor>>;

const one =
  (f: (x: Tensor) => Tensor): Build =>
  (x) =>
    f(x["x"]!);
const two =
  (f: (a: Tensor, b: Tensor) => Tensor): Build =>
  (x) =>
    f(x["a"]!, x["b"]!);

/** torch's names and parameters → ours. */
const BUILD: Readonly<Record<string, Build>> = {
  matmul: two(ops.matmul),
  add: two(ops.add),
  sub: two(ops.sub),
  mul: two(ops.mul),
  div: two(ops.div),
  maximum: two(ops.maximum),
  minimum: two(ops.minimum),
  exp: one(ops.exp),
  tanh: one(ops.tanh),
  sigmoid: one(ops.sigmoid),
  silu: one(ops.silu),
  relu: one(ops.relu),
  erf: one(ops.erf),
  abs: one(ops.abs),
  neg: one(ops.neg),
  square: one(ops.square),
  log: one(ops.log),
  sqrt: one(ops.sqrt),
  rsqrt: one(ops.rsqrt),
  reciprocal: one(ops.reciprocal),
  log1p: one(ops.log1p),
  sin: one(ops.sin),
  cos: one(ops.cos),
  gelu: (x, p) => ops.gelu(x["x"]!, p.approximate),
  softmax: (x, p) => ops.softmax(x["x"]!, p.dim),
  log_softmax: (x, p) => ops.logSoftmax(x["x"]!, p.dim),
  logsumexp: (x, p) => ops.logsumexp(x["x"]!, p.dim),
  cross_entropy: (x, p) =>
    ops.crossEntropy(x["logits"]!, x["labels"]!, {
      reduction: p.reduction,
      ignoreIndex: p.ignore_index ?? -100,
      labelSmoothing: p.label_smoothing ?? 0,
    }),
  layer_norm: (x, p) => ops.layerNorm(x["x"]!, x["weight"]!, x["bias"]!, p.eps),
  rms_norm: (x, p) => ops.rmsNorm(x["x"]!, x["weight"]!, p.eps),
  embedding: (x) => ops.embedding(x["weight"]!, x["ids"]!),
  gather: (x, p) => ops.gather(x["x"]!, p.dim, x["index"]!),
  scatter_add: (x, p) => ops.scatterAdd(x["x"]!, p.dim, x["index"]!, x["src"]!),
  index_select: (x, p) => ops.indexSelect(x["x"]!, p.dim, x["index"]!),
  where: (x) => ops.where(ops.cast(x["cond"]!, "bool"), x["a"]!, x["b"]!),
  sum: (x, p) => ops.sum(x["x"]!, p.dims, p.keepdim),
  mean: (x, p) => ops.mean(x["x"]!, p.dims, p.keepdim),
  amax: (x, p) => ops.amax(x["x"]!, p.dims, p.keepdim),
  cumsum: (x, p) => ops.cumsum(x["x"]!, p.dim),
  permute: (x, p) => ops.permute(x["x"]!, p.dims),
  sort: (x, p) => ({ ...ops.sort(x["x"]!, p.dim, p.descending) }),
  topk: (x, p) => ({ ...ops.topk(x["x"]!, p.k, p.dim) }),
  // torch lists pairs from the last dimension on
  pad: (x, p) => {
    const amounts = p.pad;
    const rank = x["x"]!.rank;
    return ops.pad(
      x["x"]!,
      Array.from({ length: rank }, (_, d) => {
        const i = 2 * (rank - 1 - d);
        return [amounts[i] ?? 0, amounts[i + 1] ?? 0] as const;
      }),
      p.value,
    );
  },
  slice: (x, p) => ops.slice(x["x"]!, p.dim, p.start, p.end, p.step),
  concat: (x, p) =>
    ops.concat(
      Object.keys(x)
        .sort()
        .map((k) => x[k]!),
      p.dim,
    ),
  attention: (x, p) =>
    ops.attention(x["q"]!, x["k"]!, x["v"]!, {
      causal: p.causal,
      ...(x["mask"] === undefined ? {} : { mask: ops.cast(x["mask"], "bool") }),
    }),
  rope: (x, p) => {
    const [length, d] = x["x"]!.shape.slice(-2) as [number, number];
    const table = (f: (angle: number) => number): Tensor =>
      x["x"]!.device.constant(
        Float64Array.from({ length: length * d }, (_, i) =>
          f(Math.floor(i / d) * p.theta ** (-(i % (d / 2)) / (d / 2))),
        ),
        [length, d],
      );
    return ops.rope(x["x"]!, table(Math.cos), table(Math.sin));
  },
};

/** Elements further than 1e-9 relative or 1e-12 absolute, beyond what the golden number itself can be off by. */
function misses(got: Float64Array, want: Float64Array, goldenError: number): number {
  expect(got.length).toBe(want.length);
  return want.reduce(
    (n, v, i) =>
      n + (Object.is(got[i], v) || Math.abs(got[i]! - v) <= 1e-9 * Math.abs(v) + 1e-12 + goldenError ? 0 : 1),
    0,
  );
}

function largest(values: Float64Array): number {
  return values.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 0);
}

/**
 * torch computed in f64 with its own rounding. Its f32 error, relative to the largest value, shrinks by 2⁻²⁹ (2⁻⁵³ to 2⁻²⁴) in f64;
 * sixteen of it leave room for the luck of either draw. That is nothing (1e-15) but for rows of 10⁴ ± 10⁻⁴, where torch's layer norm is
 * off by 2.8e-8 and exact rational arithmetic agrees with ours to 1e-15.
 */
function goldenErrorOf(c: OpCase, output: string, scale: number): number {
  return ((16 * (c.f32[output]?.maxAbs ?? 0)) / Math.max(scale, Number.MIN_VALUE)) * 2 ** -29;
}

describe.each([["reference"], ["wasm"]] as const)("golden ops on %s", (name) => {
  let device: Device;
  const files = new Map<string, SafetensorsFile>();
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
    for (const c of new Set(cases.map((x) => x.folder)))
      files.set(c, await SafetensorsFile.open(await openFile(join(folder, c, "data.safetensors"))));
  });
  afterAll(async () => {
    device.close();
    for (const file of files.values()) await file.close();
  });

  it("has a fixtures folder", ({ skip }) => {
    if (!present) skip(`no golden numbers at ${folder}; set LOWRANK_FIXTURES`);
  });

  it.for(cases)("$title", async (c, { skip }) => {
    const build = BUILD[c.op];
    if (build === undefined) return skip(`op ${c.op} is not built yet`);
    const file = files.get(c.folder)!;
    const tensor = ({ data, shape, dtype }: StoredTensor): Tensor =>
      device.tensor(floatsOf(dtype, data), shape, isFloat(dtype) ? device.defaultFloat : dtype);
    const inputs: Record<string, Tensor> = {};
    for (const [key, stored] of Object.entries(c.inputs)) inputs[key] = tensor(await file.read(stored));
    const built = build(inputs, c.params as unknown as Params);
    const outputs: Readonly<Record<string, Tensor>> = "node" in built ? { y: built as Tensor } : built;
    let conditioning = 0;
    for (const [key, stored] of Object.entries(c.outputs)) {
      const { data, dtype } = await file.read(stored);
      const [got, want] = [await outputs[key]!.floats(), floatsOf(dtype, data)];
      const error = c.f32[key];
      if (name === "reference" || error === undefined) {
        conditioning = Math.max(conditioning, goldenErrorOf(c, key, largest(want)));
        expect(misses(got, want, conditioning * largest(want)), key).toBe(0);
      } else {
        const scale = largest(want);
        const worst = want.reduce((m, v, i) => Math.max(m, Object.is(v, got[i]) ? 0 : Math.abs(v - got[i]!)), 0);
        // 4 ulp of the largest value where torch's own error is smaller than that
        expect(worst, key).toBeLessThanOrEqual(Math.max(4 * error.maxAbs, 4 * scale * 2 ** -23));
      }
    }
    if (name !== "reference") return;
    const wrt = Object.entries(c.grads);
    let gradients: Tensor[] | undefined;
    // an error e in every element of y reaches a sum over the cotangent as at most e·Σ|cotangent|
    let reach = 0;
    for (const [key, stored] of Object.entries(c.cotangents)) {
      const cotangent = await file.read(stored);
      const weight = floatsOf(cotangent.dtype, cotangent.data).reduce((sum, v) => sum + Math.abs(v), 0);
      reach += 16 * (c.f32[key]?.maxAbs ?? 0) * 2 ** -29 * weight;
      const part = grad(
        outputs[key]!,
        wrt.map(([input]) => inputs[input]!),
        tensor(cotangent),
      );
      gradients = gradients === undefined ? part : gradients.map((g, i) => ops.add(g, part[i]!));
    }
    for (const [i, [input, stored]] of wrt.entries()) {
      const { data, dtype } = await file.read(stored);
      const want = floatsOf(dtype, data);
      expect(
        misses(await gradients![i]!.floats(), want, conditioning * largest(want) + reach),
        `gradient of ${input}`,
      ).toBe(0);
    }
  });
});
