/** Claims of a study: what may be said of them, and what each one means with nothing left out. */
import { quote } from "@lowrank/tensor";
import { suggestion } from "@lowrank/tensor/check";
import { z } from "zod";
import { InputError } from "../errors.ts";
import { metricNamed } from "../metrics/of-evaluation.ts";
import { tasks } from "../tasks/registry.ts";
import { cut } from "../text/shown.ts";
import { tasksOf, type StudyTask } from "./cells.ts";
import { positive } from "./numbers.ts";
import type { ClaimedSide, ClaimOptions, Study } from "./study.ts";

const KINDS = ["greater", "less", "equal", "change"] as const;
/** A point of a share. */
const SHARE_MARGIN = 0.01;
/** A fifth of all that a share can be; more is a mistake of units. */
const WIDEST_MARGIN = 0.2;

const name = z.string().min(1);
const pair = z.tuple([name, name]);
const side = z.union([name, z.array(name).min(1)], { error: "expected a config, or a list of them" });

export const claimSchema: z.ZodType<ClaimOptions> = z.strictObject({
  says: z.string().min(1).max(300),
  greater: pair.optional(),
  less: pair.optional(),
  equal: pair.optional(),
  change: z.tuple([side, side]).optional(),
  metric: name.optional(),
  task: name.optional(),
  margin: positive.optional(),
  measured: name.optional(),
  by: z.number().gt(-1).optional(),
});

/** A claim about a metric over seeds. */
export interface MetricClaim {
  readonly name: string;
  readonly says: string;
  readonly kind: "greater" | "less" | "equal";
  readonly configs: readonly [string, string];
  readonly metric: string;
  /** Label of the task; undefined in a study of one. */
  readonly task: string | undefined;
  /** Of an equality, in the metric's units. */
  readonly margin: number | undefined;
}

/** A claim about a figure that is measured apart from the runs: memory, time. */
export interface MeasuredClaim {
  readonly name: string;
  readonly says: string;
  readonly kind: "change";
  readonly configs: readonly [readonly string[], readonly string[]];
  readonly measured: string;
  readonly by: number;
  readonly margin: number;
}

export type StudyClaim = MetricClaim | MeasuredClaim;

/** In the order in which they are written. @throws InputError for configs, tasks and metrics that there are not, and keys without a use */
export function claimsOf(study: Study, source: string): StudyClaim[] {
  return Object.entries(study.claims ?? {}).map(([claim, options]) => {
    const at = `${source}: "claims.${claim}`;
    const said = KINDS.filter((kind) => options[kind] !== undefined);
    if (said.length !== 1)
      throw new InputError(
        `${at}": says ${said.length === 0 ? "nothing that could be decided" : said.join(" and ")}; give one of ${KINDS.join(", ")}`,
      );
    const [kind] = said as [(typeof KINDS)[number]];
    return kind === "change"
      ? measuredClaim(study, claim, options, at)
      : metricClaim(study, { claim, kind, options, at });
  });
}

function metricClaim(
  study: Study,
  { claim, kind, options, at }: { claim: string; kind: MetricClaim["kind"]; options: ClaimOptions; at: string },
): MetricClaim {
  const configs = options[kind]!;
  known(study, configs, `${at}.${kind}"`);
  refuseKeys(options, ["measured", "by"], at, "is for a change");
  if (kind !== "equal") refuseKeys(options, ["margin"], at, "is for an equality or a change");
  const of = taskOf(study, options, at);
  const names = [...(study.metrics ?? tasks.get(of.task.name).metrics), "loss"];
  const metric = options.metric ?? names[0]!;
  if (!names.includes(metric))
    throw new InputError(
      `${at}.metric": the task ${of.label ?? of.task.name} has no ${quote(cut(metric))}${suggestion(cut(metric), names)}`,
    );
  const margin = options.margin ?? (metricNamed(metric).unit === "share" ? SHARE_MARGIN : undefined);
  if (metricNamed(metric).unit === "share" && margin! >= WIDEST_MARGIN)
    throw new InputError(
      `${at}.margin": ${margin} is ${100 * margin!} points of ${metric}, so wide that anything is equal; a point is 0.01`,
    );
  if (kind === "equal" && margin === undefined)
    throw new InputError(`${at}.margin" is missing: how far apart may two values of ${metric} be and count as equal?`);
  return {
    name: claim,
    says: options.says,
    kind,
    configs,
    metric,
    task: of.label,
    margin: kind === "equal" ? margin : undefined,
  };
}

function measuredClaim(study: Study, claim: string, options: ClaimOptions, at: string): MeasuredClaim {
  const configs = options.change!.map(listed) as [readonly string[], readonly string[]];
  known(study, configs.flat(), `${at}.change"`);
  refuseKeys(options, ["metric", "task"], at, "is for what runs are scored by, and a change is of a measured figure");
  for (const [key, example] of [
    ["measured", "peak-rss"],
    ["by", "-0.25"],
    ["margin", "0.05"],
  ] as const)
    if (options[key] === undefined) throw new InputError(`${at}.${key}" is missing, such as ${example}`);
  return {
    name: claim,
    says: options.says,
    kind: "change",
    configs,
    measured: options.measured!,
    by: options.by!,
    margin: options.margin!,
  };
}

function listed(of: ClaimedSide): readonly string[] {
  return typeof of === "string" ? [of] : of;
}

function known({ configs }: Study, said: readonly string[], at: string): void {
  const names = Object.keys(configs);
  for (const [i, config] of said.entries()) {
    if (!names.includes(config))
      throw new InputError(`${at}: there is no config ${quote(cut(config))}${suggestion(cut(config), names)}`);
    if (said.indexOf(config) !== i)
      throw new InputError(`${at}: ${quote(config)} is there twice; a config differs from another one`);
  }
}

function refuseKeys(options: ClaimOptions, keys: readonly (keyof ClaimOptions)[], at: string, why: string): void {
  const idle = keys.find((key) => options[key] !== undefined);
  if (idle !== undefined) throw new InputError(`${at}.${idle}" ${why}; leave it out`);
}

/** The study's only task, by its label or its own name, or the one that is said. */
function taskOf(study: Study, { task: said }: ClaimOptions, at: string): StudyTask {
  const all = tasksOf(study);
  const names = all.map(({ label, task }) => label ?? task.name);
  if (said === undefined && all.length > 1)
    throw new InputError(`${at}.task" is missing: the study has several; known: ${names.join(", ")}`);
  const found = said === undefined ? all[0] : all[names.indexOf(said)];
  if (found === undefined)
    throw new InputError(`${at}.task": there is no task ${quote(cut(said!))}${suggestion(cut(said!), names)}`);
  return found;
}
