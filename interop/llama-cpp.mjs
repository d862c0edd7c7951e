// Greedy text of a GGUF file beside llama.cpp's.
import { parseArgs } from "node:util";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { open } from "./common.mjs";
import { besideOurs, continued, fail, llamaCpp, PROMPTS } from "./llama-cpp-common.mjs";

const HELP = `Greedy text of a GGUF file, lowrank beside llama.cpp on the same file.

  node interop/llama-cpp.mjs --gguf FILE --llama-cpp FOLDER [options]

  --gguf FILE         a causal language model
  --llama-cpp FOLDER  where node-llama-cpp is installed. Nothing of this repository depends on it:
                      mkdir llama-cpp && cd llama-cpp && npm init -y && npm i node-llama-cpp
  --prompts FILE      JSON list of texts. Default: twelve of our own
  --tokens N          how many llama.cpp adds to each. Default 32
  --margin NATS       how far ahead of the second word our first must be to bind. Default 0.3: llama.cpp rounds activations to 8 bits
  --threads N         Default 2
  --project FOLDER    a lowrank that is built. Default: this one

llama.cpp writes, and lowrank says in one pass what it would have written at each place after the same words. A line for each prompt: tokens that are equal
before the first difference, and our margin there. Exit code 1 where words differ although our margin is at least --margin.
`;

function options() {
  const text = { type: "string" };
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        gguf: text,
        "llama-cpp": text,
        prompts: text,
        tokens: text,
        margin: text,
        threads: text,
        project: text,
        help: { type: "boolean", short: "h" },
      },
    }));
  } catch (error) {
    fail(`${error.message.split("\n")[0]}; --help shows what there is`);
  }
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  for (const name of ["gguf", "llama-cpp"]) {
    if (values[name] === undefined) fail(`--${name} is missing; --help shows what there is`);
    if (!existsSync(values[name])) fail(`--${name} ${values[name]}: not there`);
  }
  const number = (name, fallback, least) => {
    const n = Number(values[name] ?? fallback);
    if (!(n >= least) || (name !== "margin" && !Number.isInteger(n)))
      fail(`--${name} ${values[name]}: no number that fits`);
    return n;
  };
  let prompts = PROMPTS;
  try {
    if (values.prompts !== undefined) prompts = JSON.parse(readFileSync(values.prompts, "utf8"));
  } catch (error) {
    fail(`--prompts ${values.prompts}: ${error.message}`);
  }
  if (!Array.isArray(prompts) || prompts.some((p) => typeof p !== "string" || p === ""))
    fail(`--prompts ${values.prompts}: must be a JSON list of texts`);
  return {
    gguf: resolve(values.gguf),
    folder: resolve(values["llama-cpp"]),
    prompts,
    tokens: number("tokens", 32, 1),
    margin: number("margin", 0.3, 0),
    threads: number("threads", 2, 1),
    project: values.project ?? resolve(import.meta.dirname, ".."),
  };
}

const { gguf, folder, prompts, tokens, margin, threads, project } = options();
const { tensor, models } = await open(project);
const device = await tensor.init({ device: "wasm", threads });
const { model } = await models.fromPretrained(gguf, { device, task: "CAUSAL_LM" });
const tokenizer = await models.loadTokenizer(gguf);
const theirs = await llamaCpp(folder, gguf);
console.log(`${gguf}, ${model.constructor.name}, beside llama.cpp ${theirs.llama.llamaCppRelease.release}`);

let broken = 0;
for (const prompt of prompts) {
  const { ids } = tokenizer.encode(prompt);
  const written = await continued(theirs, ids, tokens, threads);
  const { holds, line } = await besideOurs({ tensor, device, model, tokenizer }, ids, written, margin);
  if (!holds) broken++;
  console.log(`${holds ? "PASS" : "FAIL"} ${JSON.stringify(prompt.slice(0, 40))}: ${line}`);
}
console.log(`${prompts.length - broken} of ${prompts.length} prompts hold`);
device.close();
await theirs.llama.dispose();
process.exit(broken > 0 ? 1 : 0);
