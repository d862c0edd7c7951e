/** Progress on stderr: a bar with ETA on a terminal, a plain line now and then when piped or in CI, nothing when quiet. */
import cliProgress from "cli-progress";
import { formatDuration } from "./format.ts";

export interface Progress {
  /** `done` of the total; `note` is shown behind, for instance the loss. */
  update(done: number, note: string): void;
  /** Prints a line without tearing the bar. */
  line(text: string): void;
  stop(): void;
}

export type ProgressMode = "bar" | "lines" | "quiet";

/** Bar on a terminal outside CI, else lines. */
export function progressMode(quiet: boolean, stream: { isTTY?: boolean } = process.stderr): ProgressMode {
  if (quiet) return "quiet";
  return stream.isTTY === true && process.env["CI"] === undefined ? "bar" : "lines";
}

/** Seconds between plain lines: a log of an hour has 240 of them at most. */
const LINE_SECONDS = 15;

/** Progress towards `total` under a label. */
export function startProgress(mode: ProgressMode, label: string, total: number, write: (text: string) => void = (text) => void process.stderr.write(text)): Progress {
  if (mode === "quiet") return { update: () => {}, line: () => {}, stop: () => {} };
  return mode === "bar" ? bar(label, total) : lines(label, total, write);
}

function bar(label: string, total: number): Progress {
  const display = new cliProgress.SingleBar({
    format: `${label} {bar} {value}/{total} · {remaining} left · {note}`,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 24,
    hideCursor: false,
    clearOnComplete: true,
    stream: process.stderr,
    stopOnComplete: false,
    gracefulExit: false,
    etaBuffer: 50,
  });
  const started = Date.now();
  display.start(total, 0, { note: "", remaining: "?" });
  return {
    update(done, note) {
      display.update(done, { note, remaining: remaining(started, done, total) });
    },
    line(text) {
      process.stderr.write(`\r\x1b[K${text}\n`);
      display.updateETA();
      display.render();
    },
    stop: () => display.stop(),
  };
}

function lines(label: string, total: number, write: (text: string) => void): Progress {
  const started = Date.now();
  let printed = started;
  return {
    update(done, note) {
      const now = Date.now();
      if (now - printed < LINE_SECONDS * 1000) return;
      printed = now;
      write(`${label} ${done}/${total} (${Math.floor((100 * done) / total)} %), ${remaining(started, done, total)} left · ${note}\n`);
    },
    line: (text) => write(`${label} ${text}\n`),
    stop: () => {},
  };
}

function remaining(started: number, done: number, total: number): string {
  if (done === 0) return "?";
  return formatDuration(((Date.now() - started) / 1000 / done) * (total - done));
}
