/** What a process of ours needs to make runs of a study that another one planned, as JSON; and the study opened by it. */
import { resolve } from "node:path";
import type { Device } from "@lowrank/tensor";
import { z } from "zod";
import { validate } from "../config/validate.ts";
import type { StudyPart } from "../config/part.ts";
import type { Study } from "../config/study.ts";
import { statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import type { Report } from "../records/executor.ts";
import { captureEnvironment } from "../store/environment.ts";
import { KeptResults } from "../store/kept-results.ts";
import { RunStore } from "../store/run-store.ts";
import { LineKeeper } from "../study/line-keeper.ts";
import { reportOf, RunMaker, type SourcesElsewhere } from "../study/maker.ts";
import { planStudy, type StudyRun } from "../study/plan-study.ts";
import { sinks } from "../sinks/registry.ts";
import type { CheckpointWords } from "../train/checkpointing.ts";
import type { Stop } from "../train/stop.ts";
import type { ProgressMode } from "../text/progress.ts";
import { openDevice } from "./device.ts";
import { DEVICES, type DeviceChoice } from "./options.ts";

export interface StudyOrder {
  readonly version: 1;
  /** Validated, in the way that fits into memory. */
  readonly study: Study;
  readonly part: StudyPart;
  readonly out: string;
  readonly dataFolder: string;
  readonly filesFolder: string;
  readonly device: DeviceChoice;
  /** Content of the code that computes, plugins included. */
  readonly code: string;
  readonly reuse: boolean;
  /** Where lines of finished runs are kept; null: nowhere. */
  readonly results: string | null;
  readonly sinks: readonly string[];
  readonly checkpoints: CheckpointWords;
  readonly detectAnomaly: boolean;
  readonly quiet: boolean;
  /** What makes the runs again, for adapters' cards. */
  readonly command: string;
}

/** What was validated before is known by its shape. */
const map = z.record(z.string(), z.unknown());
const schema = z.strictObject({
  version: z.literal(1),
  study: map,
  part: map,
  out: z.string(),
  dataFolder: z.string(),
  filesFolder: z.string(),
  device: z.enum(DEVICES),
  code: z.string(),
  reuse: z.boolean(),
  results: z.string().nullable(),
  sinks: z.array(z.string()),
  checkpoints: map,
  detectAnomaly: z.boolean(),
  quiet: z.boolean(),
  command: z.string(),
}) as unknown as z.ZodType<StudyOrder>;

/** @param from what the command was told */
export function orderOf(
  study: Study,
  from: StudyPart & {
    readonly out: string;
    readonly code: string;
    readonly device: DeviceChoice;
    readonly environment: { readonly dataFolder: string; readonly filesFolder: string };
    readonly reuse?: boolean;
    readonly results?: string | undefined;
    readonly sink?: readonly string[];
    readonly checkpoints: CheckpointWords;
    readonly detectAnomaly?: boolean;
    readonly quiet?: boolean;
    readonly command: string;
  },
): StudyOrder {
  const { base } = study;
  const place = base === undefined ? undefined : resolve(base);
  return {
    version: 1,
    // a path means the same wherever the other process is
    study: place !== undefined && statOf(place) !== undefined ? { ...study, base: place } : study,
    part: { configs: from.configs, tasks: from.tasks },
    out: from.out,
    dataFolder: from.environment.dataFolder,
    filesFolder: from.environment.filesFolder,
    device: from.device,
    code: from.code,
    reuse: from.reuse ?? false,
    results: from.results ?? null,
    sinks: [...(from.sink ?? [])],
    checkpoints: from.checkpoints,
    detectAnomaly: from.detectAnomaly ?? false,
    quiet: from.quiet ?? false,
    command: from.command,
  };
}

/** What is otherwise where the order is worked off. */
export interface Here {
  readonly code: string;
  readonly out?: string | undefined;
  readonly threads?: number | undefined;
  readonly stop?: Stop | undefined;
}

/** An order being worked off: runs by name, a device, data that is read once. */
export class OpenOrder {
  readonly #runs: ReadonlyMap<string, StudyRun>;
  readonly #store: RunStore;
  readonly #maker: RunMaker;
  readonly #device: Device;

  private constructor(runs: readonly StudyRun[], store: RunStore, maker: RunMaker, device: Device) {
    this.#runs = new Map(runs.map((run) => [run.name, run]));
    [this.#store, this.#maker, this.#device] = [store, maker, device];
  }

  /** @throws InputError where the code here is another, or the order is none */
  static async open(said: unknown, here: Here): Promise<OpenOrder> {
    const order = validate(schema, said, "the order");
    if (order.code !== here.code)
      throw new InputError(
        "runs were ordered from another version of lowrank, or with other plugins; start the same version here, with the same --plugin",
      );
    const out = resolve(here.out ?? order.out);
    const say = (line: string): void => void (order.quiet || process.stderr.write(`${line}\n`));
    // what is read of the data is said once, by who ordered
    const environment = {
      dataFolder: order.dataFolder,
      filesFolder: order.filesFolder,
      cacheFolder: resolve(out, ".cache"),
    };
    const { code: of, results } = order;
    const kept = results === null ? undefined : new KeptResults(results, { code: of, reuse: order.reuse });
    const store = new RunStore(out, kept);
    // where others have none, threads are of no use
    const threads = order.device === "wasm" ? here.threads : undefined;
    const device = await openDevice({ device: order.device, ...(threads === undefined ? {} : { threads }) });
    try {
      device.anomalyDetection = order.detectAnomaly;
      const { study, part, code, reuse } = order;
      const runs = await planStudy(study, store, { environment, code, device: device.name, reuse, part, unread: true });
      const maker = new RunMaker({
        environment,
        store,
        machine: captureEnvironment(code, device.info(), threads ?? null),
        device,
        progress: order.quiet ? "quiet" : ("lines" satisfies ProgressMode),
        checkpoints: order.checkpoints,
        stop: here.stop,
        command: order.command,
        sinks: order.sinks.map((name) => sinks.get(name)),
        say,
      });
      return new OpenOrder(runs, store, maker, device);
    } catch (error) {
      device.close();
      throw error;
    }
  }

  /** Makes a run, unless it is there. */
  async make(name: string, label: string, sources: SourcesElsewhere = {}): Promise<Report> {
    const run = this.#runs.get(name);
    if (run === undefined)
      return {
        kind: "failed",
        message: `there is no run of this name here: the data or the base is another than where it was ordered`,
      };
    const outcome = this.#store.finished(name) ?? (await this.#maker.make(run, label, sources));
    return reportOf(outcome, run, { store: this.#store, device: this.#device.name });
  }

  /** Keeps its line, where nobody is told the report. */
  async keep(report: Report): Promise<void> {
    const keeper = new LineKeeper(this.#store, () => undefined);
    await keeper.keep(report);
    keeper.finish();
  }

  close(): void {
    this.#device.close();
  }
}
