/** The peak of all runs of a study in one process, in one way to compute batches. */
import type { Device } from "@lowrank/tensor";
import type { ResolvedConfig } from "../config/study.ts";
import { deviceBytes } from "../study/needs.ts";
import { ProcessMemory, type PlannedMemory, type StartMemory } from "../study/peak-rss.ts";
import { planConfig, type PlanContext } from "./plan-config.ts";
import { inWay, type Way } from "./ways.ts";

export interface StudyPeak {
  /** Resident bytes of the process; where the device has memory of its own, bytes there. */
  readonly bytes: number;
  /** Whether the device can address what is on it. */
  readonly addressable: boolean;
}

/** Plans each config once in each way that is another one for it. */
export class StudyPeaks {
  readonly #configs: readonly ResolvedConfig[];
  readonly #context: PlanContext;
  readonly #start: StartMemory;
  readonly #plans = new Map<string, Promise<PlannedMemory>>();

  /** @param start what the process had taken before anything was planned */
  constructor(configs: readonly ResolvedConfig[], context: PlanContext, start: StartMemory) {
    this.#configs = configs;
    this.#context = context;
    this.#start = start;
  }

  async of(way: Way): Promise<StudyPeak> {
    const { device } = this.#context;
    const memory = new ProcessMemory(device, this.#start);
    let [bytes, onDevice] = [0, 0];
    for (const config of this.#configs) {
      const planned = await this.#planned(inWay(config, way));
      const peak = memory.with(config.name, planned);
      onDevice = Math.max(onDevice, peak?.deviceBytes ?? heldOnDevice(planned));
      bytes = peak?.totalBytes ?? onDevice;
    }
    return { bytes, addressable: onDevice <= deviceBytes(device.name) };
  }

  #planned(config: ResolvedConfig): Promise<PlannedMemory> {
    const { gradientCheckpointing, storage } = config.method;
    const key = JSON.stringify([config.name, storage, config.train.microBatch ?? null, gradientCheckpointing]);
    const known = this.#plans.get(key) ?? planConfig(config, this.#context);
    this.#plans.set(key, known);
    return known;
  }
}

function heldOnDevice({ persistentBytes, loadedBytes, scratchBytes = 0, plans }: PlannedMemory): number {
  const most = (of: (plan: PlannedMemory["plans"][number]) => number): number => Math.max(0, ...plans.map(of));
  const running = persistentBytes + scratchBytes + most((p) => p.arenaBytes) + most((p) => p.constantBytes);
  return Math.max(loadedBytes, running);
}

/** A study that takes so little that planning it would be the larger part: see `leastUpper`. */
export interface RoughSizes {
  /** Values of all weights. */
  readonly total: number;
  /** Sums over linear layers of inputs and outputs. */
  readonly widths: number;
  readonly layers: number;
  readonly heads: number;
  readonly vocabulary: number;
}

const PROCESS = 400e6;

/**
 * More than a step takes, told from sizes alone: everything trains (weight, gradient, two moments), every linear layer's input and output is kept
 * four times over, attention keeps eight matrices of all keys, and logits of all words are kept four times. On BERT-base it is three times
 * what its plan says.
 */
export function roughUpper(sizes: RoughSizes, tokens: number, length: number, device: Pick<Device, "name">): number {
  const { total, widths, layers, heads, vocabulary } = sizes;
  const values = 4 * total + tokens * (4 * widths + 8 * layers * heads * length + 4 * vocabulary);
  return 4 * values + (device.name === "wasm" ? PROCESS : 0);
}
