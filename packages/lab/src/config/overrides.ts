/** `--set a.b=3`: values are read as YAML, so numbers, lists and maps work; unknown keys are found by validation afterwards. */
import { parse } from "yaml";
import { InputError } from "../errors.ts";

/** A copy of `config` with the assignments applied in order. */
export function applyOverrides(config: unknown, assignments: readonly string[]): unknown {
  const copy: unknown = structuredClone(config);
  for (const assignment of assignments) {
    const equals = assignment.indexOf("=");
    if (equals <= 0) throw new InputError(`--set ${assignment}: expected key=value, for example --set train.lr=2e-4`);
    setPath(copy, assignment.slice(0, equals), yamlValue(assignment.slice(equals + 1), assignment), assignment);
  }
  return copy;
}

function yamlValue(text: string, assignment: string): unknown {
  try {
    return parse(text) as unknown;
  } catch (error) {
    throw new InputError(`--set ${assignment}: the value is not valid YAML (${(error as Error).message.split("\n")[0]})`, { cause: error });
  }
}

function setPath(root: unknown, path: string, value: unknown, assignment: string): void {
  const keys = path.split(".");
  if (keys.some((key) => key === "" || key === "__proto__")) throw new InputError(`--set ${assignment}: "${path}" is not a key path`);
  let at = root as Record<string, unknown>;
  for (const key of keys.slice(0, -1)) {
    const next = at[key] ?? {};
    if (typeof next !== "object") throw new InputError(`--set ${assignment}: "${key}" is ${JSON.stringify(next)}, it has no keys inside`);
    at[key] = next;
    at = next as Record<string, unknown>;
  }
  at[keys.at(-1)!] = value;
}
