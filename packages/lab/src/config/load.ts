/** From the words on the command line to a validated study, and from a study to its runs. */
import { resolve } from "node:path";
import { statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import { quote } from "@lowrank/tensor";
import { suggestion } from "@lowrank/tensor/check";
import { cut } from "../text/shown.ts";
import { applyOverrides, isSet } from "./overrides.ts";
import { PRESETS } from "./presets.ts";
import { metrics } from "../metrics/registry.ts";
import { tasks } from "../tasks/registry.ts";
import { headNames } from "../bases/plan.ts";
import { isQuantized } from "../bases/storage.ts";
import { methods } from "../methods/registry.ts";
import { defined, resolveConfig, tasksOf } from "./cells.ts";
import { claimsOf } from "./claims.ts";
import { checkNeeds } from "./needs.ts";
import { studySchema } from "./schema.ts";
import { optimizerTrouble } from "./train.ts";
import type { Study, TaskOptions, TrainOptions } from "./study.ts";
import { validate } from "./validate.ts";
import { parseYaml, readYamlText } from "./yaml.ts";

export { plannedRuns, resolveConfig, type PlannedRun } from "./cells.ts";

export interface StudyOptions {
  /** `key=value` assignments, applied before validation. */
  readonly set?: readonly string[];
  readonly seeds?: readonly number[] | undefined;
  readonly base?: string | undefined;
  readonly revision?: string | undefined;
  /** Folder with the data sets, in which a base that the document names may lie. */
  readonly dataFolder?: string | undefined;
}

const OVERRIDES = ["seeds", "base", "revision"] as const;

/** The study in a YAML file, or the preset of that name. The config of its base is read, since some defaults are named after its modules. */
export async function loadStudy(nameOrFile: string, options: StudyOptions = {}): Promise<Study> {
  const { raw, source } = studyDocument(nameOrFile);
  return studyOf(raw, source, options);
}

/** Seeds of the study as its document has them, whatever seeds are asked for; none where it is no study without those. */
export async function seedsOf(nameOrFile: string, options: StudyOptions): Promise<readonly number[]> {
  try {
    return (await loadStudy(nameOrFile, { ...options, seeds: undefined })).seeds;
  } catch (error) {
    if (error instanceof InputError) return [];
    throw error;
  }
}

/** The study that a document means. @param source what to call it in messages */
export async function studyOf(raw: unknown, source: string, options: StudyOptions = {}): Promise<Study> {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw))
    throw new InputError(`${source}: expected a map with the keys name, task, seeds, configs`);
  const set = options.set ?? [];
  for (const key of OVERRIDES)
    if (options[key] !== undefined && isSet(set, key))
      throw new InputError(`--${key} and --set ${key}=… contradict; one of them would be ignored`);
  const changed = applyOverrides(raw, set) as Record<string, unknown>;
  if (changed["base"] !== undefined) changed["base"] = placed(changed["base"], options.dataFolder);
  for (const key of OVERRIDES) if (options[key] !== undefined) changed[key] = options[key];
  const study = validate(studySchema({ head: await headOfStudy(changed) }), changed, source);
  check(study, source);
  checkNeeds(study, changed, source);
  claimsOf(study, source);
  return study;
}

/** A base by its path from the working directory, else from the folder with the data sets; any other as it is. */
function placed(base: unknown, dataFolder: string | undefined): unknown {
  if (typeof base !== "string" || base === "" || dataFolder === undefined || statOf(base) !== undefined) return base;
  const beside = resolve(dataFolder, base);
  return statOf(beside) === undefined ? base : beside;
}

/** Modules of the head that the study's tasks train, told before the study is known to be one: some defaults are named after them. */
async function headOfStudy({
  task,
  tasks: several,
  base,
  revision,
  model,
}: Readonly<Record<string, unknown>>): Promise<readonly string[]> {
  const first = task ?? Object.values((several as object | null | undefined) ?? {})[0];
  const name = (first as { name?: unknown } | null | undefined)?.name;
  const kind = typeof name === "string" && tasks.has(name) ? tasks.get(name).kind : "SEQ_CLS";
  const family = (model as { family?: unknown } | null | undefined)?.family;
  const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
  return headNames({ base: text(base) ?? null, revision: text(revision) }, text(family), kind);
}

function studyDocument(nameOrFile: string): { raw: unknown; source: string } {
  const { text, source } = studyText(nameOrFile);
  return { raw: parseYaml(text, source), source };
}

/** The YAML of a file or a preset, comments included. @param source what to call it in messages */
export function studyText(nameOrFile: string): { readonly text: string; readonly source: string } {
  const preset = Object.hasOwn(PRESETS, nameOrFile) ? PRESETS[nameOrFile] : undefined;
  const found = statOf(nameOrFile);
  // a folder may have a preset's name, since that is what its runs are put into
  if (found !== undefined && !(found.isDirectory() && preset !== undefined))
    return { text: readYamlText(nameOrFile), source: nameOrFile };
  if (preset !== undefined) return { text: preset, source: `preset ${nameOrFile}` };
  if (/[./\\]/.test(nameOrFile)) throw new InputError(`${cut(nameOrFile)}: no such study file`);
  throw new InputError(
    `no study "${cut(nameOrFile)}": neither a file nor a preset${suggestion(cut(nameOrFile), Object.keys(PRESETS))}`,
  );
}

/** A plan of them is made before the first run. */
const MOST_RUNS = 100_000;

/** What the schema cannot say: keys that need or exclude one another. */
function check(study: Study, source: string): void {
  if (new Set(study.seeds).size !== study.seeds.length)
    throw new InputError(`${source}: "seeds" has duplicates: ${study.seeds.join(", ")}`);
  if (study.base !== undefined && study.model !== undefined) {
    throw new InputError(`${source}: "base" and "model" exclude one another; the checkpoint brings its own sizes`);
  }
  if (study.base === undefined && study.model === undefined) {
    throw new InputError(`${source}: a base is needed: --base with a checkpoint, or "model" sizes for a random one`);
  }
  if (study.revision !== undefined && study.base === undefined)
    throw new InputError(`${source}: "revision" is of a base at the hub, and there is no "base"; leave it out`);
  checkTasks(study, source);
  const runs = study.seeds.length * tasksOf(study).length * Object.keys(study.configs).length;
  if (runs > MOST_RUNS)
    throw new InputError(
      `${source}: ${runs} runs (seeds times tasks times configs) are more than the ${MOST_RUNS} that a study may have`,
    );
  for (const [name, config] of Object.entries(study.configs)) {
    const wrong = methods.get(config.method).check?.(config, `configs.${name}`);
    if (wrong !== undefined) throw new InputError(`${source}: ${wrong}`);
    if (config.embeddings !== undefined && !isQuantized(config.storage))
      throw new InputError(
        `${source}: "configs.${name}.embeddings" is for tables beside quantized layers, and "storage" is ${config.storage}; leave it out`,
      );
    const { train } = resolveConfig(study, name);
    // whatever a sweep decides is said
    const rated = config.rate === undefined ? train : { ...train, lr: 1 };
    const trouble = trainTrouble(rated, comparable(study), { ...defined(study.train), ...defined(config.train) });
    if (trouble !== undefined) throw new InputError(`${source}: config "${name}": "train.${trouble}`);
  }
  if (study.model !== undefined && study.model.hidden % study.model.heads !== 0) {
    throw new InputError(
      `${source}: "model.hidden" ${study.model.hidden} is not a multiple of "model.heads" ${study.model.heads}`,
    );
  }
}

/** What evaluations of a study can be compared by. */
function comparable(study: Study): readonly string[] {
  const [first, ...rest] = tasksOf(study).map(({ task }) => study.metrics ?? tasks.get(task.name).metrics);
  return [...first!.filter((name) => rest.every((other) => other.includes(name))), "loss"];
}

/** What a resolved `train` cannot mean. @param said what a person wrote of it */
function trainTrouble(train: TrainOptions, known: readonly string[], said: object): string | undefined {
  const { microBatch, batchSize, evalEvery, earlyStop, keep, optimizer, lr } = train;
  if (microBatch !== undefined && microBatch >= batchSize)
    return `microBatch" is ${microBatch}, and a batch has ${batchSize} rows; it must be less`;
  const by = earlyStop?.metric;
  if (by !== undefined && !known.includes(by))
    return `earlyStop.metric" is ${quote(cut(by))}, which the run does not have${suggestion(cut(by), known)}`;
  const chooses = earlyStop === undefined ? keep === "best" && `keep" is best` : `earlyStop" compares evaluations`;
  if (chooses !== false && evalEvery === "end")
    return `${chooses}, and "evalEvery" is end: there is one evaluation; leave one of them out`;
  const trouble = optimizerTrouble(train, said);
  return trouble === undefined && optimizer === "sgd" && lr === undefined
    ? `lr" is missing: the rates that are known without it are adamw's, and the optimizer is sgd`
    : trouble;
}

/** One task or several, and all of one head: what is left out of a config is named after it. */
function checkTasks(study: Study, source: string): void {
  const all = tasksOf(study);
  if (study.task !== undefined && study.tasks !== undefined)
    throw new InputError(`${source}: "task" and "tasks" exclude one another; put the task among the others, by a name`);
  if (all.length === 0) throw new InputError(`${source}: "task" is missing; one is needed, or several under "tasks"`);
  const kind = ({ task }: (typeof all)[number]): string => tasks.get(task.name).kind;
  const other = all.find((one) => kind(one) !== kind(all[0]!));
  if (other !== undefined)
    throw new InputError(
      `${source}: tasks ${all[0]!.label} (${kind(all[0]!)}) and ${other.label} (${kind(other)}) need models of different heads; make it two studies`,
    );
  for (const { task } of all) checkTask(task, study, source);
}

/** What the task says of the rest of the study, and the metrics that are asked for. */
function checkTask(options: TaskOptions, { base, revision, model, metrics: asked = [] }: Study, source: string): void {
  const task = tasks.get(options.name);
  const wrong = task.check?.(options, { base: base ?? null, revision, model: model ?? null });
  if (wrong !== undefined) throw new InputError(`${source}: ${wrong}`);
  if (new Set(asked).size !== asked.length)
    throw new InputError(`${source}: "metrics" has duplicates: ${asked.join(", ")}`);
  for (const name of asked) {
    const { items } = metrics.get(name);
    if (![task.items].flat().includes(items))
      throw new InputError(
        `${source}: the metric ${name} counts ${items}, and the task ${task.name} has ${[task.items].flat().join(" and ")}`,
      );
  }
}
