/** `--set a.b=3`: values are read as YAML, so numbers, lists and maps work; unknown keys are found by validation afterwards. */
import { quote } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";
import { parseYaml } from "./yaml.ts";

/** A copy of `config` with the assignments applied in order. */
export function applyOverrides(config: unknown, assignments: readonly string[]): unknown {
  const copy: unknown = structuredClone(config);
  for (const assignment of assignments) {
    const said = `--set ${cut(assignment)}`;
    const equals = assignment.indexOf("=");
    if (equals <= 0) throw new InputError(`${said}: expected key=value, for example --set train.lr=2e-4`);
    const path = assignment.slice(0, equals);
    setPath(copy, path, parseYaml(assignment.slice(equals + 1), said), said);
  }
  return copy;
}

/** Whether one of the assignments sets `key` itself. */
export function isSet(assignments: readonly string[], key: string): boolean {
  return assignments.some((assignment) => assignment.startsWith(`${key}=`));
}

function setPath(root: unknown, path: string, value: unknown, said: string): void {
  const keys = path.split(".");
  if (keys.some((key) => key === "" || key === "__proto__"))
    throw new InputError(`${said}: "${cut(path)}" is not a key path`);
  let at = root as Record<string, unknown>;
  for (const [depth, key] of keys.entries()) {
    // a list takes positions; what is written to another key of it nobody reads
    if (Array.isArray(at) && !(/^\d+$/.test(key) && Number(key) < at.length))
      throw new InputError(
        `${said}: "${cut(keys.slice(0, depth).join("."))}" is a list of ${at.length}; it has no "${cut(key)}"`,
      );
    if (depth === keys.length - 1) {
      at[key] = value;
      return;
    }
    const next = (Object.hasOwn(at, key) ? at[key] : undefined) ?? {};
    if (typeof next !== "object")
      throw new InputError(`${said}: "${cut(key)}" is ${quote(next)}, it has no keys inside`);
    at[key] = next;
    at = next as Record<string, unknown>;
  }
}
