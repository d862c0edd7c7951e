/** Times of the tokens of a text, and how fast memory is read. */
import type { TextGenerator } from "@lowrank/models";
import { compile, ops, type Device } from "@lowrank/tensor";

/** Tokens that are timed at a place of a text. */
const TOKENS = 16;
/** The first few run beside what still compiles. */
const SKIPPED = 3;

export interface Reading {
  /** Of the prompt. */
  readonly prefill: number;
  /** Of one token, median. */
  readonly token: number;
}

export const median = (x: readonly number[]): number => [...x].sort((a, b) => a - b)[x.length >> 1]!;

/** Milliseconds of a prompt, and of a token behind it. @param next gives the time when each token has come */
export async function readingOf(tokens: AsyncIterable<unknown>): Promise<Reading> {
  let last = performance.now();
  const times: number[] = [];
  for await (const _ of tokens) {
    const now = performance.now();
    times.push(now - last);
    last = now;
    if (times.length > TOKENS + SKIPPED) break;
  }
  return { prefill: times[0]!, token: median(times.slice(1 + SKIPPED)) };
}

/** Any text does: what is computed does not depend on it. */
export const promptOf = (length: number): number[] => Array.from({ length }, (_, i) => 3 + ((i * 37) % 400));

/** Small models are read several times: what a machine does beside takes longer than their tokens. */
const LEAST_MS = 150;

export async function ours(generator: TextGenerator, length: number): Promise<Reading> {
  const started = performance.now();
  let best: Reading | undefined;
  while (best === undefined || performance.now() - started < LEAST_MS) {
    const options = { maxNewTokens: TOKENS + SKIPPED + 1, eos: [] };
    const { prefill, token } = await readingOf(generator.tokens([promptOf(length)], options));
    best = { prefill: Math.min(prefill, best?.prefill ?? Infinity), token: Math.min(token, best?.token ?? Infinity) };
  }
  return best;
}

/** GB a second that all threads read, of more than caches hold: the largest of each of 192 rows. */
export class Stream {
  readonly #bytes: number;
  readonly #step: () => Promise<unknown>;
  readonly dispose: () => void;

  constructor(device: Device) {
    const [rows, columns] = [192, 2 ** 18];
    const values = device.parameter(new Float32Array(rows * columns).fill(1), [rows, columns], "f32");
    const most = device.parameter(new Float32Array(rows), [rows], "f32");
    const step = compile(device, () => {
      most.assign(ops.amax(values.value, 1));
      return {};
    });
    this.#bytes = 4 * rows * columns;
    this.#step = () => step({});
    this.dispose = () => {
      values.dispose();
      most.dispose();
    };
  }

  async read(): Promise<number> {
    const started = performance.now();
    await this.#step();
    return this.#bytes / (performance.now() - started) / 1e6;
  }
}
