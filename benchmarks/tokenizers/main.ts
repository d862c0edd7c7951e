/** `npm run bench:tokenizers`: SST-2 lines a second on one core, in Node and in headless Chromium; a tokenizer of each kind. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { chromium } from "../test/chromium.ts";
import { runPage } from "../test/page.ts";
import { median, speedOf, type Speed } from "./work.ts";

const ROUNDS = 5;
const root = resolve(import.meta.dirname, "../..");
const data = resolve(root, process.env["LOWRANK_DATA"] ?? "../shared/data");
const fixtures = resolve(root, process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures", "tokenizers");
if (!existsSync(data) || !existsSync(fixtures)) {
  process.stderr.write(`bench:tokenizers: needs the data in ${data} (LOWRANK_DATA) and the fixtures in ${fixtures}\n`);
  process.exit(2);
}

const json = (...path: string[]): unknown => JSON.parse(readFileSync(resolve(...path), "utf8"));
/** GPT-2 as OpenAI published it. */
function gpt2(): unknown {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  const [, ...merges] = readFileSync(resolve(data, "gpt2-tokenizer/vocab.bpe"), "utf8").trimEnd().split("\n");
  const model = { type: "BPE", vocab: json(data, "gpt2-tokenizer/encoder.json"), merges };
  return { model, pre_tokenizer: byteLevel, post_processor: byteLevel, decoder: byteLevel };
}
const FILES: Readonly<Record<string, unknown>> = {
  "WordPiece (BERT)": json(data, "bert-base-uncased-tokenizer/tokenizer.json"),
  "byte-level BPE (GPT-2)": gpt2(),
  "byte-level BPE (Llama 3's rule)": json(fixtures, "llama3.tokenizer.json"),
  "BPE with byte fallback": json(fixtures, "llama-legacy.tokenizer.json"),
  Unigram: json(fixtures, "unigram.tokenizer.json"),
  "Unigram, character map": json(fixtures, "spm-precompiled.tokenizer.json"),
};
const lines = readFileSync(resolve(data, "sst2-glue/train.tsv"), "utf8")
  .split("\n")
  .slice(1)
  .filter((line) => line !== "")
  .map((line) => line.split("\t")[0]!);

async function inChromium(): Promise<Record<string, Speed> | undefined> {
  const browser = await chromium();
  if (browser === undefined) return undefined;
  const script = {
    imports: `import { speedOf } from "./work.ts";`,
    body: `
      const { files, lines } = await (await fetch("/input")).json();
      for (const [name, file] of Object.entries(files)) result[name] = speedOf(file, lines, ${ROUNDS});`,
    folder: import.meta.dirname,
  };
  const { error, ...speeds } = await runPage(browser, script, ({ path }, response) => {
    if (path !== "/input") return void response.writeHead(404).end();
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ files: FILES, lines }));
  });
  if (error !== undefined) throw new Error(String(error));
  return speeds as unknown as Record<string, Speed>;
}

const node = Object.fromEntries(Object.entries(FILES).map(([name, file]) => [name, speedOf(file, lines, ROUNDS)]));
const page = await inChromium();
process.stdout.write(
  `${lines.length} lines of SST-2's training set, each once, one core; lines a second, median of ${ROUNDS} (lowest)\n\n`,
);
process.stdout.write("| tokenizer | tokens | Node | Chromium |\n|---|---|---|---|\n");
const shown = (speed: Speed | undefined): string =>
  speed === undefined
    ? "–"
    : `${Math.round(median(speed.rounds)).toLocaleString("en")} (${Math.round(Math.min(...speed.rounds)).toLocaleString("en")})`;
for (const [name, speed] of Object.entries(node))
  process.stdout.write(
    `| ${name} | ${speed.tokens.toLocaleString("en")} | ${shown(speed)} | ${shown(page?.[name])} |\n`,
  );
