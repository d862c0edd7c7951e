/** Requests as they go over a real network: with a bound on silence, tried again where that may help, and never without an end. */
import { LowrankError } from "@lowrank/tensor";
import { sleep, web, type WebReader, type WebRequest, type WebResponse } from "./platform.ts";

/** Silence that is borne, in ms. huggingface_hub waits as long. */
export const TIMEOUT = 10_000;
/** Time to take in what has arrived already, in ms. */
const GRACE = 50;
/** Attempts without progress. */
const ATTEMPTS = 5;
const FIRST_WAIT = 200;
/** A server that wants to be left alone for longer is not waited for. */
const LONGEST_WAIT = 60_000;
/** Statuses that may be another one soon. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/** What may go better next time. Never leaves this folder. */
class Passing extends Error {
  readonly wait: number | undefined;
  constructor(message: string, wait?: number, cause?: unknown) {
    super(message, { cause });
    this.wait = wait;
  }
}

/** An answer whose body has not been read. Either `chunks` is read to its end or left by `return`, or `discard` is called. */
export interface Answer {
  readonly status: number;
  /** Where it came from, after redirects. */
  readonly url: string;
  header(name: string): string | null;
  chunks(): AsyncGenerator<Uint8Array>;
  discard(): Promise<void>;
}

/** Runs `attempt` until it succeeds; what is not passing ends it at once. @param progress a number that grows with what has been received */
export async function patiently<T>(
  what: string,
  attempt: () => Promise<T>,
  progress: () => number = () => 0,
): Promise<T> {
  let [failures, before] = [0, progress()];
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Passing)) throw error;
      if (progress() > before) [failures, before] = [0, progress()];
      failures++;
      const wait = error.wait ?? FIRST_WAIT * 2 ** (failures - 1);
      if (failures >= ATTEMPTS || wait > LONGEST_WAIT)
        throw new LowrankError(
          "NetworkError",
          `${what}: ${error.message}${wait > LONGEST_WAIT ? `, and wants to be asked again in ${Math.ceil(wait / 1000)} s` : ` (${ATTEMPTS} attempts); try again later`}`,
          { cause: error },
        );
      await sleep(wait);
    }
  }
}

/** One request, within `patiently`. @param timeout ms without a byte after which it is given up */
export async function ask(url: string, init: WebRequest, timeout: number = TIMEOUT): Promise<Answer> {
  const abort = new web.AbortController();
  let silent = false;
  /** Waits for one step of the exchange. */
  const within = async <T>(step: Promise<T>): Promise<T> => {
    const giveUp = (): void => {
      silent = true;
      abort.abort();
    };
    // a program that computed, or slept, for longer than `timeout` first gets to hear what came meanwhile
    let timer = web.setTimeout(() => (timer = web.setTimeout(giveUp, GRACE)), timeout);
    try {
      return await step;
    } catch (cause) {
      throw new Passing(
        silent ? `no answer for ${timeout / 1000} s` : `the connection failed: ${reason(cause)}`,
        undefined,
        cause,
      );
    } finally {
      web.clearTimeout(timer);
    }
  };
  const response = await within(web.fetch(url, { ...init, signal: abort.signal }));
  const discard = async (): Promise<void> => {
    abort.abort();
    await response.body
      ?.getReader()
      .cancel()
      .catch(() => {});
  };
  if (PASSING.has(response.status)) {
    await discard();
    throw new Passing(`the server answers ${response.status}`, retryAfter(response));
  }
  return {
    status: response.status,
    url: response.url,
    header: (name) => response.headers.get(name),
    chunks: () => chunksOf(response, within, () => abort.abort()),
    discard,
  };
}

async function* chunksOf(
  response: WebResponse,
  within: <T>(step: Promise<T>) => Promise<T>,
  abort: () => void,
): AsyncGenerator<Uint8Array> {
  const reader: WebReader | undefined = response.body?.getReader();
  if (reader === undefined) return;
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await within(reader.read());
      ended = done;
      if (done) return;
      if (value !== undefined) yield value;
    }
  } finally {
    if (!ended) abort();
  }
}

/** The body as one array. A body that ends early is one that was cut. @param limit most bytes that are taken */
export async function bodyOf(answer: Answer, limit: number): Promise<Uint8Array | "too long"> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of answer.chunks()) {
    length += chunk.length;
    if (length > limit) return "too long";
    parts.push(chunk);
  }
  const announced = lengthOf(answer);
  if (announced !== undefined && length < announced) throw cut(length, announced);
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** An answer that ended before it was whole, as something that may pass. */
export function cut(got: number, wanted: number): Error {
  return new Passing(`the connection ended after ${got} of ${wanted} bytes`);
}

/** Length of the body, where the server says it and it is that of the file: of what is compressed on the way it is not. */
export function lengthOf(answer: Answer): number | undefined {
  const length = answer.header("content-length");
  if (length === null || !/^\d+$/.test(length)) return undefined;
  const coding = answer.header("content-encoding");
  return coding === null || coding === "identity" ? Number(length) : undefined;
}

/** What a server wants to be waited for, in ms: seconds or a date. */
function retryAfter({ headers }: WebResponse): number | undefined {
  const said = headers.get("retry-after");
  if (said === null) return undefined;
  const ms = /^\d+$/.test(said) ? 1000 * Number(said) : Date.parse(said) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/** fetch says "fetch failed" and has the reason as its cause. */
function reason(error: unknown): string {
  const { cause, message } = error as {
    readonly cause?: { readonly message?: string; readonly code?: string };
    readonly message?: string;
  };
  return cause?.code ?? (cause?.message || message) ?? String(error);
}
