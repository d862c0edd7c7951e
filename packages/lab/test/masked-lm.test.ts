/** Masked language modelling on rows of files: what is hidden, and from a text to an adapter and its perplexity. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { parseTokenizer, type Tokenizer } from "@lowrank/models";
import { init } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { main } from "../src/cli/main.ts";
import { maskableTexts, MaskedTexts } from "../src/data/masked-texts.ts";
import { toyFolder } from "./row-study.ts";
import { toyCheckpoint } from "./toy-checkpoint.ts";

const data = toyFolder();
const out = mkdtempSync(join(tmpdir(), "lowrank-mlm-"));
const file = join(data, "bert-base-uncased-tokenizer", "tokenizer.json");
const around = { special_tokens: {}, single: [], pair: [], type: "TemplateProcessing" };
const tokenizer: Tokenizer = parseTokenizer({
  ...(JSON.parse(readFileSync(file, "utf8")) as object),
  post_processor: {
    ...around,
    single: [
      { SpecialToken: { id: "[CLS]", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: "[SEP]", type_id: 0 } },
    ],
    pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: {
      "[CLS]": { id: "[CLS]", ids: [2], tokens: ["[CLS]"] },
      "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] },
    },
  },
});
const [PAD, MASK, VOCABULARY] = [0, 4, 16];

const text = fc
  .array(fc.constantFrom("a", "fine", "films", "dull", "and", "good"), { minLength: 1, maxLength: 40 })
  .map((words) => words.join(" "));
const corpus = fc.record({
  texts: fc.array(text, { minLength: 1, maxLength: 6 }),
  maxLength: fc.integer({ min: 4, max: 24 }),
  share: fc.double({ min: 0.05, max: 0.6, noNaN: true }),
});

function masked(
  { texts, maxLength, share }: { texts: readonly string[]; maxLength: number; share: number },
  fixed: number | undefined,
): MaskedTexts {
  const parts = maskableTexts(tokenizer, texts, maxLength, (i) => `rows[${i}]`);
  return new MaskedTexts(parts, { padId: PAD, mask: MASK, vocabSize: VOCABULARY, maxLength, share, fixed });
}

const numbers = (batch: ReturnType<MaskedTexts["batch"]>, name: string): number[] =>
  Array.from((batch.inputs[name] as { data: Int32Array }).data);

describe("what is hidden of texts", () => {
  test.prop([corpus, fc.nat(1000)])(
    "is its share of each part, no special token, and is asked for as it was",
    (given, seed) => {
      const examples = masked(given, undefined);
      // nothing is lost where a text is cut
      for (const [i, whole] of given.texts.entries()) {
        const own = examples.texts.filter(({ item }) => item === i);
        expect(own.flatMap(({ ids }) => ids.slice(1, -1))).toEqual(tokenizer.encode(whole).ids.slice(1, -1));
        for (const { ids } of own) expect([ids[0], ids.at(-1), ids.length <= given.maxLength]).toEqual([2, 3, true]);
      }
      const rows = examples.count + 1;
      const batch = examples.batch(Int32Array.from(examples.texts.keys()), { rows, multiple: 8 }, seed);
      const [ids, labels, positions] = ["inputIds", "labels", "positions"].map((name) => numbers(batch, name)) as [
        number[],
        number[],
        number[],
      ];
      const each = examples.slots(batch.length);
      const asked = new Map(positions.flatMap((at, slot) => (labels[slot]! < 0 ? [] : [[at, labels[slot]!] as const])));
      expect(batch.counted).toBe(asked.size);
      examples.texts.forEach(({ ids: own }, row) => {
        const inRow = [...asked.keys()].filter((at) => Math.floor(at / batch.length) === row);
        expect(inRow.length).toBe(Math.max(1, Math.round((own.length - 2) * given.share)));
        expect(inRow.length).toBeLessThanOrEqual(each);
        own.forEach((id, column) => {
          const at = row * batch.length + column;
          expect(asked.get(at) ?? ids[at]).toBe(id);
          if (column === 0 || column === own.length - 1) expect(asked.has(at)).toBe(false);
        });
      });
    },
  );

  test.prop([corpus, fc.nat(9)])(
    "does not depend on other texts where it is fixed, nor on the batch's seed",
    (given, seed) => {
      const examples = masked(given, seed);
      const of = (members: number[], batchSeed: number, at: number): number[] => {
        const batch = examples.batch(Int32Array.from(members), { rows: members.length, multiple: 64 }, batchSeed);
        return numbers(batch, "inputIds").slice(at * batch.length, (at + 1) * batch.length);
      };
      const all = [...examples.texts.keys()];
      for (const member of all) expect(of([member], 7, 0)).toEqual(of(all, 8, member));
    },
  );

  test.prop([corpus])("does not depend on the parts that a batch is computed in", (given) => {
    const examples = masked(given, undefined);
    const all = [...examples.texts.keys()];
    const ids = (members: number[]): number[] =>
      numbers(examples.batch(Int32Array.from(members), { rows: members.length, multiple: 64 }, 5), "inputIds");
    expect(all.flatMap((member) => ids([member]))).toEqual(ids(all));
  });

  it("says where there is nothing to hide", () => {
    expect(() => maskableTexts(tokenizer, ["fine", "\u200b"], 8, (i) => `rows[${i}]`)).toThrow(
      "rows[1]: the text has no token that could be hidden",
    );
  });
});

describe("lowrank train --task masked-lm", () => {
  let base: string;
  beforeAll(async () => {
    const device = await init({ device: "wasm", threads: 1 });
    base = await toyCheckpoint(data, device);
    device.close();
  });
  afterAll(() => {
    for (const folder of [data, base, out]) rmSync(folder, { recursive: true, force: true });
  });

  /** What is printed, as JSON. */
  async function told(...args: string[]): Promise<Record<string, any>> {
    const written: string[] = [];
    const spy = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => written.push(String(chunk)) > 0);
    try {
      expect(await main([...args, "--json", "--device", "wasm", "--threads", "1"])).toBe(0);
    } finally {
      spy.mockRestore();
    }
    return JSON.parse(written.join("")) as Record<string, any>;
  }

  it("adapts a BERT to a plain text and to a column, and predicts what the run did", async () => {
    const text = join(data, "book.txt");
    const lines = ["a fine film and not dull .", "good and long films .", "bad and dull and long film ."];
    writeFileSync(text, `${Array.from({ length: 400 }, (_, i) => lines[i % 3]).join("\n\n")}\n`);
    const table = join(data, "dev.csv");
    writeFileSync(table, `id,text\n${lines.map((line, i) => `${i},${line}`).join("\n")}\n`);
    const options = [
      "--task",
      "masked-lm",
      "--max-length",
      "16",
      "--epochs",
      "18",
      "--lr",
      "0.02",
      "--batch-size",
      "16",
    ];
    const files = ["--data", text, "--validation", table];
    const { result, adapter, run } = await told("train", "--base", base, ...files, ...options, "--out", out, "--quiet");
    const before = await told(
      "train",
      "--base",
      base,
      ...files,
      ...options,
      "--set",
      "train.lr=1e-5",
      "--out",
      join(out, "0"),
      "--quiet",
    );
    expect(result.proofs.filter(({ holds }: { holds: boolean }) => !holds)).toEqual([]);
    expect(result.final.perplexity).toBeLessThan(before["result"].final.perplexity / 2);
    const predictions = join(out, "predictions.jsonl");
    expect(
      await main([
        "predict",
        "--adapter",
        adapter,
        "--data",
        table,
        "--out",
        predictions,
        "--quiet",
        "--device",
        "wasm",
        "--threads",
        "2",
      ]),
    ).toBe(0);
    expect(readFileSync(predictions, "utf8")).toBe(readFileSync(join(run, "predictions.jsonl"), "utf8"));
    // merged it is a model by itself, with the head of one that predicts words
    const merged = join(out, "merged");
    expect(await main(["merge", "--adapter", adapter, "--out", merged, "--device", "wasm", "--threads", "1"])).toBe(0);
    expect(JSON.parse(readFileSync(join(merged, "config.json"), "utf8"))).toMatchObject({
      architectures: ["BertForMaskedLM"],
    });
    const evaluated = await told("eval", "--adapter", adapter, "--data", table);
    expect(evaluated["perplexity"]).toBeCloseTo(result.final.perplexity, 4);
  }, 240_000);
});
