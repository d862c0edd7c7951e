/** A small study of one run, with sinks beside its own files, and with servers of theirs that are ill. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Device } from "@lowrank/tensor";
import { guestsOf } from "../src/cli/guests.ts";
import { loadStudy } from "../src/config/load.ts";
import type { SinkRecord } from "../src/records/sink.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy } from "../src/study/plan-study.ts";
import { runStudy } from "../src/study/run-study.ts";
import { Stop } from "../src/train/stop.ts";
import { FakeMlflow, type Illness } from "./fake-mlflow.ts";

export interface SunkRun {
  readonly out: string;
  /** Of the study, from the first run's opening to the last sink's end. */
  readonly seconds: number;
  /** Of this process in that time, servers of tests included. */
  readonly processorSeconds: number;
  readonly said: readonly string[];
  /** A file of the run. */
  read(name: string): string;
}

/**
 * @param sinks as `--sink` has them
 * @param out where another attempt was, perhaps
 * @param until the step after which it is asked to stop; then it is `Interrupted`
 */
export async function sunkRun(
  device: Device,
  set: readonly string[],
  sinks: readonly string[],
  out: string = mkdtempSync(join(tmpdir(), "lowrank-sinks-")),
  until?: number,
): Promise<SunkRun> {
  const stop = new Stop();
  const stopping: SinkRecord = {
    name: "stopping",
    open: () => ({
      start: () => {},
      scalar: (step, { loss }) => void (loss !== undefined && step === until && stop.ask("the test")),
      artifact: () => {},
      finish: () => {},
    }),
  };
  const environment = { dataFolder: "none", cacheFolder: join(out, ".cache") };
  const store = new RunStore(out);
  const study = await loadStudy("planted", { set: [...set], seeds: [1] });
  const runs = await planStudy(study, store, { environment, code: "test", device: device.name, reuse: false });
  const said: string[] = [];
  const stderr = process.stderr.write.bind(process.stderr);
  // sinks speak through the run's progress
  process.stderr.write = (text: string | Uint8Array): boolean => {
    said.push(String(text));
    return true;
  };
  try {
    const [started, used] = [performance.now(), process.cpuUsage()];
    const { failures, results } = await runStudy(runs, {
      out,
      device,
      store,
      environment,
      machine: {} as never,
      progress: "lines",
      sinks: [...guestsOf(sinks), stopping],
      stop,
      say: (line) => void said.push(line),
    });
    const seconds = (performance.now() - started) / 1000;
    const { user, system } = process.cpuUsage(used);
    const processorSeconds = (user + system) / 1e6;
    if (failures.length > 0) throw new Error(failures[0]!.message);
    const folder = join(out, "runs", results[0]!.name);
    return { out, seconds, processorSeconds, said, read: (name) => readFileSync(join(folder, name), "utf8") };
  } finally {
    process.stderr.write = stderr;
  }
}

/** Calls `body` with the address of a server in that state; "down" is one that is not there. */
export async function withServer<T>(
  state: Illness | "down",
  body: (address: string, server: FakeMlflow) => Promise<T>,
): Promise<T> {
  const server = new FakeMlflow();
  const address = await server.open();
  if (state === "down") await server.close();
  else server.illness = state;
  try {
    return await body(address, server);
  } finally {
    if (state !== "down") await server.close();
  }
}
