/** Proofs that storage and precision were on where the config says so, and off where they were not asked for. */
import { Embedding, Projection, type Dropout, type Module, type Weight } from "@lowrank/nn";
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
  if (method.storage === "keep") return keptProof(base);
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

/** Every weight that its file has in a form is in that form, no other is in any; and what that comes to. */
function keptProof({ model, forms }: Base): Proof {
  const kept: Record<string, number> = {};
  const seen = new Set<Weight>();
  let [bytes, other]: [number, string | undefined] = [0, undefined];
  for (const [name, weight] of model.namedWeights()) {
    // one that stands in two places is the first one's
    if (seen.has(weight)) continue;
    seen.add(weight);
    const how = weight.form?.kind ?? weight.parameter.dtype;
    kept[how] = (kept[how] ?? 0) + 1;
    bytes += weight.bytes;
    if (weight.form?.kind !== forms.get(name)) other ??= name;
  }
  return {
    name: "quantization",
    holds: other === undefined,
    detail: { storage: "keep", kept, bytes, ...(other === undefined ? {} : { other }) },
  };
}

const NARROW: readonly DType[] = ["u8", "f16", "bf16"];

/** Narrow dtypes that frozen layers of a model are kept in; codes of forms are bytes. */
export function narrowDTypes(model: Module): DType[] {
  const found = [...model.namedModules()].flatMap(([, m]): DType[] => {
    if (!(m instanceof Projection) || m.weight.trainable) return [];
    const dtype = m.weight.form === undefined ? m.weight.parameter.dtype : "u8";
    return NARROW.includes(dtype) ? [dtype] : [];
  });
  return [...new Set(found)];
}

/** Narrow dtypes that products are expected to read weights from. */
function expected({ storage }: MethodConfig, kept: readonly DType[]): readonly DType[] {
  if (storage === "keep") return kept;
  return storage === "f32" ? [] : [isQuantized(storage) ? "u8" : (storage as DType)];
}

/** The dtypes that the training step's graph really has. @param kept narrow dtypes that a base has which is kept as its file is */
export function dtypeProof(trace: DTypeTrace | undefined, method: MethodConfig, kept: readonly DType[] = []): Proof {
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
  const narrow = expected(method, kept);
  const fromNarrow = count((p) => p.stored.some((dtype) => dtype !== undefined && narrow.includes(dtype)));
  const strange = count((p) => p.stored.some((dtype) => dtype !== undefined && NARROW.includes(dtype)));
  // residual sums, and all that is summed up, are never in half;
  // attention's scores and an allocator's own products stay at full precision; everything a layer multiplies is in half
  const { norms, reductions } = trace;
  const summed = [norms.sums, reductions].flatMap((counts) => Object.keys(counts) as DType[]);
  const carried = half === undefined || summed.every((dtype) => dtype !== "f16" && dtype !== "bf16");
  const holds =
    carried &&
    (half === undefined ? count((p) => p.operands.some((d) => d === "f16" || d === "bf16")) === 0 : inHalf > all / 2) &&
    (narrow.length === 0 ? strange === 0 : fromNarrow > 0);
  return {
    name: "dtypes",
    holds,
    detail: {
      storage: trace.storage,
      accumulate: "f32",
      products: trace.products,
      reductions,
      norms,
      inHalf,
      ofAll: all,
      weightsReadFrom: method.storage === "keep" ? narrow.join(", ") || "f32" : (narrow[0] ?? "f32"),
      productsReadingThem: fromNarrow,
    },
  };
}
