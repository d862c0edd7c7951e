/**
 * What an allocator of ranks is: a record of what decides them while training (`make`), before it (`share`), or either way. A new one is one file and a line in
 * `allocators/registry.ts`, or a plugin.
 */
import type { AdaptiveMethod, AllocatorOptions, Triplets } from "@lowrank/peft";
import type { Base } from "../bases/base.ts";
import type { ModuleRow } from "../store/result.ts";
import type { Task, TaskData } from "./task.ts";

/** Numbers of a config that an allocator may read. */
export interface AllocatorWords {
  readonly beta1: number;
  readonly beta2: number;
  readonly orthRegWeight: number;
}

export interface AllocatorContext {
  /** Steps, schedule and ranks that stay. */
  readonly budget: AllocatorOptions;
  readonly options: AllocatorWords;
  readonly base: Base;
  /** Root seed of the run. */
  readonly seed: number;
  readonly data: TaskData;
}

/** Of the run: its base before anything was put on it, and the loss that it will be trained on. */
export type ShareContext = Pick<AllocatorContext, "base" | "seed" | "data"> & { readonly task: Pick<Task, "loss"> };

/** A module with the rank that it would have had; their sum is the budget. */
export type RankedModule = Pick<ModuleRow, "module" | "in" | "out"> & { readonly rank: number };

export interface Allocator {
  /** `allocator` of a config. */
  readonly name: string;
  /** Whether it looks at gradients; without, a config cannot say which. Absent: it does. */
  readonly usesGradients?: boolean;
  /** Whether the training objective holds more than the loss. Absent: it does not. */
  regularizes?(options: AllocatorWords): boolean;
  /** While training: from AdaLoRA's triplets. Absent: it decides before training only. */
  make?(layers: readonly Triplets[], context: AllocatorContext): AdaptiveMethod | Promise<AdaptiveMethod>;
  /** Before training: the rank of each module of LoRA, by path, 0 for none; as many in all as there were. Absent: it decides while training only. */
  share?(
    modules: readonly RankedModule[],
    context: ShareContext,
  ): ReadonlyMap<string, number> | Promise<ReadonlyMap<string, number>>;
}
