/** Headline table of the original study (January 2025): SST-2 with BERT-base-uncased in Python, one run each. */

export interface OriginalRow {
  readonly config: string;
  readonly about: string;
  /** A share. */
  readonly accuracy: number;
  readonly f1: number;
  /** Parameters, as rounded there. */
  readonly trainable: number;
  /** Decimal gigabytes, in bytes. */
  readonly memoryBytes: number;
  readonly minutes: number;
}

const row = (
  config: string,
  about: string,
  [accuracy, trainable, gigabytes, minutes]: readonly [number, number, number, number],
): OriginalRow => ({
  config,
  about,
  accuracy: accuracy / 100,
  f1: accuracy / 100,
  trainable: Math.round(trainable * 1e6),
  memoryBytes: gigabytes * 1e9,
  minutes,
});

export const ORIGINAL: readonly OriginalRow[] = [
  row("b-fp", "LoRA, fixed rank 8, FP16", [91.6, 1.34, 17.3, 25.5]),
  row("b-q4", "QLoRA, NF4 base", [91.6, 1.34, 13.0, 26.7]),
  row("b-ada", "AdaLoRA, FP16", [88.8, 2.01, 14.5, 47.3]),
  row("joint-1", "NF4 + AdaLoRA", [88.8, 2.01, 15.1, 47.4]),
  row("joint-2", "mixed precision + AdaLoRA", [88.8, 2.01, 14.5, 47.4]),
  row("joint-3", "manual ranks, attention 6, feed-forward 10", [91.6, 1.34, 16.3, 26.4]),
];

/** Task of the original: rows stand beside results on it alone. */
export const ORIGINAL_TASK = "sst2";
