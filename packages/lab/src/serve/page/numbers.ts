/** Numbers and times as people read them. */
import type { WireFact } from "./wire.ts";

/** Four digits that say something. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace("e+", "e");
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 4);
}

/** As short as it can be said; ticks are round numbers. */
export function tickWords(value: number): string {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? shortNumber(value).replace(/\.?0*e/, "e") : String(value);
}

/** A share as `91.6 %`. */
export function percent(value: number): string {
  return `${Number((100 * value).toFixed(2))} %`;
}

export function share(value: number | undefined): string {
  return value === undefined ? "" : (100 * value).toFixed(2);
}

export function duration(seconds: number): string {
  if (seconds < 1) return `${(1000 * seconds).toFixed(seconds < 0.1 ? 1 : 0)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${two((seconds % 3600) / 60)} m`;
}

export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, count)) / 10)));
  return `${(count / 1024 ** unit).toFixed(unit === 0 ? 0 : 1)} ${units[unit]!}`;
}

export function since(milliseconds: number, now: number = Date.now()): string {
  const seconds = Math.max(0, (now - milliseconds) / 1000);
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(milliseconds).toISOString().slice(0, 10);
}

export function factWords({ value, kind }: WireFact): string {
  if (kind === "share") return `${share(value)} %`;
  if (kind === "seconds") return duration(value);
  if (kind === "bytes") return bytes(value);
  return kind === "count" ? Math.round(value).toLocaleString("en") : shortNumber(value);
}
