// An adapter over a GGUF file, exported as a GGUF adapter: llama.cpp beside lowrank.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { open } from "./common.mjs";
import { besideOurs, continued, fail, llamaCpp, meanNll, ourMeanNll, PROMPTS } from "./llama-cpp-common.mjs";

const HELP = `An adapter over a GGUF file, exported as a GGUF adapter: llama.cpp with both files beside lowrank.

  node interop/llama-cpp-lora.mjs --gguf FILE --llama-cpp FOLDER [options]

  --gguf FILE         a causal language model
  --llama-cpp FOLDER  where node-llama-cpp is installed; see llama-cpp.mjs
  --adapter FOLDER    an adapter in PEFT's form. Default: a random one on every projection, with patterns of ranks and alphas, rsLoRA
  --strength X        how large the random adapter's B is. Default 0.01
  --text FILE         what the likelihood is measured on. Default: our prompts, one after the other
  --prompts N         how many of our twelve. Default 12
  --tokens N          how many llama.cpp adds to each prompt. Default 32
  --nll-tokens N      Default 256
  --margin NATS       how far ahead of the second word our first must be to bind. Default 0.3
  --threads N         Default 2
  --project FOLDER    a lowrank that is built. Default: this one

Must hold: words are equal up to the first place where our margin is below --margin; the text differs from the base's; mean negative log-likelihoods
lie within 2 % of each other. Exit code 1 where one does not.
`;

const text = { type: "string" };
const names = [
  "gguf",
  "llama-cpp",
  "adapter",
  "strength",
  "text",
  "prompts",
  "tokens",
  "nll-tokens",
  "margin",
  "threads",
  "project",
];
let values;
try {
  ({ values } = parseArgs({
    options: { ...Object.fromEntries(names.map((name) => [name, text])), help: { type: "boolean", short: "h" } },
  }));
} catch (error) {
  fail(`${error.message.split("\n")[0]}; --help shows what there is`);
}
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
for (const name of ["gguf", "llama-cpp"])
  if (values[name] === undefined || !existsSync(values[name])) fail(`--${name} ${values[name] ?? ""}: not there`);
const number = (name, fallback) => {
  const n = Number(values[name] ?? fallback);
  return n > 0 ? n : fail(`--${name} ${values[name]}: no number that fits`);
};
const [tokens, nllTokens, margin, threads] = [
  number("tokens", 32),
  number("nll-tokens", 256),
  number("margin", 0.3),
  number("threads", 2),
];
const gguf = resolve(values.gguf);

const { tensor, models, peft } = await open(values.project ?? resolve(import.meta.dirname, ".."));
const device = await tensor.init({ device: "wasm", threads });
const { model } = await models.fromPretrained(gguf, { device, task: "CAUSAL_LM" });
const tokenizer = await models.loadTokenizer(gguf);
const adapter = values.adapter === undefined ? await randomAdapter() : await loaded(values.adapter);

/** A and B of every projection drawn, with everything that the file's one alpha does not say. */
async function randomAdapter() {
  const options = {
    r: 8,
    alpha: 16,
    rsLora: true,
    targetModules: "all-linear",
    rankPattern: { q_proj: 4 },
    alphaPattern: { down_proj: 5 },
    taskType: "CAUSAL_LM",
  };
  const made = await peft.adapt(model, options, { device, seed: 1 });
  const random = new tensor.RandomStream(2, "llama-cpp-lora");
  for (const { b } of made.updates.values()) {
    const drawn = new Float64Array(b.size);
    random.fillNormal(drawn, 0, number("strength", 0.01));
    b.parameter.write(tensor.toMemory(b.parameter.dtype, drawn, "f64"));
  }
  return made;
}
function loaded(folder) {
  return peft.loadAdapter(model, tensor.directory(folder), { device });
}

const folder = mkdtempSync(join(tmpdir(), "lowrank-llama-cpp-"));
const factors = await peft.adapterFactors(adapter, "a GGUF adapter");
await tensor.directory(folder).write("adapter.gguf", (sink) => models.saveGgufLora(model, factors, sink));
const lora = join(folder, "adapter.gguf");
const theirs = await llamaCpp(resolve(values["llama-cpp"]), gguf);
console.log(
  `${gguf}, ${model.constructor.name}, ${factors.length} modules, beside llama.cpp ${theirs.llama.llamaCppRelease.release}`,
);

const ours = { tensor, device, model, tokenizer };
const faults = [];
let differs = false;
for (const prompt of PROMPTS.slice(0, number("prompts", 12))) {
  const { ids } = tokenizer.encode(prompt);
  const written = await continued(theirs, ids, tokens, threads, lora);
  // one that differs is enough
  if (!differs) differs = written.join() !== (await continued(theirs, ids, tokens, threads)).join();
  const { holds, line } = await besideOurs(ours, ids, written, margin);
  if (!holds) faults.push(prompt);
  console.log(`${holds ? "PASS" : "FAIL"} ${JSON.stringify(prompt.slice(0, 40))}: ${line}`);
}
console.log(`${differs ? "PASS" : "FAIL"} the text ${differs ? "differs from" : "is always"} the base's`);
if (!differs) faults.push("no text differs");

const read =
  values.text === undefined ? PROMPTS.join(" ").repeat(8) : readFileSync(values.text, "utf8").slice(0, 20_000);
const ids = [...tokenizer.encode(read).ids].slice(0, Math.min(nllTokens + 1, model.config.maxPositionEmbeddings));
const [nll, theirNll, baseNll] = [
  await ourMeanNll(ours, ids),
  await meanNll(theirs, ids, threads, lora),
  await meanNll(theirs, ids, threads),
];
const off = Math.abs(nll / theirNll - 1);
console.log(
  `${off <= 0.02 ? "PASS" : "FAIL"} nll of ${ids.length - 1} tokens: ours ${nll.toFixed(4)}, theirs ${theirNll.toFixed(4)} (${(100 * off).toFixed(3)} % apart), their base's ${baseNll.toFixed(4)}`,
);
if (!(off <= 0.02)) faults.push("nll");
rmSync(folder, { recursive: true, force: true });
device.close();
await theirs.llama.dispose();
process.exit(faults.length > 0 ? 1 : 0);
