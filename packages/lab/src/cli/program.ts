/** The commands and their options. What they do is in the `*-command.ts` files, loaded only when used. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { PRESETS } from "../config/presets.ts";
import { PRETRAIN_PRESETS } from "../pretrain/presets.ts";
import type { DoctorOptions } from "./doctor-command.ts";
import { sinkWords } from "./guests.ts";
import type { InspectOptions } from "./inspect-command.ts";
import type { ParamsOptions } from "./params-command.ts";
import { addEval, addPredict } from "./predict-program.ts";
import type { PretrainObjective, PretrainOptions } from "./pretrain-command.ts";
import { parseBytes } from "../memory/budget.ts";
import type { RunOptions } from "./run-options.ts";
import { addGenerate } from "./generate-program.ts";
import { addExports } from "./export-program.ts";
import { addPresets } from "./presets-program.ts";
import { addReport } from "./report-program.ts";
import { addServe } from "./serve-program.ts";
import { addStore } from "./store-program.ts";
import { addTrain } from "./train-program.ts";
import { checkpointOptions } from "./checkpoint-options.ts";
import { addWork } from "./work-program.ts";
import {
  collect,
  deviceOptions,
  DEVICES,
  parseChoice,
  parseCount,
  parseNames,
  parsePath,
  parsePositive,
  parseSeeds,
  refuseRepetition,
  type Exit,
} from "./options.ts";

export function buildProgram(exit: Exit): Command {
  const program = new Command("lowrank")
    .description("Fine-tune transformers with low-rank adapters, on any device, with numbers you can check.")
    .version(packageVersion())
    .exitOverride()
    // Usage errors are printed once, by main().
    .configureOutput({ outputError: () => {} })
    .addHelpText(
      "after",
      "\nExamples:\n  lowrank run demo --out runs/demo\n  lowrank run sst2 --data DIR --base checkpoints/small --out runs/sst2\n  lowrank inspect checkpoints/small\n  lowrank export --adapter runs/demo/runs/NAME --to peft --out adapter\n  lowrank doctor\n",
    );
  addRun(program, exit);
  addTrain(program, exit);
  addWork(program, exit);
  addPredict(program, exit);
  addEval(program, exit);
  addStore(program, exit);
  addReport(program, exit);
  addServe(program, exit);
  addPresets(program, exit);
  addPretrain(program, exit);
  addGenerate(program, exit);
  addInspect(program, exit);
  addParams(program, exit);
  addExports(program, exit);
  addDoctor(program, exit);
  for (const command of program.commands) refuseRepetition(command.option("--verbose", "print stack traces"));
  return program;
}

/** Of the package that this file is part of: two folders up, in sources and in `dist`. */
function packageVersion(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

function addRun(program: Command, exit: Exit): void {
  checkpointOptions(deviceOptions(program.command("run")))
    .description("run a study, or several one after the other: every config with every seed")
    .argument("<study...>", `YAML files or names of presets: ${Object.keys(PRESETS).join(", ")}`)
    .option(
      "--data <dir>",
      "folder with the data sets (default: LOWRANK_DATA, else ../shared/data)",
      parsePath("--data"),
    )
    .option(
      "--out <dir>",
      "folder for runs and results (default: runs/<study>; of several studies, each has its own in it)",
      parsePath("--out"),
    )
    .option(
      "--results <dir>",
      "folder in which each finished run is kept as a line, to be committed; runs whose lines are there are done",
      parsePath("--results"),
    )
    .option(
      "--base <source>",
      "checkpoint to adapt: a folder, a GGUF file, a URL, or a model of the Hugging Face hub (org/name)",
      parsePath("--base"),
    )
    .option("--revision <name>", "branch, tag or commit of a base at the hub", parsePath("--revision"))
    .option(
      "--memory <size>",
      "what the process may take, such as 700MB or 2GB: batches are computed in as many parts as that needs (default: what is free)",
      parseBytes("--memory"),
    )
    .option("--configs <list>", "configs to run, for example b-fp,b-ada (default: all)", parseNames("--configs"))
    .option("--tasks <list>", "tasks to run, in a study of several (default: all)", parseNames("--tasks"))
    .option("--seeds <list>", "seeds to run, for example 13,42", parseSeeds)
    .option("--set <key=value>", "change one key of the study; may be repeated", collect)
    .option(
      "--plugin <file>",
      "module whose default export adds tasks, metrics, methods, allocators, sinks or executors; may be repeated",
      collect,
    )
    .option("--sink <name>", sinkWords(), collect)
    .option(
      "--executor <name>",
      "who makes the runs: in-process (the usual), local (several processes), bullmq (workers by a queue) or slurm",
    )
    .option(
      "--jobs <n>",
      "runs at a time, each in a process of its own, cores shared out (local)",
      parseCount("--jobs"),
    )
    .option("--redis <url>", "the queue of bullmq: a Redis or Valkey", parsePath("--redis"))
    .option("--dry-run", "show modules, ranks, parameters, memory, time and what is done already; train nothing")
    .option("--reuse", "count finished runs of other code versions as done")
    .option("--json", "print the results as JSON on stdout instead of a table")
    .option("--quiet", "no progress on stderr")
    .option(
      "--detect-anomaly",
      "check every operation and name the first that makes a non-finite value; results stay the same, a step takes about twice as long",
    )
    .addHelpText(
      "after",
      `
Finished runs are skipped, and an unfinished one goes on from where it was saved, to the same bits: the same command continues a study that
was interrupted in any way. Ctrl-C (SIGINT, SIGTERM) saves first; again, it leaves at once. Several processes with one --out share the runs.
The exit code is 0 if every run ended well, 1 if one failed, 2 for what you can mend, 130 or 143 for a signal.

--results keeps of each run what tables, statistics and later runs need of it, a line of some 10 kB in DIR/<study>.jsonl: result and proofs, every decision, losses,
ranks, config, what it took. A run whose line is there is done, whether its folder is still there or not; lines by other code are not taken, and named.

Examples:
  lowrank run demo --out runs/demo
  lowrank run demo --configs b-fp,b-ada --out runs/demo
  lowrank run demo --jobs 4 --out runs/demo
  lowrank run demo --executor bullmq --redis redis://127.0.0.1:6379 --out runs/demo
  lowrank run planted-rank --seeds 13,42 --set configs.lora.r=4
  lowrank run sst2 --data DIR --base checkpoints/small --dry-run
  lowrank run my-study.yaml --out runs/mine --json --quiet
  lowrank run studies/*.yaml --data DIR --out runs/all --results studies/results
  lowrank run my-study.yaml --out runs/mine --sink tensorboard --sink mlflow=http://127.0.0.1:5000
`,
    )
    .action(async (studies: string[], options: RunOptions) => {
      const { runCommand } = await import("./run-command.ts");
      exit(await runCommand(studies, options));
    });
}

function addPretrain(program: Command, exit: Exit): void {
  deviceOptions(program.command("pretrain"))
    .description("pre-train a small model from scratch: BERT by hidden words (mlm), GPT-2 by the next word (clm)")
    .argument("<objective>", "mlm or clm", parseChoice("objective", ["mlm", "clm"]))
    .option(
      "--data <dir>",
      "folder with the texts and the tokenizer (default: LOWRANK_DATA, else ../shared/data)",
      parsePath("--data"),
    )
    .option("--out <dir>", "folder for the checkpoint", parsePath("--out"), "checkpoints/small")
    .option(
      "--config <file>",
      `YAML file, or a preset: ${Object.keys(PRETRAIN_PRESETS.mlm).join(", ")} (mlm), ${Object.keys(PRETRAIN_PRESETS.clm).join(", ")} (clm)`,
      parsePath("--config"),
      "small",
    )
    .option("--set <key=value>", "change one key of the configuration; may be repeated", collect)
    .option(
      "--minutes <n>",
      "train for this long; the learning rate decays over the time instead of the steps",
      parsePositive("--minutes"),
    )
    .option("--json", "print the outcome as JSON on stdout")
    .option("--quiet", "no progress on stderr")
    .addHelpText(
      "after",
      `
A state is saved every few minutes (train.checkpointMinutes) and on Ctrl-C; the same command continues from it, to the same bits.
The result is a Hugging Face folder (config.json, model.safetensors, tokenizer files) for "lowrank run sst2 --base DIR", or "lowrank run wikitext2 --base DIR" (clm).

Examples:
  lowrank pretrain mlm --data DIR --out checkpoints/small --minutes 60
  lowrank pretrain mlm --data DIR --config medium --set train.steps=2000
  lowrank pretrain clm --data DIR --out checkpoints/gpt2-small --minutes 60
`,
    )
    .action(async (objective: PretrainObjective, options: PretrainOptions) => {
      const { pretrainCommand } = await import("./pretrain-command.ts");
      exit(await pretrainCommand(objective, options));
    });
}

function addInspect(program: Command, exit: Exit): void {
  deviceOptions(program.command("inspect"))
    .description(
      "look into a checkpoint or an adapter: what is in it, what of it can be used, and the memory that takes here",
    )
    .argument(
      "<source>",
      "a folder, a file (.safetensors, .gguf, .bin of llama2.c), a URL, or a model of the Hugging Face hub (org/name)",
      parsePath("source"),
    )
    .option("--revision <name>", "branch, tag or commit of a model of the hub", parsePath("--revision"))
    .option("--tensors", "list every tensor, instead of those of all layers together")
    .option("--no-memory", "plan no memory; then no device is opened")
    .option("--json", "print JSON instead of text")
    .addHelpText(
      "after",
      `
Headers, configs and tokenizer files are read, no tensor: of a model of the hub that is not in the cache some ranges.
The exit code is 0 also for what cannot be loaded, and says why; it is 2 where there is nothing to look into, or a file is damaged.

Examples:
  lowrank inspect checkpoints/small
  lowrank inspect model.gguf --tensors
  lowrank inspect org/name --revision v1.0 --no-memory
  lowrank inspect runs/demo/runs/NAME --json
`,
    )
    .action(async (source: string, options: InspectOptions) => {
      const { inspectCommand } = await import("./inspect-command.ts");
      exit(await inspectCommand(source, options));
    });
}

function addParams(program: Command, exit: Exit): void {
  program
    .command("params")
    .description("count the parameters that an adapter configuration trains; needs no weights and little memory")
    .requiredOption("--model-config <file>", "config.json of the model", parsePath("--model-config"))
    .requiredOption("--adapter-config <file>", "adapter_config.json in PEFT form", parsePath("--adapter-config"))
    .option("--json", "print JSON instead of a table")
    .addHelpText(
      "after",
      `
Examples:
  lowrank params --model-config bert-base/config.json --adapter-config adapter/adapter_config.json
  lowrank params --model-config config.json --adapter-config adapter_config.json --json
`,
    )
    .action(async (options: ParamsOptions) => {
      const { paramsCommand } = await import("./params-command.ts");
      exit(await paramsCommand(options));
    });
}

function addDoctor(program: Command, exit: Exit): void {
  program
    .command("doctor")
    .description("show which devices there are, what they can do, and why not")
    .option(
      "--device <kind>",
      `examine one device only: ${DEVICES.join(", ")}`,
      parseChoice("--device", DEVICES),
      "auto",
    )
    .option("--json", "print JSON instead of text")
    .addHelpText("after", "\nExamples:\n  lowrank doctor\n  lowrank doctor --device webgpu --json\n")
    .action(async (options: DoctorOptions) => {
      const { doctorCommand } = await import("./doctor-command.ts");
      exit(await doctorCommand(options));
    });
}
