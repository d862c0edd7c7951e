/** Options of `lowrank generate`. */
import type { Command } from "commander";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";
import type { GenerateOptions } from "./generate-command.ts";
import { collect, DEVICES, parseChoice, parseCount, parsePath, parsePositive, type Exit } from "./options.ts";

export function addGenerate(program: Command, exit: Exit): void {
  program
    .command("generate")
    .description("write text with a causal model: one prompt, a prompt from a pipe, or a conversation")
    .argument(
      "<model>",
      "a folder, a GGUF file, a URL, or a model of the Hugging Face hub (org/name)",
      parsePath("model"),
    )
    .argument("[prompt]", "what the text goes on from; without it, standard input or a conversation")
    .option("--adapter <dir>", "folder of an adapter to write with", parsePath("--adapter"))
    .option("--chat", "prompts are messages, by the chat template of the model")
    .option("--max-tokens <n>", "most tokens of a text (default: 256)", parseCount("--max-tokens"))
    .option("--temperature <x>", "draw words, sharper below 1, flatter above", parseTemperature)
    .option(
      "--top-k <n>",
      "draw among the n likeliest words, 0 for all (default: 50 where words are drawn)",
      parseWhole("--top-k"),
    )
    .option("--top-p <p>", "draw among the fewest words that come to p", parseShare("--top-p"))
    .option("--min-p <p>", "draw among words at least p times as likely as the likeliest", parseShare("--min-p"))
    .option(
      "--repetition-penalty <x>",
      "above 1: words that were there are less likely",
      parsePositive("--repetition-penalty"),
    )
    .option("--seed <n>", "of the draws; the same seed gives the same text", parseWhole("--seed"))
    .option("--stop <text>", "end where this text begins; may be repeated", collect)
    .option("--device <kind>", `one of ${DEVICES.join(", ")}`, parseChoice("--device", DEVICES), "auto")
    .option("--threads <n>", "worker threads (default: all cores)", parseCount("--threads"))
    .option("--json", "print each text as a line of JSON, with its tokens, seed and time")
    .addHelpText(
      "after",
      `
Without options about drawing, the likeliest word follows. In a conversation, lines that begin with / are commands:
  /adapter DIR   write with another adapter; /adapter alone: with none
  /reset         forget the conversation (--chat)
  /quit          end; so does the end of the input
Control-C stops the text that is being written. In a chat only what is new is read at each turn, after a change of adapters everything.

Examples:
  lowrank generate model.gguf "Once upon a time" --max-tokens 50
  lowrank generate org/name --chat --temperature 0.8 --seed 7
  lowrank generate base --adapter runs/mine/adapter "The film was" --json
  echo "A poem about rain" | lowrank generate org/name --chat --stop "###"
`,
    )
    .action(async (model: string, prompt: string | undefined, options: GenerateOptions) => {
      if (options.stop?.includes("") === true)
        throw new InputError('--stop "": expected a text; the empty one begins everywhere');
      const { generateCommand } = await import("./generate-command.ts");
      exit(await generateCommand(model, prompt, options));
    });
}

function parseTemperature(value: string): number {
  if (Number(value) === 0 && value.trim() !== "")
    throw new InputError(`--temperature ${cut(value)}: leave it out for greedy: then the likeliest word follows`);
  return parsePositive("--temperature")(value);
}

function parseWhole(option: string): (value: string) => number {
  return (value) => {
    if (!/^\d{1,15}$/.test(value)) throw new InputError(`${option} ${cut(value)}: expected a whole number from 0 on`);
    return Number(value);
  };
}

function parseShare(option: string): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (value.trim() === "" || !(number > 0 && number <= 1))
      throw new InputError(`${option} ${cut(value)}: expected a number above 0 and up to 1`);
    return number;
  };
}
