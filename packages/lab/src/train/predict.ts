/**
 * What a config *should* train, computed from numbers alone: BERT's layer list and PEFT's matching rules, written down a
 * second time on purpose. A run compares this with what the model really has; it must not share code with what it checks (but the
 * language of regular expressions, whose matcher takes linear time).
 */
import { endsIn } from "@lowrank/nn";
import { quote } from "@lowrank/tensor";
import { pattern, suggestion } from "@lowrank/tensor/check";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";
import type { AdapterMethod, Ia3Method, LoraMethod, MethodConfig } from "../config/study.ts";
import type { ModuleRow } from "../store/result.ts";

/** Sizes as in a Hugging Face BERT `config.json`. */
export interface BertSizes {
  readonly vocab: number;
  readonly positions: number;
  readonly types: number;
  readonly hidden: number;
  readonly layers: number;
  readonly intermediate: number;
  readonly labels: number;
}

interface Linear {
  readonly path: string;
  readonly in: number;
  readonly out: number;
}

export interface Prediction {
  readonly trainable: number;
  readonly total: number;
  readonly modules: readonly ModuleRow[];
}

/** Linear modules of BertForSequenceClassification, in order. */
export function bertLinears(sizes: BertSizes): Linear[] {
  const { hidden, intermediate, layers, labels } = sizes;
  const layer = (n: number): Linear[] => {
    const at = `bert.encoder.layer.${n}`;
    return [
      ...["query", "key", "value"].map((name) => ({ path: `${at}.attention.self.${name}`, in: hidden, out: hidden })),
      { path: `${at}.attention.output.dense`, in: hidden, out: hidden },
      { path: `${at}.intermediate.dense`, in: hidden, out: intermediate },
      { path: `${at}.output.dense`, in: intermediate, out: hidden },
    ];
  };
  return [
    ...Array.from({ length: layers }, (_, n) => layer(n)).flat(),
    { path: "bert.pooler.dense", in: hidden, out: hidden },
    { path: "classifier", in: hidden, out: labels },
  ];
}

/** Trainable and total counts, and the adapter of every module, as the config promises them. */
export function predictParameters(sizes: BertSizes, method: MethodConfig): Prediction {
  const linears = bertLinears(sizes);
  const weights = (linear: Linear): number => linear.in * linear.out + linear.out;
  const { hidden } = sizes;
  const embeddings = (sizes.vocab + sizes.positions + sizes.types) * hidden;
  const norms = 2 * hidden * (1 + 2 * sizes.layers); // weight and bias; after the embeddings and twice per layer
  const base = embeddings + norms + linears.reduce((sum, linear) => sum + weights(linear), 0);
  if (method.method === "full") return { trainable: base, total: base, modules: [] };

  const saved = method.method === "head" ? method.modules : method.modulesToSave;
  // PEFT copies a linear module; for a head of its own a whole part of the model may be named.
  const takes = (linear: Linear, name: string): boolean =>
    method.method === "head" ? under(linear.path, name) : matches(linear.path, [name]);
  const kept = linears.filter((linear) => saved.some((name) => takes(linear, name)));
  const unknown = saved.find((name) => !linears.some((linear) => takes(linear, name)));
  if (unknown !== undefined) {
    throw new InputError(
      `there is no linear module ${quote(unknown)} in BERT for classification; known: ${[...new Set(linears.map((linear) => suffix(linear.path)))].join(", ")}`,
    );
  }
  const keptCount = kept.reduce((sum, linear) => sum + weights(linear), 0);
  if (method.method === "head") return { trainable: keptCount, total: base, modules: [] };

  const modules = adapters(linears, method, kept);
  const adapterCount = modules.reduce((sum, row) => sum + row.parameters, 0);
  // PEFT keeps the frozen original of a module in modules_to_save beside its trained copy, and counts AdaLoRA's frozen ranknum.
  const frozen = method.method === "adalora" ? modules.length : 0;
  return { trainable: adapterCount + keptCount, total: base + adapterCount + frozen + keptCount, modules };
}

function targeted(linears: readonly Linear[], method: AdapterMethod, kept: readonly Linear[]): readonly Linear[] {
  const { target } = method;
  const exclude = method.method === "vera" ? undefined : method.exclude;
  // each name by itself: a slip beside a name that matches would go unseen
  for (const [key, names] of [
    ["target", target],
    ["exclude", exclude ?? []],
  ] as const) {
    for (const name of typeof names === "string" ? [names] : names) {
      const one = typeof names === "string" ? name : [name];
      if (!linears.some((linear) => matches(linear.path, one)))
        throw new InputError(
          `"${key}" ${quote(name)} matches no module${typeof names === "string" ? "" : suggestion(cut(name), [...new Set(linears.map((linear) => linear.path.split(".").at(-1)!))])}`,
        );
    }
  }
  const found = linears.filter(
    (linear) =>
      !kept.includes(linear) &&
      matches(linear.path, target) &&
      !(exclude !== undefined && matches(linear.path, exclude)),
  );
  if (found.length === 0)
    throw new InputError(
      `"target" ${quote(target)} leaves no module to adapt: what it matches is excluded or trained in full`,
    );
  return found;
}

function adapters(linears: readonly Linear[], method: AdapterMethod, kept: readonly Linear[]): ModuleRow[] {
  const found = targeted(linears, method, kept);
  switch (method.method) {
    case "lora":
      return loraRows(found, method);
    case "ia3":
      return ia3Rows(found, method);
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

/** What PEFT takes for BERT. */
const FEEDFORWARD = ["output.dense"];

/** One value for each input of a feed-forward module, for each output of another. Names match the end of a path, at a dot or not. */
function ia3Rows(found: readonly Linear[], { target, feedforward = FEEDFORWARD }: Ia3Method): ModuleRow[] {
  const fits = (path: string, rule: string | readonly string[]): boolean =>
    typeof rule === "string" ? pattern(rule, "feedforward").fullMatch(path) : rule.some((name) => path.endsWith(name));
  for (const name of feedforward === FEEDFORWARD ? [] : typeof feedforward === "string" ? [feedforward] : feedforward) {
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

function loraRows(found: readonly Linear[], method: LoraMethod): ModuleRow[] {
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
function matches(path: string, target: string | readonly string[]): boolean {
  if (target === "all-linear") return path !== "classifier";
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
