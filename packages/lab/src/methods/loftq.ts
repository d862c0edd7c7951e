/** Adapters that begin with what quantization lost (LoftQ): that they did, and how they are kept. */
import type { Adapter } from "@lowrank/peft";
import type { Proof } from "../store/result.ts";

/**
 * Whether the adapter is kept as it is, for the base in four bits that it was trained beside. Beside the original one it would be off by what no
 * product of its rank makes up for, and predictions are to be those of the training.
 */
export function keepsBase({ startErrors }: Adapter): boolean {
  return startErrors.size > 0;
}

/** ‖W − (Q + s·B·A)‖ below ‖W − Q‖ in every module, Q as it was before the start. Nothing where no start makes up for quantization. */
export function quantizationStartProof({ startErrors }: Adapter): Proof[] {
  if (startErrors.size === 0) return [];
  const all = [...startErrors.values()];
  const norm = (values: readonly number[]): number => Math.hypot(...values);
  const weight = norm(all.map((error) => error.weight));
  return [
    {
      name: "starts-with-what-quantization-lost",
      holds: all.every(({ before, after }) => after < before),
      detail: {
        modules: all.length,
        before: norm(all.map(({ before }) => before)) / weight,
        after: norm(all.map(({ after }) => after)) / weight,
        worst: Math.max(...all.map(({ before, after }) => after / before)),
      },
    },
  ];
}
