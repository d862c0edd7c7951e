/** A tag a word: names, places, products. Rows have the words of a sentence and, to learn from, as many tags of IOB2. */
import { ops, quote } from "@lowrank/tensor";
import { IGNORED } from "../data/classification.ts";
import type { Batch } from "../data/examples.ts";
import { OUTSIDE, requireIob } from "../data/iob.ts";
import { TextExamples, type MakeTargets } from "../data/text-examples.ts";
import { sequenceLengths, tokenSetOf } from "../data/token-set.ts";
import { taggedParts, type TaggedPart } from "../data/tagged-words.ts";
import type { Columns } from "../data/table/columns.ts";
import type { Table } from "../data/table/table.ts";
import { InputError } from "../errors.ts";
import type { TaggedItems } from "../records/metric.ts";
import type { Answer, Collector, EncodeContext, RowItem, RowTask, Rows } from "../records/row-task.ts";
import { tagDoubt } from "./rows/doubts.ts";
import { argmaxRows } from "./classification.ts";
import { textInputs } from "./rows/inputs.ts";
import { meanOfRows } from "./rows/cross-entropies.ts";

export interface TaggedItem extends RowItem {
  readonly words: readonly string[];
  readonly tags: readonly string[] | undefined;
}

interface TaggedAnswer extends Answer {
  readonly tags: readonly string[];
  /** Logits of each word that has a token, and which word it is. */
  readonly words: readonly number[];
}

type NoOptions = object;

export const tokenClassification: RowTask<NoOptions, TaggedItem, TaggedAnswer> = {
  name: "token-classification",
  kind: "TOKEN_CLS",
  items: "tags",
  metrics: ["entity-f1"],
  rate: {
    share: 0.25,
    source:
      "WNUT-17 on a MiniLM of 6 layers, LoRA of rank 8: 5e-4 comes to an entity F1 of 50 % in two passes of batch 8; in 170 steps 5e-4 has a loss of 0.228 and 1e-3 0.344; 1.8e-3, LoRA's for as many steps, tags every word O, in batches of 8 and of 32",
  },
  columns: {
    tokens: { names: ["tokens", "words"], needed: "always" },
    tags: { names: ["tags", "ner_tags", "labels"], needed: "labelled" },
  },
  options: {},

  read(table, columns, { labelled }) {
    return table.rows.map((_, row): TaggedItem => {
      const words = listOf(table, row, columns, "tokens");
      if (words.length === 0) throw new InputError(`${table.place(row)}: ${quote(columns["tokens"]!)} is empty`);
      if (!labelled) return { row, words, tags: undefined };
      const tags = listOf(table, row, columns, "tags");
      if (tags.length !== words.length)
        throw new InputError(`${table.place(row)}: there are ${words.length} words and ${tags.length} tags`);
      requireIob(tags, table.place(row));
      return { row, words, tags };
    });
  },

  key: ({ words }) => JSON.stringify(words),

  /** `O`, then B- and I- of each type, types by code unit; only tags that occur, and B- of each type that does. */
  labels({ items }, _options, say) {
    const seen = new Set(items.flatMap(({ tags }) => tags ?? []));
    const types = [...new Set([...seen].filter((tag) => tag !== OUTSIDE).map((tag) => tag.slice(2)))].sort();
    const labels = [
      OUTSIDE,
      ...types.flatMap((type) => [`B-${type}`, ...(seen.has(`I-${type}`) ? [`I-${type}`] : [])]),
    ];
    if (types.length === 0) say("no word has a tag other than O: there is nothing to learn");
    else say(`tags: ${labels.join(", ")}`);
    return labels;
  },

  check({ items, place }, { labels }, part) {
    const known = new Set(labels);
    for (const item of items) {
      const strange = item.tags?.find((tag) => !known.has(tag));
      if (strange !== undefined)
        throw new InputError(`${place(item)}: the tag ${quote(strange)} of the ${part} rows is in no row to train on`);
    }
  },

  head: ({ labels }) => ({ labels }),

  encode: taggedExamples,

  forward: (base, inputs) => ({ logits: base.logits(textInputs(base, inputs)) }),

  loss({ logits }, { labels }, reduction) {
    const classes = logits!.shape.at(-1)!;
    return ops.crossEntropy(ops.reshape(logits!, [-1, classes]), ops.reshape(labels!, [-1]), { reduction });
  },

  collector: (rows, examples, { labels }) => new TagCollector(rows, examples as TaggedExamples, labels),

  counted: (answers, items): TaggedItems => ({
    gold: items.map(({ tags }) => tags!),
    predicted: answers.map(({ tags }) => tags),
  }),

  doubt: (answers, items) =>
    tagDoubt(
      answers.map(({ tags }) => tags),
      items.map(({ tags }) => tags!),
    ),

  meanLoss(answers, items, { labels }) {
    const places = new Map(labels.map((label, i) => [label, i]));
    return meanOfRows(
      answers.map(({ numbers }) => numbers),
      answers.map(({ words }, i) => words.map((word) => places.get(items[i]!.tags![word]!)!)),
      labels.length,
    );
  },
};

/** A list of texts. JSON lines and Parquet have lists, CoNLL's files are read as such. */
function listOf(table: Table, row: number, columns: Columns, role: string): readonly string[] {
  const column = columns[role]!;
  const value = table.rows[row]![column];
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  const why =
    Array.isArray(value) && value.some((item) => typeof item === "number" || typeof item === "bigint")
      ? "has numbers, whose names the file does not say; write the names"
      : "must be a list of texts, as JSON lines, Parquet and CoNLL's files have it";
  throw new InputError(`${table.place(row)}: ${quote(column)} ${why}`);
}

/** Examples are parts of sentences. */
class TaggedExamples extends TextExamples {
  readonly parts: readonly TaggedPart[];

  constructor(parts: readonly TaggedPart[], maxLength: number, padId: number, targets: MakeTargets) {
    const tokens = tokenSetOf(parts.map(({ ids }) => ids));
    super({ tokens, lengths: sequenceLengths(tokens), cut: 0, maxLength }, padId, targets);
    this.parts = parts;
  }
}

/** Beside the texts, `labels` i32 [rows, length]: of each word's first token, −100 elsewhere. */
function taggedExamples(
  { items, place }: Rows<TaggedItem>,
  { tokenizer, maxLength, padId, labels, part }: EncodeContext,
): TaggedExamples {
  const parts = taggedParts(
    tokenizer,
    items.map(({ words }) => words),
    maxLength,
    (i) => place(items[i]!),
  );
  const places = new Map(labels.map((label, i) => [label, i]));
  return new TaggedExamples(parts, maxLength, padId, (members, { rows, length }) => {
    const data = new Int32Array(rows * length).fill(IGNORED);
    let counted = 0;
    for (const [row, member] of members.entries()) {
      const { sentence, words } = parts[member]!;
      counted += words.length;
      if (part !== "predict")
        for (const { word, token } of words) data[row * length + token] = places.get(items[sentence]!.tags![word]!)!;
    }
    return { counted, inputs: part === "predict" ? {} : { labels: { data, shape: [rows, length], dtype: "i32" } } };
  });
}

/** Keeps the logits of words; a word without a token, which no model sees, is outside. */
class TagCollector implements Collector<TaggedAnswer> {
  readonly #items: readonly TaggedItem[];
  readonly #parts: readonly TaggedPart[];
  readonly #labels: readonly string[];
  readonly #logits: Map<number, Float64Array>[];

  constructor({ items }: Rows<TaggedItem>, { parts }: TaggedExamples, labels: readonly string[]) {
    this.#items = items;
    this.#parts = parts;
    this.#labels = labels;
    this.#logits = items.map(() => new Map<number, Float64Array>());
  }

  take({ members, length }: Pick<Batch, "members" | "length">, outputs: Readonly<Record<string, Float64Array>>): void {
    const [logits, classes] = [outputs["logits"]!, this.#labels.length];
    members.forEach((member, row) => {
      const { sentence, words } = this.#parts[member]!;
      for (const { word, token } of words) {
        const at = (row * length + token) * classes;
        this.#logits[sentence]!.set(word, logits.slice(at, at + classes));
      }
    });
  }

  finish(): TaggedAnswer[] {
    const classes = this.#labels.length;
    return this.#items.map(({ words }, sentence) => {
      const known = [...this.#logits[sentence]!].sort(([a], [b]) => a - b);
      const numbers = new Float64Array(known.length * classes);
      known.forEach(([, logits], i) => numbers.set(logits, i * classes));
      const tags = words.map(() => OUTSIDE);
      argmaxRows(numbers, classes).forEach((label, i) => (tags[known[i]![0]] = this.#labels[label]!));
      return {
        tags,
        words: known.map(([word]) => word),
        numbers,
        decision: tags.join(" "),
        fields: { tokens: words, tags },
      };
    });
  }
}
