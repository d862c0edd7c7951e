/**
 * @module
 * Tasks, studies and runs as functions: what the `lowrank` command is made of.
 */
export { loadStudy, studyOf, plannedRuns, type PlannedRun } from "./config/load.ts";
export { studyJsonSchema } from "./config/json-schema.ts";
export { PRESETS } from "./config/presets.ts";
export type * from "./config/study.ts";
export { InputError, RunError } from "./errors.ts";
export { main } from "./cli/main.ts";
export { describe as describeInspection, type DescribeOptions } from "./inspect/describe.ts";
export { inspect, type Inspection, type InspectionOptions, type RunFacts } from "./inspect/inspect.ts";
export {
  planMemory,
  type KeptMemory,
  type MemoryFacts,
  type MemoryQuestion,
  type StepMemory,
} from "./inspect/memory.ts";
export type { MethodFacts } from "./inspect/methods.ts";
export { inspectionSchema } from "./inspect/schema.ts";
export { codeVersion } from "./store/identity.ts";
export { readMeasured, type Measured, type MeasuredFigure } from "./store/measured.ts";
export { RunStore } from "./store/run-store.ts";
export { readResultLines, type KeptLine } from "./store/result-lines.ts";
export {
  finishedOf,
  type Decisions,
  type DivergedLine,
  type FinishedLine,
  type RankSteps,
  type ResultLine,
} from "./store/result-line.ts";
export type { Evaluation, ModuleRow, ParameterCounts, Proof, RunResult } from "./store/result.ts";
export type { FinishedRun, MemorySplit, RunMeasures, RunMemory } from "./store/measures.ts";
export { indistinguishable, resultsCsv, summarize, summaryTable, type SummaryRow } from "./store/summary.ts";
export {
  ProcessMemory,
  startMemory,
  type PeakRss,
  type PlannedMemory,
  type PlanSize,
  type StartMemory,
} from "./study/peak-rss.ts";
export { planStudy } from "./study/plan-study.ts";
export { chooseStorage } from "./memory/choose-storage.ts";
export { sweepRates, type Sweep } from "./study/sweep.ts";
export { trainDocument, type TrainWords } from "./study/train-document.ts";
export type { StudyOutcome } from "./study/outcome.ts";
export { runStudy } from "./study/run-study.ts";
export { prepareTask, taskOf } from "./tasks/prepare.ts";
export { rateOf, totalSteps } from "./train/rate.ts";
export { trainerOf } from "./train/train.ts";
export { baseStorage } from "./bases/storage.ts";
export { adaptBase, type AdaptedBase } from "./train/adapt.ts";
export { cursorOptions, devBatches, evaluationBatches } from "./train/batches.ts";
export type * from "./data/examples.ts";
export { z } from "zod";
export { allocators } from "./allocators/registry.ts";
export { methods } from "./methods/registry.ts";
export { metrics } from "./metrics/registry.ts";
export { tasks } from "./tasks/registry.ts";
export { makeBase } from "./bases/make.ts";
export { ClassificationExamples } from "./data/classification.ts";
export { byNeeds } from "./executors/by-needs.ts";
export { executors } from "./executors/registry.ts";
export { loadPlugins, type Plugin } from "./plugins/load.ts";
export { sinks } from "./sinks/registry.ts";
export { classification, ClassificationScorer } from "./tasks/classification.ts";
export type * from "./records/allocator.ts";
export type * from "./records/executor.ts";
export type * from "./records/sink.ts";
export type * from "./records/method.ts";
export type * from "./records/metric.ts";
export type * from "./records/task.ts";
export { evaluator, type Evaluator } from "./train/evaluate.ts";
export { DataCursor, type Cut, type CursorOptions } from "./data/cursor.ts";
export { acrossLengths, byTokens, shuffledRows, type RowOrder } from "./data/orders.ts";
export { Trainer, type TrainerOptions, type Watcher } from "./train/trainer.ts";
export { TrainingState, type Saved, type Stateful } from "./train/state.ts";
export { TrainingStep, type StepOptions, type StepResult } from "./train/step.ts";
