/**
 * WikiSplit (Botha et al. 2018) as a task of causal models: a sentence of Wikipedia, and the two that say the same. Each evaluation lets the model write the two, word
 * by likeliest word, and holds them against those that people wrote (ROUGE-L), beside the perplexity of the latter.
 */
import { TextGenerator, type Tokenizer } from "@lowrank/models";
import { z } from "zod";
import type { Base } from "../bases/base.ts";
import { count } from "../config/numbers.ts";
import type { Batch } from "../data/examples.ts";
import { hashFiles, requireFile, sayMarks } from "../data/location.ts";
import { readText } from "../data/read-file.ts";
import { tableOf, type Table } from "../data/table/table.ts";
import { tokenizerFolder, tokenizerIdentity } from "../data/word-piece.ts";
import { InputError } from "../errors.ts";
import type { AnsweredItems, TokenItems } from "../records/metric.ts";
import type { Scored, Scorer, Task, TaskData } from "../records/task.ts";
import { breather } from "../text/breath.ts";
import { causalLm } from "./causal-lm.ts";
import { nextToken } from "./next-token.ts";
import { rowLosses } from "./rows/losses.ts";
import { rowTaskData } from "./rows/task-data.ts";

export interface WikiSplitTask {
  readonly name: "wiki-split";
  /** Files in wiki-split/. */
  readonly train: string;
  readonly validation: string;
  /** Most tokens of a sentence with its two. */
  readonly maxLength: number;
  /** How many of the rows, by a fixed shuffle. */
  readonly trainLimit?: number | undefined;
  readonly validationLimit?: number | undefined;
  /** Most tokens that are written of each row. */
  readonly maxNewTokens: number;
}

const FOLDER = "wiki-split";
/** What stands between the two sentences in the files. */
const BETWEEN = " <::::> ";
const file = z.string().regex(/^[A-Za-z0-9][\w.-]*$/, `expected the name of a file in ${FOLDER}/, such as tune.tsv`);

export const wikiSplit: Task<WikiSplitTask, TaskData> = {
  name: "wiki-split",
  schema: z.strictObject({
    name: z.literal("wiki-split"),
    train: file.default("tune.tsv"),
    validation: file.default("validation.tsv"),
    maxLength: z.number().int().min(8).max(65_536).default(192),
    trainLimit: count.optional(),
    validationLimit: count.optional(),
    maxNewTokens: count.default(96),
  }),
  kind: nextToken.kind,
  items: ["answers", "tokens"],
  metrics: ["rouge-l", "perplexity"],
  readsFiles: true,
  least: ({ maxLength }) => ({ vocab: 1, positions: maxLength, labels: 2 }),
  async identity(options, { dataFolder }, base, revision) {
    const tokens = await tokenizerIdentity(tokenizerFolder(dataFolder, base), revision);
    return `${hashFiles(filesOf(options, dataFolder))}/${tokens}`;
  },
  async data(options, choice, environment, device): Promise<TaskData> {
    const say = environment.say ?? (() => {});
    const files = filesOf(options, environment.dataFolder);
    sayMarks(files, say);
    const [train, validation] = files.map((path) => splitTable(readText(path), path));
    const how = { ...options, options: { learn: "answers", packing: false } as const, say };
    const { data, tokenizer, devRows } = await rowTaskData(
      causalLm,
      { train: train!, validation: validation! },
      { how },
      { choice, environment, device },
    );
    const asked = devRows.items.map(({ row }): Asked => {
      const { prompt, completion } = validation!.rows[row] as { prompt: string; completion: string };
      return { prompt, target: completion };
    });
    const { maxNewTokens } = options;
    return {
      ...data,
      scorer: (base) => new WrittenScorer(data.scorer(base), base, { asked, tokenizer, maxNewTokens }),
    };
  },
  ...rowLosses(nextToken),
};

function filesOf({ train, validation }: WikiSplitTask, folder: string): string[] {
  return [train, validation].map((name) => requireFile(folder, FOLDER, name));
}

/** A line is a sentence, a tab, and the two sentences. Prompts end, and sentences part, at a line's end. @throws InputError for another line */
export function splitTable(text: string, name: string): Table {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  const place = (i: number): string => `${name}:${i + 1}`;
  const rows = lines.map((line, i) => {
    const [sentence, two, ...more] = line.split("\t");
    const parts = two?.split(BETWEEN) ?? [];
    if (more.length > 0 || parts.length !== 2 || [sentence!, ...parts].some((part) => part.trim() === ""))
      throw new InputError(
        `${place(i)}: expected a sentence, a tab, and two sentences with${BETWEEN}between them, as WikiSplit's files have it`,
      );
    return { prompt: `${sentence!.trim()}\n`, completion: parts.map((part) => part.trim()).join("\n") };
  });
  if (rows.length === 0) throw new InputError(`${name}: has no rows`);
  return tableOf(rows, name, place);
}

/** A row that is evaluated. */
interface Asked {
  readonly prompt: string;
  readonly target: string;
}

interface Writing {
  readonly asked: readonly Asked[];
  readonly tokenizer: Tokenizer;
  readonly maxNewTokens: number;
}

/** Losses as they are, and what the model writes by itself. */
class WrittenScorer implements Scorer<TokenItems & AnsweredItems> {
  readonly #losses: Scorer;
  readonly #base: Base;
  readonly #writing: Writing;

  constructor(losses: Scorer, base: Base, writing: Writing) {
    [this.#losses, this.#base, this.#writing] = [losses, base, writing];
  }

  take(batch: Batch, outputs: Readonly<Record<string, Float64Array>>): undefined {
    this.#losses.take(batch, outputs);
  }

  async finish(): Promise<Scored> {
    const { items, predictions, ...scored } = await this.#losses.finish();
    const written = await this.#write();
    const answers = this.#writing.asked.map(({ target }) => [target]);
    const lines = predictions.map((line, i) =>
      JSON.stringify({ ...(JSON.parse(line) as object), written: written[i]! }),
    );
    return {
      ...scored,
      items: { ...(items as TokenItems), predicted: written, answers },
      predictions: lines,
      decisions: JSON.stringify([scored.decisions, written]),
    };
  }

  async #write(): Promise<string[]> {
    const { asked, tokenizer, maxNewTokens } = this.#writing;
    const generator = new TextGenerator(this.#base.model, tokenizer);
    const written: string[] = [];
    const breathe = breather();
    try {
      for (const { prompt } of asked) {
        await breathe();
        written.push((await generator.text(prompt, { maxNewTokens }).result()).text.trim());
      }
    } finally {
      generator.dispose();
    }
    return written;
  }
}
