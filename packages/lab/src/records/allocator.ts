/** What an allocator of ranks is: a record that makes peft's `AdaptiveMethod`. A new one is one file and a line in `allocators/registry.ts`, or a plugin. */
import type { AdaptiveMethod, AllocatorOptions, Triplets } from "@lowrank/peft";
import type { Base } from "../bases/base.ts";
import type { TaskData } from "./task.ts";

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

export interface Allocator {
  /** `allocator` of a config. */
  readonly name: string;
  /** Whether it looks at gradients; without, a config cannot say which. Absent: it does. */
  readonly usesGradients?: boolean;
  /** Whether the training objective holds more than the loss. */
  regularizes(options: AllocatorWords): boolean;
  make(layers: readonly Triplets[], context: AllocatorContext): AdaptiveMethod | Promise<AdaptiveMethod>;
}
