/** Which runs a study has, which of them need others, and which are already done in a store. */
import { LowrankError } from "@lowrank/tensor";
import { planOf, shapeModel } from "../bases/plan.ts";
import { shapeOf } from "../bases/shape.ts";
import { canonicalJson } from "../config/canonical.ts";
import { plannedRuns, resolveConfig, resolvedConfigs, type PlannedRun, type StudyTask } from "../config/cells.ts";
import { sweptBy, sweptTask } from "../config/needs.ts";
import { checkPart, inPart, type StudyPart } from "../config/part.ts";
import type { RateSweep, ResolvedConfig, Study } from "../config/study.ts";
import { InputError } from "../errors.ts";
import { methods } from "../methods/registry.ts";
import type { TaskEnvironment } from "../records/task.ts";
import { runId, runName, studyCellId } from "../store/identity.ts";
import type { FinishedRun } from "../store/measures.ts";
import type { RunStore } from "../store/run-store.ts";
import { dataIdentity, identityOfBase, taskOf } from "../tasks/prepare.ts";
import type { RunRequest } from "../train/request.ts";
import { findIn, type Find } from "./found.ts";
import { requireBaseMemory, requireMemory, requireTrainingMemory } from "./needs.ts";
import { withMostRanks } from "./source-ranks.ts";

/** Names of the runs whose results decide part of a run's config. */
export interface RunNeeds {
  /** Whose ranks it takes. */
  readonly ranks?: string;
  /** Those that tried rates for it. */
  readonly rates?: readonly { readonly name: string; readonly lr: number }[];
}

export interface StudyRun extends RunRequest {
  /** Result that is already there. */
  readonly done: FinishedRun | undefined;
  /** What is wrong with the folder in its place, which is neither used nor made anew. */
  readonly damaged?: string;
  /** What became of it, where it diverged and a line tells so: it is not made again. */
  readonly diverged?: string;
  readonly needs: RunNeeds;
  /** Whether it is asked for, or made because another needs it; `rate`: it tries a rate, and is no cell of the study. */
  readonly role: "asked" | "needed" | "rate";
}

export interface PlanOptions {
  readonly environment: TaskEnvironment;
  readonly code: string;
  /** Kind of device, for instance "wasm". */
  readonly device: string;
  /** A finished run of the same cell by other code counts as done. */
  readonly reuse: boolean;
  /** Whether what is done is left unread, by who is told what to make. */
  readonly unread?: boolean;
  /** Which runs; the usual is all. */
  readonly part?: StudyPart;
  /** Seeds of the whole study, where those that are asked for are a part of them or others. */
  readonly allSeeds?: readonly number[];
}

export interface StudyPlan {
  /** What is asked for, and what that needs. */
  readonly runs: StudyRun[];
  /** Every run of the study, read only where runs of other code count; absent where `runs` are all. */
  readonly whole?: readonly StudyRun[];
}

/** Whether it is to be made. */
export function isOpen({ done, damaged, diverged }: StudyRun): boolean {
  return done === undefined && damaged === undefined && diverged === undefined;
}

/** Names of all that a run needs. */
export function needsOf({ needs }: Pick<StudyRun, "needs">): string[] {
  return [...(needs.ranks === undefined ? [] : [needs.ranks]), ...(needs.rates ?? []).map(({ name }) => name)];
}

/**
 * The runs of the study in execution order: what a run needs comes before it, unless that is done.
 * @throws InputError for a config that cannot fit its base, before anything is written
 */
export async function planStudy(study: Study, store: RunStore, options: PlanOptions): Promise<StudyRun[]> {
  return (await planParts(study, store, options)).runs;
}

/**
 * The same, and the whole of which these runs are a part.
 * @throws InputError for a config that cannot fit its base, and where every run that is asked for is damaged
 */
export async function planParts(study: Study, store: RunStore, options: PlanOptions): Promise<StudyPlan> {
  const { part = {}, reuse, unread = false } = options;
  checkPart(study, part);
  const configs = resolvedConfigs(study);
  for (const config of configs) await checkConfig(config, options.device, study);
  const base = await identityOfBase(configs[0]!);
  const find = unread && !reuse ? UNREAD : findIn(store, reuse);
  const planner = new Planner(study, find, options, base);
  await planner.cells(plannedRuns(study).filter(({ config }) => inPart(config, part)));
  const runs = planner.runs(({ config }) => inPart(config, part));
  refuseDamaged(runs);
  const seeds = [...new Set([...(options.allSeeds ?? []), ...study.seeds])];
  if (seeds.length === study.seeds.length && configs.every((config) => inPart(config, part))) return { runs };
  const all = new Planner(study, reuse ? find : UNREAD, options, base, planner);
  await all.cells(plannedRuns({ ...study, seeds }));
  return { runs, whole: all.every() };
}

const UNREAD: Find = () => ({});

/** Where nothing that is asked for can be told or made, it is the store that has to be seen to. */
function refuseDamaged(runs: readonly StudyRun[]): void {
  const asked = runs.filter(({ role }) => role === "asked");
  const damaged = asked.flatMap((run) => run.damaged ?? []);
  if (asked.length === 0 || damaged.length < asked.length) return;
  const more = damaged.length - 1;
  throw new InputError(
    `${damaged[0]!}${more === 0 ? "" : `; ${more} more run${more === 1 ? " is" : "s are"} damaged`}`,
  );
}

/** The name under which its result is or will be: that of other code's run where that counts. */
function foundAs({ name, done }: StudyRun): string {
  return done?.name ?? name;
}

/** Runs by their name, each once however many need it, in the order in which they can be made. */
class Planner {
  readonly #study: Study;
  readonly #find: Find;
  readonly #options: PlanOptions;
  readonly #base: string;
  readonly #identities: Map<string, Promise<string>>;
  readonly #planned = new Map<string, StudyRun>();

  /** @param before has identities of the same study's data */
  constructor(study: Study, find: Find, options: PlanOptions, base: string, before?: Planner) {
    [this.#study, this.#find, this.#options, this.#base] = [study, find, options, base];
    this.#identities = before === undefined ? new Map<string, Promise<string>>() : before.#identities;
  }

  async cells(of: readonly PlannedRun[]): Promise<void> {
    for (const { config, seed } of of)
      await this.cell(config.name, { label: config.taskLabel, task: config.task }, seed);
  }

  every(): StudyRun[] {
    return [...this.#planned.values()];
  }

  /** @param asked of the cells of the study */
  runs(asked: (run: StudyRun) => boolean): StudyRun[] {
    const all = [...this.#planned.values()];
    const wanted = new Set<string>();
    // from the last on: what needs something comes after it
    for (const run of [...all].reverse())
      if (
        (run.role !== "rate" && asked(run)) ||
        run.done !== undefined ||
        run.diverged !== undefined ||
        wanted.has(run.name)
      ) {
        wanted.add(run.name);
        if (isOpen(run)) for (const name of needsOf(run)) wanted.add(name);
      }
    return all
      .filter(({ name }) => wanted.has(name))
      .map((run): StudyRun => (run.role === "rate" || asked(run) ? run : { ...run, role: "needed" }));
  }

  async cell(name: string, task: StudyTask, seed: number): Promise<StudyRun> {
    const config = resolveConfig(this.#study, name, task);
    const { from } = config.method;
    const ranks = from === undefined ? undefined : await this.cell(from.config, task, seed);
    const sweeping = sweptBy(this.#study, name);
    const rates = sweeping === undefined ? [] : await this.#sweep(sweeping, task);
    return this.#plan(config, seed, "asked", { ranks, rates });
  }

  /** A run at every rate that a config's sweep tries: no cell of the study, and called `<config>@<rate>`. */
  async #sweep(name: string, task: StudyTask): Promise<StudyRun[]> {
    const { sweep } = this.#study.configs[name]!.rate as { readonly sweep: RateSweep };
    const { method, ...config } = resolveConfig(
      this.#study,
      name,
      sweptTask(task, sweep, `configs.${name}.rate.sweep.task`),
    );
    const { rate: _, ...alone } = method;
    // rates are told apart by where they lead
    const { evalStart: _start, ...train } = config.train;
    const runs: StudyRun[] = [];
    for (const lr of sweep.rates) {
      const tried = { ...config, name: `${name}@${lr}`, method: alone, train: { ...train, lr } };
      runs.push(await this.#plan(tried, sweep.seed, "rate", { ranks: undefined, rates: [] }));
    }
    return runs;
  }

  async #plan(
    config: ResolvedConfig,
    seed: number,
    role: StudyRun["role"],
    { ranks, rates }: { readonly ranks: StudyRun | undefined; readonly rates: readonly StudyRun[] },
  ): Promise<StudyRun> {
    const { code, device } = this.#options;
    const sources = [...(ranks === undefined ? [] : [ranks]), ...rates];
    const identity = { config, seed, data: await this.#identity(config), code, device };
    const ids = (of: (run: StudyRun) => string): readonly string[] | undefined =>
      sources.length === 0 ? undefined : sources.map(of);
    const id = runId({ ...identity, needs: ids((run) => run.id) });
    const cell = studyCellId({ ...identity, needs: ids((run) => run.cell) });
    const name = runName(identity, id);
    const known = this.#planned.get(name);
    if (known !== undefined) return known;
    const { done, damaged, diverged } = this.#find({ name, cell, seed });
    const needs: RunNeeds = {
      ...(ranks === undefined ? {} : { ranks: foundAs(ranks) }),
      ...(rates.length === 0 ? {} : { rates: rates.map((run) => ({ name: foundAs(run), lr: run.config.train.lr! })) }),
    };
    const study = this.#study.name;
    const wrong = { ...(damaged === undefined ? {} : { damaged }), ...(diverged === undefined ? {} : { diverged }) };
    const run: StudyRun = { id, cell, name, study, config, seed, done, ...wrong, needs, role };
    this.#planned.set(name, run);
    return run;
  }

  /** All configs of a study have one base: the task tells what their runs read. */
  #identity(config: ResolvedConfig): Promise<string> {
    const key = canonicalJson(config.task);
    const known = this.#identities.get(key);
    if (known !== undefined) return known;
    const made = dataIdentity(config, this.#options.environment, this.#base);
    this.#identities.set(key, made);
    return made;
  }
}

/** Memory, targets, patterns, module names and ranks against the base's layers. */
async function checkConfig(config: ResolvedConfig, device: string, study: Study): Promise<void> {
  const { train, method: said } = config;
  const method = methods.get(said.method);
  const task = taskOf(config);
  const where = `config "${config.name}"${config.taskLabel === undefined ? "" : ` with task "${config.taskLabel}"`}`;
  const least = task.least(config.task);
  const plan = await planOf(config, task.kind, least);
  try {
    const shape = shapeOf(shapeModel(plan), task.kind);
    const options = withMostRanks(said, study.configs, shape);
    requireBaseMemory(shape, options.storage, device);
    if (least.data !== undefined) requireMemory(least.data.bytes, device, least.data.what);
    requireTrainingMemory(
      method.predict(shape, options),
      shape,
      { rows: train.batchSize, length: Math.max(least.positions, SHORTEST) },
      options.storage,
      device,
    );
    method.attach?.(shapeModel(plan), task.kind, options);
  } catch (error) {
    throw error instanceof LowrankError && error.kind === "input"
      ? new InputError(`${where}: ${error.message}`, { cause: error })
      : error;
  }
}

/** Batches of texts are padded to a multiple of this. */
const SHORTEST = 8;
