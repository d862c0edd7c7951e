/**
 * What options and switches of ops may be, looked at when an op is built, never when it runs. Each throws ConfigError
 * naming the op, the key and what it should be.
 */
import { checkOptions, flag, leaf, type Rule } from "../check/rules.ts";
import { Tensor } from "../tensor.ts";

export const integer: Rule<number> = /* @__PURE__ */ leaf("a whole number", (v) => Number.isSafeInteger(v));
export const tensor: Rule<Tensor> = /* @__PURE__ */ leaf("a tensor", (v) => v instanceof Tensor);

/** An option that is an argument by itself. */
export function argument<T>(op: string, key: string, rule: Rule<T>, value: unknown): T {
  return rule.read(value, { source: op, path: [key], code: "ConfigError" });
}

/** A switch that is an argument by itself. */
export function flagOf(op: string, key: string, value: unknown): boolean {
  return argument(op, key, flag, value);
}

/**
 * What reads an op's options. The rule is made when the first ones come, so that a bundle without the op is without
 * it.
 */
export function optionsOf<T>(op: string, makeRule: () => Rule<T>): (options: unknown) => T {
  let rule: Rule<T> | undefined;
  return (options) => checkOptions(op, (rule ??= makeRule()), options);
}
