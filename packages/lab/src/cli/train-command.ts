/** `lowrank train`: from a table and a base to an adapter in a folder. A study of one configuration; what is its own is what it chooses and says before. */
import { join, resolve } from "node:path";
import { printable } from "@lowrank/tensor";
import { baseWord } from "../bases/found.ts";
import { studyOf } from "../config/load.ts";
import { isSet } from "../config/overrides.ts";
import type { Study } from "../config/study.ts";
import { dataFolder } from "../data/location.ts";
import { readTableAt } from "../data/read-table.ts";
import { InputError } from "../errors.ts";
import { budgetOf } from "../memory/budget.ts";
import { chooseStorage, type StorageChoice } from "../memory/choose-storage.ts";
import { choose, fittedRuns } from "../memory/fitted-runs.ts";
import { methods } from "../methods/registry.ts";
import { loadPlugins } from "../plugins/load.ts";
import type { TaskData } from "../records/task.ts";
import { captureEnvironment } from "../store/environment.ts";
import { codeVersion } from "../store/identity.ts";
import type { RunResult } from "../store/result.ts";
import { RunStore } from "../store/run-store.ts";
import { metricNames, metricWords } from "../metrics/of-evaluation.ts";
import { Choices } from "../study/choices.ts";
import { dryRun, forecastOf, type ConfigForecast } from "../study/dry-run.ts";
import { placeResult } from "../study/place.ts";
import { startMemory } from "../study/peak-rss.ts";
import { planStudy, type StudyRun } from "../study/plan-study.ts";
import { runStudy } from "../study/run-study.ts";
import { sweepRates, type Sweep } from "../study/sweep.ts";
import { columnsOf, trainDocument, type TrainWords } from "../study/train-document.ts";
import { guessTask } from "../tasks/guess.ts";
import { tasks } from "../tasks/registry.ts";
import { PreparedTasks } from "../tasks/prepared.ts";
import { formatCount, formatDuration, formatMemory } from "../text/format.ts";
import { progressMode } from "../text/progress.ts";
import { renderTable } from "../text/table.ts";
import { cardCommand } from "./command-line.ts";
import { openDevice } from "./device.ts";
import { guestsOf } from "./guests.ts";
import type { DeviceChoice } from "./options.ts";
import { EXIT_FAILED, EXIT_OK } from "./outcome.ts";
import { untilSignal } from "./signals.ts";
import { checkpointWords, refuseCheckpoints, type CheckpointOptions } from "./checkpoint-options.ts";

export interface TrainCommandOptions extends Omit<TrainWords, "task">, CheckpointOptions {
  readonly task?: string;
  readonly out: string;
  /** Bytes of `--memory`. */
  readonly memory?: number;
  readonly sweep?: boolean;
  readonly set?: string[];
  readonly plugin?: string[];
  readonly sink?: string[];
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly detectAnomaly?: boolean;
}

export async function trainCommand(options: TrainCommandOptions): Promise<number> {
  const plugins = await loadPlugins(options.plugin ?? []);
  const guests = guestsOf(options.sink ?? []);
  const say = (line: string): void => void (options.quiet === true || process.stderr.write(`${line}\n`));
  refuseContradictions(options);
  const out = resolve(options.out);
  const words = await wordsOf(options, say);
  const document = await trainDocument(words);
  const code = codeVersion(plugins);
  const device = await openDevice(options);
  try {
    const environment = {
      dataFolder: dataFolder(undefined),
      filesFolder: resolve("."),
      cacheFolder: join(out, ".cache"),
      say,
    };
    const store = new RunStore(out);
    const choices = new Choices(out);
    const study = (more: Record<string, unknown> = {}): Promise<Study> =>
      studyOf(merged(document, words.method, more), "train", { set: options.set ?? [] });
    const plan = (of: Study): Promise<StudyRun[]> =>
      planStudy(of, store, { environment, code, device: device.name, reuse: false });
    const plain = await study();
    if (plain.configs[words.method]?.rate !== undefined)
      throw new InputError("--set: a rate that other runs decide is for lowrank run; here --sweep chooses one");
    const [asked] = (await plan(plain)) as [StudyRun];
    const prepared = new PreparedTasks(environment, device);
    const data = await prepared.of(asked.config);
    const start = startMemory(device);
    const fitting = { device, data: prepared, start };
    const fitted = async (keep: boolean): Promise<StudyRun> => {
      const { memory } = options;
      return (await fittedRuns(await study(more), { ...fitting, out, memory, plan, say, keep }))[0]!;
    };
    const forecast = async (run: StudyRun): Promise<ConfigForecast> => forecastOf(run, data, device, start);

    const chosen: { storage?: StorageChoice; sweep?: Sweep } = {};
    const more: { storage?: string; lr?: number } = {};
    if (words.storage === undefined && !isSet(options.set ?? [], `configs.${words.method}.storage`)) {
      const budget = budgetOf(device, options.memory);
      chosen.storage = await choices.once("storage", `${asked.id}/${options.memory ?? "free"}`, () =>
        chooseStorage({
          config: asked.config,
          budget,
          fit: async (storage) => void (await choose(await study({ storage }), budget!, fitting)),
        }),
      );
      more.storage = chosen.storage.storage;
      say(chosen.storage.why);
    }
    if (options.sweep === true && options.dryRun !== true) {
      const run = await fitted(false);
      chosen.sweep = await choices.once("rate", run.id, () =>
        untilSignal(() => sweepRates(run.config, run.seed, { data, device, say })),
      );
      more.lr = chosen.sweep.lr;
      say(sweepTable(chosen.sweep));
    }
    const run = await fitted(options.dryRun !== true);
    if (options.dryRun === true) {
      const report = await dryRun([run], environment, device, prepared, start);
      process.stdout.write(options.json === true ? `${JSON.stringify(report.data, null, 2)}\n` : `${report.text}\n`);
      return EXIT_OK;
    }
    if (run.done === undefined) for (const line of announced(await forecast(run), run, data)) say(line);
    device.anomalyDetection = options.detectAnomaly ?? false;
    const outcome = await untilSignal((stop) =>
      runStudy([run], {
        out,
        store,
        environment,
        data: prepared,
        checkpoints: checkpointWords(options),
        stop,
        command: cardCommand(),
        machine: captureEnvironment(code, device.info(), options.threads ?? null),
        device,
        progress: progressMode(options.quiet ?? false),
        sinks: guests,
        say,
      }),
    );
    const [result] = outcome.results;
    if (result === undefined) {
      if (options.quiet === true)
        for (const { name, message } of outcome.failures)
          process.stderr.write(`lowrank: run ${name} failed: ${printable(message)}\n`);
      return EXIT_FAILED;
    }
    const placed = placeResult(out, store, result);
    process.stdout.write(
      options.json === true
        ? `${JSON.stringify({ [placedAs(result)]: placed, run: store.path(result.name), ...chosen, result }, null, 2)}\n`
        : `${told(result, placed, { store, base: words.base })}\n`,
    );
    return EXIT_OK;
  } finally {
    device.close();
  }
}

function refuseContradictions({
  sweep,
  lr,
  set = [],
  method,
  dryRun: dry,
  sink,
  detectAnomaly,
  ...options
}: TrainCommandOptions): void {
  const rate = lr !== undefined ? "--lr" : ["train.lr", `configs.${method}.train.lr`].find((key) => isSet(set, key));
  if (sweep === true && rate !== undefined)
    throw new InputError(`--sweep chooses the rate that ${rate} says; leave one of them out`);
  if (dry === true && sink !== undefined)
    throw new InputError("--dry-run makes no run that --sink could be for; leave it out");
  if (dry === true) refuseCheckpoints(options);
  if (dry === true && detectAnomaly === true)
    throw new InputError("--dry-run and --detect-anomaly contradict: a dry run trains nothing that could be checked");
}

/** Paths that do not depend on the working directory, and the task that the table has where none is said. */
async function wordsOf(options: TrainCommandOptions, say: (line: string) => void): Promise<TrainWords> {
  const { data, validation } = options;
  const file = resolve(data);
  const task = options.task ?? guessTask(await readTableAt(file), columnsOf(options.column ?? []), say);
  return {
    ...options,
    task,
    base: baseWord(options.base),
    data: file,
    validation: validation === undefined ? undefined : resolve(validation),
  };
}

/** What was chosen goes where a person would have said it. */
function merged(
  document: Readonly<Record<string, unknown>>,
  config: string,
  { storage, lr }: { readonly storage?: string; readonly lr?: number },
): Record<string, unknown> {
  const { train, configs } = document as { train: object; configs: Record<string, object> };
  return {
    ...document,
    train: lr === undefined ? train : { ...train, lr },
    configs: storage === undefined ? configs : { [config]: { ...configs[config], storage } },
  };
}

function announced(forecast: ConfigForecast, { config, seed }: StudyRun, data: TaskData): string[] {
  const { counts, lr, steps, secondsPerStep, compileSeconds, peakRss } = forecast;
  const { train } = config;
  return [
    `${config.task.name}: ${formatCount(data.train.count)} rows to train on, ${formatCount(data.dev.count)} to evaluate on; seed ${seed}`,
    `${config.name}: ${formatCount(counts.trainable)} of ${formatCount(counts.total)} parameters train (${counts.percent.toFixed(2)} %), ${formatCount(steps)} steps of ${train.batchSize} rows, rate ${lr}${train.lr === undefined ? " (by method and steps)" : ""}`,
    ...(config.method.baseDropout === 0 && train.epochs <= 1
      ? [`dropout of the base is off, since rows are seen once (--set configs.${config.name}.baseDropout=0.1 for more)`]
      : []),
    `about ${formatDuration(compileSeconds + steps * secondsPerStep)}${peakRss === null ? "" : `, at most about ${formatMemory(peakRss.totalBytes)} of memory`}`,
  ];
}

function sweepTable({ rows, steps, heldOut, lr }: Sweep): string {
  const table = renderTable(
    [
      { title: `rate in ${steps} steps`, align: "right" },
      { title: `loss of ${heldOut} rows`, align: "right" },
      { title: "rate of the run", align: "right" },
    ],
    rows.map((row) => [
      String(row.tried),
      row.loss === null ? "diverged" : row.loss.toFixed(4),
      `${row.lr}${row.lr === lr ? " ←" : ""}`,
    ]),
  );
  const outer = [rows[0], rows.at(-1)].some((row) => row!.lr === lr);
  return `${table}${outer ? "\nthe best rate is the outermost that was tried; one beyond it, with --lr, may be better" : ""}`;
}

const placedAs = ({ method }: RunResult): string => methods.get(method).leaves;

/** What a person wants to know at the end, and what to do next. */
function told(
  result: RunResult,
  placed: string,
  { store, base }: { readonly store: RunStore; readonly base: string },
): string {
  const { final, kept } = result;
  const metrics = metricNames(final).map((name) => metricWords(final, name));
  const of = placedAs(result) === "adapter" ? "--adapter" : "--model";
  return [
    `${[...metrics, `loss ${final.loss.toFixed(4)}`].join(", ")} on ${formatCount(final.examples)} rows${kept === undefined ? "" : ` (step ${final.step}, the best by ${kept.by})`}`,
    `${placedAs(result)}: ${placed}; run: ${store.path(result.name)}`,
    tasks.get(result.task).kind === "CAUSAL_LM"
      ? `next: lowrank generate ${of === "--adapter" ? `${base} --adapter ${placed}` : placed} "PROMPT"`
      : `next: lowrank predict ${of} ${placed} --data FILE`,
  ].join("\n");
}
