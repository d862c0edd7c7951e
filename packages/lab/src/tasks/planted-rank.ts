/**
 * The planted-rank task: a frozen random transformer, a teacher that is this transformer plus low-rank updates of known
 * rank, labels from the teacher. Nothing is downloaded, and what an adapter should find is known exactly.
 *
 * Sequences are uniform random tokens of one length after a [CLS]. Of two labels one says on which side of the median the
 * teacher's margin (logit 1 − logit 0) lies, so both are equally frequent. Of more labels it is the one whose logit stands out most
 * from what it is elsewhere, in standard deviations; each example then tells more about the teacher. `noise` of the training labels
 * are replaced by another.
 */
import { endsAtDot } from "@lowrank/nn";
import { compile, RandomStream, type Device } from "@lowrank/tensor";
import { z } from "zod";
import type { Base, BaseStorage } from "../bases/base.ts";
import { drawBase } from "../bases/make.ts";
import { drawnPlan } from "../bases/plan.ts";
import { count, fraction, positive, seed } from "../config/numbers.ts";
import { ClassificationExamples } from "../data/classification.ts";
import { InputError } from "../errors.ts";
import type { BaseChoice, Found, Task, TaskData } from "../records/task.ts";
import { EFFECTIVE_RANK, effectiveRanks, rankRecovery } from "../statistics/rank-recovery.ts";
import { classification, ClassificationScorer } from "./classification.ts";

/** Labels from a teacher that is the base plus updates of known rank. */
export interface PlantedRankTask {
  readonly name: "planted-rank";
  readonly seed: number;
  readonly vocab: number;
  readonly length: number;
  readonly train: number;
  readonly dev: number;
  /** Module suffix → rank of the planted update. */
  readonly ranks: Readonly<Record<string, number>>;
  /** Number of labels; more labels tell more about the teacher. */
  readonly labels: number;
  /** Frobenius norm of what is planted, relative to the base weight. */
  readonly strength: number;
  /** Whether `strength` is that of a module's whole update, whatever its rank, or of each of its directions: then ‖ΔW‖_F grows as √rank. */
  readonly strengthOf: "update" | "direction";
  /** Head that a run starts from: drawn from the run's seed, or the base's, which is the teacher's. */
  readonly head: "fresh" | "base";
  /** Share of training labels that are flipped. */
  readonly noise: number;
}

const PAD = 0;
const CLS = 1;
const FIRST_TOKEN = 2;

/** Rows per teacher evaluation. */
const TEACHER_ROWS = 256;

const schema = z.strictObject({
  name: z.literal("planted-rank"),
  seed: seed.default(1),
  vocab: z.number().int().min(8).max(65_536).default(64),
  length: z.number().int().min(4).max(65_536).default(16),
  train: count.default(8192),
  dev: count.default(1024),
  ranks: z.record(z.string(), count),
  labels: z.number().int().min(2).max(1024).default(2),
  strength: positive.default(1),
  head: z.enum(["fresh", "base"]).default("fresh"),
  strengthOf: z.enum(["update", "direction"]).default("update"),
  noise: fraction.default(0),
});

/** Its examples have labels that the teacher gave. */
export interface PlantedRankData extends TaskData {
  readonly train: ClassificationExamples;
  readonly dev: ClassificationExamples;
}

export const plantedRanks: Task<PlantedRankTask, PlantedRankData> = {
  ...classification,
  name: "planted-rank",
  schema,
  readsFiles: false,
  check: (_, { model }) =>
    model === null ? `planted-rank plants into a random base; give "model" sizes, not "base"` : undefined,
  least: ({ vocab, length, labels, train, dev }) => ({
    vocab,
    positions: length,
    labels,
    data: { bytes: (train + dev) * (4 * length + 8 * labels), what: `"task.train" ${train} examples` },
  }),
  identity: () => "planted-rank-1",
  data: preparePlantedRank,
  async report(task, found) {
    const recovery = await recoveredRanks(task, found);
    return recovery === undefined ? {} : { rankRecovery: recovery };
  },
};

export async function preparePlantedRank(
  task: PlantedRankTask,
  { model }: Pick<BaseChoice, "model">,
  _environment: unknown,
  device: Device,
): Promise<PlantedRankData> {
  const needs = { vocab: task.vocab, positions: task.length, labels: task.labels };
  const plan = drawnPlan(model!, "SEQ_CLS", needs);
  const random = (storage?: BaseStorage): Promise<Base> => drawBase(plan, "SEQ_CLS", model!.seed, device, storage);
  const examples = task.train + task.dev;
  const ids = randomSequences(task, examples);
  const teacher = await random();
  await plant(teacher, task);
  const labels = teacherLabels(await teacherLogits(teacher, ids, task, device), task.labels);
  teacher.dispose();
  flip(labels.subarray(0, task.train), task);
  const part = (from: number, to: number): ClassificationExamples =>
    new ClassificationExamples(
      {
        tokens: {
          ids: ids.slice(from * task.length, to * task.length),
          offsets: Uint32Array.from({ length: to - from + 1 }, (_, i) => i * task.length),
        },
        labels: labels.slice(from, to),
      },
      PAD,
    );
  const dev = part(task.train, examples);
  return {
    train: part(0, task.train),
    dev,
    multiple: 1,
    needs,
    base: studentFrom(random, task.head),
    scorer: () => new ClassificationScorer(dev, task.labels),
    truth: (modules) => plantedRanksOf(task, modules),
  };
}

/** The base, whose head is the teacher's too; with a fresh head more has to be learnt, from the run's seed. */
function studentFrom(
  random: (storage?: BaseStorage) => Promise<Base>,
  head: PlantedRankTask["head"],
): TaskData["base"] {
  return async (initSeed, storage) => {
    const student = await random(storage);
    if (head === "fresh") await student.freshHead(initSeed);
    return student;
  };
}

/** What was found against what was planted. Kept ranks where they were allocated, effective ranks of the update otherwise. */
async function recoveredRanks(
  task: PlantedRankTask,
  { modules, allocation, spectra }: Found,
): Promise<ReturnType<typeof rankRecovery> | undefined> {
  if (modules.length === 0) return undefined;
  const truth = plantedRanksOf(task, modules);
  if (allocation !== undefined)
    return rankRecovery(
      "ranks kept by the allocator",
      truth,
      new Map(allocation.modules.map((m) => [m.module, m.kept])),
    );
  return rankRecovery(EFFECTIVE_RANK, truth, effectiveRanks(await spectra()));
}

/** `count × length` token ids; the same for every run of the task. */
export function randomSequences(task: Pick<PlantedRankTask, "seed" | "length" | "vocab">, count: number): Uint32Array {
  const stream = new RandomStream(task.seed, "planted-rank/tokens");
  return Uint32Array.from({ length: count * task.length }, (_, i) =>
    i % task.length === 0 ? CLS : FIRST_TOKEN + stream.integer(task.vocab - FIRST_TOKEN),
  );
}

/** ΔW = strength · ‖W‖_F · BA / ‖BA‖_F with Gaussian B `[out, rank]` and A `[rank, in]`, row-major `[out, in]`. */
export function plantedUpdate(
  weight: ArrayLike<number>,
  out: number,
  inner: number,
  rank: number,
  strength: number,
  stream: RandomStream,
): Float32Array {
  const b = Float64Array.from({ length: out * rank }, () => stream.normal());
  const a = Float64Array.from({ length: rank * inner }, () => stream.normal());
  const product = new Float64Array(out * inner);
  for (let o = 0; o < out; o++) {
    for (let k = 0; k < rank; k++) {
      const factor = b[o * rank + k]!;
      for (let i = 0; i < inner; i++) product[o * inner + i]! += factor * a[k * inner + i]!;
    }
  }
  const scale = (strength * frobenius(weight)) / frobenius(product);
  return Float32Array.from(product, (value) => value * scale);
}

/** The first entry of the rank map that names the end of `path`. */
function keyOf(task: Pick<PlantedRankTask, "ranks">, path: string): string | undefined {
  return Object.keys(task.ranks).find((name) => endsAtDot(path, name));
}

/** Rank of what is planted into the module at `path`; 0 where nothing is. */
export function plantedRank(task: Pick<PlantedRankTask, "ranks">, path: string): number {
  const key = keyOf(task, path);
  return key === undefined ? 0 : task.ranks[key]!;
}

function plantedRanksOf(task: PlantedRankTask, modules: readonly string[]): Map<string, number> {
  return new Map(modules.map((module) => [module, plantedRank(task, module)]));
}

/** Adds the planted updates to the model's weights. */
async function plant(model: Base, task: PlantedRankTask): Promise<void> {
  const used = new Set<string>();
  for (const { path, weight } of model.linears()) {
    const key = keyOf(task, path);
    if (key === undefined) continue;
    used.add(key);
    const [out, inner] = weight.shape as [number, number];
    const rank = task.ranks[key]!;
    if (rank > Math.min(out, inner))
      throw new InputError(`"task.ranks.${key}" is ${rank}, more than ${path} [${out}, ${inner}] can have`);
    const values = Float32Array.from(await weight.value.floats());
    const strength = task.strengthOf === "direction" ? task.strength * Math.sqrt(rank) : task.strength;
    const update = plantedUpdate(
      values,
      out,
      inner,
      rank,
      strength,
      new RandomStream(task.seed, `planted-rank/${path}`),
    );
    model.write(
      weight,
      values.map((value, i) => value + update[i]!),
    );
  }
  const unused = Object.keys(task.ranks).find((key) => !used.has(key));
  if (unused !== undefined)
    throw new InputError(
      `"task.ranks.${unused}" matches no linear module; there are ${[...new Set(model.linears().map(({ path }) => path.replace(/^.*\.\d+\./, "")))].join(", ")}`,
    );
}

/** [count, labels], row-major. */
async function teacherLogits(
  model: Base,
  ids: Uint32Array,
  { length, labels }: PlantedRankTask,
  device: Device,
): Promise<Float64Array> {
  const forward = compile(device, ({ inputIds, attentionMask }) => {
    model.model.eval();
    return { logits: model.logits({ inputIds: inputIds!, attentionMask: attentionMask! }) };
  });
  const count = ids.length / length;
  const out = new Float64Array(count * labels);
  for (let start = 0; start < count; start += TEACHER_ROWS) {
    const rows = Int32Array.from({ length: TEACHER_ROWS * length }, (_, i) => ids[start * length + i] ?? PAD);
    const { logits } = await forward({
      inputIds: { data: rows, shape: [TEACHER_ROWS, length], dtype: "i32" },
      attentionMask: { data: new Uint8Array(rows.length).fill(1), shape: [TEACHER_ROWS, length], dtype: "bool" },
    });
    out.set((await logits.floats()).subarray(0, Math.min(TEACHER_ROWS, count - start) * labels), start * labels);
  }
  return out;
}

function teacherLabels(logits: Float64Array, labels: number): Int32Array {
  const count = logits.length / labels;
  if (labels === 2) {
    const margins = Float64Array.from({ length: count }, (_, row) => logits[2 * row + 1]! - logits[2 * row]!);
    const threshold = median(margins);
    return Int32Array.from(margins, (margin) => (margin > threshold ? 1 : 0));
  }
  const standard = Array.from({ length: labels }, (_, label) => {
    const column = Float64Array.from({ length: count }, (_, row) => logits[row * labels + label]!);
    const mean = column.reduce((sum, v) => sum + v, 0) / count;
    const deviation = Math.sqrt(column.reduce((sum, v) => sum + (v - mean) ** 2, 0) / count);
    return column.map((v) => (v - mean) / deviation);
  });
  return Int32Array.from({ length: count }, (_, row) =>
    standard.reduce((best, column, label) => (column[row]! > standard[best]![row]! ? label : best), 0),
  );
}

function flip(labels: Int32Array, task: PlantedRankTask): void {
  const stream = new RandomStream(task.seed, "planted-rank/noise");
  for (let i = 0; i < labels.length; i++)
    if (stream.uniform() < task.noise)
      labels[i] = (labels[i]! + (task.labels === 2 ? 1 : 1 + stream.integer(task.labels - 1))) % task.labels;
}

function median(values: Float64Array): number {
  const sorted = values.slice().sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function frobenius(values: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += values[i]! ** 2;
  return Math.sqrt(squares);
}
