/**
 * What a config *should* train, computed from numbers alone: PEFT's matching rules and counts, written down a second time on purpose, over the
 * layers of a base that nothing was put on. A run compares this with what the model really has; it must not share code with what it
 * checks (but the language of regular expressions, whose matcher takes linear time).
 */
import { endsIn } from "@lowrank/nn";
import { quote } from "@lowrank/tensor";
import { pattern, suggestion } from "@lowrank/tensor/check";
import type { BaseShape, LinearShape } from "../bases/shape.ts";
import type { AdapterMethod, Ia3Method, LoraMethod, MethodConfig } from "../config/study.ts";
import { InputError } from "../errors.ts";
import type { ModuleRow } from "../store/result.ts";
import { cut } from "../text/shown.ts";

export interface Prediction {
  readonly trainable: number;
  readonly total: number;
  readonly modules: readonly ModuleRow[];
}

/** Trainable and total counts, and the adapter of every module, as the config promises them. */
export function predictParameters(shape: BaseShape, method: MethodConfig): Prediction {
  const { linears, total: base } = shape;
  if (method.method === "full") return { trainable: base, total: base, modules: [] };

  const saved = method.method === "head" ? method.modules : method.modulesToSave;
  // PEFT copies a linear module; for a head of its own a whole part of the model may be named.
  const takes = (linear: LinearShape, name: string): boolean =>
    method.method === "head" ? under(linear.path, name) : matches(linear.path, [name], shape);
  const kept = linears.filter((linear) => saved.some((name) => takes(linear, name)));
  const unknown = saved.find((name) => !linears.some((linear) => takes(linear, name)));
  if (unknown !== undefined) {
    throw new InputError(
      `there is no linear module ${quote(unknown)} in ${shape.architecture}; known: ${[...new Set(linears.map((linear) => suffix(linear.path)))].join(", ")}`,
    );
  }
  const keptCount = kept.reduce((sum, linear) => sum + linear.values, 0);
  if (method.method === "head") return { trainable: keptCount, total: base, modules: [] };

  const modules = adapters(shape, method, kept);
  const adapterCount = modules.reduce((sum, row) => sum + row.parameters, 0);
  // PEFT keeps the frozen original of a module in modules_to_save beside its trained copy, and counts AdaLoRA's frozen ranknum.
  const frozen = method.method === "adalora" ? modules.length : 0;
  return { trainable: adapterCount + keptCount, total: base + adapterCount + frozen + keptCount, modules };
}

function targeted(shape: BaseShape, method: AdapterMethod, kept: readonly LinearShape[]): readonly LinearShape[] {
  const { linears } = shape;
  const { target } = method;
  const exclude = method.method === "vera" ? undefined : method.exclude;
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

function adapters(shape: BaseShape, method: AdapterMethod, kept: readonly LinearShape[]): ModuleRow[] {
  const found = targeted(shape, method, kept);
  switch (method.method) {
    case "lora":
      return loraRows(found, method);
    case "ia3":
      return ia3Rows(found, method, shape);
    case "adalora": {
      const { initR: rank, alpha } = method;
      // one singular value per rank beside the two matrices; alpha is divided by the initial rank
      return found.map((linear) => ({
        module: linear.path,
        in: linear.in,
        out: linear.out,
        rank,
        scale: alpha / (rank + 1e-5),
        parameters: rank * (linear.in + linear.out + 1),
      }));
    }
    case "vera":
      // two vectors; the projections are buffers and nobody's parameters
      return found.map((linear) => ({
        module: linear.path,
        in: linear.in,
        out: linear.out,
        rank: method.r,
        parameters: method.r + linear.out,
      }));
  }
}

/** One value for each input of a feed-forward module, for each output of another. Names match the end of a path, at a dot or not. */
function ia3Rows(
  found: readonly LinearShape[],
  { target, feedforward: said }: Ia3Method,
  { targets }: BaseShape,
): ModuleRow[] {
  // what PEFT takes for the architecture where nothing is said
  const feedforward = said ?? targets.ia3Feedforward ?? [];
  const fits = (path: string, rule: string | readonly string[]): boolean =>
    typeof rule === "string" ? pattern(rule, "feedforward").fullMatch(path) : rule.some((name) => path.endsWith(name));
  for (const name of said === undefined ? [] : typeof said === "string" ? [said] : said) {
    const one = typeof feedforward === "string" ? name : [name];
    if (!found.some((linear) => fits(linear.path, one)))
      throw new InputError(`"feedforward" ${quote(name)} matches none of the adapted modules`);
    if (typeof feedforward !== "string" && typeof target !== "string" && !target.includes(name))
      throw new InputError(`"feedforward" ${quote(name)} must stand in "target" too, in the same words`);
  }
  return found.map((linear) => {
    const scales = fits(linear.path, feedforward) ? "input" : "output";
    const parameters = scales === "input" ? linear.in : linear.out;
    return { module: linear.path, in: linear.in, out: linear.out, scales, parameters };
  });
}

function loraRows(found: readonly LinearShape[], method: LoraMethod): ModuleRow[] {
  const used = new Set<string>();
  const rows = found.map((linear) => {
    const rank = patternValue(method.rankPattern, linear.path, used) ?? method.r;
    const alpha = patternValue(method.alphaPattern, linear.path, used) ?? method.alpha;
    const scale = method.rsLora ? alpha / Math.sqrt(rank) : alpha / rank;
    return {
      module: linear.path,
      in: linear.in,
      out: linear.out,
      rank,
      scale,
      parameters: rank * (linear.in + linear.out) + (method.dora ? linear.out : 0),
    };
  });
  for (const key of [...Object.keys(method.rankPattern), ...Object.keys(method.alphaPattern)]) {
    if (!used.has(key))
      throw new InputError(
        `pattern ${quote(key)} matches none of the adapted modules; a key must match the end of a path such as ${rows[0]!.module}`,
      );
  }
  return rows;
}

/** A list matches whole names or dotted suffixes, a string is a regular expression for the whole path (PEFT target_modules). */
function matches(path: string, target: string | readonly string[], { head, outputs }: BaseShape): boolean {
  if (target === "all-linear") return !head.includes(path) && !endsIn(path, outputs);
  if (typeof target === "string") return pattern(target, "target").fullMatch(path);
  return endsIn(path, target);
}

/** First key in order whose expression matches the path's end at a dot (PEFT rank_pattern). */
function patternValue(values: Readonly<Record<string, number>>, path: string, used: Set<string>): number | undefined {
  const key = Object.keys(values).find((candidate) => pattern(`(?:.*\\.)?(?:${candidate})`, "pattern").fullMatch(path));
  if (key !== undefined) used.add(key);
  return key === undefined ? undefined : values[key];
}

/** The module itself or one inside it: `pooler` holds `bert.pooler.dense`. */
function under(path: string, name: string): boolean {
  return `.${path}.`.includes(`.${name}.`);
}

function suffix(path: string): string {
  return path.split(".").slice(-2).join(".");
}
