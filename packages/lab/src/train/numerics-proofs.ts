/** Proofs that storage and precision were on where the config says so, and off where they were not asked for. */
import { Embedding, Projection, type Dropout } from "@lowrank/nn";
import { codesPerBlock, FourBitWeight, quantizedModules } from "@lowrank/quant";
import type { DType, DTypeTrace } from "@lowrank/tensor";
import type { MethodConfig } from "../config/study.ts";
import type { Proof } from "../store/result.ts";
import type { Base } from "../bases/base.ts";
import { isQuantized, TABLES } from "../bases/storage.ts";

/** ‖quantized − full‖ / ‖full‖ of logits: NF4's weights are off by about a tenth of their size, so a model that agrees with its base is far below 1. */
const LOGIT_BOUND = 1;

/** The modules that should be quantized are, with at most 16 codes a block; without quantization none is. */
export async function quantizationProof(
  base: Base,
  method: MethodConfig,
  full: Float64Array | undefined,
  now: Float64Array | undefined,
): Promise<Proof> {
  const modules = quantizedModules(base.model);
  const bytes = modules.reduce((sum, m) => sum + m.bytes, 0);
  if (!isQuantized(method.storage))
    return {
      name: "quantization",
      holds: modules.length === 0,
      detail: { storage: method.storage, modules: modules.length },
    };
  const kinds = [...new Set(modules.map((m) => m.kind))];
  let mostCodes = 0;
  for (const [, m] of base.model.namedModules())
    if (m instanceof Projection && m.weight.form instanceof FourBitWeight)
      mostCodes = Math.max(mostCodes, (await codesPerBlock(m.weight.form)).most);
  const [difference, size] = [0, 0].map((_, which) =>
    Math.sqrt(full!.reduce((s, v, i) => s + (which === 0 ? v - now![i]! : v) ** 2, 0)),
  );
  const relative = difference! / size!;
  const wanted = method.embeddings ?? TABLES;
  const tables = [...base.model.namedModules()].flatMap(([, m]) =>
    m instanceof Embedding ? [m.weight.parameter.dtype] : [],
  );
  const holds =
    modules.length > 0 &&
    kinds.length === 1 &&
    kinds[0] === method.storage &&
    mostCodes <= 16 &&
    tables.every((dtype) => dtype === wanted) &&
    relative > 0 &&
    relative < LOGIT_BOUND;
  return {
    name: "quantization",
    holds,
    detail: {
      storage: method.storage,
      modules: modules.length,
      bytes,
      mostCodesPerBlock: mostCodes,
      embeddings: [...new Set(tables)],
      logitDifference: relative,
      bound: LOGIT_BOUND,
    },
  };
}

/** Where the config says what the base drops, each of its places does. @param places those of the base, without an adapter's */
export function baseDropoutProof(places: readonly Dropout[], { baseDropout }: MethodConfig): Proof[] {
  if (baseDropout === undefined) return [];
  return [
    {
      name: "base-dropout",
      holds: places.length > 0 && places.every(({ p }) => p === baseDropout),
      detail: { wanted: baseDropout, places: places.length, rates: [...new Set(places.map(({ p }) => p))] },
    },
  ];
}

/** The dtypes that the training step's graph really has. */
export function dtypeProof(trace: DTypeTrace | undefined, method: MethodConfig): Proof {
  if (trace === undefined)
    return {
      name: "dtypes",
      holds: false,
      detail: { why: "no step was compiled, so there is no graph to read dtypes off" },
    };
  const half = { f32: undefined, "mixed-f16": "f16", "mixed-bf16": "bf16" }[method.precision];
  const count = (test: (p: DTypeTrace["products"][number]) => boolean): number =>
    trace.products.filter(test).reduce((sum, p) => sum + p.count, 0);
  const all = count(() => true);
  const inHalf = count((p) => p.operands.every((d) => d === half));
  const narrow = (isQuantized(method.storage) ? "u8" : method.storage) as DType;
  const fromNarrow = narrow === "f32" ? 0 : count((p) => p.stored.includes(narrow));
  const strange = narrow === "f32" ? count((p) => p.stored.some((d) => d === "u8" || d === "f16" || d === "bf16")) : 0;
  // attention's scores and an allocator's own products stay at full precision; everything a layer multiplies is in half
  const holds =
    (half === undefined ? count((p) => p.operands.some((d) => d === "f16" || d === "bf16")) === 0 : inHalf > all / 2) &&
    (narrow === "f32" ? strange === 0 : fromNarrow > 0);
  return {
    name: "dtypes",
    holds,
    detail: {
      storage: trace.storage,
      accumulate: "f32",
      products: trace.products,
      reductions: trace.reductions,
      inHalf,
      ofAll: all,
      weightsReadFrom: narrow,
      productsReadingThem: fromNarrow,
    },
  };
}
