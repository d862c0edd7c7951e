/** Longest time without the event loop. Someone who waits for an answer to Ctrl-C does not notice it. */
const LONGEST_MS = 100;

/**
 * Lets signals and timers in. Computing on a synchronous device never leaves the event loop's turn: promises that are settled already are
 * microtasks. To be awaited in every loop that runs for long; costs nothing where the last turn was a moment ago.
 */
export function breather(): () => Promise<void> | undefined {
  let last = performance.now();
  return () => {
    if (performance.now() - last < LONGEST_MS) return undefined;
    return new Promise((resolve) => {
      const done = (): void => {
        last = performance.now();
        resolve();
      };
      // pages have none
      if (typeof setImmediate === "function") setImmediate(done);
      else setTimeout(done, 0);
    });
  };
}
