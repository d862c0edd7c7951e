/** Answers that stand in a text: SQuAD's task, with questions that have none (version 2) or without. */
import { ops, quote, type CompileInputs, type Tensor } from "@lowrank/tensor";
import { z } from "zod";
import { count } from "../config/numbers.ts";
import { answerTokens, answerWindows, bestSpan, type AnswerWindow, type Span } from "../data/answer-windows.ts";
import { IGNORED } from "../data/classification.ts";
import type { Batch } from "../data/examples.ts";
import { TextExamples, type MakeTargets } from "../data/text-examples.ts";
import { sequenceLengths, tokenSetOf } from "../data/token-set.ts";
import { textCell, type Columns } from "../data/table/columns.ts";
import type { Table } from "../data/table/table.ts";
import { InputError } from "../errors.ts";
import type { AnsweredItems } from "../records/metric.ts";
import { answerDoubt } from "./rows/doubts.ts";
import { textInputs } from "./rows/inputs.ts";
import type { Answer, Collector, EncodeContext, RowItem, RowTask, Rows } from "../records/row-task.ts";

export interface QuestionItem extends RowItem {
  readonly id: string | undefined;
  readonly question: string;
  readonly context: string;
  /** Texts and where they begin, in UTF-16 units; none where the text has no answer, undefined where nothing is known. */
  readonly answers: readonly { readonly text: string; readonly from: number }[] | undefined;
}

interface QuestionAnswer extends Answer {
  readonly text: string;
  /** Where it stands in the text; undefined for no answer. */
  readonly from: number | undefined;
}

export interface QuestionOptions {
  /** Tokens of the text that two windows of it share. */
  readonly stride: number;
  /** Most tokens of an answer. */
  readonly longestAnswer: number;
}

/** One label: that questions may have no answer. It is what `lowrank.json` keeps. */
const NONE = "no answer";

export const questionAnswering: RowTask<QuestionOptions, QuestionItem, QuestionAnswer> = {
  name: "question-answering",
  kind: "QUESTION_ANS",
  items: "answers",
  metrics: ["answer-f1", "exact-match"],
  rate: {
    share: 0.25,
    source:
      "as for words with tags, where the rate of one label a text teaches nothing; of 5e-4 it is known that XQuAD's answers begin to come (F1 10 % after 100 steps of 8)",
  },
  columns: {
    question: { names: ["question", "query"], needed: "always" },
    context: { names: ["context", "passage", "text"], needed: "always" },
    answers: { names: ["answers", "answer"], needed: "labelled" },
    id: { names: ["id"], needed: "optional" },
  },
  // with the stride of 128 as transformers' run_qa has it: a window must be longer than what two of them share
  maxLength: 384,
  options: {
    stride: z.number().int().min(0).default(128),
    longestAnswer: count.default(30),
  },

  read(table, columns, { labelled }) {
    return table.rows.map((cells, row): QuestionItem => {
      const context = textCell(table, row, columns["context"]!);
      const id = columns["id"] === undefined ? undefined : cells[columns["id"]];
      return {
        row,
        id: typeof id === "string" || typeof id === "number" ? String(id) : undefined,
        question: textCell(table, row, columns["question"]!),
        context,
        answers: labelled ? answersOf(table, row, columns, context) : undefined,
      };
    });
  },

  key: ({ question, context }) => JSON.stringify([question, context]),

  labels({ items }, _options, say) {
    const without = items.filter(({ answers }) => answers?.length === 0).length;
    if (without === 0) return [];
    say(`${without} of ${items.length} questions have no answer: saying nothing is one`);
    return [NONE];
  },

  check({ items, place }, { labels }, part) {
    if (part === "train" || labels.includes(NONE)) return;
    const without = items.find(({ answers }) => answers?.length === 0);
    if (without !== undefined)
      throw new InputError(`${place(without)}: has no answer, and every question to train on has one`);
  },

  head: () => ({ labels: 2 }),

  encode: questionExamples,

  forward(base, inputs) {
    const out = base.forward(textInputs(base, inputs)) as unknown as {
      readonly startLogits: Tensor;
      readonly endLogits: Tensor;
    };
    const plain = (logits: Tensor): Tensor => ops.cast(logits, base.device.defaultFloat);
    return { startLogits: plain(out.startLogits), endLogits: plain(out.endLogits) };
  },

  loss({ startLogits, endLogits }, { startPositions, endPositions }, reduction) {
    const start = ops.crossEntropy(startLogits!, startPositions!, { reduction });
    return ops.mul(ops.add(start, ops.crossEntropy(endLogits!, endPositions!, { reduction })), 0.5);
  },

  collector: (rows, examples, { options, labels }) =>
    new AnswerCollector(rows, examples as QuestionExamples, options.longestAnswer, labels.includes(NONE)),

  counted: (answers, items): AnsweredItems => ({
    predicted: answers.map(({ text }) => text),
    answers: items.map((item) => item.answers!.map(({ text }) => text)),
  }),

  doubt: (answers, items) =>
    answerDoubt(
      answers.map(({ text, from }) => (from === undefined ? undefined : { text, from })),
      items.map((item) => item.answers!),
    ),
};

/** SQuAD's `[{ text, answer_start }]`, or the Hub's `{ text: […], answer_start: […] }`. Places are counted in characters, as Python does. */
function answersOf(table: Table, row: number, columns: Columns, context: string): QuestionItem["answers"] {
  const [cell, where] = [table.rows[row]![columns["answers"]!], table.place(row)];
  const wrong = (what: string): InputError =>
    new InputError(
      `${where}: ${quote(columns["answers"]!)} ${what}; write [{"text": …, "answer_start": …}], and [] where the text has no answer`,
    );
  const object = cell as { readonly text?: unknown; readonly answer_start?: unknown } | null | undefined;
  const pairs: readonly unknown[] | undefined = Array.isArray(cell)
    ? cell
    : Array.isArray(object?.text) && Array.isArray(object.answer_start)
      ? object.text.map((text, i) => ({ text, answer_start: (object.answer_start as unknown[])[i] }))
      : undefined;
  if (pairs === undefined) throw wrong(`is ${quote(cell)}`);
  return pairs.map((pair) => {
    const { text, answer_start: start } = (pair ?? {}) as { readonly text?: unknown; readonly answer_start?: unknown };
    const at = typeof start === "bigint" ? Number(start) : start;
    if (typeof text !== "string" || text === "" || typeof at !== "number" || !Number.isInteger(at) || at < 0)
      throw wrong(`has ${quote(pair)}`);
    const inUnits = Array.from(context).slice(0, at).join("").length;
    const from = [inUnits, at].find((place) => context.startsWith(text, place));
    if (from === undefined)
      throw new InputError(
        `${where}: the answer ${quote(text)} does not begin at character ${at} of the context, where ${quote(context.slice(inUnits, inUnits + text.length))} stands`,
      );
    return { text, from };
  });
}

/** Examples are windows of texts. */
class QuestionExamples extends TextExamples {
  readonly windows: readonly AnswerWindow[];

  constructor(windows: readonly AnswerWindow[], maxLength: number, padId: number, targets: MakeTargets) {
    const tokens = tokenSetOf(windows.map(({ ids }) => ids));
    const typeIds = Uint8Array.from(windows.flatMap((window) => window.typeIds));
    super({ tokens, typeIds, lengths: sequenceLengths(tokens), cut: 0, maxLength }, padId, targets);
    this.windows = windows;
  }
}

/** Beside the texts, `startPositions` and `endPositions` i32 [rows] of the first answer; −100 in rows that are filling. */
function questionExamples(
  { items, place }: Rows<QuestionItem>,
  { tokenizer, maxLength, padId, options, part }: EncodeContext<QuestionOptions>,
): QuestionExamples {
  const room = maxLength - tokenizer.encode("", { pair: "" }).ids.length;
  for (const item of items) {
    const asked = tokenizer.encode(item.question, { specialTokens: false }).ids.length;
    if (asked + options.stride >= room)
      throw new InputError(
        `${place(item)}: the question has ${asked} tokens, which leaves ${room - asked} of maxLength ${maxLength} for the text, not more than the stride of ${options.stride}; raise maxLength (--max-length) or lower the stride (--set task.stride=${Math.max(0, Math.floor((room - asked) / 2))})`,
      );
  }
  const windows = answerWindows(tokenizer, items, maxLength, options.stride);
  const answers = windows.map((window): readonly [number, number] => {
    const answer = items[window.question]!.answers?.[0];
    return answer === undefined ? [0, 0] : answerTokens(window, answer.from, answer.from + answer.text.length);
  });
  return new QuestionExamples(windows, maxLength, padId, (members, { rows }) => {
    if (part === "predict") return { inputs: {}, counted: members.length };
    const positions = (end: 0 | 1): CompileInput => {
      const data = new Int32Array(rows).fill(IGNORED);
      for (const [row, member] of members.entries()) data[row] = answers[member]![end];
      return { data, shape: [rows], dtype: "i32" };
    };
    return { counted: members.length, inputs: { startPositions: positions(0), endPositions: positions(1) } };
  });
}

type CompileInput = CompileInputs[string];

/** The best span of all windows of a question; nothing, where that scores more and may be said. */
class AnswerCollector implements Collector<QuestionAnswer> {
  readonly #items: readonly QuestionItem[];
  readonly #windows: readonly AnswerWindow[];
  readonly #longest: number;
  readonly #mayBeNone: boolean;
  readonly #best: (Span | undefined)[];
  /** The least that any window gives to saying nothing, as SQuAD's script for version 2 takes it. */
  readonly #none: number[];
  readonly #sums: number[][];

  constructor({ items }: Rows<QuestionItem>, { windows }: QuestionExamples, longestAnswer: number, mayBeNone: boolean) {
    this.#items = items;
    this.#windows = windows;
    this.#longest = longestAnswer;
    this.#mayBeNone = mayBeNone;
    this.#best = items.map(() => undefined);
    this.#none = items.map(() => Infinity);
    this.#sums = windows.map(() => []);
  }

  take({ members, length }: Pick<Batch, "members" | "length">, outputs: Readonly<Record<string, Float64Array>>): void {
    members.forEach((member, row) => {
      const window = this.#windows[member]!;
      const of = (name: string): Float64Array => outputs[name]!.subarray(row * length, (row + 1) * length);
      const [start, end] = [of("startLogits"), of("endLogits")];
      const span = bestSpan(window, start, end, this.#longest);
      const [known, none] = [this.#best[window.question], start[0]! + end[0]!];
      // of equals the earlier one in the text, in whatever order windows come
      const better =
        span !== undefined &&
        (known === undefined || span.score > known.score || (span.score === known.score && span.from < known.from));
      if (better) this.#best[window.question] = span;
      this.#none[window.question] = Math.min(this.#none[window.question]!, none);
      this.#sums[member] = [none, ...(span === undefined ? [] : [span.score])];
    });
  }

  finish(): QuestionAnswer[] {
    const numbers = this.#items.map((): number[] => []);
    this.#windows.forEach(({ question }, i) => numbers[question]!.push(...this.#sums[i]!));
    return this.#items.map(({ id, context }, i) => {
      const [best, none] = [this.#best[i], this.#none[i]!];
      const text =
        best === undefined || (this.#mayBeNone && none > best.score) ? "" : context.slice(best.from, best.to);
      const score = best === undefined ? none : best.score - none;
      return {
        text,
        from: text === "" ? undefined : best!.from,
        numbers: numbers[i]!,
        decision: text,
        fields: {
          ...(id === undefined ? {} : { id }),
          answer: text,
          ...(text === "" ? {} : { start: best!.from }),
          score: Number(score.toPrecision(9)),
        },
      };
    });
  }
}
