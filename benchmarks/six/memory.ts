/** Memory of a configuration: the lab's own command in a process of its own, which plans its peak, says it, trains, evaluates and publishes. */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { StudyOutcome } from "@lowrank/lab";
import type { Workplace } from "./workplace.ts";

export interface MemoryReading {
  /** As planned before the first step, and written into memory.json. */
  readonly plannedPeakBytes: number;
  /** The most that was resident in the process. */
  readonly peakRssBytes: number;
}

const STEPS = 3;
/** So much that nothing is changed to fit, and the plan is made nonetheless. */
const MEMORY = "1000GB";

export function readMemory(name: string, place: Workplace, threads: number): MemoryReading {
  const out = join(place.folder, name);
  // a run that is there would not be made again
  rmSync(out, { recursive: true, force: true });
  const cli = fileURLToPath(new URL("../../packages/lab/src/cli.ts", import.meta.url));
  const set = place.set(STEPS).flatMap((words) => ["--set", words]);
  const options = ["--configs", name, "--memory", MEMORY, "--out", out, "--data", place.folder, "--json", "--quiet"];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...process.execArgv, cli, "run", "sst2-six", ...set, ...options, "--device", "wasm", "--threads", String(threads)],
    { encoding: "utf8", maxBuffer: 2 ** 26 },
  );
  if (status !== 0) throw new Error(`${name}: ${stderr.trim().split("\n").at(-1) ?? "failed"}`);
  const { peakBytes } = JSON.parse(readFileSync(join(out, "memory.json"), "utf8")) as { peakBytes: number };
  const [result] = (JSON.parse(stdout) as StudyOutcome).results;
  return { plannedPeakBytes: peakBytes, peakRssBytes: result!.measures.memory.peakRssBytes };
}
