/** Options of `lowrank train`. */
import type { Command } from "commander";
import { parseBytes } from "../memory/budget.ts";
import { STORAGES } from "../config/study.ts";
import { checkpointOptions } from "./checkpoint-options.ts";
import {
  collect,
  DEVICES,
  parseChoice,
  parseCount,
  parsePath,
  parsePositive,
  parseSeed,
  type Exit,
} from "./options.ts";
import { sinkWords } from "./guests.ts";
import type { TrainCommandOptions } from "./train-command.ts";

export function addTrain(program: Command, exit: Exit): void {
  checkpointOptions(program.command("train"))
    .description("train an adapter on a table of yours: a study of one configuration, its result in one folder")
    .requiredOption(
      "--base <source>",
      "the checkpoint to adapt: a folder, a file, a URL, a model of the hub (org/name)",
      parsePath("--base"),
    )
    .option("--revision <name>", "branch, tag or commit of a base at the hub", parsePath("--revision"))
    .requiredOption(
      "--data <file>",
      "rows to train on: CSV, TSV, JSON lines, Parquet, CoNLL, SQuAD's JSON, plain text",
      parsePath("--data"),
    )
    .option(
      "--validation <file>",
      "rows to evaluate on (default: a tenth of the rows, held out by a seed)",
      parsePath("--validation"),
    )
    .requiredOption("--out <dir>", "folder for the adapter, the run and its results", parsePath("--out"))
    .option("--task <name>", "what a row means (default: text-classification or causal-lm, where the columns say so)")
    .option("--column <role=name>", "which column has which part, for example text=review; may be repeated", collect)
    .option("--method <name>", "lora, dora, adalora, ia3, vera, full, head, or one of a plugin", "lora")
    .option(
      "--storage <kind>",
      `how the frozen base is kept: ${STORAGES.join(", ")} (default: the widest of what fits)`,
      parseChoice("--storage", STORAGES),
    )
    .option(
      "--memory <size>",
      "what the process may take, such as 700MB or 2GB (default: what is free): the base is kept, and batches are computed, so that it fits",
      parseBytes("--memory"),
    )
    .option("--rank <n>", "rank of the adapter (default: the method's own, 8 for LoRA)", parseCount("--rank"))
    .option(
      "--alpha <x>",
      "its scale is alpha / rank (default: twice the rank that is given, else 16)",
      parsePositive("--alpha"),
    )
    .option("--target <modules>", "modules that are adapted, comma-separated (default: every linear layer)")
    .option("--lr <rate>", "learning rate (default: by method and steps)", parsePositive("--lr"))
    .option("--sweep", "try five learning rates on held-out training rows first, and take the best")
    .option("--epochs <n>", "passes over the rows; 0.5 is half a pass (default: 3)", parsePositive("--epochs"))
    .option(
      "--batch-size <n>",
      "rows of an optimizer step (default: 32); --set train.microBatch=8 computes them 8 at a time, with the gradient of all",
      parseCount("--batch-size"),
    )
    .option(
      "--max-length <n>",
      "most tokens of a row; longer texts are cut (default: 128; 384 for question-answering)",
      parseCount("--max-length"),
    )
    .option("--seed <n>", "decides order, dropout and what is drawn (default: 0)", parseSeed("--seed"))
    .option(
      "--keep <which>",
      "weights to leave: last, or best by the first metric",
      parseChoice("--keep", ["last", "best"]),
    )
    .option(
      "--early-stop <n>",
      "end after so many evaluations in a row without improvement",
      parseCount("--early-stop"),
    )
    .option("--set <key=value>", "change any other key of the study; may be repeated", collect)
    .option("--plugin <file>", "module whose default export adds tasks, methods, metrics, …; may be repeated", collect)
    .option("--sink <name>", sinkWords(), collect)
    .option("--device <kind>", `one of ${DEVICES.join(", ")}`, parseChoice("--device", DEVICES), "auto")
    .option("--threads <n>", "worker threads (default: all cores)", parseCount("--threads"))
    .option("--dry-run", "show modules, parameters, memory and time; train nothing")
    .option("--json", "print the result as JSON on stdout")
    .option("--quiet", "no progress on stderr")
    .option(
      "--detect-anomaly",
      "name the first operation that makes a non-finite value; a step takes about twice as long",
    )
    .addHelpText(
      "after",
      `
DIR/adapter (DIR/checkpoint for full and head) is what "lowrank predict" and PEFT read; DIR/runs keeps the run with its proofs.
The same command finds what it has finished, or goes on from where it was saved last, to the same bits; Ctrl-C saves first, again it leaves at once. What was chosen where nothing was said
(storage, a swept rate) stands in DIR/choices.json, how batches are computed in DIR/memory.json; both stay.
The exit code is 0 if the run ended well, 1 if it failed, 2 for what you can mend, 130 or 143 for a signal.

Examples:
  lowrank train --base org/name --data reviews.csv --out reviews
  lowrank train --base checkpoints/minilm --data train.csv --validation dev.csv --storage nf4 --epochs 1 --out reviews
  lowrank train --base checkpoints/minilm --data rows.jsonl --column text=body --column label=topic --method dora --rank 16 --out topics
  lowrank train --base checkpoints/minilm --data train.csv --sweep --early-stop 3 --keep best --out reviews
  lowrank train --base checkpoints/minilm --data train.conll --task token-classification --batch-size 8 --out names
  lowrank train --base checkpoints/bert --data book.txt --task masked-lm --out bert-of-the-book
  lowrank train --base checkpoints/minilm --data train.csv --out reviews --dry-run
`,
    )
    .action(async (options: TrainCommandOptions) => {
      const { trainCommand } = await import("./train-command.ts");
      exit(await trainCommand(options));
    });
}
