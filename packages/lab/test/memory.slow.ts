/**
 * A model of BERT-base's shape in f16, batches of 32 rows of 128 tokens: in 700 MB and in 4 GB, each a process of its own. Both stay below, say in a
 * line how, and compute the same losses to f32's accumulation, dropout on. About ten minutes of two cores.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { metaModel, savePretrained } from "@lowrank/models";
import { init, RandomStream } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { StudyOutcome } from "../src/study/outcome.ts";

const cli = fileURLToPath(new URL("../src/cli.ts", import.meta.url));
const data = resolve(import.meta.dirname, "../../..", process.env["LOWRANK_DATA"] ?? "../shared/data");
const folder = mkdtempSync(join(tmpdir(), "lowrank-fits-"));
const study = join(folder, "study.yaml");

beforeAll(async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const model = metaModel("BertForSequenceClassification", {
    model_type: "bert",
    vocab_size: 30_522,
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
    max_position_embeddings: 512,
  });
  await model.materialize({ device, seed: 3 });
  await savePretrained(model, join(folder, "base"));
  device.close();
  const tokenizer = join(data, "bert-base-uncased-tokenizer", "tokenizer.json");
  copyFileSync(tokenizer, join(folder, "base", "tokenizer.json"));
  const { model: words } = JSON.parse(readFileSync(tokenizer, "utf8")) as { model: { vocab: Record<string, number> } };
  const known = Object.keys(words.vocab).filter((word) => /^[a-z]{4,}$/.test(word));
  const stream = new RandomStream(1, "fits");
  const rows = (count: number): string =>
    Array.from({ length: count }, (_, i) => {
      const text = Array.from({ length: 140 }, () => known[stream.integer(known.length)]);
      return `${text.join(" ")},${i % 2 === 0 ? "good" : "bad"}\n`;
    }).join("");
  for (const [name, count] of [
    ["train.csv", 64],
    ["dev.csv", 8],
  ] as const)
    writeFileSync(join(folder, name), `text,label\n${rows(count)}`);
  writeFileSync(
    study,
    `name: fits
task: { name: text-classification, train: train.csv, validation: dev.csv, maxLength: 128 }
base: ${join(folder, "base")}
seeds: [1]
train: { epochs: 1, batchSize: 32, lr: 1e-3 }
configs:
  lora: { method: lora, r: 8, dropout: 0.1, target: [query, key, value, dense], storage: f16 }
`,
  );
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the command says of a run of its own process. */
function run(memory: string): { readonly peak: number; readonly losses: readonly number[]; readonly line: string } {
  const out = join(folder, memory);
  const args = ["run", study, "--data", folder, "--memory", memory, "--out", out, "--device", "wasm", "--threads", "2"];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--import", "tsx", "--conditions", "@lowrank/source", cli, ...args, "--json"],
    { encoding: "utf8", maxBuffer: 2 ** 26 },
  );
  expect(status, stderr).toBe(0);
  const { results } = JSON.parse(stdout) as StudyOutcome;
  const [name] = readdirSync(join(out, "runs"));
  const [head, ...lines] = readFileSync(join(out, "runs", name!, "metrics.csv"), "utf8")
    .trim()
    .split("\n");
  const at = head!.split(",").indexOf("train_loss");
  return {
    peak: results[0]!.measures.memory.peakRssBytes,
    losses: [...lines.map((line) => Number(line.split(",")[at])), results[0]!.final.loss],
    line: stderr.split("\n").find((line) => line.startsWith("memory:")) ?? "",
  };
}

it("fits into what is said, with the same losses", () => {
  const [small, large] = [run("700MB"), run("4GB")];
  expect(small.peak).toBeLessThan(700e6);
  expect(large.peak).toBeLessThan(4e9);
  expect(small.line).toMatch(/^memory: 700 MB \(--memory\): batches of 32 rows are computed \d+ at a time/);
  expect(large.line).toMatch(/^memory: 4\.00 GB \(--memory\): batches of 32 rows are computed /);
  expect(small.losses).toHaveLength(large.losses.length);
  // sums of 4096 tokens in other orders: 2^-24 · √4096 of numbers near 1, through two updates
  small.losses.forEach((loss, i) => expect(Math.abs(loss - large.losses[i]!)).toBeLessThan(1e-4));
}, 3_600_000);
