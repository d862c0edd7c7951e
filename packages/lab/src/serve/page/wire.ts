/** What goes over the wire between the page and its server. */

export interface WireRun {
  /** Names the run in addresses; it is no path. */
  readonly key: string;
  /** Which store it is in, where there are several. */
  readonly store: string;
  readonly name: string;
  readonly folder: string;
  readonly state: string;
  readonly study?: string | undefined;
  readonly config?: string | undefined;
  readonly method?: string | undefined;
  readonly task?: string | undefined;
  readonly seed?: number | undefined;
  readonly step?: number | undefined;
  readonly steps?: number | undefined;
  readonly loss?: number | undefined;
  readonly metrics: Readonly<Record<string, number>>;
  readonly seconds?: number | undefined;
  /** Milliseconds since 1970. */
  readonly changed: number;
  readonly holder?: { readonly host: string; readonly pid: number } | undefined;
  readonly why?: string | undefined;
  readonly warnings?: readonly string[] | undefined;
}

export interface WireMetric {
  readonly name: string;
  readonly label: string;
  readonly better: "higher" | "lower";
  /** Shown in percent. */
  readonly share: boolean;
}

export interface WireRuns {
  readonly runs: readonly WireRun[];
  readonly metrics: readonly WireMetric[];
}

export interface WireFact {
  readonly label: string;
  readonly value: number;
  readonly kind: "number" | "share" | "count" | "seconds" | "bytes";
}

export interface WireProof {
  readonly name: string;
  readonly holds: boolean;
  readonly detail: string;
}

export interface WireDetail {
  readonly run: WireRun;
  readonly facts: readonly WireFact[];
  readonly warnings: readonly string[];
  readonly proofs: readonly WireProof[];
  /** Keys and values as JSON. */
  readonly config: readonly (readonly [string, string])[];
  readonly modules: readonly { readonly module: string; readonly rank: number | null }[];
  readonly files: readonly { readonly file: string; readonly bytes: number }[];
}

export interface WireComparison {
  readonly runs: readonly [WireRun, WireRun];
  readonly config: readonly {
    readonly key: string;
    readonly a: string | null;
    readonly b: string | null;
    readonly same: boolean;
  }[];
  readonly metrics: readonly {
    readonly name: string;
    readonly a: number | null;
    readonly b: number | null;
    readonly difference: number | null;
  }[];
  readonly predictions?: {
    readonly items: number;
    readonly unmatched: number;
    readonly different: number;
    readonly mcnemar?: {
      readonly bothRight: number;
      readonly onlyFirst: number;
      readonly onlySecond: number;
      readonly bothWrong: number;
      readonly p: number;
    };
  };
  readonly proofs: readonly (readonly WireProof[])[];
  readonly warnings: readonly (readonly string[])[];
}

/** Tables that grow while a run is made. */
export const LIVE_FILES = ["steps.csv", "metrics.csv", "ranks.csv"] as const;
export type LiveFile = (typeof LIVE_FILES)[number];

export interface WireRows {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (number | null)[])[];
  /** What was there before is gone. */
  readonly reset: boolean;
  /** Of a long file, every so-manyth line. */
  readonly every: number;
}

export interface WireChanges {
  readonly changed: readonly WireRun[];
  readonly removed: readonly string[];
  /** The first of a connection: what is not among the changed ones is not there. */
  readonly all: boolean;
}
