/** `lowrank run`: from a study's name to results on disk and a table on stdout. */
import { join, resolve } from "node:path";
import { printable } from "@lowrank/tensor";
import { baseWord } from "../bases/found.ts";
import { loadStudy, seedsOf } from "../config/load.ts";
import { tasksOf } from "../config/cells.ts";
import type { Study } from "../config/study.ts";
import { dataFolder } from "../data/location.ts";
import { InputError } from "../errors.ts";
import { executors } from "../executors/registry.ts";
import { fittedRuns } from "../memory/fitted-runs.ts";
import { loadPlugins } from "../plugins/load.ts";
import { captureEnvironment } from "../store/environment.ts";
import { codeVersion } from "../store/identity.ts";
import { RunStore } from "../store/run-store.ts";
import { summaryTable } from "../store/summary.ts";
import { dryRun } from "../study/dry-run.ts";
import { answerLines } from "../study/answers.ts";
import { PreparedTasks } from "../tasks/prepared.ts";
import { tasks } from "../tasks/registry.ts";
import { planParts, type StudyRun } from "../study/plan-study.ts";
import { RestOfStudy } from "../study/rest.ts";
import { runStudy } from "../study/run-study.ts";
import { sweepLines } from "../study/sweeps.ts";
import { progressMode } from "../text/progress.ts";
import type { Executor, ExecutorOptions } from "../records/executor.ts";
import { orderOf } from "./order.ts";
import { ourCommand } from "./our-command.ts";
import { cardCommand } from "./command-line.ts";
import { openDevice } from "./device.ts";
import { guestsOf } from "./guests.ts";
import { nextSteps } from "./next-steps.ts";
import type { DeviceChoice } from "./options.ts";
import { EXIT_FAILED, EXIT_OK } from "./outcome.ts";
import { untilSignal } from "./signals.ts";
import { checkpointWords, refuseCheckpoints, type CheckpointOptions } from "./checkpoint-options.ts";

export interface RunOptions extends CheckpointOptions {
  readonly data?: string;
  readonly out?: string;
  readonly base?: string;
  readonly revision?: string;
  readonly memory?: number;
  readonly configs?: string[];
  readonly tasks?: string[];
  readonly seeds?: number[];
  readonly set?: string[];
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly dryRun?: boolean;
  readonly reuse?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly detectAnomaly?: boolean;
  readonly plugin?: string[];
  readonly sink?: string[];
  readonly executor?: string;
  readonly jobs?: number;
  readonly redis?: string;
}

export async function runCommand(name: string, options: RunOptions): Promise<number> {
  const plugins = await loadPlugins(options.plugin ?? []);
  const record = executorOf(options);
  if (options.dryRun !== true) await record.check?.(options);
  const guests = guestsOf(options.sink ?? []);
  const words = {
    set: options.set ?? [],
    seeds: options.seeds,
    base: options.base === undefined ? undefined : baseWord(options.base),
    revision: options.revision,
  };
  const study = await loadStudy(name, words);
  const allSeeds = options.seeds === undefined ? study.seeds : await seedsOf(name, words);
  refuseUnused(study, options);
  const out = resolve(options.out ?? join("runs", study.name));
  const say = (line: string): void => void (options.quiet === true || process.stderr.write(`${line}\n`));
  const environment = {
    dataFolder: dataFolder(options.data),
    filesFolder: resolve(options.data ?? "."),
    cacheFolder: join(out, ".cache"),
    say,
  };
  const store = new RunStore(out);
  const code = codeVersion(plugins);
  const device = await openDevice(options);
  let planned = study;
  let whole: readonly StudyRun[] | undefined;
  try {
    const planning = { environment, code, device: device.name, reuse: options.reuse ?? false, part: options, allSeeds };
    const data = new PreparedTasks(environment, device);
    const runs = await fittedRuns(study, {
      out,
      device,
      data,
      memory: options.memory,
      processes: record.takes?.includes("jobs") === true ? (options.jobs ?? 1) : 1,
      plan: async (one) => {
        planned = one;
        const plan = await planParts(one, store, planning);
        whole = plan.whole;
        return plan.runs;
      },
      say,
      keep: options.dryRun !== true,
    });
    if (options.dryRun === true) {
      const damaged = runs.flatMap((run) => run.damaged ?? []);
      const report = await dryRun(
        runs.filter((run) => run.damaged === undefined),
        environment,
        device,
        data,
      );
      process.stdout.write(options.json === true ? `${JSON.stringify(report.data, null, 2)}\n` : `${report.text}\n`);
      for (const message of damaged) process.stderr.write(`lowrank: damaged: ${printable(message)}\n`);
      return damaged.length === 0 ? EXIT_OK : EXIT_FAILED;
    }
    device.anomalyDetection = options.detectAnomaly ?? false;
    const outcome = await untilSignal((stop) =>
      runStudy(runs, {
        out,
        store,
        rest: whole && new RestOfStudy(whole, store, (line) => say(printable(line))),
        environment,
        checkpoints: checkpointWords(options),
        stop,
        command: cardCommand(),
        machine: captureEnvironment(code, device.info(), options.threads ?? null),
        device,
        data,
        progress: progressMode(options.quiet ?? false),
        executor: {
          record,
          workshop: {
            order: orderOf(planned, {
              ...options,
              checkpoints: checkpointWords(options),
              out,
              code,
              device: device.name as DeviceChoice,
              environment,
              command: cardCommand(),
            }),
            command: ourCommand(options.plugin ?? []),
            options,
            threads: options.threads,
          },
        },
        sinks: guests,
        say,
      }),
    );
    const twins = outcome.indistinguishable.map(({ seed, configs, identical }) =>
      identical === "logits"
        ? `configurations indistinguishable: ${configs.join(" and ")} made byte-identical predictions with seed ${seed}; a switch of one of them did nothing`
        : `note: ${configs.join(" and ")} made the same decisions with seed ${seed}, with different logits`,
    );
    for (const line of twins) process.stderr.write(`${line}\n`);
    if (options.json === true) process.stdout.write(`${JSON.stringify(outcome, null, 2)}\n`);
    else {
      if (outcome.summary.length > 0) process.stdout.write(`${summaryTable(outcome.summary)}\n`);
      const lines = [
        ...(outcome.sweeps.length > 0 ? ["", ...sweepLines(outcome.sweeps)] : []),
        ...(outcome.answers.length > 0 ? ["", ...answerLines(outcome.answers), ""] : []),
        ...(outcome.rankRecovery.length > 0
          ? [`picture: ${join(out, "ranks.svg")} (planted and found rank of every module)`]
          : []),
        `results: ${join(out, "results.json")}, ${join(out, "results.csv")}; runs: ${store.folder}`,
        ...(outcome.inFiles === undefined ? [] : [heldWords(outcome.inFiles, outcome.results.length)]),
        ...nextSteps(study.name),
      ];
      process.stdout.write(`${lines.join("\n")}\n`);
    }
    // Without --quiet each failure has had its line when it happened.
    if (options.quiet === true)
      for (const failure of outcome.failures)
        process.stderr.write(`lowrank: run ${failure.name} failed: ${printable(failure.message)}\n`);
    const identical = outcome.indistinguishable.some((pair) => pair.identical === "logits");
    return outcome.failures.length > 0 || identical ? EXIT_FAILED : EXIT_OK;
  } finally {
    device.close();
  }
}

/** What is in the study's files, where the table is of a part. */
function heldWords(held: number, told: number): string {
  return `results.json and results.csv hold ${held} run${held === 1 ? "" : "s"} of the study: ${told} of this part, ${held - told} beside it`;
}

/** Several runs at a time are made by several processes. @throws InputError for options that it has no use for */
function executorOf({ executor: said, jobs, redis }: RunOptions): Executor {
  const record = executors.get(said ?? (jobs !== undefined && jobs > 1 ? "local" : executors.names[0]!));
  for (const [option, value] of Object.entries({ jobs, redis })) {
    if (value === undefined || record.takes?.includes(option as keyof ExecutorOptions) === true) continue;
    // one at a time is what there is without it
    if (option === "jobs" && said === undefined) continue;
    const others = executors.all.filter(({ takes }) => takes?.includes(option as keyof ExecutorOptions));
    throw new InputError(
      `--${option}: the executor ${record.name} has no use for it; leave it out, or say --executor ${others.map(({ name }) => name).join(" or ")}`,
    );
  }
  return record;
}

/** Options that this study or the other options leave without effect. */
function refuseUnused(study: Study, options: RunOptions): void {
  const names = tasksOf(study).map(({ task }) => task.name);
  if (options.data !== undefined && !names.some((name) => tasks.get(name).readsFiles))
    throw new InputError(`--data: the task ${names[0]} makes its data and reads none; leave it out`);
  const making = (["sink", "executor", "redis"] as const).find((option) => options[option] !== undefined);
  if (options.dryRun === true && making !== undefined)
    throw new InputError(`--dry-run makes no runs that --${making} could be for; leave it out`);
  if (options.dryRun === true) refuseCheckpoints(options);
  if (options.dryRun === true && options.detectAnomaly === true)
    throw new InputError("--dry-run and --detect-anomaly contradict: a dry run trains nothing that could be checked");
}
