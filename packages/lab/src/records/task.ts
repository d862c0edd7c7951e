/**
 * What a task is: a record. What trains, studies and commands know tasks only as this, so that a new one is one file and a line in
 * `tasks/registry.ts`, or a plugin.
 */
import type { Device, Tensor } from "@lowrank/tensor";
import type { AllocationRecord } from "@lowrank/peft";
import type { z } from "zod";
import type { Base, BaseStorage } from "../bases/base.ts";
import type { ModelKind } from "../bases/kind.ts";
import type { BaseNeeds } from "../bases/needs.ts";
import type { ModelOptions, TaskOptions } from "../config/study.ts";
import type { Batch, Examples } from "../data/examples.ts";
import type { TaskUse } from "./manifest.ts";
import type { RateShare } from "./rates.ts";

export type { BaseNeeds };

/** Where data is, and who is told about it. */
export interface TaskEnvironment {
  readonly dataFolder: string;
  /** Where paths begin that a study says: `--data` where it is given, else the working directory. Absent: the latter. */
  readonly filesFolder?: string | undefined;
  readonly cacheFolder: string;
  /** Receives lines for people about the data. */
  readonly say?: ((line: string) => void) | undefined;
}

/** The base that a study adapts: a checkpoint as `fromPretrained` takes it, or the sizes of one that is drawn. */
export interface BaseChoice {
  readonly base: string | null;
  /** Of a model of the hub. */
  readonly revision?: string | undefined;
  readonly model: ModelOptions | null;
}

/** What is known of a task before its data is read, as far as it is: what cannot fit is refused by it. */
export interface LeastNeeds extends BaseNeeds {
  /** Bytes of the data on the host, and what asks for them. */
  readonly data?: { readonly bytes: number; readonly what: string };
}

/** Collects what an evaluation reads from the device, batch by batch. */
export interface Scorer<Items = unknown> {
  /** What metrics count of a batch; undefined where that is known at the end only. `outputs` are those of `Task.outputs`, the summed `loss` among them, as f64. */
  take(batch: Batch, outputs: Readonly<Record<string, Float64Array>>): Items | undefined;
  /** Once all batches were taken. */
  finish(): Scored | Promise<Scored>;
}

/** What an evaluation leaves beside its metrics. */
export interface Scored {
  /** What metrics count, where batches did not tell. */
  readonly items?: unknown;
  /** Lines of `predictions.jsonl`, in the order of the data. */
  readonly predictions: readonly string[];
  /** The decisions alone: two runs whose decisions are equal have equal texts. */
  readonly decisions: string;
  /** Every number that was read, for the check that all are finite. */
  readonly outputs: Float64Array;
  /** What is wrong with what the model learnt, a line each: said loudly, and kept in the result. */
  readonly warnings?: readonly string[];
  /** The mean loss told from `outputs` in f64, where that can be told. */
  readonly loss?: number;
}

/** Data of a task, ready to be trained on. */
export interface TaskData {
  readonly train: Examples;
  readonly dev: Examples;
  /** Sequences are padded to a multiple of this. */
  readonly multiple: number;
  /** What methods' usual rates are multiplied by. Absent: 1. */
  readonly rate?: RateShare;
  /** What is asked of the base, as far as the data says it; absent: what `least` says. */
  readonly needs?: BaseNeeds;
  /** Where the tokenizer is, where texts were read: a folder, or the base, whatever it is. */
  readonly tokenizerFolder?: string;
  /** Text of the template for chats that was given in place of the tokenizer's. */
  readonly chatTemplate?: string;
  /** A fresh copy of the base; values that it does not bring, a head above all, are drawn from `initSeed`. Default storage: f32. */
  base(initSeed: number, storage?: BaseStorage): Promise<Base>;
  /** For an evaluation on `dev`. @param base the model as it is now, in evaluation mode once batches come, for who asks it more than `outputs` says */
  scorer(base: Base): Scorer;
  /** Batches of an evaluation on `dev`, where the task has its own. Absent: `batchSize` rows of like length. */
  devBatches?(): Iterable<Batch>;
  /** Rank of what is to be found in each of these modules, by path, where the data was made from ranks that are known. */
  truth?(modules: readonly string[]): ReadonlyMap<string, number>;
  /** What using the adapter again needs to know of the task, where it can be used again: part of `lowrank.json`. */
  readonly use?: TaskUse;
}

/** What a run found, for what only its task can say of it. */
export interface Found {
  /** Paths of the adapted modules. */
  readonly modules: readonly string[];
  /** What an allocator decided, where one did. */
  readonly allocation: AllocationRecord | undefined;
  /** Singular values of each module's update of low rank, largest first. */
  spectra(): Promise<ReadonlyMap<string, Float64Array>>;
}

// methods and not properties below, so that a record of one task's options is a record of any (bivariance)
export interface Task<O extends TaskOptions = TaskOptions, D extends TaskData = TaskData> {
  /** `task.name` of a study. */
  readonly name: string;
  /** Strict, with the name as a literal and defaults filled in. */
  readonly schema: z.ZodObject;
  /** The head that a model needs. */
  readonly kind: ModelKind;
  /** Whether `--data` means something. */
  readonly readsFiles: boolean;
  /** What metrics count here, of one kind or of several at once; a metric of other items cannot be asked for. */
  readonly items: string | readonly string[];
  /** Metrics by name, where a study asks for no others. The first one tells the best evaluation. */
  readonly metrics: readonly string[];
  /** What the schema cannot say. @throws InputError-worthy text as a string, or nothing */
  check?(options: O, study: BaseChoice): string | undefined;
  /** Before any data is read. */
  least(options: O): LeastNeeds;
  /** What the numbers of an evaluation say nothing without, as sentences for reports. */
  scoredWords?(options: O, evaluation: object): string;
  /** Options as they make two runs the same run: without paths of files, whose content `identity` has. Absent: all of them. */
  comparable?(options: O): object;
  /** Content of all data that a run reads; part of the run's id. Cheap: no tokenizing, no device. @param revision of a base of the hub */
  identity(options: O, environment: TaskEnvironment, base: string | null, revision?: string): string | Promise<string>;
  /** Reads or makes the data. */
  data(options: O, choice: BaseChoice, environment: TaskEnvironment, device: Device): Promise<D>;
  /** Of a batch: the training objective, its mean over targets that count, or its sum. */
  loss(base: Base, inputs: Readonly<Record<string, Tensor>>, reduction: "mean" | "sum"): Tensor;
  /** Of a batch in an evaluation: what the host reads, and `loss`, summed. */
  outputs(
    base: Base,
    inputs: Readonly<Record<string, Tensor>>,
  ): Readonly<Record<string, Tensor>> & { readonly loss: Tensor };
  /** What a result says beyond its metrics. */
  report?(options: O, found: Found): Promise<Readonly<Record<string, unknown>>>;
}
