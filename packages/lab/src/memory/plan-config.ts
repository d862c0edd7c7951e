/** What a run of a config would take, told from plans of its own step on a device that only plans: neither a weight is read nor one is held. */
import { inspectCheckpoint, locate, type PretrainedModel } from "@lowrank/models";
import type { Module } from "@lowrank/nn";
import { bytesOf, LowrankError, WHOLE_ATTENTION, type Device } from "@lowrank/tensor";
import { planningDevice } from "@lowrank/tensor/backend";
import { Base } from "../bases/base.ts";
import { asStored, place, type Keeping } from "../bases/kept.ts";
import { planOf, shapeModel, type BasePlan } from "../bases/plan.ts";
import { kindsOf, shallow } from "../bases/shallow.ts";
import { baseStorage } from "../bases/storage.ts";
import type { ResolvedConfig } from "../config/study.ts";
import { revisionOf } from "../data/location.ts";
import { DataCursor } from "../data/cursor.ts";
import type { Batch } from "../data/examples.ts";
import { paddedLength } from "../data/length-groups.ts";
import { methods } from "../methods/registry.ts";
import type { TaskData } from "../records/task.ts";
import type { PlannedMemory, PlanSize } from "../study/peak-rss.ts";
import { taskOf } from "../tasks/prepare.ts";
import { adaptBase } from "../train/adapt.ts";
import { cursorOptions, devBatches } from "../train/batches.ts";
import { evaluator } from "../train/evaluate.ts";
import { plannedMemory } from "../train/memory.ts";
import { TrainingStep } from "../train/step.ts";

/** What the planning of all ways of a config shares. */
export interface PlanContext {
  readonly data: TaskData;
  /** Where it will run: plans are made for it. */
  readonly device: Device;
  /** Models of up to so many layers are planned whole. Default 4. */
  readonly whole?: number;
}

const WHOLE = 4;

/**
 * The longest batch of training and of evaluation decide. What every intermediate takes grows with a batch's length, but for attention beyond
 * `WHOLE_ATTENTION` keys, which keeps no matrix of them: the longest batch within that is planned, too. Batches of other lengths have plans of as many nodes
 * and no larger an arena for each of their positions, which is counted and not planned.
 */
export async function planConfig(config: ResolvedConfig, context: PlanContext): Promise<PlannedMemory> {
  const { data, whole = WHOLE } = context;
  const task = taskOf(config);
  const shape = await planOf(config, task.kind, data.needs ?? task.least(config.task));
  const keeping = await keepingOf(config);
  const layers = shape.config.numHiddenLayers;
  const at = (n: number): Promise<PlannedMemory> => planAt(config, context, shape, keeping, n);
  const few = 1 + Math.max(1, kindsOf(shapeModel(shape)).length);
  if (layers <= Math.max(whole, few + 1)) return at(layers);
  try {
    const [one, two] = [await at(few), await at(few + 1)];
    return countedUp(one, two, layers - few);
  } catch (error) {
    // patterns that name a layer which a shallow model has not
    if (error instanceof LowrankError && error.kind === "input") return at(layers);
    throw error;
  }
}

/** @param more layers beyond those of `one`; `two` has one of them */
function countedUp(one: PlannedMemory, two: PlannedMemory, more: number): PlannedMemory {
  const up = (a: number, b: number): number => a + Math.max(0, b - a) * more;
  return {
    ...one,
    persistentBytes: up(one.persistentBytes, two.persistentBytes),
    loadedBytes: up(one.loadedBytes, two.loadedBytes),
    trainableBytes: up(one.trainableBytes, two.trainableBytes),
    scratchBytes: Math.max(one.scratchBytes!, two.scratchBytes!),
    plans: one.plans.map((plan, i): PlanSize => {
      const other = two.plans[i]!;
      return {
        arenaBytes: up(plan.arenaBytes, other.arenaBytes),
        constantBytes: up(plan.constantBytes, other.constantBytes),
        nodes: up(plan.nodes, other.nodes),
        // layers share their kernels
        kernels: Math.max(plan.kernels, other.kernels),
      };
    }),
  };
}

async function planAt(
  config: ResolvedConfig,
  { data, device }: PlanContext,
  shape: BasePlan,
  keeping: (model: Module) => Keeping,
  layers: number,
): Promise<PlannedMemory> {
  const task = taskOf(config);
  const planner = planningDevice(device);
  try {
    const model = shallow(shapeModel(shape), layers);
    place(model, keeping(model), planner);
    const base = new Base(model, task.kind, planner);
    const largest = largestWeight(model);
    const method = methods.get(config.method.method);
    const adapted = await adaptBase(base, method, config.method, { seed: 0, totalSteps: FAR, data, task });
    const step = new TrainingStep(task, adapted, { ...config.train, lr: () => 1, dropoutSeed: 0 }, planner);
    const order = cursorOptions(config.train, data.train, data.multiple, 0);
    const rows = order.cut?.rows ?? config.train.batchSize;
    const parts = rows < config.train.batchSize ? 2 : 1;
    const long = longest(data, rows);
    const cursor = new DataCursor(data.train, order);
    const training = withShorter(
      long.map(({ inputs }) => step.plan(inputs, parts)),
      positionsOf(long[0]!),
      cursor.sizes(),
    );
    const applying = parts === 1 ? [] : [step.planApplying()];
    const { persistent } = planner.memory();
    const evaluation = evaluator(
      { task, base: adapted.base, metrics: [], batches: () => [], scorer: (model) => data.scorer(model) },
      planner,
    );
    const evaluated = largestBatches(devBatches(data, rows));
    const [most] = evaluated;
    const evaluating =
      most === undefined
        ? []
        : withShorter([evaluation.plan(most.inputs)], positionsOf(most), evaluated.map(positionsOf));
    const plans = [...training, ...applying, ...evaluating];
    return {
      ...plannedMemory(adapted, config, persistent, plans),
      scratchBytes: planner.memory().scratch,
      largestWeightBytes: largest,
    };
  } finally {
    planner.close();
  }
}

/** Schedules of ranks need some steps. */
const FAR = 1_000_000;

/** Batches of the longest rows: of all, and of those whose attention is kept whole. */
function longest({ train, multiple }: TaskData, rows: number): Batch[] {
  const order = [...train.lengths.keys()].sort((a, b) => train.lengths[b]! - train.lengths[a]!);
  const isWhole = (i: number): boolean => paddedLength(train.lengths[i]!, multiple) <= WHOLE_ATTENTION;
  const groups = [order, isWhole(order[0]!) ? [] : order.filter(isWhole)].filter((group) => group.length > 0);
  return groups.map((group) => train.batch(Int32Array.from(group.slice(0, rows)), { rows, multiple }, 0));
}

const positionsOf = ({ rows, length }: Pick<Batch, "rows" | "length">): number => rows * length;

/** One of each size, the largest first. */
function largestBatches(batches: Iterable<Batch>): Batch[] {
  const bySize = new Map<string, Batch>();
  for (const batch of batches) {
    const key = `${batch.rows}×${batch.length}`;
    if (!bySize.has(key)) bySize.set(key, batch);
  }
  return [...bySize.values()].sort((a, b) => positionsOf(b) - positionsOf(a));
}

/** The plans of the largest batch, and those of smaller ones told from it, before it where one of them is met first. @param sizes of all, in the order in which they are met */
function withShorter(largest: readonly PlanSize[], positions: number, sizes: readonly number[]): PlanSize[] {
  const [plan] = largest as [PlanSize];
  const shorter = sizes
    .filter((size) => size < positions)
    .map((size): PlanSize => ({ ...plan, arenaBytes: Math.ceil((plan.arenaBytes * size) / positions) }));
  return sizes[0] !== undefined && sizes[0] < positions ? [...shorter, ...largest] : [...largest, ...shorter];
}

/** Of the largest weight while it is loaded: as numbers, and as it is kept. */
function largestWeight(model: PretrainedModel): number {
  return [...model.namedWeights()].reduce((most, [, w]) => Math.max(most, bytesOf("f32") * w.size + w.bytes), 0);
}

/** How each weight of a base is kept, told of a model without memory. */
async function keepingOf(config: ResolvedConfig): Promise<(model: Module) => Keeping> {
  const { base, method: options } = config;
  const storage = baseStorage(options, methods.get(options.method).whole(options));
  const stored =
    storage?.rest === "file" && base !== null
      ? asStored((await inspectCheckpoint(await locate(base, revisionOf(config)))).facts.weights)
      : undefined;
  return (model) => {
    const each = storage?.each?.(model);
    return (name, weight) => {
      const how = each?.(name, weight);
      if (how === undefined) return stored?.(name, weight) ?? "f32";
      return typeof how === "string" ? how : { form: how.kind, doubleQuantized: true };
    };
  };
}
