/** Puts what a run leaves where its user looks for it: `OUT/adapter` or `OUT/checkpoint`, a copy of the run's own. */
import { cpSync, existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { methods } from "../methods/registry.ts";
import type { RunResult } from "../store/result.ts";
import type { RunStore } from "../store/run-store.ts";

/** @returns the folder */
export function placeResult(
  out: string,
  store: RunStore,
  { name, method }: Pick<RunResult, "name" | "method">,
): string {
  const part = methods.get(method).leaves;
  const to = join(out, part);
  const [next, last] = [`${to}.${process.pid}.tmp`, `${to}.${process.pid}.old`];
  cpSync(join(store.path(name), part), next, { recursive: true });
  // what is there is another run's or the same one's; its own copy stands under runs/
  if (existsSync(to)) renameSync(to, last);
  renameSync(next, to);
  rmSync(last, { recursive: true, force: true });
  return to;
}
