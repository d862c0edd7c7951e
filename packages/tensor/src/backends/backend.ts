/**
 * The lower of the two seams: what a device must do to run plans. A backend is not a tensor library: it knows no graph, no gradient and no
 * op name. It owns memory and runs plans. What differs between two devices fits in their two folders. A device that wants whole graphs
 * instead (a runtime with a graph compiler of its own) implements `Engine`.
 */
import type { TypedArray } from "../dtype.ts";
import type { Target } from "../ir/target.ts";
import type { Template } from "../ir/template.ts";
import type { Plan } from "../plan/plan.ts";

/** Device memory owned by whoever holds it; freed by `Backend.free`. */
export interface DeviceBuffer {
  readonly bytes: number;
}

/** A plan made ready for one device: code compiled, arena sized. */
export interface Executable {
  readonly plan: Plan;
}

export interface MemoryInfo {
  /** Bytes in buffers that somebody holds (parameters, optimizer state, realized tensors). */
  readonly persistent: number;
  /** Bytes of the shared arena that plans run in: the largest plan so far. */
  readonly arena: number;
  /** Bytes beside the arena that kernels work in, packed operands above all: the largest so far. */
  readonly scratch: number;
  /** Bytes the device holds from the host for all of these, gaps between them included. */
  readonly reserved: number;
  /** Buffers behind `persistent`. */
  readonly buffers: number;
}

export interface StepTiming {
  readonly label: string;
  /** Milliseconds since the run began. */
  readonly start: number;
  readonly duration: number;
}

export interface Backend {
  /** What `device.name` says. */
  readonly name: string;
  /** What it can and what things cost on it; the same for as long as it is open. */
  readonly target: Target;
  /** Its own ways to compute composites and kernels, the first that answers wins. What none takes runs as the kernels that it is made of. */
  readonly templates?: readonly Template[];
  /** True when `readSync` works: memory is shared with the host. */
  readonly synchronous: boolean;
  alloc(bytes: number): DeviceBuffer;
  /** Never throws, lost device or not: what the garbage collector calls has nobody to catch it. */
  free(buffer: DeviceBuffer): void;
  /** Throws when so many more bytes cannot be had; allocates nothing. Only where that can be known. */
  ensureRoom?(bytes: number): void;
  upload(buffer: DeviceBuffer, bytes: Uint8Array): void;
  read(buffer: DeviceBuffer): Promise<Uint8Array>;
  /** A copy of the bytes; only where `synchronous`. */
  readSync?(buffer: DeviceBuffer): Uint8Array;
  /**
   * Makes what runs a plan. It may take its time: a step that needs it then waits in its turn, and those after it wait for the step.
   * @throws (or rejects with) a LowrankError where the plan cannot be run; whatever else is thrown becomes a DeviceError that names the device.
   * Nothing has changed then, and it is asked again next time
   */
  prepare(plan: Plan): Executable | Promise<Executable>;
  /** Bytes beside the arena that running a plan takes, told without making its code or taking any memory. Absent: none. */
  scratchBytes?(plan: Plan): number;
  /**
   * Runs a prepared plan. `uploads` are in the order of `plan.uploads`, `bound` in the order of `plan.bound`.
   * Returns when the work is done (synchronous backends) or queued; later reads see its results either way.
   * @throws DeviceLostError where it failed half-way; anything else that is thrown on purpose came before the first kernel and has changed nothing
   */
  run(
    executable: Executable,
    uploads: readonly TypedArray[],
    bound: readonly DeviceBuffer[],
    timings?: StepTiming[],
  ): void | Promise<void>;
  memory(): MemoryInfo;
  info(): BackendInfo;
  close(): void;
}

export interface BackendInfo {
  readonly name: string;
  /** For humans: adapter name, instruction set, threads. */
  readonly description: string;
  readonly threads: number;
}
