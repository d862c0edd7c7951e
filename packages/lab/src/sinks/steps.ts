/** `steps.csv`: a line for each step. Every run has it. Columns are only ever added at the end. */
import { closeSync, fstatSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { SinkRecord } from "../records/sink.ts";

const FILE = "steps.csv";
/** Column → scalar. */
const COLUMNS: readonly (readonly [string, string])[] = [
  ["loss", "loss"],
  ["grad_norm", "grad_norm"],
  ["lr", "lr"],
  ["loss_scale", "loss_scale"],
  ["budget", "budget"],
  ["tokens", "tokens"],
  ["seconds", "step_seconds"],
  ["tokens_per_second", "tokens_per_second"],
  ["gflops", "gflops"],
  ["rss_bytes", "rss_bytes"],
];

export const steps: SinkRecord = {
  name: "steps",
  open({ folder }) {
    // kept open: a line costs one call, and is on its way to the disk when the step is over
    let file: number | undefined;
    const line = (cells: readonly (string | number)[]): void => void writeSync(file!, `${cells.join(",")}\n`);
    return {
      start() {
        file = openSync(join(folder, FILE), "a");
        // a run that goes on has its lines up to there already
        if (fstatSync(file).size === 0) line(["step", ...COLUMNS.map(([column]) => column)]);
      },
      scalar(step, values) {
        if (values["loss"] !== undefined) line([step, ...COLUMNS.map(([, name]) => values[name] ?? "")]);
      },
      artifact: () => {},
      finish() {
        if (file !== undefined) closeSync(file);
        file = undefined;
      },
    };
  },
};
