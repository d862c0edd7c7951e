/** The runs of a study in the way that fits: read from its folder, or chosen now. */
import { LowrankError, type Device } from "@lowrank/tensor";
import { resolvedConfigs, tasksOf, type StudyTask } from "../config/cells.ts";
import type { Study } from "../config/study.ts";
import { InputError } from "../errors.ts";
import type { StartMemory } from "../study/peak-rss.ts";
import { isOpen, type StudyRun } from "../study/plan-study.ts";
import type { PreparedTasks } from "../tasks/prepared.ts";
import { budgetOf, type MemoryBudget } from "./budget.ts";
import { withoutPaths } from "../store/without-paths.ts";
import { choicePath, keptChoicePath, readChoice, studyKey, writeChoice, type MemoryChoice } from "./choice.ts";
import { fitStudy, plainlyFits, studyInWay, type Fitted } from "./fit-study.ts";

export interface FittedOptions {
  readonly out: string;
  /** Folder of lines of finished runs, whose way counts before that of `out`. */
  readonly results?: string | undefined;
  readonly device: Device;
  /** Data of its tasks, which is read where it has to be planned for. */
  readonly data: PreparedTasks;
  /** Bytes of `--memory`; absent: what is free. */
  readonly memory?: number | undefined;
  /** How many processes share what is free; absent: one. What is said is for each. */
  readonly processes?: number;
  /** What the process has taken without any run. Default: what it has taken when something is planned. */
  readonly start?: StartMemory;
  /** Plans the runs of a study. */
  plan(study: Study): Promise<StudyRun[]>;
  /** Receives the line that explains the choice. */
  readonly say: (line: string) => void;
  /** Whether the choice is written into the folder, as it must be before a run is made. */
  readonly keep: boolean;
}

/** @throws InputError where nothing fits, or the folder's study was begun for another size */
export async function fittedRuns(study: Study, options: FittedOptions): Promise<readonly StudyRun[]> {
  const { device, memory, plan, say, keep } = options;
  const places = placesOf(study, options);
  const before = places.map(({ path, key }) => readChoice(path, key, memory)).find((choice) => choice !== undefined);
  const runs = await plan(studyInWay(study, before?.way ?? null));
  if (before !== undefined) {
    if (before.way !== null) say(`${before.text} (memory.json)`);
    if (keep) for (const { path, key } of places) writeChoice(path, { ...before, study: key });
    return runs;
  }
  const budget = budgetOf(device, memory, options.processes);
  if (budget === undefined || !runs.some(isOpen)) return runs;
  const { way, peakBytes, text = "" } = await choose(study, budget, options);
  if (text !== "" && (way !== null || memory !== undefined)) say(text);
  const made: Omit<MemoryChoice, "study"> = {
    version: 1,
    memoryBytes: Math.round(budget.bytes),
    said: budget.said,
    way,
    peakBytes,
    text,
  };
  const [choice] = places.map(({ path, key }) => {
    const own = { ...made, study: key };
    return keep ? writeChoice(path, own) : own;
  });
  return choice!.way === null ? runs : plan(studyInWay(study, choice!.way));
}

/** Files that hold the choice, and what they call the study: beside lines of finished runs by nothing that is of one machine. */
function placesOf(study: Study, { out, results, device }: FittedOptions): { path: string; key: string }[] {
  const own = { path: choicePath(out), key: studyKey(study, device.name) };
  if (results === undefined) return [own];
  return [{ path: keptChoicePath(results, study.name), key: studyKey(withoutPaths(study), device.name) }, own];
}

const AS_IT_IS: Fitted = { way: null, peakBytes: null, text: undefined };

/** The way in which a study fits, planned where that is not plain. @throws InputError where nothing fits */
export async function choose(study: Study, budget: MemoryBudget, context: ChoiceContext): Promise<Fitted> {
  if (!budget.said && (await plainlyFits(study, budget, context.device))) return AS_IT_IS;
  const fitted: { readonly task: StudyTask; readonly of: Fitted }[] = [];
  for (const task of tasksOf(study)) fitted.push({ task, of: await chooseForTask(study, task, budget, context) });
  if (fitted.length === 1) return fitted[0]!.of;
  // fewer rows fit where more do, and layers that are computed again take no more than those that are not
  const ways = fitted.flatMap(({ of }) => of.way ?? []);
  const peaks = fitted.flatMap(({ of }) => of.peakBytes ?? []);
  const texts = fitted.flatMap(({ task, of }) => (of.text === undefined ? [] : `task ${task.label}: ${of.text}`));
  return {
    way:
      ways.length === 0
        ? null
        : { rows: Math.min(...ways.map(({ rows }) => rows)), recompute: ways.some(({ recompute }) => recompute) },
    peakBytes: peaks.length === 0 ? null : Math.max(...peaks),
    text: texts.length === 0 ? undefined : texts.join("; "),
  };
}

type ChoiceContext = Pick<FittedOptions, "device" | "data" | "start">;

async function chooseForTask(
  study: Study,
  { label, task }: StudyTask,
  budget: MemoryBudget,
  { device, data: prepared, start }: ChoiceContext,
): Promise<Fitted> {
  const alone = label === undefined ? study : { ...study, task: undefined, tasks: { [label]: task } };
  const data = await prepared.of(resolvedConfigs(alone)[0]!);
  try {
    return await fitStudy(alone, { device, budget, data, start });
  } catch (error) {
    // a device without plans, and methods that look at values before they train
    if (!(error instanceof LowrankError) || (error.code !== "DeviceError" && error.code !== "ConfigError")) throw error;
    if (budget.said) throw new InputError(`--memory: the study cannot be planned: ${error.message}`, { cause: error });
    return AS_IT_IS;
  }
}
