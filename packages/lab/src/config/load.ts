/** From the words on the command line to a validated study, and from a study to its runs. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { parse } from "yaml";
import { InputError } from "../errors.ts";
import { suggestion } from "@lowrank/tensor/check";
import { applyOverrides } from "./overrides.ts";
import { PRESETS } from "./presets.ts";
import { studySchema, TRAIN_DEFAULTS } from "./schema.ts";
import type { MethodConfig, Study, TrainOptions } from "./study.ts";
import { validate } from "./validate.ts";

export interface StudyOptions {
  /** `key=value` assignments, applied before validation. */
  readonly set?: readonly string[];
  readonly seeds?: readonly number[] | undefined;
  readonly base?: string | undefined;
}

/** One cell of a study: everything that decides its numbers, with all defaults filled in. */
export interface ResolvedConfig {
  readonly name: string;
  readonly task: Study["task"];
  readonly base: string | null;
  readonly model: Study["model"] | null;
  readonly method: MethodConfig;
  readonly train: TrainOptions;
}

export interface PlannedRun {
  readonly config: ResolvedConfig;
  readonly seed: number;
}

/** The study in a YAML file, or the preset of that name. */
export function loadStudy(nameOrFile: string, options: StudyOptions = {}): Study {
  const { text, source } = studyText(nameOrFile);
  let raw: unknown;
  try {
    raw = parse(text) as unknown;
  } catch (error) {
    throw new InputError(`${source}: not valid YAML: ${(error as Error).message.split("\n")[0]!.replace(/:$/, "")}`, { cause: error });
  }
  if (typeof raw !== "object" || raw === null) throw new InputError(`${source}: expected a map with the keys name, task, seeds, configs`);
  const changed = applyOverrides(raw, options.set ?? []) as Record<string, unknown>;
  if (options.seeds !== undefined) changed["seeds"] = options.seeds;
  if (options.base !== undefined) changed["base"] = options.base;
  const study = validate(studySchema, changed, source);
  check(study, source);
  return study;
}

function studyText(nameOrFile: string): { text: string; source: string } {
  if (existsSync(nameOrFile) && statSync(nameOrFile).isFile()) return { text: readFileSync(nameOrFile, "utf8"), source: nameOrFile };
  const preset = Object.hasOwn(PRESETS, nameOrFile) ? PRESETS[nameOrFile] : undefined;
  if (preset !== undefined) return { text: preset, source: `preset ${nameOrFile}` };
  if (/[./\\]/.test(nameOrFile)) throw new InputError(`${nameOrFile}: no such study file`);
  throw new InputError(`no study "${nameOrFile}": neither a file nor a preset${suggestion(nameOrFile, Object.keys(PRESETS))}`);
}

/** What the schema cannot say: keys that need or exclude one another. */
function check(study: Study, source: string): void {
  if (new Set(study.seeds).size !== study.seeds.length) throw new InputError(`${source}: "seeds" has duplicates: ${study.seeds.join(", ")}`);
  if (study.base !== undefined && study.model !== undefined) {
    throw new InputError(`${source}: "base" and "model" exclude one another; the checkpoint brings its own sizes`);
  }
  if (study.base === undefined && study.model === undefined) {
    throw new InputError(`${source}: a base is needed: --base DIR with a BERT checkpoint, or "model" sizes for a random one`);
  }
  if (study.task.name === "planted-rank" && study.model === undefined) {
    throw new InputError(`${source}: planted-rank plants into a random base; give "model" sizes, not "base"`);
  }
  for (const [name, { method, storage }] of Object.entries(study.configs)) {
    if (method === "full" && storage !== "f32") throw new InputError(`${source}: "configs.${name}.storage" is ${storage}, but full fine-tuning trains every weight, which needs f32`);
  }
  if (study.model !== undefined && study.model.hidden % study.model.heads !== 0) {
    throw new InputError(`${source}: "model.hidden" ${study.model.hidden} is not a multiple of "model.heads" ${study.model.heads}`);
  }
}

/** Configs × seeds, seed-major: after the first seed every config has one result. */
export function plannedRuns(study: Study): PlannedRun[] {
  return study.seeds.flatMap((seed) => Object.keys(study.configs).map((name) => ({ config: resolveConfig(study, name), seed })));
}

/** Config `name` with the study's and the built-in defaults filled in. */
export function resolveConfig(study: Study, name: string): ResolvedConfig {
  const method = study.configs[name]!;
  const train: TrainOptions = { ...TRAIN_DEFAULTS, ...defined(study.train), ...defined(method.train) };
  return { name, task: study.task, base: study.base ?? null, model: study.model ?? null, method: { ...method, train: {} }, train };
}

function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
