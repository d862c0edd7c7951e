/** Vectors that scale what modules give, or in feed-forward modules what they get (Liu et al. 2022). Names and meaning as in PEFT's IA3Config. */
import { quote } from "@lowrank/tensor";
import { pattern } from "@lowrank/tensor/check";
import { z } from "zod";
import type { BaseShape, LinearShape } from "../bases/shape.ts";
import { InputError } from "../errors.ts";
import type { Method } from "../records/method.ts";
import type { ModuleRow } from "../store/result.ts";
import { adapterMethod, type AdapterMethodConfig } from "./adapter.ts";
import { IA3_RATES } from "./rates.ts";
import { numerics, targets, train } from "./words.ts";

export interface Ia3Method extends AdapterMethodConfig {
  readonly method: "ia3";
  /** Of the targets those whose input is scaled. Left out: what PEFT takes for the architecture. */
  readonly feedforward?: string | readonly string[] | undefined;
}

export const ia3: Method<Ia3Method> = adapterMethod<Ia3Method>({
  name: "ia3",
  label: "IA³",
  rates: IA3_RATES,
  schema: (facts) =>
    z.strictObject({
      method: z.literal("ia3"),
      ...targets(facts),
      feedforward: z
        .union([z.array(z.string()), z.string().min(1)], {
          error: "expected a list of module names, which may be empty, or one regular expression",
        })
        .optional(),
      ...numerics,
      train,
    }),
  words: ({ exclude, feedforward }, common) => ({
    ...common,
    method: "ia3",
    excludeModules: exclude,
    feedforwardModules: feedforward,
  }),
  rows: ia3Rows,
});

/** One value for each input of a feed-forward module, for each output of another. Names match the end of a path, at a dot or not. */
function ia3Rows(
  found: readonly LinearShape[],
  { target, feedforward: said }: Ia3Method,
  { targets: usual }: BaseShape,
): ModuleRow[] {
  // what PEFT takes for the architecture where nothing is said
  const feedforward = said ?? usual.ia3Feedforward ?? [];
  const fits = (path: string, rule: string | readonly string[]): boolean =>
    typeof rule === "string" ? pattern(rule, "feedforward").fullMatch(path) : rule.some((name) => path.endsWith(name));
  for (const name of said === undefined ? [] : typeof said === "string" ? [said] : said) {
    const one = typeof said === "string" ? name : [name];
    if (!found.some((linear) => fits(linear.path, one)))
      throw new InputError(`"feedforward" ${quote(name)} matches none of the adapted modules`);
    if (typeof said !== "string" && typeof target !== "string" && !target.includes(name))
      throw new InputError(`"feedforward" ${quote(name)} must stand in "target" too, in the same words`);
  }
  return found.map((linear) => {
    const scales = fits(linear.path, feedforward) ? "input" : "output";
    const parameters = scales === "input" ? linear.in : linear.out;
    return { module: linear.path, in: linear.in, out: linear.out, scales, parameters };
  });
}
