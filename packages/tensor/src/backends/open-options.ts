/** Options of an opener. A key that is misspelt is looked for among those of every device too. */
import { anything, fields, optional, whole, type Rule, type Rules } from "../check/rules.ts";

/** Options that `init` itself knows, whatever the device. */
export interface CommonOptions {
  /** Off: every operation is a kernel of its own. For tests and for finding bugs. Default on. */
  readonly fusion?: boolean;
  /** Off: every run is lowered and compiled anew. Default on. */
  readonly planCache?: boolean;
}

/**
 * The rule for what an opener is given: `checkOptions("init", openOptions<MyOptions>({ lanes: optional(whole(1, 64)) }), options)`.
 * `rules` declares the opener's own options and nothing else.
 */
export function openOptions<T extends object>(rules: Rules<T>): Rule<T> {
  // `init` took these away: they are named for the sake of its messages
  const common = { device: optional(anything()), fusion: optional(anything()), planCache: optional(anything()) };
  return fields<T>(
    { ...common, ...rules },
    { spelt: { backend: "device", numThreads: "threads", workers: "threads" } },
  );
}

/** Most threads that wasm computes with. */
export const MAX_THREADS = 16;

export interface ThreadOptions {
  readonly threads?: number;
}

/** What the devices of this package take. Where there are no threads their number is a wish without effect, so that devices can be exchanged. */
export const threadOptions: Rule<ThreadOptions> = openOptions<ThreadOptions>({
  threads: optional(whole(1, MAX_THREADS)),
});
