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

/** `AdaLoRA, ranks 12 cut to 8 on average while training, 4-bit base (NF4)`. */
export function configWords({ resolved, modules, allocation }: ReportRun): string {
  const { method, storage, from } = resolved.method;
  // runs of earlier versions may not say it
  const precision: string | undefined = resolved.method.precision;
  const parts = [
    (methods.has(method) ? methods.get(method).label : undefined) ?? method,
    rankWords(modules, allocation),
    from === undefined ? undefined : `as ${from.config} found`,
    STORAGES[storage] ?? storage,
    precision === undefined || precision === "f32" ? undefined : `${precision} products`,
  ];
  return parts.filter((part) => part !== undefined && part !== "").join(", ");
}

function rankWords(modules: ReportRun["modules"], allocation: ReportRun["allocation"] | undefined): string {
  const ranks = [...new Set(modules.flatMap(({ rank }) => rank ?? []))].sort((a, b) => a - b);
  if (ranks.length === 0) return "";
  const all = ranks.length === 1 ? `rank ${ranks[0]}` : `ranks ${ranks[0]} to ${ranks.at(-1)}`;
  if (allocation === undefined) return all;
  const mean = allocation.kept / Math.max(1, allocation.modules.length);
  return `${all} cut to ${Number(mean.toFixed(1))} on average while training`;
}
