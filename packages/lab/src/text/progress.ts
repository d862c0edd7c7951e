/**
 * Progress on stderr: a bar with the time left on a terminal, a plain line now and then when piped or in CI, nothing when quiet. The bar
 * rewrites the line that the cursor is on and changes no mode of the terminal, so there is nothing to restore however the process ends.
 */
import { formatDuration } from "./format.ts";

export interface Progress {
  /** `done` of the total; `note` is shown behind, for instance the loss. */
  update(done: number, note: string): void;
  /** Prints a line without tearing the bar. */
  line(text: string): void;
  stop(): void;
}

export type ProgressMode = "bar" | "lines" | "quiet";

/** What a bar asks of a terminal; `process.stderr` is one. */
export interface TerminalStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Bar on a terminal outside CI, else lines. */
export function progressMode(quiet: boolean, stream: { isTTY?: boolean } = process.stderr): ProgressMode {
  if (quiet) return "quiet";
  return stream.isTTY === true && process.env["CI"] === undefined ? "bar" : "lines";
}

/** Seconds between plain lines: a log of an hour has 240 of them at most. */
const LINE_SECONDS = 15;

/** Progress towards `total` under a label. */
export function startProgress(
  mode: ProgressMode,
  label: string,
  total: number,
  stream: TerminalStream = process.stderr,
): Progress {
  if (mode === "quiet") return { update: () => {}, line: () => {}, stop: () => {} };
  return mode === "bar" ? bar(label, total, stream) : lines(label, total, stream);
}

/** To the start of the line, and what is right of the cursor is gone. */
export const CLEAR_LINE = "\r\x1b[K";
const BAR_CELLS = 24;
const FRAME_MS = 100;

function bar(label: string, total: number, stream: TerminalStream): Progress {
  const started = Date.now();
  let drawn = 0;
  let [done, note] = [0, ""];
  const draw = (): void => {
    drawn = Date.now();
    const full = Math.min(BAR_CELLS, Math.floor((BAR_CELLS * done) / Math.max(1, total)));
    const text = `${label} ${"█".repeat(full)}${"░".repeat(BAR_CELLS - full)} ${done}/${total} · ${remaining(started, done, total)} left · ${note}`;
    // one cell less than there are: a terminal wraps once the last one is written
    const width = Math.max(1, (stream.columns || 80) - 1);
    stream.write(`\r${[...text].slice(0, width).join("")}\x1b[K`);
  };
  draw();
  return {
    update(now, said) {
      [done, note] = [now, said];
      if (Date.now() - drawn >= FRAME_MS) draw();
    },
    line(text) {
      stream.write(`${CLEAR_LINE}${text}\n`);
      draw();
    },
    stop: () => void stream.write(CLEAR_LINE),
  };
}

function lines(label: string, total: number, stream: TerminalStream): Progress {
  const started = Date.now();
  let printed = started;
  return {
    update(done, note) {
      const now = Date.now();
      if (now - printed < LINE_SECONDS * 1000) return;
      printed = now;
      stream.write(
        `${label} ${done}/${total} (${Math.floor((100 * done) / total)} %), ${remaining(started, done, total)} left · ${note}\n`,
      );
    },
    line: (text) => void stream.write(`${label} ${text}\n`),
    stop: () => {},
  };
}

function remaining(started: number, done: number, total: number): string {
  if (done === 0) return "?";
  return formatDuration(((Date.now() - started) / 1000 / done) * (total - done));
}
