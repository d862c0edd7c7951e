/**
 * What a method is: a record of how it turns a base into something that trains. What trains, plans and stores knows methods only as this, so
 * that a new one is one file and a line in `methods/registry.ts`, or a plugin.
 */
import type { PretrainedModel } from "@lowrank/models";
import type { Weight } from "@lowrank/nn";
import type { Adapter, AdaptiveMethod, AllocationRecord, CardFacts } from "@lowrank/peft";
import type { Tensor, WritableFiles } from "@lowrank/tensor";
import type { z } from "zod";
import type { Base } from "../bases/base.ts";
import type { ModelKind } from "../bases/kind.ts";
import type { BaseShape } from "../bases/shape.ts";
import type { MethodConfig } from "../config/study.ts";
import type { ModuleRow, Proof } from "../store/result.ts";
import type { RateAnchor } from "./rates.ts";
import type { Task, TaskData } from "./task.ts";

/** What a schema's defaults depend on. */
export interface MethodFacts {
  /** Modules of the head that the task trains on this base; empty where its model needs none. */
  readonly head: readonly string[];
}

/** What adapting may use beside the base. */
export interface AdaptContext {
  /** Root seed of the run; what is drawn comes from its streams. */
  readonly seed: number;
  /** Optimizer steps of the run, which rank schedules are made for. */
  readonly totalSteps: number;
  readonly data: TaskData;
  /** Whose loss it is that will be trained on. */
  readonly task: Pick<Task, "loss">;
}

/** A base after a method was put on it. */
export interface Adaptation {
  /** Absent where weights of the base themselves train. */
  readonly adapter?: Adapter;
  /** Decides ranks while training; absent where ranks are fixed. */
  readonly allocator?: AdaptiveMethod;
  /** Which gradients it sees: before clipping or after. Absent: it is given both. */
  readonly allocatorSees?: "raw" | "clipped" | undefined;
  /** What is added to the training loss where no allocator says it. Absent: nothing. */
  readonly regularizer?: () => Tensor | undefined;
  /** The options as the data settled them, where a start decides ranks: what is promised is told from these. */
  readonly settled?: MethodConfig;
  /** That what the method did before the first step is what the options say. */
  readonly proofs?: readonly Proof[];
  /** What the learning rate of a weight is multiplied by, where that is not 1. */
  readonly lrScales?: ReadonlyMap<Weight, number>;
  /** Writes what a run leaves (`Method.leaves`). Ranks that an allocation did not keep are cut off first, for good. */
  save(files: WritableFiles, allocation?: AllocationRecord, card?: CardFacts): Promise<void>;
}

/** What a config promises, computed from numbers alone. */
export interface Prediction {
  readonly trainable: number;
  readonly total: number;
  readonly modules: readonly ModuleRow[];
}

/** What a method's proofs look at once training is over. */
export interface TrainedFacts {
  readonly steps: number;
  readonly allocation: AllocationRecord | undefined;
  /** What the objective held beside the loss, step by step. */
  readonly regularizers: readonly number[];
  /** What the optimizer that trained multiplied the rate of each weight by, by name. */
  readonly lrScales: ReadonlyMap<string, number>;
}

// methods and not properties below, so that a record of one method's options is a record of any (bivariance)
export interface Method<O extends MethodConfig = MethodConfig> {
  /** `method` of a config. */
  readonly name: string;
  /** What reports call it. Absent: its name. */
  readonly label?: string;
  /** The folder that a run leaves: `adapter/` in PEFT form, or `checkpoint/` in Hugging Face form. */
  readonly leaves: "adapter" | "checkpoint";
  /** Keys of the config whose own order decides: it is part of the identity. */
  readonly ordered?: readonly string[];
  /** Learning rates where a config says none. Absent: those of methods that nobody has measured. */
  readonly rates?: readonly RateAnchor[];
  /** Strict, with the name as a literal under `method`, and defaults filled in. */
  schema(facts: MethodFacts): z.ZodObject;
  /** What the schema cannot say: one line, or nothing. @param at path of the config: `configs.lora` */
  check?(options: O, at: string): string | undefined;
  /** @throws LowrankError for a schedule that does not fit the steps */
  checkSteps?(options: O, totalSteps: number): void;
  /** The options with each module's rank as another run found it, 0 for none. Absent: there are no ranks by module. @throws RunError where nothing is left */
  withRanks?(options: O, ranks: ReadonlyMap<string, number>): O;
  /** Names of modules that train whole: they are kept at full width. */
  whole(options: O): readonly string[];
  adapt(base: Base, options: O, context: AdaptContext): Promise<Adaptation>;
  /** The same on a model without memory. @throws LowrankError naming what the base cannot have: a rank above a module's width */
  attach?(model: PretrainedModel, kind: ModelKind, options: O): void;
  /** What should train. Shares no code with `adapt`. @throws InputError for a name that matches nothing */
  predict(shape: BaseShape, options: O): Prediction;
  /** That what the method switches on was on, and nothing else. */
  proofs(options: O, trained: TrainedFacts): Proof[];
}
