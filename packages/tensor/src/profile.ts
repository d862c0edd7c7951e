/** Where the time of plans went: a table by kernel label, and the trace format that Chrome's about:tracing and Perfetto read. */
import type { StepTiming } from "./backends/backend.ts";

export interface ProfileRow {
  readonly label: string;
  readonly calls: number;
  /** Milliseconds over all calls. */
  readonly total: number;
  /** Of the whole profile, 0…1. */
  readonly share: number;
}

export interface Profile {
  readonly rows: readonly ProfileRow[];
  /** Milliseconds in kernels. */
  readonly total: number;
  /** Bytes copied from the host to the device: inputs, live values, parameters that were written, constants that were new. */
  readonly uploadedBytes: number;
  /** The rows as text, the longest first. */
  table(limit?: number): string;
  /** Trace event JSON (the "X" events of the Trace Event Format); times in microseconds. */
  chromeTrace(): string;
}

/** @param runs the timings of each plan run, in order */
export function makeProfile(runs: readonly (readonly StepTiming[])[], uploadedBytes: number): Profile {
  const byLabel = new Map<string, { calls: number; total: number }>();
  let total = 0;
  for (const { label, duration } of runs.flat()) {
    const row = byLabel.get(label) ?? { calls: 0, total: 0 };
    row.calls++;
    row.total += duration;
    total += duration;
    byLabel.set(label, row);
  }
  const rows = [...byLabel]
    .map(([label, r]): ProfileRow => ({ label, ...r, share: total === 0 ? 0 : r.total / total }))
    .sort((a, b) => b.total - a.total);
  return {
    rows,
    total,
    uploadedBytes,
    table(limit = 30) {
      const lines = rows
        .slice(0, limit)
        .map(
          (r) =>
            `${r.total.toFixed(3).padStart(10)} ms ${(100 * r.share).toFixed(1).padStart(5)} % ${String(r.calls).padStart(5)}×  ${r.label}`,
        );
      const rest = rows.length - limit;
      return [
        ...lines,
        ...(rest > 0 ? [`${" ".repeat(28)}and ${rest} more`] : []),
        `${total.toFixed(3).padStart(10)} ms in all`,
      ].join("\n");
    },
    chromeTrace() {
      let offset = 0;
      const events = runs.flatMap((run, i) => {
        const start = offset;
        const last = run[run.length - 1];
        offset += last === undefined ? 0 : last.start + last.duration;
        return run.map((t) => ({
          name: t.label,
          cat: "kernel",
          ph: "X",
          ts: 1000 * (start + t.start),
          dur: 1000 * t.duration,
          pid: 1,
          tid: 1,
          args: { run: i },
        }));
      });
      return JSON.stringify({ traceEvents: events, displayTimeUnit: "ms" });
    },
  };
}
