// Greedy text of a GGUF file beside llama.cpp's.
import { parseArgs } from "node:util";
import { createRequire } from "node:module";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { open } from "./common.mjs";

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

const PROMPTS = [
  "The capital of France is",
  "Once upon a time there was",
  "In 1969, people walked on",
  "Water boils at",
  "def add(a, b):\n    return",
  "The three primary colors are",
  "Dear Sir or Madam,\n\n",
  "The opposite of hot is",
  "Photosynthesis is the process by which",
  "1, 2, 3, 4, 5,",
  "Il était une fois",
  "The best way to learn a language is",
];

function fail(message) {
  console.error(`llama-cpp: ${message}`);
  process.exit(2);
}

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

async function llamaCpp(folder, gguf) {
  let entry;
  try {
    entry = createRequire(join(folder, "package.json")).resolve("node-llama-cpp");
  } catch {
    fail(`--llama-cpp ${folder}: there is no node-llama-cpp; npm i node-llama-cpp there`);
  }
  const { getLlama } = await import(pathToFileURL(entry).href);
  const llama = await getLlama({ gpu: false, build: "never", logLevel: "error", progressLogs: false });
  const model = await llama.loadModel({ modelPath: gguf });
  return { llama, model };
}

/** What llama.cpp writes behind ids, most likely word by most likely word, to the end of the text at most. */
async function continued({ model }, ids, count, threads) {
  const context = await model.createContext({ contextSize: ids.length + count + 8, threads });
  const written = [];
  for await (const id of context.getSequence().evaluate(ids, { temperature: 0, yieldEogToken: true })) {
    written.push(id);
    if (written.length === count || model.isEogToken(id)) break;
  }
  await context.dispose();
  return written;
}

/** The first and the second word of a row of logits, and how far the first is ahead in nats. */
function best(row) {
  let [first, second] = [-1, -1];
  row.forEach((value, id) => {
    if (first < 0 || value > row[first]) [first, second] = [id, first];
    else if (second < 0 || value > row[second]) second = id;
  });
  return { id: first, margin: row[first] - row[second] };
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
  const all = [...ids, ...written];
  const inputIds = device.tensor(Int32Array.from(all), [1, all.length], "i32");
  const { logits } = model.forward({ inputIds });
  const rows = await tensor.ops.slice(logits, 1, ids.length - 1, all.length - 1).floats();
  const words = logits.shape[2];
  const ours = written.map((_, i) => best(rows.subarray(i * words, (i + 1) * words)));
  const differ = written.flatMap((id, i) => (id === ours[i].id ? [] : [i]));
  const wrong = differ.filter((i) => ours[i].margin >= margin);
  if (wrong.length > 0) broken++;
  const [at] = differ;
  const first =
    at === undefined
      ? "no difference"
      : `first difference at ${at}: ours ${JSON.stringify(tokenizer.decode([ours[at].id]))}, theirs ${JSON.stringify(tokenizer.decode([written[at]]))}, our margin ${ours[at].margin.toFixed(3)}`;
  const low = ours.filter(({ margin: m }) => m < margin).length;
  console.log(
    `${wrong.length > 0 ? "FAIL" : "PASS"} ${JSON.stringify(prompt.slice(0, 40))}: ${at ?? written.length} of ${written.length} tokens equal, ${first}; ${low} places below ${margin}, ${differ.length} words differ in all${wrong.map((i) => `; at ${i} though our margin is ${ours[i].margin.toFixed(3)}`).join("")}`,
  );
}
console.log(`${prompts.length - broken} of ${prompts.length} prompts hold`);
device.close();
await theirs.llama.dispose();
process.exit(broken > 0 ? 1 : 0);
