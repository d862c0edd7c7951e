/**
 * A running text in windows of a causal model, each of which scores the tokens that none before it did: every token once, however much of what comes before it the
 * window shows. As `loglikelihood_rolling` of EleutherAI's lm-evaluation-harness does it, with more context where the stride is less than a window.
 */

/** Places of tokens of the text. */
export interface TextWindow {
  /** First one that is shown. */
  readonly begin: number;
  /** First one that is scored, and the one behind the last: what is shown ends there, too. */
  readonly from: number;
  readonly to: number;
}

export interface WindowOptions {
  /** Tokens of a window, special ones included. */
  readonly window: number;
  /** Most tokens that a window scores, from the second one on. */
  readonly stride: number;
  /** Whether a token stands before the text, by which its first one is scored. */
  readonly prefix: boolean;
  /** Whether every window begins with that token, or the first one alone. */
  readonly everyWindow: boolean;
}

/** The most that a window can score: at least one token of the text is shown before them. */
export function longestStride({ window, everyWindow }: Pick<WindowOptions, "window" | "everyWindow">): number {
  return window - 1 - Number(everyWindow);
}

/** In order. @param count tokens of the text @param options `stride` is at most `longestStride` */
export function windowsOf(count: number, { window, stride, prefix, everyWindow }: WindowOptions): TextWindow[] {
  const first = { begin: 0, from: prefix ? 0 : 1, to: Math.min(count, window - Number(prefix)) };
  if (first.from >= first.to) return [];
  const windows: TextWindow[] = [first];
  const room = window - Number(everyWindow);
  for (let from = first.to; from < count; from = windows.at(-1)!.to) {
    const to = Math.min(count, from + stride);
    windows.push({ begin: Math.max(0, to - room), from, to });
  }
  return windows;
}

/** So many of the places 0 … count − 1 at equal distances, the first one among them. */
export function evenlySpaced(count: number, wanted: number): number[] {
  const taken = Math.min(count, wanted);
  return Array.from({ length: taken }, (_, i) => Math.floor((i * count) / taken));
}
