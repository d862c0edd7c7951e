/** One study of `lowrank run`: planned in the way that fits, made, told. */
import { join } from "node:path";
import { printable } from "@lowrank/tensor";
import type { Study } from "../config/study.ts";
import type { Executor } from "../records/executor.ts";
import type { SinkRecord } from "../records/sink.ts";
import type { TaskEnvironment } from "../records/task.ts";
import { fittedRuns } from "../memory/fitted-runs.ts";
import { captureEnvironment } from "../store/environment.ts";
import type { KeptResults } from "../store/kept-results.ts";
import { RunStore } from "../store/run-store.ts";
import { dryRun } from "../study/dry-run.ts";
import type { StudyReport } from "../study/outcome.ts";
import { isOpen, planParts, type PlanOptions, type StudyRun } from "../study/plan-study.ts";
import { RestOfStudy } from "../study/rest.ts";
import { runStudy } from "../study/run-study.ts";
import { PreparedTasks } from "../tasks/prepared.ts";
import { progressMode } from "../text/progress.ts";
import { checkpointWords } from "./checkpoint-options.ts";
import { cardCommand } from "./command-line.ts";
import { openDevice } from "./device.ts";
import type { DeviceChoice } from "./options.ts";
import { orderOf } from "./order.ts";
import { ourCommand } from "./our-command.ts";
import { EXIT_FAILED, EXIT_OK } from "./outcome.ts";
import type { RunOptions } from "./run-options.ts";
import { tell } from "./run-told.ts";
import { untilSignal } from "./signals.ts";

/** A study that was asked for, and where it goes. */
export interface AskedStudy {
  readonly study: Study;
  /** Seeds of its document, whatever seeds are asked for. */
  readonly allSeeds: readonly number[];
  readonly out: string;
}

export interface RunContext {
  readonly options: RunOptions;
  readonly code: string;
  readonly record: Executor;
  readonly guests: readonly SinkRecord[];
  readonly kept: KeptResults | undefined;
  readonly places: { readonly dataFolder: string; readonly filesFolder: string };
  readonly say: (line: string) => void;
}

/** What came of the study; `dry`: what it would do, where that was asked for. */
export interface ToldStudy {
  readonly code: number;
  readonly outcome?: StudyReport;
  readonly dry?: unknown;
}

/** Whether its runs can be made, before any of an earlier study is: wrong input is told at once. */
export async function checkStudy(asked: AskedStudy, context: RunContext): Promise<void> {
  const device = await openDevice(context.options);
  try {
    const { kept, say: _, ...quiet } = context;
    const planning = planningOf(asked, { ...quiet, kept, say: () => undefined }, device.name);
    await planParts(asked.study, new RunStore(asked.out, kept), planning);
  } finally {
    device.close();
  }
}

export async function runAsked(asked: AskedStudy, context: RunContext): Promise<ToldStudy> {
  const { study, out } = asked;
  const { options, code, record, guests, kept, say } = context;
  const store = new RunStore(out, kept);
  const device = await openDevice(options);
  let planned = study;
  let whole: readonly StudyRun[] | undefined;
  try {
    const planning = planningOf(asked, context, device.name);
    const { environment } = planning;
    const data = new PreparedTasks(environment, device);
    const runs = await fittedRuns(study, {
      out,
      results: kept?.folder,
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
    if (options.dryRun === true) return await told(runs, environment, device, data, options);
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
              results: kept?.folder,
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
    return { code: tell(outcome, { out, runs: store.folder, results: kept?.folder }, options), outcome };
  } finally {
    device.close();
  }
}

function planningOf(
  { allSeeds, out }: AskedStudy,
  { options, code, places, say }: RunContext,
  device: string,
): PlanOptions & { readonly environment: RunContext["places"] & TaskEnvironment } {
  const environment = { ...places, cacheFolder: join(out, ".cache"), say };
  return { environment, code, device, reuse: options.reuse ?? false, part: options, allSeeds };
}

/** What would be done. */
async function told(
  runs: readonly StudyRun[],
  environment: TaskEnvironment,
  device: Parameters<typeof dryRun>[2],
  data: PreparedTasks,
  { json }: RunOptions,
): Promise<ToldStudy> {
  const damaged = runs.flatMap((run) => run.damaged ?? []);
  const report = await dryRun(
    runs.filter((run) => run.done !== undefined || isOpen(run)),
    environment,
    device,
    data,
  );
  if (json !== true) process.stdout.write(`${report.text}\n`);
  for (const message of damaged) process.stderr.write(`lowrank: damaged: ${printable(message)}\n`);
  return { code: damaged.length === 0 ? EXIT_OK : EXIT_FAILED, dry: report.data };
}
