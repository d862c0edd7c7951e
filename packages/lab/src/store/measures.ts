/** What a run took: `measures.json`. Nothing in it is determined, so it is kept apart from the result; and both together. */
import { z } from "zod";
import type { ResolvedConfig } from "../config/study.ts";
import type { Environment } from "./environment.ts";
import type { RunResult } from "./result.ts";

/** Bytes on the device by what they hold. */
export interface MemorySplit {
  readonly frozenWeights: number;
  readonly trainableWeights: number;
  readonly optimizerState: number;
  /** The arena: everything that lives within a step. */
  readonly activationsAndGradients: number;
}

export interface RunMemory {
  readonly arenaBytes: number;
  readonly persistentBytes: number;
  /** Highest resident size of the process so far, so of this run and of those that the process made before. */
  readonly peakRssBytes: number;
  /** What plans tell of the same; absent where the device's memory is not the process's. */
  readonly estimatedPeakRssBytes?: number;
  readonly split: MemorySplit;
}

/** `measures.json`. */
export interface RunMeasures {
  /** `total` from the base's opening to the last file, `training` with evaluations, `perStep` the median; over all attempts where one went on from another. */
  readonly seconds: { readonly total: number; readonly training: number; readonly perStep: number };
  readonly memory: RunMemory;
  /** While steps ran; null where nothing counted it. */
  readonly speed: { readonly tokensPerSecond: number | null; readonly gflops: number | null };
  /** Where the run was finished. */
  readonly host: Partial<Pick<Environment, "node" | "platform" | "cpu" | "cores" | "memoryBytes" | "threads">>;
}

/** A run that is done, with what it was asked for and what it took: its result and the words beside it. */
export interface FinishedRun extends RunResult {
  /** Of the study that it was made for. */
  readonly study: string;
  /** As it was run, paths included: two runs of one identity may have their base in different places. */
  readonly resolved: ResolvedConfig;
  readonly measures: RunMeasures;
}

/** What of the environment is told beside times. */
export function hostOf({ node, platform, cpu, cores, memoryBytes, threads }: Environment): RunMeasures["host"] {
  return { node, platform, cpu, cores, memoryBytes, threads };
}

const size = z.number().int().min(0);
const rate = z.number().nullable();

export const measuresSchema = z.object({
  seconds: z.object({ total: z.number(), training: z.number(), perStep: z.number() }),
  memory: z.object({
    arenaBytes: size,
    persistentBytes: size,
    peakRssBytes: size,
    estimatedPeakRssBytes: z.number().optional(),
    split: z.object({
      frozenWeights: size,
      trainableWeights: size,
      optimizerState: size,
      activationsAndGradients: size,
    }),
  }),
  // earlier versions had neither
  speed: z.object({ tokensPerSecond: rate, gflops: rate }).default({ tokensPerSecond: null, gflops: null }),
  host: z.looseObject({}).default({}),
}) as unknown as z.ZodType<RunMeasures>;
