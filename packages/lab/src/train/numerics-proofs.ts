/** Proofs that storage, precision and rank allocation were on where the config says so, and off where it does not. */
import { Projection } from "@lowrank/nn";
import type { AllocationRecord } from "@lowrank/peft";
import { codesPerBlock, FourBitWeight, quantizedModules } from "@lowrank/quant";
import type { DType, DTypeTrace } from "@lowrank/tensor";
import type { MethodConfig } from "../config/study.ts";
import type { Proof } from "../store/result.ts";
import type { Base } from "../bases/base.ts";
import { isQuantized } from "../bases/storage.ts";

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
  const holds =
    modules.length > 0 &&
    kinds.length === 1 &&
    kinds[0] === method.storage &&
    mostCodes <= 16 &&
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
      logitDifference: relative,
      bound: LOGIT_BOUND,
    },
  };
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

/** The allocator ran once per optimizer step and ended with exactly its budget. Fixed ranks have no record. */
export function allocationProof(record: AllocationRecord | undefined, method: MethodConfig, steps: number): Proof {
  const wanted = method.method === "adalora" && method.allocator !== false;
  if (record === undefined)
    return { name: "rank-allocation", holds: !wanted, detail: { allocator: "none", method: method.method } };
  const falls = record.budgets.every((b, i) => i === 0 || b <= record.budgets[i - 1]!);
  const enforced =
    record.compat === "strict" ? record.kept === record.targetBudget : record.kept <= record.targetBudget;
  return {
    name: "rank-allocation",
    holds: wanted && record.calls === steps && record.finalizedAt !== null && enforced && falls,
    detail: {
      calls: record.calls,
      steps,
      kept: record.kept,
      budget: record.targetBudget,
      initialBudget: record.initialBudget,
      finalizedAt: record.finalizedAt,
      choices: record.choices.length,
    },
  };
}

/** The regularizer was part of the objective at every step, and the loss that is reported holds none of it. */
export function objectiveProof(method: MethodConfig, regularizers: readonly number[]): Proof {
  // deciding by size needs no orthonormal factors
  const wanted =
    method.method === "adalora" &&
    method.allocator !== false &&
    method.allocator !== "magnitude" &&
    method.orthRegWeight > 0;
  const on = regularizers.filter((r) => r > 0).length;
  return {
    name: "regularizer-in-training-only",
    holds: wanted ? on === regularizers.length : on === 0,
    detail: {
      steps: regularizers.length,
      withRegularizer: on,
      first: regularizers[0] ?? 0,
      last: regularizers.at(-1) ?? 0,
    },
  };
}
