/** Tokens of texts that are written together, step by step. */
import { LowrankError, RandomStream } from "@lowrank/tensor";
import { draws, listed, type TokenOptions } from "./options.ts";
import { best, candidates, draw, penalized } from "./sampling.ts";
import type { Steps } from "./steps.ts";

/** Why a text ends: with an `eos` token, a stop string, or at the length that was asked for. */
export type Finish = "eos" | "stop" | "length";

/** A token of one text of the batch. */
export interface NewToken {
  readonly row: number;
  readonly id: number;
  /** Present with a text's last token. */
  readonly finish?: Finish;
}

/** What a text is written with beside its options. */
export interface TokenRun {
  readonly steps: Steps;
  /** Ids of each prompt. */
  readonly prompts: readonly (readonly number[])[];
  /** How many positions the model has. */
  readonly positions: number;
  readonly options: TokenOptions;
  readonly seed: number;
}

const DEFAULT_NEW_TOKENS = 256;

/** How many tokens are written at most. @throws LowrankError (ConfigError) where a prompt or what is asked for is too long */
export function lengthOf(what: string, { prompts, positions, options }: Omit<TokenRun, "steps" | "seed">): number {
  const longest = Math.max(...prompts.map((ids) => ids.length));
  const empty = prompts.findIndex((ids) => ids.length === 0);
  if (empty >= 0)
    throw new LowrankError(
      "ConfigError",
      `${what}: ${prompts.length === 1 ? "the prompt" : `prompt ${empty}`} has no tokens; a text begins with one at least`,
    );
  // the last token is written and not read
  const room = positions - longest + 1;
  if (room < 1)
    throw new LowrankError(
      "ConfigError",
      `${what}: the prompt has ${longest} tokens and the model ${positions} positions; cut the prompt`,
    );
  const { maxNewTokens } = options;
  if (maxNewTokens !== undefined && maxNewTokens > room)
    throw new LowrankError(
      "ConfigError",
      `${what}: ${maxNewTokens} tokens behind a prompt of ${longest} are more than the model's ${positions} positions; maxNewTokens can be ${room} at most`,
    );
  return maxNewTokens ?? Math.min(DEFAULT_NEW_TOKENS, room);
}

/** One text of a batch. */
class Row {
  readonly index: number;
  /** The newest token. */
  newest: number;
  finished = false;
  readonly #seen: Set<number>;
  readonly #options: TokenOptions;
  readonly #eos: readonly number[];
  readonly #stream: RandomStream | undefined;

  constructor(index: number, prompt: readonly number[], padded: boolean, { options, seed }: TokenRun) {
    const { penalizePadding } = options;
    this.index = index;
    this.newest = prompt.at(-1)!;
    this.#seen = new Set(prompt);
    if (padded && penalizePadding !== undefined) this.#seen.add(penalizePadding);
    this.#options = options;
    this.#eos = listed(options.eos);
    this.#stream = draws(options) ? new RandomStream(seed, `text ${index}`) : undefined;
  }

  /** @param last whether there is no room for another */
  choose(scores: ArrayLike<number>, last: boolean): NewToken {
    const { repetitionPenalty = 1 } = this.#options;
    if (this.#stream === undefined && repetitionPenalty === 1) this.newest = best(scores);
    else {
      const changed = penalized(scores, this.#seen, repetitionPenalty);
      this.newest =
        this.#stream === undefined ? best(changed) : draw(candidates(changed, this.#options), this.#stream.uniform());
    }
    this.#seen.add(this.newest);
    const finish = this.#eos.includes(this.newest) ? "eos" : last ? "length" : undefined;
    if (finish !== undefined) this.finished = true;
    return { row: this.index, id: this.newest, ...(finish === undefined ? {} : { finish }) };
  }
}

/**
 * The tokens of each step, one for each text that has not ended. A reader may say that texts have ended, by their rows, in what it gives to `next`.
 */
export async function* writeTokens(
  run: TokenRun,
  length: number,
): AsyncGenerator<readonly NewToken[], void, readonly number[] | undefined> {
  const { steps, prompts, options } = run;
  const longest = Math.max(...prompts.map((ids) => ids.length));
  const rows = prompts.map((ids, i) => new Row(i, ids, ids.length < longest, run));
  options.signal?.throwIfAborted();
  let scores = await steps.begin(prompts, longest + length - 1, options.continues);
  for (let written = 1; ; written++) {
    const words = scores.length / rows.length;
    const tokens = rows
      .filter(({ finished }) => !finished)
      .map((row) => {
        const own = scores.subarray(row.index * words, (row.index + 1) * words) as unknown as ArrayLike<number>;
        return row.choose(own, written === length);
      });
    for (const row of (yield tokens) ?? []) rows[row]!.finished = true;
    if (rows.every(({ finished }) => finished)) return;
    options.signal?.throwIfAborted();
    scores = await steps.next(rows.map(({ newest }) => newest));
  }
}
