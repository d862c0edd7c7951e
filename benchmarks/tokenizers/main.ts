/** `npm run bench:tokenizers`: SST-2 lines a second of processor time, in Node and in headless Chromium; a tokenizer of each kind. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { chromium } from "../test/chromium.ts";
import { runPage } from "../test/page.ts";
import { childSeconds, ownSeconds } from "./cpu.ts";
import { tokenizeAll } from "./work.ts";

const ROUNDS = 3;
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

/** Lines a second, round by round. */
type Speeds = Record<string, number[]>;

function inNode(): { readonly speeds: Speeds; readonly tokens: Record<string, number> } {
  const tokens: Record<string, number> = {};
  const speeds = Object.entries(FILES).map(([name, file]) => {
    const rounds = Array.from({ length: ROUNDS }, () => {
      const before = ownSeconds();
      tokens[name] = tokenizeAll(file, lines);
      return lines.length / (ownSeconds() - before);
    });
    return [name, rounds] as const;
  });
  return { speeds: Object.fromEntries(speeds), tokens };
}

async function inChromium(): Promise<Speeds> {
  const browser = await chromium();
  if (browser === undefined) return {};
  const script = {
    imports: `import { tokenizeAll } from "./work.ts";`,
    body: `
      const { files, lines } = await (await fetch("/input")).json();
      for (const [name, file] of Object.entries(files))
        for (let round = 0; round < ${ROUNDS}; round++) {
          await fetch("/begin");
          tokenizeAll(file, lines);
          await fetch("/end/" + name);
        }`,
    folder: import.meta.dirname,
  };
  const speeds: Speeds = {};
  let before = 0;
  const { error } = await runPage(browser, script, ({ path }, response) => {
    const name = /^\/end\/(.+)$/u.exec(path)?.[1];
    if (path === "/begin") before = childSeconds();
    if (name !== undefined) (speeds[name] ??= []).push(lines.length / (childSeconds() - before));
    response.writeHead(200, { "content-type": "application/json" });
    response.end(path === "/input" ? JSON.stringify({ files: FILES, lines }) : "");
  });
  if (error !== undefined) throw new Error(String(error));
  return speeds;
}

const { speeds: node, tokens } = inNode();
const page = await inChromium();
process.stdout.write(
  `${lines.length} lines of SST-2's training set, each once; lines a second of processor time (all threads), median of ${ROUNDS} (lowest)\n\n`,
);
process.stdout.write("| tokenizer | tokens | Node | Chromium |\n|---|---|---|---|\n");
const whole = (x: number): string => Math.round(x).toLocaleString("en");
const shown = (rounds: readonly number[] | undefined): string =>
  rounds === undefined
    ? "–"
    : `${whole(rounds.toSorted((a, b) => a - b)[rounds.length >> 1]!)} (${whole(Math.min(...rounds))})`;
for (const name of Object.keys(FILES))
  process.stdout.write(`| ${name} | ${whole(tokens[name]!)} | ${shown(node[name])} | ${shown(page[name])} |\n`);
