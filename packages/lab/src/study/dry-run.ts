/** What a study would do: modules, ranks, parameters, planned memory, estimated time, and what is done already. Publishes nothing. */
import { LowrankError, type Device } from "@lowrank/tensor";
import { shapeOf } from "../bases/shape.ts";
import { baseStorage } from "../bases/storage.ts";
import { canonicalHash } from "../config/canonical.ts";
import { DataCursor } from "../data/cursor.ts";
import type { Batch } from "../data/examples.ts";
import { planConfig } from "../memory/plan-config.ts";
import type { TaskData, TaskEnvironment } from "../records/task.ts";
import type { ParameterCounts, ModuleRow } from "../store/result.ts";
import { methods } from "../methods/registry.ts";
import { metricsOf, taskOf } from "../tasks/prepare.ts";
import { PreparedTasks } from "../tasks/prepared.ts";
import { formatBytes, formatCount, formatDuration, formatMemory } from "../text/format.ts";
import { renderTable } from "../text/table.ts";
import { adaptBase } from "../train/adapt.ts";
import { cursorOptions, devBatches } from "../train/batches.ts";
import { evaluator } from "../train/evaluate.ts";
import { moduleTableProof, parameterCountProof, demand } from "../train/proofs.ts";
import { rateOf, totalSteps } from "../train/rate.ts";
import { plannedMemory } from "../train/memory.ts";
import { TrainingStep } from "../train/step.ts";
import { moduleTable } from "./module-table.ts";
import { type PeakRss, type PlannedMemory, ProcessMemory, startMemory, type StartMemory } from "./peak-rss.ts";
import type { StudyRun } from "./plan-study.ts";

export interface ConfigForecast {
  readonly config: string;
  /** In a study of several tasks. */
  readonly task?: string;
  readonly method: string;
  readonly counts: ParameterCounts;
  readonly modules: readonly ModuleRow[];
  readonly steps: number;
  /** Null where other runs decide it. */
  readonly lr: number | null;
  readonly arenaBytes: number;
  readonly persistentBytes: number;
  /** Of a process that makes runs of this config only; null where the device's memory is not the process's. */
  readonly peakRss: PeakRss | null;
  readonly secondsPerStep: number;
  /** Preparing the plans of all batch lengths, once per process. */
  readonly compileSeconds: number;
  readonly runs: number;
  readonly done: number;
}

/** Steps that are measured, after two that trace and compile. */
const MEASURED_STEPS = 3;

/** One forecast per config, and task where there are several. @param known the tasks' data, where it has been read already. @param start what the process had taken before anything was planned. Memory is what the compiled step plans for; time is measured on a few steps of a throw-away model. */
export async function dryRun(
  runs: readonly StudyRun[],
  environment: TaskEnvironment,
  device: Device,
  known?: PreparedTasks,
  start: StartMemory = startMemory(device),
): Promise<{ data: readonly ConfigForecast[]; text: string }> {
  const prepared = known ?? new PreparedTasks(environment, device);
  const whole = new ProcessMemory(device, start);
  const forecasts: ConfigForecast[] = [];
  let peak: PeakRss | undefined;
  const costs = new Map<string, Cost>();
  for (const cell of cellsOf(runs)) {
    const { config } = cell[0]!;
    const data = await prepared.of(config);
    const key = costKey(config);
    const cost = costs.get(key) ?? (await costOf(cell[0]!, data, device));
    costs.set(key, cost);
    const { planned, ...rest } = forecast(cell, data, cost);
    forecasts.push({ ...rest, peakRss: new ProcessMemory(device, start).with(config.name, planned) ?? null });
    peak = whole.with(`${config.name}/${config.taskLabel ?? ""}`, planned);
  }
  return { data: forecasts, text: describe(runs, forecasts, peak) };
}

/**
 * The forecast of a run that is about to be made. What is planned and compiled for it would stay on the heap beside the run's own, so only a batch of middling
 * length is; memory is as it was planned for (`planConfig`), which is the number that `--memory` is held against.
 * @param start what the process had taken before anything was planned
 */
export async function forecastOf(
  run: StudyRun,
  data: TaskData,
  device: Device,
  start: StartMemory,
): Promise<ConfigForecast> {
  const { planned: own, ...rest } = forecast([run], data, await costOf(run, data, device, "a batch"));
  const planned = await planConfig(run.config, { data, device }).catch((error: unknown) => {
    // devices without plans, and methods that look at values before they train
    if (error instanceof LowrankError && (error.code === "DeviceError" || error.code === "ConfigError")) return own;
    throw error;
  });
  return { ...rest, peakRss: new ProcessMemory(device, start).with(run.config.name, planned) ?? null };
}

/** Runs that differ in their seed alone, in the order in which they are met. */
function cellsOf(runs: readonly StudyRun[]): StudyRun[][] {
  const cells = new Map<string, StudyRun[]>();
  for (const run of runs) {
    const key = `${run.config.name}/${run.config.taskLabel ?? ""}`;
    cells.set(key, [...(cells.get(key) ?? []), run]);
  }
  return [...cells.values()];
}

/** What follows from plans, and from steps that are made. */
type Cost = Pick<
  ConfigForecast,
  "counts" | "modules" | "arenaBytes" | "persistentBytes" | "secondsPerStep" | "compileSeconds"
> & { readonly planned: PlannedMemory };

/** Same for configs that differ in nothing but their rate and name, as those of a sweep do: they are planned once. */
function costKey(config: StudyRun["config"]): string {
  return canonicalHash({
    ...config,
    name: "",
    train: { ...config.train, lr: 0 },
    method: { ...config.method, rate: null, train: { ...config.method.train, lr: 0 } },
  });
}

function forecast(
  runs: readonly StudyRun[],
  data: TaskData,
  cost: Cost,
): Omit<ConfigForecast, "peakRss"> & { planned: PlannedMemory } {
  const { config } = runs[0]!;
  return {
    config: config.name,
    ...(config.taskLabel === undefined ? {} : { task: config.taskLabel }),
    method: config.method.method,
    steps: totalSteps(config, data),
    lr: config.method.rate === undefined ? rateOf(config, methods.get(config.method.method), data) : null,
    ...cost,
    runs: runs.length,
    done: runs.filter((run) => run.done !== undefined).length,
  };
}

async function costOf(
  { config, seed }: StudyRun,
  data: TaskData,
  device: Device,
  planning: "every length" | "a batch" = "every length",
): Promise<Cost> {
  const task = taskOf(config);
  const method = methods.get(config.method.method);
  const model = await data.base(seed, baseStorage(config.method, method.whole(config.method)));
  try {
    const shape = shapeOf(model.model, task.kind);
    const adapted = await adaptBase(model, method, config.method, {
      seed,
      totalSteps: Math.max(totalSteps(config, data), MEASURED_STEPS + 2),
      data,
      task,
    });
    const predicted = method.predict(shape, adapted.settled ?? config.method);
    demand([
      moduleTableProof(adapted.modules, predicted),
      parameterCountProof(adapted.counts, adapted.trainable, predicted),
    ]);
    const lr = rateOf(config, method, data);
    const step = new TrainingStep(task, adapted, { ...config.train, lr: () => lr, dropoutSeed: seed }, device);
    const order = cursorOptions(config.train, data.train, data.multiple, seed);
    const cursor = new DataCursor(data.train, order);
    const batches = Array.from({ length: order.order.batches }, (_, at) => cursor.parts(at));
    const middle = [...batches].sort((a, b) => a[0]!.length - b[0]!.length)[batches.length >> 1]!;
    for (let i = 0; i < 2; i++) await step.run(middle);
    const started = performance.now();
    for (let i = 0; i < MEASURED_STEPS; i++) await step.run(middle);
    const secondsPerStep = (performance.now() - started) / 1000 / MEASURED_STEPS;
    const persistentBytes = device.memory().persistent;
    const plans = planning === "a batch" ? partShapes(middle) : batches.flatMap((parts) => partShapes(parts));
    const trainingPlans = byShape(plans).map(({ batch, parts }) => step.plan(batch.inputs, parts));
    const evaluated = [...devBatches(data, config.train.microBatch ?? config.train.batchSize)];
    const evaluation = evaluator(
      {
        task,
        base: adapted.base,
        metrics: metricsOf(config),
        batches: () => evaluated,
        scorer: (model) => data.scorer(model),
      },
      device,
    );
    const evaluationPlans =
      planning === "a batch" ? [] : batchShapes(evaluated).map((batch) => evaluation.plan(batch.inputs));
    // lengths that are not planned take as long
    const unplanned = planning === "a batch" ? cursor.sizes().length / trainingPlans.length : 1;
    const all = [...trainingPlans, ...evaluationPlans];
    step.dispose();
    return {
      counts: adapted.counts,
      modules: adapted.modules,
      arenaBytes: Math.max(...all.map((plan) => plan.arenaBytes)),
      persistentBytes,
      planned: plannedMemory(adapted, config, persistentBytes, all),
      secondsPerStep,
      compileSeconds: (unplanned * all.reduce((sum, plan) => sum + plan.compileMs, 0)) / 1000,
    };
  } finally {
    model.dispose();
  }
}

/** A part, and how many its batch has. */
interface Part {
  readonly batch: Batch;
  readonly parts: number;
}

function partShapes(parts: readonly Batch[]): Part[] {
  return parts.map((batch) => ({ batch, parts: parts.length }));
}

/** One part of each shape, in the order in which shapes are met. */
function byShape(parts: readonly Part[]): Part[] {
  const shapes = new Map<string, Part>();
  for (const part of parts) {
    const shape = `${part.batch.rows}×${part.batch.length}, ${part.parts === 1 ? "whole" : "in parts"}`;
    if (!shapes.has(shape)) shapes.set(shape, part);
  }
  return [...shapes.values()];
}

/** One batch of each length, in the order in which lengths are met. */
function batchShapes(batches: readonly Batch[]): Batch[] {
  const byLength = new Map<number, Batch>();
  for (const batch of batches) if (!byLength.has(batch.length)) byLength.set(batch.length, batch);
  return [...byLength.values()];
}

/** Configs are shown as the study has them: what other runs find is not known yet. */
function ranksToCome(runs: readonly StudyRun[]): string[] {
  const waiting = new Map(runs.map(({ config: { name, method } }) => [name, method.from?.config]));
  return [...waiting].flatMap(([name, from]) =>
    from === undefined ? [] : [`${name} gets the ranks that ${from} finds; it is shown with one rank for all modules`],
  );
}

function cellName({ config, task }: ConfigForecast): string {
  return task === undefined ? config : `${config} · ${task}`;
}

function describe(runs: readonly StudyRun[], forecasts: readonly ConfigForecast[], peak: PeakRss | undefined): string {
  const modules = forecasts
    .filter((row) => row.modules.length > 0)
    .map((row) => `${cellName(row)}: ${row.modules.length} adapted modules\n${moduleTable(row.modules)}`);
  const table = renderTable(
    [
      { title: "config" },
      { title: "method" },
      { title: "trainable", align: "right" },
      { title: "% of all", align: "right" },
      { title: "steps", align: "right" },
      { title: "rate", align: "right" },
      { title: "weights + state", align: "right" },
      { title: "arena", align: "right" },
      { title: "peak memory", align: "right" },
      { title: "compiling", align: "right" },
      { title: "time per run", align: "right" },
      { title: "runs done", align: "right" },
    ],
    forecasts.map((row) => [
      cellName(row),
      row.method,
      formatCount(row.counts.trainable),
      row.counts.percent.toFixed(2),
      formatCount(row.steps),
      row.lr === null ? "by sweep" : String(row.lr),
      formatBytes(row.persistentBytes),
      formatBytes(row.arenaBytes),
      row.peakRss === null ? "–" : formatMemory(row.peakRss.totalBytes),
      `${row.compileSeconds.toFixed(1)} s`,
      `about ${formatDuration(row.steps * row.secondsPerStep)}`,
      `${row.done}/${row.runs}`,
    ]),
  );
  const left = forecasts.reduce((sum, row) => sum + (row.runs - row.done) * row.steps * row.secondsPerStep, 0);
  const open = runs.filter((run) => run.done === undefined);
  const list = runs.map((run) => `  ${run.done === undefined ? "to do" : "done "} ${run.name}`).join("\n");
  return [
    ...modules,
    table,
    ...ranksToCome(runs),
    `${open.length} of ${runs.length} runs to do, about ${formatDuration(left)}${peak === undefined ? "" : `, in one process of at most about ${formatMemory(peak.totalBytes)}`}:`,
    list,
  ]
    .join("\n\n")
    .replace(/:\n\n {2}/, ":\n  ");
}
