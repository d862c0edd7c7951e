/** What is told of a run beside its curves, the same to every service: its settings by name, and the names of its numbers. */
import type { RunFacts } from "../records/sink.ts";

/** Settings by their path in the resolved configuration, `train.lr`; lists, and what is nothing, as JSON. */
export function parametersOf({ study, config, seed }: RunFacts): Map<string, string | number | boolean> {
  const { name, ...rest } = config as unknown as Record<string, unknown>;
  const found = new Map<string, string | number | boolean>([
    ["study", study],
    ["config", String(name)],
    ["seed", seed],
  ]);
  const walk = (path: string, value: unknown): void => {
    if (value === undefined) return;
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      for (const [key, inner] of Object.entries(value)) walk(path === "" ? key : `${path}.${key}`, inner);
    else if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
      found.set(path, value);
    else found.set(path, JSON.stringify(value));
  };
  walk("", rest);
  return found;
}

/** Of an evaluation, rate and norm are its step's, which were told already. */
export function freshValues(values: Readonly<Record<string, number>>): [name: string, value: number][] {
  const entries = Object.entries(values);
  return values["eval_loss"] === undefined
    ? entries
    : entries.filter(([name]) => name !== "lr" && name !== "grad_norm");
}
