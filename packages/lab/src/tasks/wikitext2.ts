/**
 * WikiText-2 as a task of causal models: perplexity by token and by word over windows of the running text, with everything that the number rests on said: the split,
 * how lines are joined, window, stride, what was scored, and what it was divided by.
 */
import { loadTokenizer } from "@lowrank/models";
import { quote } from "@lowrank/tensor";
import { z } from "zod";
import { makeBase } from "../bases/make.ts";
import { planOf } from "../bases/plan.ts";
import { count, heldOutRows, rowRange } from "../config/numbers.ts";
import type { Batch } from "../data/examples.ts";
import { hashFiles, requireFile, revisionOf, sayMarks } from "../data/location.ts";
import { readText } from "../data/read-file.ts";
import { overlapTrouble, type HeldOutRows, type RowRange } from "../data/row-range.ts";
import { limitedTo } from "../data/split.ts";
import { TextWindows } from "../data/text-windows.ts";
import { chosenText, linesOf } from "../data/wikitext.ts";
import { evenlySpaced } from "../data/windows.ts";
import { tokenizerFolder, tokenizerIdentity } from "../data/word-piece.ts";
import { asInput } from "../errors.ts";
import type { WordItems } from "../records/metric.ts";
import type { Scored, Scorer, Task, TaskData } from "../records/task.ts";
import { formatCount } from "../text/format.ts";
import { nextToken, TextLosses } from "./next-token.ts";
import { written } from "./rows/output-rows.ts";
import { padIdOf } from "./rows/padding.ts";
import { rowLosses } from "./rows/losses.ts";

export interface Wikitext2Task {
  readonly name: "wikitext2";
  /** File in wikitext-2/ of the text to train on. */
  readonly train: string;
  /** Its lines that are meant. Absent: all, but those that are held out. */
  readonly trainRows?: RowRange | undefined;
  /** Windows to train on, by a fixed shuffle. Absent: all. */
  readonly trainLimit?: number | undefined;
  /** File of the text to evaluate on, or lines of the former. */
  readonly validation: string | HeldOutRows;
  /** Tokens of a window, special ones included. */
  readonly window: number;
  /** Most tokens that a window of an evaluation scores. Absent: as many as it has room for beside the one before them. */
  readonly stride?: number | undefined;
  /** How many windows are evaluated, at equal distances. Absent: all. */
  readonly windows?: number | undefined;
}

const FOLDER = "wikitext-2";
const file = z.string().regex(/^[A-Za-z0-9][\w.-]*$/, `expected the name of a file in ${FOLDER}/, such as valid.txt`);

export const wikitext2: Task<Wikitext2Task, TaskData> = {
  name: "wikitext2",
  schema: z.strictObject({
    name: z.literal("wikitext2"),
    train: file,
    trainRows: rowRange.optional(),
    trainLimit: count.optional(),
    validation: z
      .union([file, heldOutRows], {
        error: `expected the name of a file in ${FOLDER}/, or {trainRows: [FIRST, LAST]}, lines from 1 on`,
      })
      .default("test.txt"),
    window: z.number().int().min(8).max(65_536).default(512),
    stride: count.optional(),
    windows: count.optional(),
  }),
  kind: nextToken.kind,
  items: ["tokens", "words"],
  metrics: ["perplexity", "word-perplexity"],
  readsFiles: true,
  check: ({ trainRows, validation }) => overlapTrouble({ trainRows, heldOut: heldOutOf(validation) }),
  scoredWords: ({ train, validation, window, stride = window }, evaluation) => {
    const text = typeof validation === "string" ? validation : `lines ${validation.trainRows.join(" to ")} of ${train}`;
    const { scored } = evaluation as { scored?: { tokens?: number; words?: number } };
    const count = (n: number | undefined): string => (n === undefined ? "" : ` (${formatCount(n)} scored)`);
    return `Scored on ${text} as one text with its lines joined as the file has them, in windows of ${formatCount(window)} tokens with stride ${formatCount(stride)}. Perplexity is by token${count(scored?.tokens)}, word perplexity by word${count(scored?.words)}, ends of lines among them.`;
  },
  least: ({ window }) => ({ vocab: 1, positions: window, labels: 2 }),
  async identity(options, { dataFolder }, base, revision) {
    const tokens = await tokenizerIdentity(tokenizerFolder(dataFolder, base), revision);
    return `${hashFiles(filesOf(options, dataFolder))}/${tokens}`;
  },
  async data(options, choice, { dataFolder, say = () => {} }, device): Promise<TaskData> {
    const files = filesOf(options, dataFolder);
    sayMarks(files, say);
    const folder = tokenizerFolder(dataFolder, choice.base);
    const tokenizer = await asInput(() => loadTokenizer(folder, choice.base === null ? {} : revisionOf(choice)));
    const least = { vocab: tokenizer.vocabSize, positions: options.window, labels: 2 };
    const padding = padIdOf(tokenizer, (await planOf(choice, nextToken.kind, least)).config);
    const { train: text, dev: devText } = textsOf(options, files);
    const common = { tokenizer, padId: padding.id, window: options.window };
    const train = TextWindows.of(text.text, {
      ...common,
      name: text.name,
      choose: (all) => [...limitedTo(all, options.trainLimit)],
    });
    const { stride, windows } = options;
    const dev = TextWindows.of(devText.text, {
      ...common,
      name: devText.name,
      stride,
      choose: windows === undefined ? undefined : (all) => evenlySpaced(all, windows),
    });
    say(`${text.name}: trained on ${shownWindows(train)}`);
    say(`${devText.name}: evaluated on ${about(dev, options.window)}`);
    const needs = { ...least, ...(padding.ofModel ? {} : { padTokenId: padding.id }) };
    return {
      train,
      dev,
      multiple: 8,
      needs,
      tokenizerFolder: folder,
      base: (initSeed, storage) => makeBase(choice, nextToken.kind, needs, initSeed, device, storage),
      scorer: () => new WindowScorer(dev),
    };
  },
  ...rowLosses(nextToken),
};

interface NamedText {
  /** File and lines. */
  readonly name: string;
  readonly text: string;
}

function heldOutOf(validation: Wikitext2Task["validation"]): RowRange | undefined {
  return typeof validation === "string" ? undefined : validation.trainRows;
}

function filesOf({ train, validation }: Wikitext2Task, folder: string): string[] {
  const names = typeof validation === "string" ? [train, validation] : [train];
  return names.map((name) => requireFile(folder, FOLDER, name));
}

function textsOf(
  { trainRows, validation, train }: Wikitext2Task,
  files: readonly string[],
): { readonly train: NamedText; readonly dev: NamedText } {
  const heldOut = heldOutOf(validation);
  const own = chosenText(linesOf(readText(files[0]!)), { trainRows, heldOut }, files[0]!);
  const lines = (range: RowRange | undefined): string =>
    range === undefined ? "" : `, lines ${range[0]} to ${range[1]}`;
  const left = trainRows === undefined && heldOut !== undefined ? `, all but${lines(heldOut).slice(1)}` : "";
  return {
    train: { name: `${FOLDER}/${train}${lines(trainRows)}${left}`, text: own.train },
    dev:
      typeof validation === "string"
        ? { name: `${FOLDER}/${validation}`, text: readText(files[1]!) }
        : { name: `${FOLDER}/${train}${lines(heldOut)}`, text: own.heldOut! },
  };
}

function shownWindows({ windows, all, scored }: TextWindows): string {
  const some = windows.length === all.windows ? "all" : formatCount(windows.length);
  return `${some} of ${formatCount(all.windows)} windows, ${formatCount(scored.tokens)} of ${formatCount(all.tokens)} tokens`;
}

/** What a perplexity says nothing without. */
function about(dev: TextWindows, window: number): string {
  const { prefix, stride, scored, all, windows } = dev;
  const before =
    prefix === undefined
      ? "nothing before the text"
      : `${quote(prefix.token)} before ${prefix.everyWindow ? "each" : "the text"}`;
  const spaced = windows.length === all.windows ? "" : ", at equal distances";
  return [
    `${shownWindows(dev)}${spaced}`,
    `lines joined as the file has them, one text${dev.spelt ? ", <unk> spelt out" : ""}`,
    `windows of ${formatCount(window)} tokens, stride ${formatCount(stride)}, ${before}`,
    `perplexity is by token (${formatCount(scored.tokens)}), word perplexity by word (${formatCount(scored.words)} of ${formatCount(all.words)}, ends of lines among them)`,
  ].join("; ");
}

/** The loss of each window. */
class WindowScorer implements Scorer<WordItems> {
  readonly #dev: TextWindows;
  readonly #losses: TextLosses;

  constructor(dev: TextWindows) {
    this.#dev = dev;
    this.#losses = new TextLosses(dev);
  }

  take(batch: Batch, outputs: Readonly<Record<string, Float64Array>>): undefined {
    this.#losses.take(batch, outputs);
  }

  finish(): Scored {
    const { sums } = this.#losses;
    const { windows, scored } = this.#dev;
    const total = sums.reduce((sum, loss) => sum + loss, 0);
    const items: WordItems = { loss: total, counted: scored.tokens, words: scored.words };
    const lines = windows.map(({ number, from, to, words }, i) =>
      JSON.stringify({ index: number, from, to, tokens: to - from, words, loss: written(sums[i]!) }),
    );
    return {
      items,
      predictions: lines,
      decisions: lines.join(),
      outputs: Float64Array.from(sums),
      loss: total / scored.tokens,
    };
  }
}
