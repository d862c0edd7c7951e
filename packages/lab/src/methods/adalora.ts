/** Ranks that are decided while training (Zhang et al. 2023). Steps may be fractions of the training. */
import { adaLoraConfig, BudgetSchedule, orthogonality, tripletsOf } from "@lowrank/peft";
import { ops } from "@lowrank/tensor";
import { z } from "zod";
import { allocators } from "../allocators/registry.ts";
import { deciding, listed } from "../allocators/deciding.ts";
import { count, probability } from "../config/numbers.ts";
import type { Allocator } from "../records/allocator.ts";
import type { Method } from "../records/method.ts";
import { adapterMethod, type AdapterMethodConfig } from "./adapter.ts";
import { ADALORA_RATES } from "./rates.ts";
import { numerics, scaled, steps, train } from "./words.ts";

export interface AdaLoraMethod extends AdapterMethodConfig {
  readonly method: "adalora";
  readonly alpha: number;
  readonly dropout: number;
  readonly initR: number;
  readonly targetR: number;
  readonly tinit: number;
  readonly tfinal: number;
  readonly deltaT: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly orthRegWeight: number;
  readonly compat: "strict" | "peft";
  /** What ranks are decided by: an allocator's name, or AdaLoRA's sensitivity (true). False: modules keep their initial ranks, as a control; the regularizer stays. */
  readonly allocator: boolean | string;
  /** Gradients that the allocator sees. Absent: those after clipping where `compat` is "peft", which is what PEFT finds under a Trainer; else those before. */
  readonly gradients?: "raw" | "clipped" | undefined;
}

export const adalora: Method<AdaLoraMethod> = adapterMethod<AdaLoraMethod>({
  name: "adalora",
  label: "AdaLoRA",
  rates: ADALORA_RATES,
  schema: (facts) =>
    z.strictObject({
      method: z.literal("adalora"),
      initR: count.default(12),
      targetR: count.default(8),
      tinit: steps.default(0.1),
      tfinal: steps.default(0.3),
      deltaT: count.default(10),
      beta1: probability.default(0.85),
      beta2: probability.default(0.85),
      orthRegWeight: z.number().min(0).default(0.5),
      compat: z.enum(["strict", "peft"]).default("strict"),
      allocator: z
        .union([z.boolean(), z.enum(deciding("make"))], { error: `expected true, false, ${listed(deciding("make"))}` })
        .default(true),
      gradients: z.enum(["raw", "clipped"]).optional(),
      ...scaled(facts),
      ...numerics,
      train,
    }),
  check(options, at) {
    const { initR, targetR, allocator, gradients } = options;
    if (targetR > initR)
      return `"${at}.targetR" is ${targetR}, more than the initial rank ${initR} ("initR"); ranks are only taken away`;
    if (allocator === false && gradients !== undefined)
      return `"${at}.gradients" says what an allocator sees, and "allocator" is false; leave one of them out`;
    if (gradients !== undefined && allocatorOf(options)!.usesGradients === false)
      return `"${at}.gradients" says what an allocator sees, and "${String(allocator)}" looks at none; leave it out`;
    return undefined;
  },
  checkSteps(options, totalSteps) {
    const { tinit, tfinal, deltaT } = adaLoraWords(options, totalSteps);
    new BudgetSchedule({ totalSteps, tinit, tfinal, deltaT });
  },
  words: (options, common, totalSteps) => ({
    ...common,
    alpha: options.alpha,
    dropout: options.dropout,
    excludeModules: options.exclude,
    adaLora: adaLoraWords(options, totalSteps),
  }),
  // steps are known with the data only: the shortest schedule stands for all
  shortest: (options) => ({ ...options, tinit: 0, tfinal: 0, deltaT: 1 }),
  // one singular value per rank beside the two matrices; alpha is divided by the initial rank
  rows: (found, { initR: rank, alpha }) =>
    found.map((linear) => ({
      module: linear.path,
      in: linear.in,
      out: linear.out,
      rank,
      scale: alpha / (rank + 1e-5),
      parameters: rank * (linear.in + linear.out + 1),
    })),
  // PEFT counts its frozen ranknum
  frozen: (rows) => rows.length,
  async allocator(adapter, options, base, { totalSteps, ...context }) {
    const { targetR, tinit, tfinal, deltaT, compat } = options;
    const budget = { totalSteps, targetRank: targetR, compat, tinit, tfinal, deltaT };
    return allocatorOf(options)?.make?.(tripletsOf(adapter), { budget, options, base, ...context });
  },
  // the control differs from AdaLoRA in its ranks alone
  regularizer(adapter, { orthRegWeight: weight }) {
    const layers = tripletsOf(adapter);
    return weight === 0 ? undefined : () => ops.mul(orthogonality(layers), weight);
  },
  allocatorSees: ({ gradients }) => gradients,
  switches(options) {
    const allocator = allocatorOf(options);
    const regularizes = allocator === undefined ? options.orthRegWeight > 0 : allocator.regularizes?.(options) === true;
    return { allocates: allocator !== undefined, regularizes };
  },
});

function allocatorOf({ allocator }: AdaLoraMethod): Allocator | undefined {
  if (allocator === false) return undefined;
  return allocators.get(allocator === true ? "sensitivity" : String(allocator));
}

/** AdaLoRA's config in PEFT's words. @throws LowrankError for a schedule that does not fit the steps */
function adaLoraWords(
  { initR, targetR, tinit, tfinal, deltaT, beta1, beta2, orthRegWeight }: AdaLoraMethod,
  totalStep: number,
): ReturnType<typeof adaLoraConfig> {
  return adaLoraConfig({ initR, targetR, totalStep, tinit, tfinal, deltaT, beta1, beta2, orthRegWeight });
}
