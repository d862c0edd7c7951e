/** Tags of words and answers in texts: nothing is lost where a row is cut, and what is learnt comes out again. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { parseTokenizer, type Tokenizer } from "@lowrank/models";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { answerTokens, answerWindows, bestSpan } from "../src/data/answer-windows.ts";
import { entitiesOf } from "../src/data/iob.ts";
import { readConll } from "../src/data/table/conll.ts";
import { readJson } from "../src/data/table/json-lines.ts";
import { taggedParts } from "../src/data/tagged-words.ts";
import { tasks } from "../src/tasks/registry.ts";
import { made, toyFolder, type Made } from "./row-study.ts";

const data = toyFolder();
/** As a BERT's: what stands around one text or two. */
const template = {
  type: "TemplateProcessing",
  single: [
    { SpecialToken: { id: "[CLS]", type_id: 0 } },
    { Sequence: { id: "A", type_id: 0 } },
    { SpecialToken: { id: "[SEP]", type_id: 0 } },
  ],
  pair: [
    { SpecialToken: { id: "[CLS]", type_id: 0 } },
    { Sequence: { id: "A", type_id: 0 } },
    { SpecialToken: { id: "[SEP]", type_id: 0 } },
    { Sequence: { id: "B", type_id: 1 } },
    { SpecialToken: { id: "[SEP]", type_id: 1 } },
  ],
  special_tokens: {
    "[CLS]": { id: "[CLS]", ids: [2], tokens: ["[CLS]"] },
    "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] },
  },
};
const file = join(data, "bert-base-uncased-tokenizer", "tokenizer.json");
const parsed = { ...(JSON.parse(readFileSync(file, "utf8")) as object), post_processor: template };
writeFileSync(file, JSON.stringify(parsed));
const tokenizer: Tokenizer = parseTokenizer(parsed);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => {
  device.close();
  rmSync(data, { recursive: true, force: true });
});

/** Words of one, two and three tokens, and one that has none. */
const word = fc.constantFrom("a", "fine", "films", "film.", "dulls.", "unknown", "\u200b");
const sentence = fc.array(word, { minLength: 1, maxLength: 30 }).filter((words) => words.some((w) => w !== "\u200b"));

describe("words with tags", () => {
  test.prop([sentence, fc.integer({ min: 5, max: 40 })])(
    "asks for each word that has a token once, at its first token",
    (words, maxLength) => {
      const parts = taggedParts(tokenizer, [words], maxLength, () => "row");
      expect(parts.flatMap(({ words: own }) => own.map((w) => w.word))).toEqual(
        [...words.keys()].filter((i) => words[i] !== "\u200b"),
      );
      for (const part of parts) {
        expect(part.ids.length).toBeLessThanOrEqual(maxLength);
        expect([part.ids[0], part.ids.at(-1)]).toEqual([2, 3]);
        for (const { word: at, token } of part.words)
          expect(part.ids[token]).toBe(tokenizer.encode(words[at]!, { specialTokens: false }).ids[0]);
      }
      // one part wherever everything fits
      const whole = tokenizer.encode(words).ids;
      if (whole.length <= maxLength) expect(parts.map(({ ids }) => ids)).toEqual([whole]);
    },
  );

  it("reads CoNLL's columns", () => {
    const table = readConll(
      bytes("-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\n\t\nPeter\tB-PER\r\n"),
      "x.conll",
    );
    expect(table.rows.map((row) => ({ ...row }))).toEqual([
      { tokens: ["EU", "rejects"], tags: ["B-ORG", "O"] },
      { tokens: ["Peter"], tags: ["B-PER"] },
    ]);
    expect([table.place(0), table.place(1)]).toEqual(["x.conll:3", "x.conll:7"]);
    expect(() => readConll(bytes("EU B-ORG\nword\n"), "x.conll")).toThrow(
      "x.conll:2: has no tag; a line is a word, … and its tag",
    );
  });

  test.prop([fc.array(fc.constantFrom("O", "B-a", "I-a", "B-b", "I-b"), { maxLength: 12 })])(
    "finds entities that do not overlap, begin where they must and cover every tag",
    (tags) => {
      const found = entitiesOf(tags);
      const covered = new Set(
        found.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i)),
      );
      expect([...covered].sort((a, b) => a - b)).toEqual([...tags.keys()].filter((i) => tags[i] !== "O"));
      expect(found.reduce((sum, { first, last }) => sum + last - first + 1, 0)).toBe(covered.size);
      for (const { type, first, last } of found) {
        expect(tags.slice(first, last + 1).every((tag) => tag.endsWith(`-${type}`))).toBe(true);
        expect(tags.slice(first + 1, last + 1).every((tag) => tag.startsWith("I"))).toBe(true);
      }
    },
  );
});

describe("answers in windows", () => {
  const context = fc.array(fc.constantFrom("a", "fine", "films", "dull", "and"), { minLength: 1, maxLength: 40 });

  test.prop([context, fc.nat(), fc.nat({ max: 3 }), fc.integer({ min: 12, max: 24 }), fc.nat({ max: 3 })])(
    "finds an answer in every window that holds it whole, and some window does",
    (words, at, more, maxLength, stride) => {
      const [first, last] = [at % words.length, Math.min(words.length - 1, (at % words.length) + more)];
      const text = words.join(" ");
      const from = words.slice(0, first).join(" ").length + (first === 0 ? 0 : 1);
      const to = from + words.slice(first, last + 1).join(" ").length;
      const windows = answerWindows(tokenizer, [{ question: "good", context: text }], maxLength, stride);
      let held = 0;
      for (const window of windows) {
        expect(window.ids.length).toBeLessThanOrEqual(maxLength);
        const [start, end] = answerTokens(window, from, to);
        const inside = window.offsets[0]![0] <= from && window.offsets.at(-1)![1] >= to;
        expect(start > 0).toBe(inside);
        if (!inside) continue;
        held++;
        // where a model is sure of these two tokens, what comes out is the answer
        const sure = (place: number): number[] => window.ids.map((_, i) => (i === place ? 1 : 0));
        const span = bestSpan(window, sure(start), sure(end), 100)!;
        expect(text.slice(span.from, span.to)).toBe(text.slice(from, to));
      }
      // an answer of at most four words, eight tokens, may be cut by windows that share fewer tokens
      if (windows.length === 1) expect(held).toBe(1);
    },
  );

  test.prop([
    fc.array(fc.tuple(fc.double({ min: -3, max: 3 }), fc.double({ min: -3, max: 3 })), { minLength: 1, maxLength: 12 }),
    fc.integer({ min: 1, max: 5 }),
  ])("takes the best of all spans that are not too long", (logits, longest) => {
    const window = { first: 1, offsets: logits.map((_, i) => [i, i + 1] as const) };
    const padded = (side: 0 | 1): number[] => [9, ...logits.map((pair) => pair[side]), 9];
    const all = logits.flatMap((_, s) =>
      logits.flatMap((__, e) => (e >= s && e - s < longest ? [logits[s]![0] + logits[e]![1]] : [])),
    );
    expect(bestSpan(window, padded(0), padded(1), longest)!.score).toBe(Math.max(...all));
  });

  it("reads SQuAD's form", () => {
    const qa = { id: "7", question: "q", answers: [{ text: "x", answer_start: 0 }] };
    const document = { version: "1.1", data: [{ title: "t", paragraphs: [{ context: "x y", qas: [qa] }] }] };
    const table = readJson(bytes(JSON.stringify(document)), "s.json");
    expect({ ...table.rows[0] }).toMatchObject({ ...qa, context: "x y", title: "t" });
    expect(table.place(0)).toBe("s.json: data[0].paragraphs[0].qas[0]");
    expect(() => readJson(bytes('{"data":[{"paragraphs":[{"context":"x"}]}]}'), "s.json")).toThrow(
      "s.json: data[0].paragraphs[0].qas: is undefined, and SQuAD's form has a list there",
    );
  });
});

/** On top of the toy study: enough to learn a handful of words. */
const LEARNS = [
  "model={hidden: 16, layers: 1, heads: 2, intermediate: 16, initializerRange: 0.3, dropout: 0}",
  "train={epochs: 30, batchSize: 8, lr: 0.02}",
  "configs={full: {method: full}}",
];

function linesOf({ outcome, out }: Made): Record<string, unknown>[] {
  const text = readFileSync(join(out, "runs", outcome.results[0]!.name, "predictions.jsonl"), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("studies of them", () => {
  const tags = (files: Readonly<Record<string, string>>): Promise<Made> =>
    made({ data, device }, files, [
      "task={name: token-classification, train: t.conll, validation: d.conll, maxLength: 8}",
      ...LEARNS,
    ]);
  const rows =
    "fine B-X\nfilms I-X\nand O\n\na O\ndull B-Y\n\ngood O\nfine B-X\nfilms I-X\nlong O\ndull B-Y\nand O\n\n";

  it("learn tags that words have, of sentences longer than the model takes", async () => {
    const run = await tags({ "t.conll": rows.repeat(4), "d.conll": rows });
    const { outcome, said } = run;
    expect(outcome.failures).toEqual([]);
    expect(said).toContain("tags: O, B-X, I-X, B-Y");
    expect(outcome.results[0]!.final).toMatchObject({ "entity-f1": 1, entities: { X: { support: 2 } } });
    expect(linesOf(run)[2]).toEqual({
      index: 2,
      tokens: ["good", "fine", "films", "long", "dull", "and"],
      tags: ["O", "B-X", "I-X", "O", "B-Y", "O"],
    });
  });

  it("say loudly that nothing was found", async () => {
    const plain = "fine O\nfilms O\nand O\n\n";
    const { outcome, said } = await tags({
      "t.conll": `${plain.repeat(15)}good B-X\n\n`,
      "d.conll": "fine B-X\nfilms O\n\n",
    });
    const line =
      "every one of 2 words is tagged O: nothing was learnt that tells rows apart; try another learning rate, or more steps";
    expect(outcome.results[0]!.warnings).toEqual([line]);
    expect(said.some((told) => told.endsWith(`full · seed 1: WARNING: ${line}`))).toBe(true);
  });

  it.each([
    [
      't.conll:1: the tag "E-X" is not one of IOB2; tags are O, B-TYPE (an entity begins) and I-TYPE (it goes on)',
      "fine E-X\n",
      rows,
    ],
    ['d.conll:1: the tag "B-Z" of the validation rows is in no row to train on', rows, "fine B-Z\n"],
  ])("refuse: %s", async (message, train, dev) => {
    await expect(tags({ "t.conll": train, "d.conll": dev })).rejects.toThrow(message);
  });

  const question = (context: string, text: string | undefined): object => ({
    context,
    question: "good",
    answers: text === undefined ? [] : [{ text, answer_start: context.indexOf(text) }],
  });
  const questions = (extra: readonly object[] = []): string =>
    [
      question("a long film and dull and fine", "fine"),
      question("fine film", "fine"),
      question("dull and fine and long", "fine"),
      ...extra,
    ]
      .map((row) => JSON.stringify(row))
      .join("\n");
  const answers = (files: Readonly<Record<string, string>>): Promise<Made> =>
    made({ data, device }, files, [
      "task={name: question-answering, train: t.jsonl, validation: d.jsonl, maxLength: 9, stride: 2}",
      ...LEARNS,
    ]);

  it("learn answers, and that there may be none", async () => {
    const none = question("a dull film", undefined);
    const text = questions([none, none]);
    const run = await answers({ "t.jsonl": `${text}\n`.repeat(4), "d.jsonl": text });
    const { outcome, said } = run;
    expect(outcome.failures).toEqual([]);
    expect(said).toContain("8 of 20 questions have no answer: saying nothing is one");
    expect(outcome.results[0]!.final).toMatchObject({ "answer-f1": 1, "exact-match": 1, examples: 6 });
    expect(linesOf(run).map(({ answer }) => answer)).toEqual(["fine", "fine", "fine", "", ""]);
  });

  it("have room for the text behind a question where nothing is said, and say what to change where there is none", async () => {
    const usual = (name: string): unknown => tasks.get(name).schema.parse({ name, train: "t.jsonl" });
    expect(usual("question-answering")).toMatchObject({ maxLength: 384, stride: 128 });
    expect(usual("text-classification")).toMatchObject({ maxLength: 128 });
    const rows = questions();
    const set = ["task={name: question-answering, train: t.jsonl, validation: d.jsonl, maxLength: 9, stride: 5}"];
    await expect(made({ data, device }, { "t.jsonl": rows, "d.jsonl": rows }, set)).rejects.toThrow(
      /maxLength 9 for the text, not more than the stride of 5; raise maxLength \(--max-length\) or lower the stride \(--set task\.stride=2\)/,
    );
  });

  it("refuse an answer that is not where it is said to be", async () => {
    const wrong = JSON.stringify({ context: "a 😀 film", question: "q", answers: [{ text: "film", answer_start: 3 }] });
    await expect(answers({ "t.jsonl": wrong, "d.jsonl": wrong })).rejects.toThrow(
      't.jsonl:1: the answer "film" does not begin at character 3 of the context, where " fil" stands',
    );
  });
});
