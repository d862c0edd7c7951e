/** How wide a base is kept where nobody said it: the widest that fits into the memory there is. `lowrank train` asks; a study is as it says. */
import type { ResolvedConfig, Storage } from "../config/study.ts";
import { InputError } from "../errors.ts";
import { methods } from "../methods/registry.ts";
import { formatBytes } from "../text/format.ts";
import type { MemoryBudget } from "./budget.ts";

/** From the widest on. What the file has loses nothing, and where it is at full width, nothing is wider. */
const WIDTHS: readonly Storage[] = ["keep", "f16", "nf4"];

export interface StorageChoice {
  readonly storage: Storage;
  /** Why, for people. */
  readonly why: string;
}

export interface StorageQuestion {
  readonly config: Pick<ResolvedConfig, "method">;
  /** Undefined where nobody knows of a limit. */
  readonly budget: MemoryBudget | undefined;
  /** Plans the run with the base kept so. @throws InputError where it does not fit, however its batches are computed */
  fit(storage: Storage): Promise<void>;
}

/** @throws InputError of the narrowest where nothing fits */
export async function chooseStorage({ config: { method }, budget, fit }: StorageQuestion): Promise<StorageChoice> {
  const { check } = methods.get(method.method);
  const allowed = WIDTHS.filter((storage) => check?.({ ...method, storage }, "") === undefined);
  // what trains is at full width
  if (allowed.length === 0) allowed.push("f32");
  if (budget === undefined)
    return { storage: allowed[0]!, why: `${words(allowed[0]!)}; what memory the device has is not known` };
  const room = `${formatBytes(budget.bytes)}${budget.said ? " (--memory)" : " that are free"}`;
  for (const [i, storage] of allowed.entries())
    try {
      await fit(storage);
      return { storage, why: `${words(storage)}, the widest that fits into ${room}` };
    } catch (error) {
      if (!(error instanceof InputError) || i === allowed.length - 1) throw error;
    }
  throw new InputError(`nothing fits into ${room}`);
}

function words(storage: Storage): string {
  return storage === "keep" ? "the base is kept as its file has it" : `the base is kept in ${storage}`;
}
