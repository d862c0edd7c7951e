/** What keeps the runs of a claim from deciding it, whatever their numbers say. */
import type { MetricClaim } from "../../config/claims.ts";
import type { Study } from "../../config/study.ts";
import { tasksOf } from "../../config/cells.ts";
import type { TwinRuns } from "../../store/summary.ts";
import type { DivergedRun, ReportRun } from "../run.ts";
import type { SeedPairs } from "./pairs.ts";

export interface Doubtful {
  /** Whose seeds are planned; none where no file was given. */
  readonly studies: readonly Study[];
  readonly twins: readonly TwinRuns[];
  readonly diverged: readonly DivergedRun[];
}

/**
 * Reasons as parts of a sentence. A test that is done before all its seeds are there is another one than was planned; pairs that are left once a seed
 * diverged are chosen by what survived.
 * @param runs of the claim's task
 */
export function doubtsOf(
  { configs, task, metric }: Pick<MetricClaim, "configs" | "task" | "metric">,
  runs: readonly ReportRun[],
  { seeds, without }: Pick<SeedPairs, "seeds" | "without">,
  { studies, twins, diverged }: Doubtful,
): string[] {
  const failing = runs
    .filter(({ config }) => configs.includes(config))
    .flatMap(({ name, proofs }) => proofs.filter(({ holds }) => !holds).map((proof) => `${proof.name} of ${name}`));
  const same = twins.filter(
    (twin) => twin.identical === "logits" && twin.task === task && twin.configs.every((name) => configs.includes(name)),
  );
  const ended = diverged.filter((run) => configs.includes(run.config) && (run.task ?? task) === task);
  const planned = plannedSeeds(studies, configs, task);
  const missing = planned.filter((seed) => !seeds.includes(seed));
  return [
    ...(failing.length === 0 ? [] : [`a proof does not hold (${shortened(failing)})`]),
    ...(same.length === 0
      ? []
      : [
          `the two are byte-identical with seed ${same.map(({ seed }) => seed).join(", ")}, so that a switch did nothing`,
        ]),
    ...(ended.length === 0
      ? []
      : [
          `there is no result of ${shortened(ended.map(({ config, seed }) => `${config} with seed ${seed}`))}, where a number was not finite`,
        ]),
    ...(without.length === 0 ? [] : [`${metric} of ${shortened(without.map(({ name }) => name))} is no number`]),
    ...(missing.length === 0 || seeds.length === 0
      ? []
      : [`so far there are ${planned.length - missing.length} of ${planned.length} planned seeds`]),
  ];
}

/** Of studies that plan both configs on the task. */
function plannedSeeds(studies: readonly Study[], configs: readonly string[], task: string | undefined): number[] {
  const both = studies.filter(
    (study) =>
      tasksOf(study).some(({ label }) => label === task) &&
      configs.every((config) => study.configs[config] !== undefined),
  );
  return [...new Set(both.flatMap(({ seeds }) => seeds))];
}

const MOST = 3;

function shortened(names: readonly string[]): string {
  return names.length <= MOST ? names.join(", ") : `${names.slice(0, MOST).join(", ")} and ${names.length - MOST} more`;
}
