/** Pre-training by the next word: GPT-2's tokenizer as it was released, rows of running text, and a checkpoint that a study can adapt. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fromPretrained, GPT2LMHeadModel, loadTokenizer } from "@lowrank/models";
import { init } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { causalCorpus } from "../src/data/causal-corpus.ts";
import { loadGpt2Tokenizer } from "../src/data/gpt2-tokenizer.ts";
import { sequence, sequenceCount } from "../src/data/token-set.ts";
import { loadPretrainConfig } from "../src/pretrain/config.ts";
import { pretrain, type PretrainOutcome } from "../src/pretrain/pretrain.ts";
import { byteTokenizerFiles } from "./causal-folder.ts";
import { writeToyData } from "./toy-data.ts";

const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-clm-"));

/** Bytes, two merges, and the token that ends texts, 258. */
function writeWords(data: string): string {
  const { model } = byteTokenizerFiles().tokenizer as { model: { vocab: Record<string, number> } };
  mkdirSync(join(data, "gpt2-tokenizer"));
  const vocab = { ...model.vocab, fi: 256, lm: 257, "<|endoftext|>": 258 };
  writeFileSync(join(data, "gpt2-tokenizer", "encoder.json"), JSON.stringify(vocab));
  writeFileSync(join(data, "gpt2-tokenizer", "vocab.bpe"), "#version: 0.2\nf i\nl m\n");
  return data;
}

const TINY = [
  "model={hidden: 16, layers: 1, heads: 2, intermediate: 16, positions: 16, dropout: 0}",
  "corpus={sources: [books], length: 16}",
  "train={steps: 30, tokensPerBatch: 128, lr: 0.02, checkpointMinutes: 60}",
];

async function train(out: string, data: string, set: readonly string[] = []): Promise<PretrainOutcome> {
  const device = await init({ device: "wasm", threads: 1 });
  try {
    return await pretrain(loadPretrainConfig("small", [...TINY, ...set], "clm"), {
      objective: "clm",
      device,
      out,
      dataFolder: data,
      cacheFolder: join(out, ".cache"),
      minutes: undefined,
      machine: {} as never,
      progress: "quiet",
      say: () => {},
    });
  } finally {
    device.close();
  }
}

describe("the tokenizer that OpenAI released", () => {
  it("merges pairs in their order, and can be written and read again", async () => {
    const { tokenizer, write } = await loadGpt2Tokenizer(writeWords(writeToyData(temporary())));
    const { ids } = tokenizer.encode("film");
    expect(ids).toEqual([256, 257]);
    const folder = temporary();
    write(folder);
    const again = await loadTokenizer(folder);
    expect(again.encode("a film\n").ids).toEqual(tokenizer.encode("a film\n").ids);
    expect(again.specialTokens).toMatchObject({ bos: "<|endoftext|>", eos: "<|endoftext|>" });
  });

  const data = resolve(import.meta.dirname, "../../..", process.env["LOWRANK_DATA"] ?? "../shared/data");
  it.skipIf(!existsSync(join(data, "gpt2-tokenizer")))("gives GPT-2's ids", async () => {
    const { tokenizer } = await loadGpt2Tokenizer(data);
    // as tiktoken's "gpt2" has them
    expect(tokenizer.encode("Hello world").ids).toEqual([15496, 995]);
    expect(tokenizer.encode("<|endoftext|>").ids).toEqual([50256]);
    expect(tokenizer.vocabSize).toBe(50257);
  });
});

describe("pre-training by the next word", () => {
  it("reads texts whole, in rows of one length, after the token that ends them", async () => {
    const data = writeWords(writeToyData(temporary()));
    const { tokenizer } = await loadGpt2Tokenizer(data);
    const { train: rows, heldOut } = causalCorpus(
      { dataFolder: data, cacheFolder: temporary(), sources: ["books"], length: 16 },
      tokenizer,
      "id",
    );
    for (const [set, file] of [
      [rows.set.tokens, "train-00.txt"],
      [heldOut.set.tokens, "valid.txt"],
    ] as const) {
      const text = readFileSync(join(data, "public-domain-books", file), "utf8");
      const whole = [258, ...tokenizer.encode(text).ids];
      const read = Array.from({ length: sequenceCount(set) }, (_, i) => [...sequence(set, i)]);
      expect(read.flat()).toEqual(whole.slice(0, 16 * Math.floor(whole.length / 16)));
      expect(read.every((row) => row.length === 16)).toBe(true);
    }
    // of a row's first token nothing is asked
    expect(rows.targets.every((count) => count === 15)).toBe(true);
  });

  it("learns, leaves a GPT-2 with its tokenizer, and goes on from where it stopped", async () => {
    const data = writeWords(writeToyData(temporary()));
    const out = temporary();
    const { heldOutLoss, steps } = await train(out, data);
    expect(steps).toBe(30);
    expect(heldOutLoss).toBeLessThan(Math.log(259) - 1);
    const device = await init({ device: "reference" });
    const { model, report } = await fromPretrained(out, GPT2LMHeadModel, { device });
    expect(report.fresh).toEqual([]);
    expect(model.config).toMatchObject({ vocabSize: 259, maxPositionEmbeddings: 16 });
    device.close();
    expect((await loadTokenizer(out)).encode("film").ids).toEqual([256, 257]);
    expect(JSON.parse(readFileSync(join(out, "pretraining.json"), "utf8"))).toMatchObject({ objective: "clm" });
    expect((await train(out, data)).heldOutLoss).toBe(heldOutLoss);
  });

  it.each([
    ["corpus.masking=0.2", /unknown key "corpus.masking"/],
    ["corpus.sources=[sst2-text]", /"corpus.sources.0" is "sst2-text"/],
    ["model.family=bert", /"model.family"/],
    ["corpus.length=512", /"corpus.length" 512 is more than "model.positions" 16/],
  ])("refuses %s", (set, message) => {
    expect(() => loadPretrainConfig("small", [...TINY, set], "clm")).toThrow(message);
  });

  it("has words of its own, and masked pre-training keeps its", () => {
    expect(() => loadPretrainConfig("small", ["model.family=gpt2"])).toThrow(/unknown key "model.family"/);
    expect(() => loadPretrainConfig("medium", [], "clm")).toThrow(/neither a file nor a preset/);
  });
});
