/**
 * How much memory the process of a study takes at its peak, told from plans. Four parts:
 *
 * - *process*: Node, the library, worker threads and the prepared data. Measured before the first run, since a bundle, a source
 *   loader or another version of Node moves it by tens of megabytes.
 * - *device*: the linear memory, which never shrinks. Weights, optimizer state, constants, arena and packing scratch are planned bytes.
 * - *plans*: tracing, scheduling and generating code leave garbage on the JavaScript heap, and the heap grows by it before V8 collects.
 * - *host*: copies of weights outside that heap, for a file or a fingerprint.
 *
 * Only `wasm` is described: elsewhere weights are not in the process's linear memory.
 */
import type { CompiledInfo, Device } from "@lowrank/tensor";
import { collectGarbage } from "./collect.ts";

export interface PlannedMemory {
  /** Weights, adapters and optimizer state. */
  readonly persistentBytes: number;
  /** Weights as they are loaded, where that is more: a quantized base is compared with the one at full width. */
  readonly loadedBytes: number;
  /** Whether weights are drawn at random instead of read from a file. */
  readonly drawn: boolean;
  /** Weights that train, as saved at each evaluation. */
  readonly trainableBytes: number;
  /** What kernels work in beside the arena. Absent: what the device has taken for it. */
  readonly scratchBytes?: number;
  /** Copies on the host of the largest weight while it is loaded, as the file has it and as it is kept. Absent: nothing is known of it. */
  readonly largestWeightBytes?: number;
  /** Plans of training and evaluation, in the order in which they are made. */
  readonly plans: readonly PlanSize[];
}

export type PlanSize = Pick<CompiledInfo, "arenaBytes" | "constantBytes" | "nodes" | "kernels">;

export interface PeakRss {
  readonly totalBytes: number;
  readonly processBytes: number;
  readonly deviceBytes: number;
  readonly planBytes: number;
  readonly hostBytes: number;
}

/*
 * Fitted to the processes in benchmarks/NOTES.md. V8 collects when it sees fit: the same run differs by up to 80 MB of 600 from one
 * process to the next, so that more careful constants would tell no more.
 */
/** Heap growth by every plan of a process, per node of its graph. */
const PLAN_NODE_BYTES = 2800;
/** Beyond that, heap growth while a plan is made. */
const MAKING_NODE_BYTES = 1400;
const MAKING_KERNEL_BYTES = 450_000;
/** Copies of weights that are read one after the other: V8 collects once so much is outstanding. */
const COPIES_BYTES = 48e6;
/** The same for weights that are drawn: a random base and its teacher leave several copies of each value behind. */
const DRAWN_COPIES = 5;
const DRAWN_COPIES_BYTES = 64e6;

/** What is resident before any run. */
export interface StartMemory {
  readonly processBytes: number;
  /** Linear memory, apart from the rest: runs use it again. */
  readonly deviceBytes: number;
}

/** To be asked when the process is ready for its first run: what led there is collected first, for it would be mistaken for what stays. */
export function startMemory(device: Device): StartMemory {
  collectGarbage();
  const deviceBytes = device.memory().reserved;
  return { processBytes: process.memoryUsage.rss() - deviceBytes, deviceBytes };
}

/** Resident memory of this process and of the runs it makes, one after the other. */
export class ProcessMemory {
  readonly #device: Device;
  readonly #processBytes: number;
  #deviceBytes: number;
  #hostBytes = 0;
  /** Linear memory and host copies while the largest weight is loaded, the last of all. */
  #loading = 0;
  /** Heap growth by plans that are made once for all runs of a config. */
  readonly #kept = new Map<string, number>();
  #making = 0;

  constructor(device: Device, start: StartMemory) {
    this.#device = device;
    this.#deviceBytes = start.deviceBytes;
    this.#processBytes = start.processBytes;
  }

  /** The peak once a run of `config` has been made, too; undefined where the device's memory is not the process's. */
  with(config: string, planned: PlannedMemory): PeakRss | undefined {
    if (this.#device.name !== "wasm") return undefined;
    const { plans, persistentBytes, loadedBytes, drawn, trainableBytes, largestWeightBytes = 0 } = planned;
    const largest = Math.max(0, ...plans.map((plan) => plan.arenaBytes));
    const first = plans[0]?.arenaBytes ?? 0;
    // the first arena stays behind as a gap where it is outgrown, since buffers lie behind it by then; later ones grow in place. What a
    // base at full width leaves takes those buffers up
    const outgrown = first < largest && loadedBytes <= persistentBytes ? first : 0;
    this.#deviceBytes = Math.max(
      this.#deviceBytes,
      loadedBytes,
      persistentBytes +
        Math.max(0, ...plans.map((plan) => plan.constantBytes)) +
        largest +
        outgrown +
        (planned.scratchBytes ?? this.#device.memory().scratch),
    );
    // values and the file made of them
    const copies = drawn
      ? Math.min(DRAWN_COPIES_BYTES, DRAWN_COPIES * persistentBytes)
      : Math.min(COPIES_BYTES, persistentBytes);
    this.#hostBytes = Math.max(this.#hostBytes, 2 * trainableBytes, copies);
    this.#loading = Math.max(this.#loading, persistentBytes + largestWeightBytes);
    this.#kept.set(
      config,
      plans.reduce((sum, { nodes }) => sum + nodes * PLAN_NODE_BYTES, 0),
    );
    this.#making = Math.max(
      this.#making,
      ...plans.map(({ nodes, kernels }) => nodes * MAKING_NODE_BYTES + kernels * MAKING_KERNEL_BYTES),
    );
    const planBytes = this.#making + [...this.#kept.values()].reduce((a, b) => a + b, 0);
    const [processBytes, deviceBytes, hostBytes] = [this.#processBytes, this.#deviceBytes, this.#hostBytes];
    // weights are loaded before there is an arena or a plan
    const running = deviceBytes + planBytes + hostBytes;
    return {
      totalBytes: processBytes + Math.max(running, this.#loading),
      processBytes,
      deviceBytes,
      planBytes,
      hostBytes,
    };
  }
}
