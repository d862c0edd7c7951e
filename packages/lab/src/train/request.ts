/** What a run is asked for, and what it works with. */
import type { Device } from "@lowrank/tensor";
import type { ResolvedConfig } from "../config/study.ts";
import type { Sink } from "../records/sink.ts";
import type { RunFolder } from "../store/run-store.ts";
import type { ProcessMemory } from "../study/peak-rss.ts";
import type { Progress } from "../text/progress.ts";
import type { CheckpointPlace } from "./checkpointing.ts";

export interface RunRequest {
  readonly id: string;
  readonly cell: string;
  readonly name: string;
  readonly study: string;
  readonly config: ResolvedConfig;
  readonly seed: number;
}

/** What a run works with and writes to. */
export interface RunSurroundings {
  readonly device: Device;
  readonly folder: RunFolder;
  readonly progress: Progress;
  readonly sinks: Sink;
  readonly memory: ProcessMemory;
  /** What makes it again, for the adapter's card; determined by what is asked for, not by where or how it is made. */
  readonly command?: string | undefined;
  /** Where it is saved on its way; absent: nowhere. */
  readonly checkpoints?: CheckpointPlace;
  /** Receives lines about the base, the same for every run. */
  readonly once: (line: string) => void;
}
