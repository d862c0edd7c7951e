/** What sections report: one figure a row, whatever it is of. Rows travel from the section's process to the one that prints. */

export interface Row {
  /** Unique in its section; PyTorch's row of the same work has the same name. */
  readonly name: string;
  readonly value?: number;
  readonly unit?: string;
  /** Milliseconds of one call, median. */
  readonly ms?: number;
  /** Arithmetic that one call must do. */
  readonly flops?: number;
  /** Bytes that one call must at least move in the device's memory. */
  readonly bytes?: number;
  /** Set where a check failed: what is wrong. */
  readonly wrong?: string;
  /** One line for the table. */
  readonly note?: string;
  /** For the JSON file alone. */
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** How a section ended: `cut` where its time was over before its work was. */
export type State = "done" | "cut" | "failed";

export interface SectionResult {
  readonly name: string;
  readonly state: State;
  /** Why it is not done. */
  readonly why?: string;
  readonly seconds: number;
  readonly rows: readonly Row[];
}

/** What the card is and can do, as far as other sections and the table need it. */
export interface Card {
  readonly description: string;
  /** True for drivers that compute on the CPU. */
  readonly software: boolean;
}

/** What a section gets. */
export interface Context {
  /** Everything small enough for a software device. */
  readonly small: boolean;
  readonly card: Card;
  report(row: Row): void;
  /** True once no more work should be begun; with a part of 1, once that part of the time has gone. */
  spent(part?: number): boolean;
  /** Ends the section early, saying what was not done. */
  cut(why: string): void;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1]!;
}

/** The first line that says something, without fast-check's frame around it. */
export function reason(error: unknown): string {
  const text = error instanceof Error ? `${error.message}\n${String(error.cause ?? "")}` : String(error);
  const lines = text.split("\n").map((line) => line.trim());
  return (lines.find((line) => /^(Got )?\w*Error: /.test(line)) ?? lines[0] ?? "").slice(0, 400);
}
