/** The runs of a study in the way that fits: read from its folder, or chosen now. */
import { LowrankError, type Device } from "@lowrank/tensor";
import type { Study } from "../config/study.ts";
import { InputError } from "../errors.ts";
import type { TaskData, TaskEnvironment } from "../records/task.ts";
import type { StartMemory } from "../study/peak-rss.ts";
import type { StudyRun } from "../study/plan-study.ts";
import { prepareTask } from "../tasks/prepare.ts";
import { budgetOf, type MemoryBudget } from "./budget.ts";
import { readChoice, studyKey, writeChoice, type MemoryChoice } from "./choice.ts";
import { configsOf, fitStudy, plainlyFits, studyInWay, type Fitted } from "./fit-study.ts";

export interface FittedOptions {
  readonly out: string;
  readonly device: Device;
  readonly environment: TaskEnvironment;
  /** Bytes of `--memory`; absent: what is free. */
  readonly memory?: number | undefined;
  /** What the process has taken without any run. Default: what it has taken when something is planned. */
  readonly start?: StartMemory;
  /** Plans the runs of a study. */
  plan(study: Study): Promise<StudyRun[]>;
  /** Receives the line that explains the choice. */
  readonly say: (line: string) => void;
  /** Whether the choice is written into the folder, as it must be before a run is made. */
  readonly keep: boolean;
}

export interface FittedRuns {
  readonly runs: readonly StudyRun[];
  /** Where it had to be read for the choice. */
  readonly data?: TaskData;
}

/** @throws InputError where nothing fits, or the folder's study was begun for another size */
export async function fittedRuns(study: Study, options: FittedOptions): Promise<FittedRuns> {
  const { out, device, memory, plan, say, keep } = options;
  const key = studyKey(study, device.name);
  const before = readChoice(out, key, memory);
  const runs = await plan(studyInWay(study, before?.way ?? null));
  if (before !== undefined) {
    if (before.way !== null) say(`${before.text} (memory.json)`);
    return { runs };
  }
  const budget = budgetOf(device, memory);
  if (budget === undefined || runs.every((run) => run.done !== undefined)) return { runs };
  const { data, fitted } = await choose(study, budget, options);
  const { way, peakBytes, text = "" } = fitted;
  if (text !== "" && (way !== null || memory !== undefined)) say(text);
  const made: MemoryChoice = {
    version: 1,
    study: key,
    memoryBytes: Math.round(budget.bytes),
    said: budget.said,
    way,
    peakBytes,
    text,
  };
  const choice = keep ? writeChoice(out, made) : made;
  return {
    runs: choice.way === null ? runs : await plan(studyInWay(study, choice.way)),
    ...(data === undefined ? {} : { data }),
  };
}

const AS_IT_IS: Fitted = { way: null, peakBytes: null, text: undefined };

/** The way in which a study fits, planned where that is not plain. @throws InputError where nothing fits */
export async function choose(
  study: Study,
  budget: MemoryBudget,
  { device, environment, start }: Pick<FittedOptions, "device" | "environment" | "start">,
): Promise<{ readonly data?: TaskData; readonly fitted: Fitted }> {
  if (!budget.said && (await plainlyFits(study, budget, device))) return { fitted: AS_IT_IS };
  const data = await prepareTask(configsOf(study)[0]!, environment, device);
  try {
    return { data, fitted: await fitStudy(study, { device, budget, data, start }) };
  } catch (error) {
    // a device without plans, and methods that look at values before they train
    if (!(error instanceof LowrankError) || (error.code !== "DeviceError" && error.code !== "ConfigError")) throw error;
    if (budget.said) throw new InputError(`--memory: the study cannot be planned: ${error.message}`, { cause: error });
    return { data, fitted: AS_IT_IS };
  }
}
