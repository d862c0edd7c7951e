/** LoRA that begins with a step along the gradient (GoRA): rows of the training set decide ranks and B. */
import { beginWithGradients, goraRanks } from "@lowrank/peft";
import type { Base } from "../bases/base.ts";
import { calibrationBatches } from "../bases/calibration.ts";
import { importance, moduleGradients } from "../bases/gradients.ts";
import { shapeOf, type LinearShape } from "../bases/shape.ts";
import type { AdaptContext } from "../records/method.ts";
import type { ModuleRow } from "../store/result.ts";
import type { Settled } from "./adapter.ts";
import { predictAdapter } from "./rules.ts";
import { withShares, type RankWords } from "./shares.ts";

interface GoraWords extends RankWords {
  /** Size of the step. Absent: 0.05. */
  readonly goraStep?: number | undefined;
}

/** The paper's γ on its language tasks. */
const STEP = 5e-2;
/** Of normal equations solved in f64 and rounded to f32. */
const ROUNDING = 1e-4;

export async function goraStart<O extends GoraWords>(
  base: Base,
  options: O,
  rows: (found: readonly LinearShape[], options: O) => ModuleRow[],
  { data, seed, task }: AdaptContext,
): Promise<Settled<O>> {
  const { modules } = predictAdapter(shapeOf(base.model, base.kind), options, (found) => rows(found, options));
  const found = await moduleGradients(
    `"init"`,
    base,
    modules.map(({ module }) => module),
    calibrationBatches(data, seed, "gora"),
    task,
    async (value, gradient) => ({ importance: await importance(value, gradient), gradient: await gradient.floats() }),
  );
  const ranks = goraRanks(
    modules.map((row, i) => ({ ...row, rank: row.rank!, name: row.module, importance: found[i]!.importance })),
  );
  const gradients = new Map(modules.map(({ module }, i) => [module, found[i]!.gradient]));
  const step = options.goraStep ?? STEP;
  return {
    options: withShares(options, modules, ranks),
    async begin(adapter) {
      const budget = modules.reduce((sum, { rank }) => sum + rank!, 0);
      const given = [...adapter.updates.values()].map(({ lowRank }) => lowRank!.rank);
      const apart = await beginWithGradients(adapter, gradients, step);
      return [
        {
          name: "starts-with-gradients",
          holds: given.reduce((a, b) => a + b, 0) === budget && apart <= ROUNDING,
          detail: { budget, step, least: Math.min(...given), most: Math.max(...given), fromProjection: apart },
        },
      ];
    },
  };
}
