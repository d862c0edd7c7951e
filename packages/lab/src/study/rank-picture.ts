/** `ranks.svg`: planted and found rank of every module, one row of bars per config. Plain SVG, made of numbers alone. */
import { byTask } from "../store/by-task.ts";
import type { FinishedRun } from "../store/measures.ts";
import { spread, type Spread } from "../store/summary.ts";
import { formatNumber } from "../text/format.ts";
import { escaped } from "../text/escaped.ts";

/** Agreement of one config with the planted ranks, over its seeds. */
export interface RecoverySummary {
  readonly config: string;
  /** In a study of several tasks. */
  readonly task?: string;
  /** What counts as found. */
  readonly rule: string;
  /** Whether an allocator chose the ranks; else they are read off the update. */
  readonly searched: boolean;
  /** Spearman's correlation over modules; a run whose found ranks are all equal told nothing apart and counts as 0. */
  readonly spearman: Spread;
  readonly modules: readonly {
    readonly module: string;
    readonly truth: number;
    readonly found: Spread;
    readonly least: number;
    readonly most: number;
  }[];
}

/** One entry per config whose runs searched for planted ranks; task by task where there are several. */
export function summarizeRecovery(results: readonly FinishedRun[]): RecoverySummary[] {
  return byTask(results).flatMap(({ task, results: of }) =>
    recoveryOf(of).map((row) => ({ ...row, ...(task === undefined ? {} : { task }) })),
  );
}

function recoveryOf(results: readonly FinishedRun[]): RecoverySummary[] {
  return [...new Set(results.map((r) => r.config))].flatMap((config) => {
    const found = results.flatMap((r) => (r.config === config && r.rankRecovery !== undefined ? [r.rankRecovery] : []));
    const [first] = found;
    if (first === undefined) return [];
    // where another run decides ranks, each seed may have left out others: those were found to have none
    const truths = new Map(found.flatMap((run) => run.modules.map(({ module, truth }) => [module, truth] as const)));
    const modules = [...truths].map(([module, truth]) => {
      const ranks = found.map((run) => run.modules.find((row) => row.module === module)?.found ?? 0);
      return { module, truth, found: spread(ranks), least: Math.min(...ranks), most: Math.max(...ranks) };
    });
    return [
      {
        config,
        rule: first.rule,
        searched: results.some((r) => r.config === config && r.allocation !== undefined),
        spearman: spread(found.map((run) => (Number.isFinite(run.spearman) ? run.spearman : 0))),
        modules,
      },
    ];
  });
}

const [BAR, GAP, LEFT, PANEL, TOP, BOTTOM] = [14, 14, 44, 120, 34, 96];

/** Bars: grey is planted, blue is found (mean over seeds), the line spans all seeds. */
export function rankPicture(rows: readonly RecoverySummary[]): string {
  const count = Math.max(0, ...rows.map((row) => row.modules.length));
  const width = Math.max(640, LEFT + count * (2 * BAR + GAP) + GAP);
  const height = rows.length * (TOP + PANEL + BOTTOM);
  const most = Math.max(1, ...rows.flatMap((row) => row.modules.flatMap(({ truth, most: top }) => [truth, top])));
  const panels = rows.map((row, i) => panel(row, i * (TOP + PANEL + BOTTOM) + TOP, width, most));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    "<title>Planted and found rank per module</title>",
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...panels,
    "</svg>",
    "",
  ].join("\n");
}

function panel(
  { config, task, rule, spearman, modules }: RecoverySummary,
  top: number,
  width: number,
  most: number,
): string {
  const y = (rank: number): string => (top + PANEL * (1 - rank / most)).toFixed(1);
  const box = (x: number, rank: number, fill: string): string =>
    `<rect x="${x}" y="${y(rank)}" width="${BAR}" height="${((PANEL * rank) / most).toFixed(1)}" fill="${fill}"/>`;
  const grid = Array.from(
    { length: most + 1 },
    (_, rank) =>
      `<line x1="${LEFT}" x2="${width}" y1="${y(rank)}" y2="${y(rank)}" stroke="#e4e4e4"/><text x="${LEFT - 6}" y="${y(rank)}" dy="4" text-anchor="end">${rank}</text>`,
  );
  const bars = modules.map(({ module, truth, found, least, most: top_ }, m) => {
    const x = LEFT + GAP + m * (2 * BAR + GAP);
    const middle = x + 1.5 * BAR;
    const range = `<line x1="${middle}" x2="${middle}" y1="${y(least)}" y2="${y(top_)}" stroke="#12304f" stroke-width="2"/>`;
    const label = `<text transform="translate(${x + BAR} ${top + PANEL + 8}) rotate(-40)" text-anchor="end" dy="4">${escaped(short(module))}</text>`;
    return `${box(x, truth, "#9a9a9a")}${box(x + BAR, found.mean, "#3f7fbf")}${range}${label}`;
  });
  const sd = spearman.sd === null ? "" : ` ± ${formatNumber(spearman.sd, 2)}`;
  const title = `${config}${task === undefined ? "" : ` (${task})`}: planted (grey), found (blue); Spearman ${formatNumber(spearman.mean, 2)}${sd}, n = ${spearman.n}`;
  return [
    `<text x="${LEFT}" y="${top - 16}" font-size="13">${escaped(title)}</text>`,
    `<text x="${LEFT}" y="${top - 3}" fill="#666666">found: ${escaped(rule)}</text>`,
    ...grid,
    ...bars,
  ].join("\n");
}

/** `bert.encoder.layer.0.attention.self.value` → `0 self.value`. */
function short(module: string): string {
  const layer = /\.(\d+)\./.exec(module)?.[1];
  const tail = module.split(".").slice(-2).join(".");
  return layer === undefined ? tail : `${layer} ${tail}`;
}
