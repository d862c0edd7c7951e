/**
 * Progress on stderr: a bar with the time left on a terminal, a plain line now and then when piped or in CI, nothing when quiet. The bar
 * rewrites the line that the cursor is on and changes no mode of the terminal, so there is nothing to restore however the process ends.
 */
import { formatDuration } from "./format.ts";
import { RemainingTime } from "./remaining.ts";

export interface Progress {
  /** So much was done before this process began. */
  from(done: number): void;
  /** `done` of the total; `note` is shown behind, for instance the loss. */
  update(done: number, note: string): void;
  /** What went by since the last update was no part of the total: an evaluation, a checkpoint. */
  between(): void;
  /** Prints a line without tearing the bar. */
  line(text: string): void;
  /** The bar goes; lines may still come. */
  stop(): void;
}

export type ProgressMode = "bar" | "lines" | "quiet";

/** What a bar asks of a terminal; `process.stderr` is one. */
export interface TerminalStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** What comes after what is followed. @param left seconds of that @returns seconds from then on; undefined where there is nothing, or nothing is known */
export type Beyond = (left: number | undefined) => number | undefined;

/** Bar on a terminal outside CI, else lines. */
export function progressMode(quiet: boolean, stream: { isTTY?: boolean } = process.stderr): ProgressMode {
  if (quiet) return "quiet";
  return stream.isTTY === true && process.env["CI"] === undefined ? "bar" : "lines";
}

/** Seconds between plain lines: a log of an hour has 240 of them at most. */
const LINE_SECONDS = 15;

const nothing = (): void => {};
/** Tells nobody. */
export const SILENT: Progress = { from: nothing, update: nothing, between: nothing, line: nothing, stop: nothing };

/** Progress towards `total` under a label. */
export function startProgress(
  mode: ProgressMode,
  label: string,
  total: number,
  stream: TerminalStream = process.stderr,
  beyond: Beyond = () => undefined,
): Progress {
  if (mode === "quiet") return SILENT;
  return new Shown(mode, { label, total, stream, beyond });
}

/** To the start of the line, and what is right of the cursor is gone. */
export const CLEAR_LINE = "\r\x1b[K";
const BAR_CELLS = 24;
const FRAME_MS = 100;

interface Words {
  readonly label: string;
  readonly total: number;
  readonly stream: TerminalStream;
  readonly beyond: Beyond;
}

class Shown implements Progress {
  readonly #words: Words;
  readonly #bar: boolean;
  readonly #time: RemainingTime;
  #shown: number;
  #done = 0;
  #note = "";
  #stopped = false;

  constructor(mode: "bar" | "lines", words: Words) {
    this.#words = words;
    this.#bar = mode === "bar";
    this.#time = new RemainingTime(words.total);
    this.#shown = performance.now();
    this.#draw();
  }

  from(done: number): void {
    this.#done = done;
    this.#time.from(done);
    this.#draw();
  }

  update(done: number, note: string): void {
    [this.#done, this.#note] = [done, note];
    this.#time.update(done);
    const now = performance.now();
    if (now - this.#shown < (this.#bar ? FRAME_MS : 1000 * LINE_SECONDS)) return;
    this.#shown = now;
    if (this.#bar) this.#draw();
    else this.#words.stream.write(`${this.#line()}\n`);
  }

  between(): void {
    this.#time.between();
  }

  line(text: string): void {
    const { label, stream } = this.#words;
    if (!this.#bar) stream.write(`${label} ${text}\n`);
    else if (this.#stopped) stream.write(`${text}\n`);
    else stream.write(`${CLEAR_LINE}${text}\n`);
    this.#draw();
  }

  stop(): void {
    if (this.#bar && !this.#stopped) this.#words.stream.write(CLEAR_LINE);
    this.#stopped = true;
  }

  #draw(): void {
    if (!this.#bar || this.#stopped) return;
    this.#shown = performance.now();
    const { label, total, stream } = this.#words;
    const full = Math.min(BAR_CELLS, Math.floor((BAR_CELLS * this.#done) / Math.max(1, total)));
    const text = `${label} ${"█".repeat(full)}${"░".repeat(BAR_CELLS - full)} ${this.#done}/${total} · ${this.#left()} · ${this.#note}`;
    // one cell less than there are: a terminal wraps once the last one is written
    const width = Math.max(1, (stream.columns || 80) - 1);
    stream.write(`\r${[...text].slice(0, width).join("")}\x1b[K`);
  }

  #line(): string {
    const { label, total } = this.#words;
    const percent = Math.floor((100 * this.#done) / Math.max(1, total));
    return `${label} ${this.#done}/${total} (${percent} %), ${this.#left()} · ${this.#note}`;
  }

  /** `1m20s left`, and where more is to come `study 2h05m`. */
  #left(): string {
    const left = this.#time.seconds();
    const beyond = this.#words.beyond(left);
    const own = left === undefined ? "? left" : `${formatDuration(left)} left`;
    return beyond === undefined ? own : `${own}, study ${formatDuration((left ?? 0) + beyond)}`;
  }
}
