/** How wide a base is kept where nobody said it: the widest that fits into the memory there is. `lowrank train` asks; a study is as it says. */
import type { Storage } from "../config/study.ts";
import { InputError } from "../errors.ts";
import { methods } from "../methods/registry.ts";
import { formatBytes } from "../text/format.ts";
import type { ConfigForecast } from "./dry-run.ts";
import type { StudyRun } from "./plan-study.ts";

/** From the widest on. What the file has loses nothing, and where it is at full width, nothing is wider. */
const WIDTHS: readonly Storage[] = ["keep", "f16", "nf4"];

export interface StorageChoice {
  readonly storage: Storage;
  /** Why, for people. */
  readonly why: string;
}

export interface StorageQuestion {
  readonly run: StudyRun;
  /** Bytes that this process may still take; null where nobody knows. */
  readonly available: number | null;
  /** Plans the run. */
  forecast(run: StudyRun): Promise<Pick<ConfigForecast, "peakRss">>;
}

/** @throws InputError where nothing fits, with what would */
export async function chooseStorage({ run, available, forecast }: StorageQuestion): Promise<StorageChoice> {
  const { method } = run.config;
  const allowed = WIDTHS.filter(
    (storage) => methods.get(method.method).check?.({ ...method, storage }, "") === undefined,
  );
  const [first = "f32"] = allowed;
  if (available === null) return { storage: first, why: `${words(first)}; what memory the device has is not known` };
  let least = Infinity;
  for (const storage of allowed.length === 0 ? [first] : allowed) {
    const { peakRss } = await forecast({ ...run, config: { ...run.config, method: { ...method, storage } } });
    if (peakRss === null) return { storage, why: words(storage) };
    const more = Math.max(0, peakRss.totalBytes - process.memoryUsage.rss());
    if (more <= available)
      return {
        storage,
        why: `${words(storage)}: about ${formatBytes(more)} of ${formatBytes(available)} that are free`,
      };
    least = Math.min(least, more);
  }
  throw new InputError(
    `the run needs about ${formatBytes(least)} more memory however the base is kept, and ${formatBytes(available)} are free; fewer rows at a time (--set train.microBatch=…), shorter texts (--max-length) or --set configs.${run.config.name}.gradientCheckpointing=true need less`,
  );
}

function words(storage: Storage): string {
  return storage === "keep" ? "the base is kept as its file has it" : `the base is kept in ${storage}`;
}
