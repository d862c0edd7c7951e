/** Options of `lowrank predict` and `lowrank eval`. */
import type { Command } from "commander";
import { collect, DEVICES, parseChoice, parseCount, parsePath } from "./options.ts";
import type { EvalOptions, PredictOptions } from "./predict-command.ts";

export function addPredict(program: Command, exit: (code: number) => void): void {
  common(program.command("predict"))
    .description("what a trained adapter or model says of the rows of a file, in their order")
    .option("--out <file>", "where to, .jsonl or .csv (default: JSON lines on stdout)", parsePath("--out"))
    .addHelpText(
      "after",
      `
Each line has the row's index in its file, from 0, the prediction, and probabilities by label. What is said of a row depends on that row alone.

Examples:
  lowrank predict --adapter runs/mine/runs/NAME --data new.csv --out predictions.csv
  lowrank predict --model runs/mine/runs/NAME/checkpoint --data new.jsonl > predictions.jsonl
  lowrank predict --adapter adapter --base checkpoints/small --data new.csv --column text=review
`,
    )
    .action(async (options: PredictOptions) => {
      const { predictCommand } = await import("./predict-command.ts");
      exit(await predictCommand(options));
    });
}

export function addEval(program: Command, exit: (code: number) => void): void {
  common(program.command("eval"))
    .description("how well a trained adapter or model answers the rows of a file that says what is right")
    .option("--metrics <list>", "metrics, comma-separated (default: the task's)")
    .option("--out <file>", "write the predictions, too, .jsonl or .csv", parsePath("--out"))
    .option("--json", "print JSON instead of text")
    .addHelpText(
      "after",
      `
Metrics are counted over all rows at the end, never as a mean of batches.

Examples:
  lowrank eval --adapter runs/mine/runs/NAME --data test.csv
  lowrank eval --adapter adapter --data test.csv --metrics matthews,accuracy --json
`,
    )
    .action(async (options: EvalOptions) => {
      const { evalCommand } = await import("./predict-command.ts");
      exit(await evalCommand(options));
    });
}

function common(command: Command): Command {
  return command
    .option("--adapter <dir>", "adapter that a run left, or the run's folder", parsePath("--adapter"))
    .option("--model <dir>", "checkpoint that a run left, or the run's folder", parsePath("--model"))
    .option("--base <source>", "where the adapter's base is (default: where it was trained on it)", parsePath("--base"))
    .requiredOption("--data <file>", ".csv, .tsv, .jsonl, .json or .parquet", parsePath("--data"))
    .option("--column <role=name>", "which column is what, for example text=review; may be repeated", collect)
    .option("--device <kind>", `one of ${DEVICES.join(", ")}`, parseChoice("--device", DEVICES), "auto")
    .option("--threads <n>", "worker threads (default: all cores)", parseCount("--threads"))
    .option("--plugin <file>", "module that adds tasks and metrics; may be repeated", collect)
    .option("--quiet", "nothing on stderr but errors");
}
