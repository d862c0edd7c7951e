/** What a study says of runs that need other runs: names that there are, no circles, nothing said twice. */
import { quote } from "@lowrank/tensor";
import { suggestion } from "@lowrank/tensor/check";
import { InputError } from "../errors.ts";
import { tasks } from "../tasks/registry.ts";
import { cut } from "../text/shown.ts";
import { tasksOf, type StudyTask } from "./cells.ts";
import type { MethodConfig, RateSweep, Study, TaskOptions } from "./study.ts";
import { validate } from "./validate.ts";

/** The config whose sweep decides a config's rate: itself, or the one at the end of what `rate: { from }` says. */
export function sweptBy({ configs }: Pick<Study, "configs">, name: string): string | undefined {
  const { rate } = configs[name]!;
  if (rate === undefined) return undefined;
  return "from" in rate ? sweptBy({ configs }, rate.from) : name;
}

/** The task with the keys that a sweep has otherwise. @throws InputError for keys that it does not have */
export function sweptTask({ label, task }: StudyTask, { task: other }: RateSweep, where: string): StudyTask {
  const changed = { ...task, ...other, name: task.name };
  return { label, task: validate(tasks.get(task.name).schema, changed, where) as unknown as TaskOptions };
}

/** @param raw the document as a person wrote it, before defaults */
export function checkNeeds(study: Study, raw: Readonly<Record<string, unknown>>, source: string): void {
  const names = Object.keys(study.configs);
  const refuse = (text: string): never => {
    throw new InputError(`${source}: ${text}`);
  };
  for (const [name, config] of Object.entries(study.configs)) {
    const at = `configs.${name}`;
    for (const [key, other] of needed(config))
      if (!names.includes(other))
        refuse(`"${at}.${key}": there is no config ${quote(cut(other))}${suggestion(cut(other), names)}`);
    const said = (raw["configs"] as Record<string, object> | undefined)?.[name] ?? {};
    if (config.from !== undefined && "r" in said) refuse(`"${at}.from" brings the rank of every module; leave "r" out`);
    const { rate } = config;
    if (rate === undefined) continue;
    if (config.train.lr !== undefined)
      refuse(`"${at}.rate" decides the rate that "train.lr" says; leave one of them out`);
    if ("sweep" in rate) checkSweep(study, config, rate.sweep, { at, refuse, source });
  }
  for (const name of names) {
    const circle = circleFrom(study.configs, [name]);
    if (circle !== undefined) refuse(`configs need each other in a circle: ${circle.join(" → ")}`);
  }
  for (const [name, { rate }] of Object.entries(study.configs))
    if (rate !== undefined && sweptBy(study, name) === undefined)
      refuse(
        `"configs.${name}.rate.from": the rate of ${quote("from" in rate ? rate.from : name)} is not chosen by a sweep; say it here`,
      );
}

function checkSweep(
  study: Study,
  config: MethodConfig,
  sweep: RateSweep,
  { at, refuse, source }: { at: string; refuse: (text: string) => never; source: string },
): void {
  if (config.from !== undefined)
    refuse(`"${at}.rate.sweep" beside "from": sweep a config whose ranks are known, and say rate: { from: … } here`);
  if (new Set(sweep.rates).size !== sweep.rates.length) refuse(`"${at}.rate.sweep.rates" has duplicates`);
  if (study.seeds.includes(sweep.seed))
    refuse(`"${at}.rate.sweep.seed" is ${sweep.seed}, one of the study's seeds; choose one that it does not report`);
  for (const task of tasksOf(study)) {
    const { task: changed } = sweptTask(task, sweep, `${source}: "${at}.rate.sweep.task"`);
    const wrong = tasks
      .get(changed.name)
      .check?.(changed, { base: study.base ?? null, revision: study.revision, model: study.model ?? null });
    if (wrong !== undefined) refuse(`"${at}.rate.sweep.task": ${wrong}`);
  }
}

/** What a config needs of others, by key. */
function needed({ from, rate }: MethodConfig): [key: string, config: string][] {
  return [
    ...(from === undefined ? [] : [["from.config", from.config] as [string, string]]),
    ...(rate !== undefined && "from" in rate ? [["rate.from", rate.from] as [string, string]] : []),
  ];
}

/** A circle that the last of `path` is on, if there is one. */
function circleFrom(configs: Study["configs"], path: readonly string[]): readonly string[] | undefined {
  for (const [, next] of needed(configs[path.at(-1)!]!)) {
    if (path.includes(next)) return [...path.slice(path.indexOf(next)), next];
    const found = circleFrom(configs, [...path, next]);
    if (found !== undefined) return found;
  }
  return undefined;
}
