/**
 * A switch that is on is proven to be on. Before the first step and after the last a run compares what the config
 * promises with what the model really has and did; a proof that does not hold stops the run.
 */
import { createHash } from "node:crypto";
import { endsIn } from "@lowrank/nn";
import { RunError } from "../errors.ts";
import type { Evaluation, ModuleRow, ParameterCounts, Proof } from "../store/result.ts";
import type { TrainOptions } from "../config/study.ts";
import type { NamedWeight } from "../bases/base.ts";
import type { Scores } from "./evaluate.ts";
import type { Prediction } from "../records/method.ts";

/** Throws RunError for the first proof that does not hold. */
export function demand(proofs: readonly Proof[]): void {
  const failed = proofs.find((proof) => !proof.holds);
  if (failed !== undefined)
    throw new RunError(`proof "${failed.name}" does not hold: ${JSON.stringify(failed.detail)}`);
}

/** Every adapted module has the rank and scale that the config promises, and no other module is adapted. */
export function moduleTableProof(actual: readonly ModuleRow[], predicted: Prediction): Proof {
  const line = (row: ModuleRow): string =>
    `${row.module} ${row.scales ?? `r=${row.rank} scale=${row.scale?.toPrecision(6)}`} ${row.in}→${row.out}`;
  const [have, want] = [new Set(actual.map(line)), new Set(predicted.modules.map(line))];
  const missing = [...want].filter((text) => !have.has(text));
  const unexpected = [...have].filter((text) => !want.has(text));
  return {
    name: "module-table",
    holds: missing.length + unexpected.length === 0,
    detail: { modules: actual.length, missing, unexpected },
  };
}

/** Counts reported by the adapter, counted on the parameters that the optimizer holds, and predicted from the config are one number. */
export function parameterCountProof(
  counts: ParameterCounts,
  optimized: readonly NamedWeight[],
  predicted: Prediction,
): Proof {
  const inOptimizer = optimized.reduce((sum, { weight }) => sum + weight.size, 0);
  const holds =
    counts.trainable === predicted.trainable && inOptimizer === predicted.trainable && counts.total === predicted.total;
  return {
    name: "parameter-counts",
    holds,
    detail: {
      trainable: counts.trainable,
      inOptimizer,
      predictedTrainable: predicted.trainable,
      total: counts.total,
      predictedTotal: predicted.total,
    },
  };
}

/** SHA-256 of each weight's bytes. */
export async function fingerprints(weights: readonly NamedWeight[]): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const { name, weight } of weights) {
    const { data } = await weight.read();
    hashes.set(
      name,
      createHash("sha256")
        .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
        .digest("hex"),
    );
  }
  return hashes;
}

/** Trainable weights that may be as they were. */
export interface MayStay {
  /** Names of those that an allocator set back to the zeros they began as. */
  readonly emptied?: ReadonlySet<string>;
  /** Ends of the names of those whose gradient is zero whatever the loss. */
  readonly gradientFree?: readonly string[];
}

/** Frozen parameters have the bytes they had; every trainable one that has a gradient has moved. */
export function movementProof(
  frozenBefore: ReadonlyMap<string, string>,
  frozenAfter: ReadonlyMap<string, string>,
  trainableBefore: ReadonlyMap<string, string>,
  trainableAfter: ReadonlyMap<string, string>,
  { emptied = new Set(), gradientFree = [] }: MayStay = {},
): Proof {
  const moved = [...frozenBefore].filter(([name, hash]) => frozenAfter.get(name) !== hash).map(([name]) => name);
  const still = [...trainableBefore]
    .filter(([name, hash]) => trainableAfter.get(name) === hash && !endsIn(name, gradientFree) && !emptied.has(name))
    .map(([name]) => name);
  return {
    name: "frozen-stays-trainable-moves",
    holds: moved.length === 0 && still.length === 0,
    detail: {
      frozen: frozenBefore.size,
      trainable: trainableBefore.size,
      frozenThatMoved: moved,
      trainableThatStayed: still,
    },
  };
}

/** f32 sums of a few thousand terms differ from f64 by about √n ulp ≈ 1e-5 relative; a regularizer would show as percent. */
const LOSS_TOLERANCE = 1e-4;

/** The evaluation loss is what the saved outputs give, the task's loss and nothing more. Where nothing gives it there is no such proof. */
export function taskLossProof({ loss, scored }: Scores): Proof[] {
  if (scored.loss === undefined) return [];
  const difference = Math.abs(loss - scored.loss);
  return [
    {
      name: "evaluation-loss-is-task-loss",
      holds: difference <= LOSS_TOLERANCE * Math.max(1, scored.loss),
      detail: { reported: loss, recomputedFromLogits: scored.loss },
    },
  ];
}

/** Every loss and gradient norm was finite, and so are the final parameters and logits. */
export async function finiteProof(steps: number, trainable: readonly NamedWeight[], scores: Scores): Promise<Proof> {
  let bad: string | undefined;
  for (const { name, weight } of trainable) {
    const values = await weight.value.floats();
    if (bad === undefined && values.some((value) => !Number.isFinite(value))) bad = name;
  }
  if (bad === undefined && scores.scored.outputs.some((value) => !Number.isFinite(value))) bad = "evaluation logits";
  return {
    name: "all-finite",
    holds: bad === undefined,
    detail: { stepsChecked: steps, parametersChecked: trainable.length, firstNonFinite: bad ?? null },
  };
}

/** The evaluation before the first step, where it was asked for, is there, and is of the same rows as the last. */
export function startProof(
  { evalStart }: Pick<TrainOptions, "evalStart">,
  { start, final }: { readonly start?: Evaluation; readonly final: Evaluation },
): Proof[] {
  if (evalStart !== true) return [];
  const holds = start?.step === 0 && start.examples === final.examples;
  const detail = { step: start?.step ?? null, examples: start?.examples ?? null, last: final.examples };
  return [{ name: "evaluated-before-the-first-step", holds, detail }];
}
