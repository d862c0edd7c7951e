/** A form that models or adapters leave in. A new one is a file beside those of `targets/` and a line in `registry.ts`. */
import type { WritableFiles } from "@lowrank/tensor";
import type { Opened } from "./opened.ts";
import type { ExportWords } from "./words.ts";
import type { Cost } from "./merged.ts";

export interface ExportChoice {
  /** dtype or form of matrices, in the target's own words. */
  readonly type: string | undefined;
  /** Whether a merged weight of a quantized base is quantized again. */
  readonly keep: boolean;
}

export interface Report {
  /** What merging cost, where it was done. */
  readonly merged?: Cost;
  /** What a person should know besides. */
  readonly notes: readonly string[];
  /** What is odd about an adapter on this base. */
  readonly warnings?: readonly string[];
}

export type Step = (what: string, done: number, total: number) => void;

export interface ExportTarget extends ExportWords {
  /** Into a folder's files; of a file, under `name`. */
  write(opened: Opened, files: WritableFiles, name: string, choice: ExportChoice, step: Step): Promise<Report>;
}
