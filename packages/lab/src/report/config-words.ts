/** What a config switches on, in words that a table has room for: told from what was resolved, whatever the method. */
import { methods } from "../methods/registry.ts";
import type { ReportRun } from "./run.ts";

const STORAGES: Readonly<Record<string, string>> = {
  keep: "base as its file has it",
  f32: "32-bit base",
  f16: "16-bit base",
  bf16: "16-bit base (bf16)",
  nf4: "4-bit base (NF4)",
  fp4: "4-bit base (FP4)",
  int8: "8-bit base",
};

/** `AdaLoRA, rank 12 cut to 8 on average while training, 4-bit base (NF4)`. @param runs of one config, whose seeds may have drawn or found other ranks */
export function configWords(runs: readonly ReportRun[]): string {
  const { method, storage, from, ...options } = runs[0]!.resolved.method;
  // options of one method or another; runs of earlier versions may not say them
  const { precision, dora, allocator, dropout, baseDropout } = options as Readonly<Record<string, unknown>>;
  const parts = [
    (methods.has(method) ? methods.get(method).label : undefined) ?? method,
    dora === true ? "DoRA" : undefined,
    rankWords(runs),
    typeof allocator === "string" ? `allocator ${allocator}` : allocator === false ? "allocator off" : undefined,
    from === undefined ? undefined : `as ${from.config} found`,
    STORAGES[storage] ?? storage,
    typeof precision !== "string" || precision === "f32" ? undefined : `${precision} products`,
    dropoutWords(dropout, baseDropout),
  ];
  return parts.filter((part) => part !== undefined && part !== "").join(", ");
}

/** Of the adapters and of the base, which tasks decide where nobody says it. */
function dropoutWords(ofAdapters: unknown, ofBase: unknown): string | undefined {
  const [adapters, base] = [ofAdapters, ofBase].map((share) => (typeof share === "number" && share > 0 ? share : 0));
  if (adapters === 0 && base === 0) return undefined;
  if (adapters === base) return `dropout ${base}`;
  return adapters === 0
    ? `dropout ${base} of the base`
    : base === 0
      ? `dropout ${adapters} of adapters`
      : `dropout ${adapters} of adapters, ${base} of the base`;
}

function rankWords(runs: readonly ReportRun[]): string {
  const ranks = [...new Set(runs.flatMap(({ modules }) => modules.flatMap(({ rank }) => rank ?? [])))].sort(
    (a, b) => a - b,
  );
  if (ranks.length === 0) return "";
  const all = ranks.length === 1 ? `rank ${ranks[0]}` : `ranks ${ranks[0]} to ${ranks.at(-1)}`;
  const decided = runs.flatMap(({ allocation }) => allocation ?? []);
  if (decided.length === 0) return all;
  const modules = decided.reduce((sum, allocation) => sum + allocation.modules.length, 0);
  const mean = decided.reduce((sum, { kept }) => sum + kept, 0) / Math.max(1, modules);
  return `${all} cut to ${Number(mean.toFixed(1))} on average while training`;
}
