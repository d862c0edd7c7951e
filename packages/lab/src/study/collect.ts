/** Giving back what JavaScript no longer needs, at once: V8 would wait until there is much more of it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

let collector: (() => void) | undefined;

/**
 * A full collection, tens of milliseconds, after which the heap's free pages are the system's again: what reading data and planning have left behind is otherwise
 * resident until something else wants a heap. Runtimes that have no such thing do nothing.
 */
export function collectGarbage(): void {
  // of a context of its own: `gc` is where the flag was on when the context was made
  if (collector === undefined) {
    setFlagsFromString("--expose-gc");
    const found: unknown = runInNewContext("globalThis.gc");
    collector = typeof found === "function" ? (found as () => void) : () => undefined;
  }
  collector();
}
