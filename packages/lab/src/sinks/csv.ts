/** `metrics.csv`: a line for each evaluation. Every run has it. */
import { appendFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import type { SinkRecord } from "../records/sink.ts";

const FILE = "metrics.csv";
const BEFORE = ["epoch", "lr", "train_loss", "grad_norm", "eval_loss"];

export const csv: SinkRecord = {
  name: "csv",
  open({ folder }) {
    let columns: readonly string[] = [];
    const line = (cells: readonly (string | number)[]): void => {
      appendFileSync(join(folder, FILE), `${cells.join(",")}\n`);
    };
    return {
      start({ metrics }) {
        columns = [...BEFORE, ...metrics];
        // a run that goes on has its lines up to there already
        if (!existsSync(join(folder, FILE))) line(["step", ...columns, "seconds"]);
      },
      scalar(step, values) {
        if (values["eval_loss"] === undefined) return;
        line([step, ...columns.map((name) => values[name]!), values["seconds"]!.toFixed(3)]);
      },
      artifact: () => {},
      finish: () => {},
    };
  },
};
