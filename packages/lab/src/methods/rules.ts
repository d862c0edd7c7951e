/**
 * PEFT's matching rules and counts, written down a second time on purpose, over the layers of a base that nothing was put on: what a config
 * *should* train. A run compares this with what the model really has; it must not share code with what it checks (but the language of
 * regular expressions, whose matcher takes linear time).
 */
import { endsIn } from "@lowrank/nn";
import { quote } from "@lowrank/tensor";
import { pattern, suggestion } from "@lowrank/tensor/check";
import type { BaseShape, LinearShape, TableShape } from "../bases/shape.ts";
import type { TargetOptions } from "../config/study.ts";
import { InputError } from "../errors.ts";
import type { Prediction } from "../records/method.ts";
import type { ModuleRow } from "../store/result.ts";
import { halvesOf } from "./places.ts";
import { cut } from "../text/shown.ts";

/** Values of the modules that are trained whole. @param takes whether a name means a module @throws InputError for a name that means none */
export function wholeModules(
  { architecture, linears }: BaseShape,
  names: readonly string[],
  takes: (linear: LinearShape, name: string) => boolean,
): { readonly modules: readonly LinearShape[]; readonly values: number } {
  const modules = linears.filter((linear) => names.some((name) => takes(linear, name)));
  const unknown = names.find((name) => !linears.some((linear) => takes(linear, name)));
  if (unknown !== undefined)
    throw new InputError(
      `there is no linear module ${quote(unknown)} in ${architecture}; known: ${[...new Set(linears.map((linear) => suffix(linear.path)))].join(", ")}`,
    );
  return { modules, values: modules.reduce((sum, { values }) => sum + values, 0) };
}

export type TokenChoice = readonly number[] | Readonly<Record<string, readonly number[]>>;

/** Where an adapter sits, beside what may be left out. */
export interface Targets extends TargetOptions {
  readonly exclude?: string | readonly string[] | undefined;
  /** Tokens whose rows train while the rest of their table stays: of the input embedding, or by module. */
  readonly trainableTokenIndices?: TokenChoice | undefined;
}

/**
 * Counts of an adapter.
 * @param rows of the modules that it takes
 * @param frozen values that it adds to the model and does not train
 */
export function predictAdapter(
  shape: BaseShape,
  options: Targets,
  rows: (found: readonly LinearShape[]) => ModuleRow[],
  frozen: (rows: readonly ModuleRow[]) => number = () => 0,
): Prediction {
  // PEFT copies a linear module that is to be saved, and keeps the frozen original beside its trained copy
  const saved = wholeModules(shape, options.modulesToSave, (linear, name) => matches(linear.path, [name], shape));
  const modules = rows(targeted(shape, options, saved.modules));
  const trained =
    modules.reduce((sum, row) => sum + row.parameters, 0) +
    saved.values +
    trainedRows(shape, options.trainableTokenIndices);
  return { trainable: trained, total: shape.total + trained + frozen(modules), modules };
}

/** Values of the rows that train by themselves. @throws InputError for a table or a token that is not there */
function trainedRows({ tables, linears, inputs, architecture }: BaseShape, tokens: TokenChoice | undefined): number {
  if (tokens === undefined) return 0;
  const all: readonly (TableShape & Pick<LinearShape, "table">)[] = [
    ...tables,
    ...linears.map(({ path, in: width, out, table }) => ({
      path,
      words: out,
      width,
      ...(table === undefined ? {} : { table }),
    })),
  ];
  const input = tables.find(({ path }) => endsIn(path, inputs))?.path ?? inputs.join(" or ");
  const named = Object.entries(Array.isArray(tokens) ? { [input]: tokens as readonly number[] } : tokens);
  let values = 0;
  for (const [name, ids] of named as [string, readonly number[]][]) {
    const found = all.filter(({ path }) => path.endsWith(name));
    if (found.length === 0)
      throw new InputError(
        `"trainableTokenIndices": there is no ${quote(name)} in ${architecture}; known: ${tables.map(({ path }) => suffix(path)).join(", ")}`,
      );
    for (const { path, words, width, table } of found) {
      // rows that both name are one
      if (table !== undefined && named.some(([other]) => table.endsWith(other))) continue;
      const beyond = ids.find((id) => id >= words);
      if (beyond !== undefined)
        throw new InputError(`"trainableTokenIndices": there is no token ${beyond}; ${path} has ${words} rows`);
      values += ids.length * width;
    }
  }
  return values;
}

function targeted(
  shape: BaseShape,
  { target, exclude }: Targets,
  kept: readonly LinearShape[],
): readonly LinearShape[] {
  const { linears } = shape;
  unambiguous(target, shape);
  // each name by itself: a slip beside a name that matches would go unseen
  for (const [key, names] of [
    ["target", target],
    ["exclude", exclude ?? []],
  ] as const) {
    for (const name of typeof names === "string" ? [names] : names) {
      const one = typeof names === "string" ? name : [name];
      if (!linears.some((linear) => matches(linear.path, one, shape)))
        throw new InputError(
          `"${key}" ${quote(name)} matches no module${typeof names === "string" ? "" : suggestion(cut(name), [...new Set(linears.map((linear) => linear.path.split(".").at(-1)!))])}`,
        );
    }
  }
  const found = linears.filter(
    (linear) =>
      !kept.includes(linear) &&
      matches(linear.path, target, shape) &&
      !(exclude !== undefined && matches(linear.path, exclude, shape)),
  );
  if (found.length === 0)
    throw new InputError(
      `"target" ${quote(target)} leaves no module to adapt: what it matches is excluded or trained in full`,
    );
  return found;
}

/** @throws InputError for a word for a place (`places.ts`) that is a module's name too, or where one module is in two places */
function unambiguous(target: string | readonly string[], { linears, parts, architecture }: BaseShape): void {
  if (halvesOf(target) === undefined) return;
  const named = linears.find(
    ({ path }) => path.split(".").includes(target as string) && path.endsWith(target as string),
  );
  if (named !== undefined)
    throw new InputError(
      `"target" ${quote(target)} is a part of every layer of ${architecture}, and the name of ${named.path}; say [${quote(target)}] for the module, or an expression`,
    );
  const both = linears.find(({ path }) =>
    [parts.attention, parts.ffn].every((half) => half.some((of) => atEnd(of, path))),
  );
  if (both !== undefined)
    throw new InputError(
      `"target" ${quote(target)}: ${both.path} of ${architecture} is in attention and in the feed-forward part; give names of modules`,
    );
}

/** A list matches whole names or dotted suffixes, a string is a regular expression for the whole path (PEFT target_modules). */
function matches(path: string, target: string | readonly string[], { head, outputs, parts }: BaseShape): boolean {
  const halves = halvesOf(target);
  if (halves !== undefined) return halves.some((half) => parts[half].some((of) => atEnd(of, path)));
  if (target === "all-linear") return !head.includes(path) && !endsIn(path, outputs);
  if (typeof target === "string") return pattern(target, "target").fullMatch(path);
  return endsIn(path, target);
}

function atEnd(expression: string, path: string): boolean {
  return pattern(`(?:.*\\.)?(?:${expression})`, "pattern").fullMatch(path);
}

/** First key in order whose expression matches the path's end at a dot (PEFT rank_pattern). */
export function patternValue(
  values: Readonly<Record<string, number>>,
  path: string,
  used: Set<string>,
): number | undefined {
  const key = Object.keys(values).find((candidate) => atEnd(candidate, path));
  if (key !== undefined) used.add(key);
  return key === undefined ? undefined : values[key];
}

/** The module itself or one inside it: `pooler` holds `bert.pooler.dense`. */
export function isUnder(path: string, name: string): boolean {
  return `.${path}.`.includes(`.${name}.`);
}

function suffix(path: string): string {
  return path.split(".").slice(-2).join(".");
}
