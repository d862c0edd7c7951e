/** Options of `lowrank merge`, `lowrank quantize` and `lowrank export`. */
import type { Command } from "commander";
import { EXPORT_WORDS, QUANTIZED_FORMS } from "../exports/words.ts";
import type { LeavingOptions } from "./export-command.ts";
import { deviceOptions, parseChoice, parsePath, type Exit } from "./options.ts";
import type { QuantizeOptions } from "./quantize-command.ts";

const PLACES = "a folder, a .gguf file, a URL, or a model of the Hugging Face hub";

function leaving(command: Command): Command {
  return deviceOptions(command)
    .requiredOption("--out <path>", "what is written; it appears when it is whole", parsePath("--out"))
    .option("--force", "replace what is there: a file, or a folder of such files as are written here")
    .option("--json", "print JSON instead of text")
    .option("--quiet", "no progress on stderr");
}

function ofAdapter(command: Command): Command {
  return command
    .option("--adapter <dir>", "PEFT's or mlx-lm's folder, or a run that has an adapter", parsePath("--adapter"))
    .option("--base <source>", `${PLACES} (default: what the adapter names)`, parsePath("--base"))
    .option("--revision <name>", "branch, tag or commit of a base of the hub", parsePath("--revision"));
}

export function addExports(program: Command, exit: Exit): void {
  ofAdapter(leaving(program.command("merge")))
    .description("work an adapter into its base, and say what rounding or quantizing again cost")
    .option("--type <dtype>", "of matrices: f16, bf16, f32 in a folder, F16, Q8_0, F32 in a .gguf file")
    .option(
      "--keep",
      "quantize merged weights of a quantized base again, in its own form; else they are written as f16",
    )
    .addHelpText(
      "after",
      `
--out that ends in .gguf is a file of llama.cpp, anything else a Hugging Face folder.

Examples:
  lowrank merge --adapter runs/mine/runs/NAME --out merged
  lowrank merge --adapter adapter --base org/name --revision v1.0 --keep --out merged-4bit
  lowrank merge --adapter adapter --base model.gguf --type Q8_0 --out merged.gguf
`,
    )
    .action(async (options: LeavingOptions) => {
      const { mergeCommand } = await import("./export-command.ts");
      exit(await mergeCommand(options));
    });
  leaving(program.command("quantize"))
    .description("write a checkpoint in fewer bits")
    .argument("<source>", PLACES, parsePath("source"))
    .requiredOption("--to <form>", QUANTIZED_FORMS.join(", "), parseChoice("--to", QUANTIZED_FORMS))
    .option("--revision <name>", "branch, tag or commit of a model of the hub", parsePath("--revision"))
    .addHelpText(
      "after",
      `
nf4, fp4 and int8 give a Hugging Face folder that transformers reads with bitsandbytes; F16, Q8_0 and F32 a file of llama.cpp.

Examples:
  lowrank quantize checkpoints/small --to nf4 --out small-nf4
  lowrank quantize org/name --to Q8_0 --out name-q8_0.gguf
`,
    )
    .action(async (source: string, options: QuantizeOptions) => {
      const { quantizeCommand } = await import("./quantize-command.ts");
      exit(await quantizeCommand(source, options));
    });
  const names = EXPORT_WORDS.map(({ name }) => name);
  ofAdapter(leaving(program.command("export")))
    .description("write an adapter, or a model with an adapter merged in, in another program's form")
    .requiredOption("--to <form>", names.join(", "), parseChoice("--to", names))
    .option("--type <dtype>", "of matrices, for hf and gguf")
    .option("--keep", "for hf: quantize merged weights of a quantized base again, in its own form")
    .addHelpText(
      "after",
      `
Forms:
${EXPORT_WORDS.map(({ name, about, types }) => `  ${name.padEnd(10)} ${about}${types === undefined ? "" : ` (--type ${types.join(", ")})`}`).join("\n")}

Examples:
  lowrank export --adapter adapter --base model.gguf --to gguf-lora --out adapter.gguf
  lowrank export --adapter adapter --to peft --out for-python
  lowrank export --base org/name --to gguf --type Q8_0 --out name.gguf
`,
    )
    .action(async (options: LeavingOptions & { readonly to: string }) => {
      const { exportCommand } = await import("./export-command.ts");
      exit(await exportCommand(options));
    });
}
