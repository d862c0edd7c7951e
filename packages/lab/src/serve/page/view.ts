/** What every view has: it fills an element, and ends. */
import type { Known } from "./state.ts";

export interface View {
  readonly title: string;
  readonly element: HTMLElement;
  /** Stops what it follows. */
  end(): void;
}

/** What a view is made with. */
export interface Surroundings {
  readonly known: Known;
  /** Says whether the numbers are live. */
  connected(live: boolean): void;
  /** Makes the view anew: there is something that it has no place for. */
  again(): void;
}

/** Whether a run has a metric that no run had before. */
export function hasNewMetric({ runs, metrics }: Known, keys: readonly string[]): boolean {
  const names = new Set(metrics.map(({ name }) => name));
  return keys.some((key) => Object.keys(runs.get(key)?.metrics ?? {}).some((name) => !names.has(name)));
}

/** A shape and a word for each state: colour alone says nothing to many. */
export const MARKS: Readonly<Record<string, string>> = {
  finished: "●",
  working: "◐",
  interrupted: "◌",
  failed: "✕",
  damaged: "▲",
  "set-aside": "▽",
  foreign: "?",
};
