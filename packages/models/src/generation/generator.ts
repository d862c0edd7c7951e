/** Writes texts with a causal model, and keeps plans and cache from text to text. */
import { LowrankError } from "@lowrank/tensor";
import type { PretrainedModel } from "../pretrained.ts";
import type { Tokenizer } from "../tokenizer/options.ts";
import { draws, listed, textOptions, tokenOptions, type TextOptions, type TokenOptions } from "./options.ts";
import { CachedSteps, causalModel, positionsOf, WholeSteps, type CausalModel, type Steps } from "./steps.ts";
import { StopStrings } from "./stop-strings.ts";
import { lengthOf, writeTokens, type Finish, type NewToken } from "./tokens.ts";

/** A chat, and the template that makes a prompt of it: `ChatTemplate` of `@lowrank/models/chat`. */
export interface ChatPrompt<Message = never> {
  readonly messages: readonly Message[];
  readonly template: {
    encode(
      tokenizer: Tokenizer,
      messages: readonly Message[],
      options: { readonly addGenerationPrompt: boolean },
    ): { readonly ids: readonly number[] };
  };
}

/** What a text goes on from: a text, its tokens, or a chat whose next turn is written. */
export type Prompt = string | readonly number[] | ChatPrompt;

/** A text that was written. */
export interface Written {
  /** Without the prompt, without special tokens, and without a stop string. */
  readonly text: string;
  /** All that were written, the one that ended the text among them. */
  readonly tokens: readonly number[];
  readonly finish: Finish;
  /** What the words were drawn with; undefined where the likeliest were taken. */
  readonly seed: number | undefined;
}

/** A piece of one text of a batch. */
export interface Piece {
  readonly row: number;
  readonly text: string;
}

/**
 * A text as it is written: pieces of it while one iterates, all of it from `result`, which writes what has not been asked for yet. It is written only as
 * far as somebody reads; leaving the loop ends it.
 */
export interface Stream<Part, Result> extends AsyncIterable<Part> {
  result(): Promise<Result>;
}

/** Writes with one model, one text or batch at a time. */
export class TextGenerator {
  readonly #model: CausalModel;
  readonly #tokenizer: Tokenizer | undefined;
  #cached: CachedSteps | undefined;
  #whole: WholeSteps | undefined;
  #writing = false;

  /**
   * @param tokenizer for prompts and results that are texts
   * @throws LowrankError (ConfigError) where the model does not score next words
   */
  constructor(model: PretrainedModel, tokenizer?: Tokenizer) {
    this.#model = causalModel("TextGenerator", model);
    this.#tokenizer = tokenizer;
  }

  /** Plans made so far: one for each length of prompts, powers of two, one for each such length that texts went on by, and one for all tokens. */
  get plans(): number {
    return (this.#cached?.plans ?? 0) + (this.#whole?.plans ?? 0);
  }

  /** Frees the cache. The generator can be used again, and makes another. */
  dispose(): void {
    if (this.#writing)
      throw new LowrankError("ConfigError", "TextGenerator.dispose: a text is being written; end it first");
    this.#cached?.dispose();
    this.#whole?.dispose();
  }

  /**
   * Goes on from a prompt.
   * @throws LowrankError (ConfigError) for options that are unknown or would do nothing, prompts that are empty or too long, a model that trains
   */
  text(prompt: Prompt, options: TextOptions = {}): Stream<string, Written> {
    const run = this.#texts("generate", [prompt], textOptions("generate", options));
    return stream(
      run,
      (pieces) => pieces.map(({ text }) => text),
      (texts) => texts[0]!,
    );
  }

  /** Goes on from several prompts at once; a text does not depend on those beside it, but for rounding. */
  texts(prompts: readonly Prompt[], options: TextOptions = {}): Stream<Piece, readonly Written[]> {
    const run = this.#texts("generate", prompts, textOptions("generate", options));
    return stream(
      run,
      (pieces) => pieces,
      (texts) => texts,
    );
  }

  /** The tokens behind prompts of tokens, those of a step together, until all texts have ended. */
  async *tokens(
    prompts: readonly (readonly number[])[],
    options: TokenOptions = {},
  ): AsyncGenerator<readonly NewToken[], void, undefined> {
    const checked = tokenOptions("generate", options);
    yield* this.#tokens("generate", prompts, checked, seedOf(checked) ?? 0);
  }

  async *#tokens(
    what: string,
    prompts: readonly (readonly number[])[],
    options: TokenOptions,
    seed: number,
  ): AsyncGenerator<readonly NewToken[], void, readonly number[] | undefined> {
    if (prompts.length === 0) throw new LowrankError("ConfigError", `${what}: give a prompt at least`);
    if (options.continues === true && prompts.length > 1)
      throw new LowrankError(
        "ConfigError",
        `${what}: "continues" is about one text, and there are ${prompts.length} prompts; leave it out`,
      );
    const run = { prompts, positions: positionsOf(this.#model), options };
    const length = lengthOf(what, run);
    if (this.#model.training)
      throw new LowrankError("ConfigError", `${what}: the model is training, with dropout; call model.eval() first`);
    if (this.#writing)
      throw new LowrankError(
        "ConfigError",
        `${what}: this generator is writing another text, and has one cache; end that first, or make a second TextGenerator`,
      );
    this.#writing = true;
    try {
      yield* writeTokens({ ...run, steps: this.#steps(options), seed }, length);
    } finally {
      this.#writing = false;
    }
  }

  #steps({ cache = true }: TokenOptions): Steps {
    if (cache) return (this.#cached ??= new CachedSteps(this.#model));
    return (this.#whole ??= new WholeSteps(this.#model));
  }

  async *#texts(
    what: string,
    prompts: readonly Prompt[],
    { stop, specialTokens, ...options }: TextOptions,
  ): AsyncGenerator<readonly Piece[], readonly Written[], undefined> {
    const tokenizer = this.#tokenizer;
    if (tokenizer === undefined)
      throw new LowrankError("ConfigError", `${what}: texts need a tokenizer: new TextGenerator(model, tokenizer)`);
    const { eos: ending } = tokenizer.specialTokens;
    const eos = options.eos ?? (ending === undefined ? [] : (tokenizer.idOf(ending) ?? []));
    const ids = prompts.map((prompt) => idsOf(tokenizer, prompt, specialTokens));
    const seed = seedOf(options);
    const rows = prompts.map(() => new WrittenRow(tokenizer, listed(stop), seed));
    const steps = this.#tokens(what, ids, { ...options, eos }, seed ?? 0);
    let stopped: number[] | undefined;
    try {
      for (;;) {
        const step = await steps.next(stopped);
        if (step.done === true) break;
        const pieces = step.value.map((token) => ({ row: token.row, text: rows[token.row]!.push(token) }));
        stopped = step.value.map(({ row }) => row).filter((row) => rows[row]!.finish === "stop");
        yield pieces.filter(({ text }) => text !== "");
      }
    } finally {
      await steps.return();
    }
    return rows.map((row) => row.written());
  }
}

/** One text as it comes. */
class WrittenRow {
  readonly #tokens: number[] = [];
  readonly #decoding;
  readonly #stops: StopStrings;
  readonly #seed: number | undefined;
  #text = "";
  finish: Finish = "length";

  constructor(tokenizer: Tokenizer, stops: readonly string[], seed: number | undefined) {
    this.#decoding = tokenizer.decodeStream();
    this.#stops = new StopStrings(stops);
    this.#seed = seed;
  }

  /** What the token adds to what can be shown. */
  push({ id, finish }: NewToken): string {
    this.#tokens.push(id);
    let shown = this.#stops.push(this.#decoding.push(id));
    if (finish !== undefined && !this.#stops.ended) shown += this.#stops.push(this.#decoding.end());
    if (this.#stops.ended) this.finish = "stop";
    else if (finish !== undefined) {
      this.finish = finish;
      shown += this.#stops.end();
    }
    this.#text += shown;
    return shown;
  }

  written(): Written {
    return { text: this.#text, tokens: this.#tokens, finish: this.finish, seed: this.#seed };
  }
}

function idsOf(tokenizer: Tokenizer, prompt: Prompt, specialTokens: boolean | undefined): readonly number[] {
  if (typeof prompt === "string") return tokenizer.encode(prompt, { specialTokens }).ids;
  return "template" in prompt
    ? prompt.template.encode(tokenizer, prompt.messages, { addGenerationPrompt: true }).ids
    : prompt;
}

/** Undefined where nothing is drawn. */
function seedOf(options: TokenOptions): number | undefined {
  return draws(options) ? (options.seed ?? Math.floor(Math.random() * 2 ** 32)) : undefined;
}

/** @param run gives the pieces of each step, and last the texts */
function stream<Part, Result>(
  run: AsyncGenerator<readonly Piece[], readonly Written[], undefined>,
  partsOf: (pieces: readonly Piece[]) => readonly Part[],
  resultOf: (texts: readonly Written[]) => Result,
): Stream<Part, Result> {
  let texts: readonly Written[] | undefined;
  const parts = (async function* (): AsyncGenerator<Part, void, undefined> {
    try {
      for (;;) {
        const step = await run.next();
        if (step.done === true) {
          texts = step.value;
          return;
        }
        yield* partsOf(step.value);
      }
    } finally {
      await run.return([]);
    }
  })();
  return {
    [Symbol.asyncIterator]: () => parts,
    async result() {
      while ((await parts.next()).done !== true);
      if (texts === undefined)
        throw new LowrankError(
          "ConfigError",
          "result: the loop over this text was left before its end; there is no result",
        );
      return resultOf(texts);
    },
  };
}
