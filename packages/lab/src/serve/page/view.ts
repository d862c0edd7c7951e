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
