/** Rows for people: live while sections run, and everything beside PyTorch at the end. */
import type { Row, SectionResult } from "./row.ts";

/** f32 on ordinary cores, and copies in its memory, per second. */
export interface Peak {
  readonly flops: number;
  readonly bytes: number;
  readonly source: string;
}

/** Measured on these cards with CUDA's own libraries. */
const KNOWN: readonly (readonly [RegExp, Peak])[] = [
  [/H200/, { flops: 60e12, bytes: 4.3e12, source: "known of the H200" }],
  [/H100/, { flops: 60e12, bytes: 3.0e12, source: "known of the H100" }],
];

/** What is known of the card by name, else what hand-written kernels reached; undefined where there is no card. */
export function peakOf(names: string, software: boolean, sections: readonly SectionResult[]): Peak | undefined {
  if (software) return undefined;
  const known = KNOWN.find(([pattern]) => pattern.test(names));
  if (known !== undefined) return known[1];
  const rows = sections.find(({ name }) => name === "roofline")?.rows ?? [];
  const rate = (name: string, unit: number): number | undefined => {
    const value = rows.find((row) => row.name === name)?.value;
    return value === undefined ? undefined : value * unit;
  };
  const [flops, bytes] = [rate("peak/fma", 1e12), rate("peak/copy", 1e9)];
  return flops === undefined || bytes === undefined
    ? undefined
    : { flops, bytes, source: "measured by hand-written kernels" };
}

/** Part of the card's peak, of whichever of arithmetic and bytes takes longer there. */
export function partOfPeak(
  { ms, flops = 0, bytes = 0 }: Row,
  peak: Peak | undefined,
): { part: number; of: string } | undefined {
  if (peak === undefined || ms === undefined || flops + bytes === 0) return undefined;
  const [arithmetic, memory] = [flops / peak.flops, bytes / peak.bytes];
  return { part: (1000 * Math.max(arithmetic, memory)) / ms, of: arithmetic >= memory ? "flops" : "bytes" };
}

const figure = (x: number): string =>
  x === 0 ? "0" : Math.abs(x) >= 100 ? x.toFixed(0) : Math.abs(x) >= 0.01 ? x.toPrecision(3) : x.toExponential(1);

export function line(row: Row, peak: Peak | undefined): string {
  const part = partOfPeak(row, peak);
  const cells = [
    `  ${row.name.padEnd(30)}`,
    (row.value === undefined ? "" : `${figure(row.value)} ${row.unit ?? ""}`).padStart(15),
    (row.ms === undefined ? "" : `${figure(row.ms)} ms`).padStart(11),
    (part === undefined ? "" : `${figure(100 * part.part)} % of ${part.of}`).padStart(16),
  ];
  const text = `${cells.join(" ")}  ${row.note ?? ""}`.trimEnd();
  return row.wrong === undefined ? text : `${text}\n      WRONG: ${row.wrong}`;
}

/** How a section ended. */
export function verdict({ state, seconds, why }: SectionResult): string {
  return `${state === "done" ? state : state.toUpperCase()} in ${seconds.toFixed(1)} s${why === undefined ? "" : `: ${why}`}`;
}

/** Everything that was wrong, a line each. */
export function wrongIn(sections: readonly SectionResult[]): string[] {
  return sections.flatMap(({ name, state, why, rows }) => [
    ...rows.flatMap((row) => (row.wrong === undefined ? [] : [`${name}: ${row.name}: ${row.wrong}`])),
    ...(state === "failed" ? [`${name}: failed: ${why}`] : []),
  ]);
}

/** Our figures and PyTorch's of the same work; empty where there are none of its. */
export function besideTorch(sections: readonly SectionResult[]): string[] {
  const torch = new Map(sections.find(({ name }) => name === "torch")?.rows.map((row) => [row.name, row.ms]));
  const ours = sections.filter(({ name }) => name !== "torch").flatMap(({ rows }) => rows);
  const pairs = ours.flatMap(({ name, ms }) => {
    const [f32, amp] = [torch.get(`torch f32/${name}`), torch.get(`torch amp/${name}`)];
    return ms === undefined || f32 === undefined ? [] : [{ name, ms, f32, amp }];
  });
  if (pairs.length === 0) return [];
  const head = `  ${"ms of a call".padEnd(30)} ${"webgpu".padStart(10)} ${"torch f32".padStart(10)} ${"torch amp".padStart(10)} ${"× torch f32".padStart(12)}`;
  return [
    head,
    ...pairs.map(
      ({ name, ms, f32, amp }) =>
        `  ${name.padEnd(30)} ${figure(ms).padStart(10)} ${figure(f32).padStart(10)} ${(amp === undefined ? "" : figure(amp)).padStart(10)} ${figure(ms / f32).padStart(12)}`,
    ),
  ];
}
