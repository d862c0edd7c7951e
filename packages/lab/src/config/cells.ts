/** The cells of a study: its tasks × its configs, each with all defaults filled in, and the runs that these make with its seeds. */
import { TABLES } from "../bases/storage.ts";
import type { MethodConfig, ResolvedConfig, Study, TaskOptions, TrainOptions } from "./study.ts";
import { TRAIN_DEFAULTS, withoutUsual } from "./train.ts";

export interface PlannedRun {
  readonly config: ResolvedConfig;
  readonly seed: number;
}

/** A task, and what the study calls it where it has several. */
export interface StudyTask {
  readonly label: string | undefined;
  readonly task: TaskOptions;
}

/** In the study's order. */
export function tasksOf({ task, tasks = {} }: Pick<Study, "task" | "tasks">): StudyTask[] {
  const labelled = Object.entries(tasks).map(([label, of]) => ({ label, task: of }));
  return task === undefined ? labelled : [{ label: undefined, task }, ...labelled];
}

/** Tasks × configs, task by task. */
export function resolvedConfigs(study: Study): ResolvedConfig[] {
  return tasksOf(study).flatMap((task) => Object.keys(study.configs).map((name) => resolveConfig(study, name, task)));
}

/** Tasks × configs × seeds, seed-major: after the first seed every config has one result of every task. */
export function plannedRuns(study: Study): PlannedRun[] {
  const configs = resolvedConfigs(study);
  return study.seeds.flatMap((seed) => configs.map((config) => ({ config, seed })));
}

/** Config `name` with the study's and the built-in defaults filled in. @param of one of the study's tasks; default: its first */
export function resolveConfig(study: Study, name: string, of: StudyTask = tasksOf(study)[0]!): ResolvedConfig {
  const method = study.configs[name]!;
  const said: TrainOptions = withoutUsual({ ...TRAIN_DEFAULTS, ...defined(study.train), ...defined(method.train) });
  // one that other runs decide is not the study's
  const { lr: _, ...unrated } = said;
  const train = method.rate === undefined ? said : unrated;
  return {
    name,
    task: of.task,
    ...(of.label === undefined ? {} : { taskLabel: of.label }),
    base: study.base ?? null,
    ...(study.revision === undefined ? {} : { revision: study.revision }),
    model: study.model ?? null,
    ...(study.metrics === undefined ? {} : { metrics: study.metrics }),
    method: { ...withoutUsualMethod(method), train: {} },
    train,
  };
}

/** What a key of every method means where it is left out; said, it is the same run. */
const USUAL_METHOD: Readonly<Record<string, unknown>> = { embeddings: TABLES };

function withoutUsualMethod(method: MethodConfig): MethodConfig {
  return Object.fromEntries(
    Object.entries(method).filter(([key, value]) => value !== undefined && USUAL_METHOD[key] !== value),
  ) as never;
}

/** Without keys that say nothing. */
export function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
