/** `npm run bench:six`: memory and time of the study's six configurations at BERT-base's shape, random weights. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { readMemory } from "./memory.ts";
import { readTimes } from "./times.ts";
import { BERT_BASE, SIX, workplace, type Shape } from "./workplace.ts";

const HELP = `npm run -s bench:six -- [--part memory|time|both] [--rounds N] [--threads N] [--configs NAMES] [--json FILE]

  --part          memory: each configuration in a fresh process (does not mind other work on the machine)
                  time: interleaved steps (wants a quiet one). Default both
  --rounds N      steps of each configuration that are timed, up to 60. Default 5
  --threads N     default 2
  --configs NAMES of ${SIX.join(", ")}. Default all
  --tiny          two narrow layers and short rows instead, to see that it works
  --json FILE     writes the figures; what FILE has of the other part or of other configurations stays
`;

const DEFINITIONS = {
  shape:
    "a BERT of this shape with random weights, configurations as in the preset sst2-six, batches of `batch` rows of `length` tokens, none padded",
  plannedPeakBytes:
    "resident memory of the whole process at its peak, told from plans before the first step: what `--memory` is held against (memory.json)",
  peakRssBytes:
    "highest resident size (ru_maxrss) of a fresh process of `lowrank run` that makes this one run: loading, proofs, three steps, an evaluation, files",
  stepSeconds:
    "wall time of whole training steps (forward, backward, clipping, update, allocation), after two that plan; configurations take turns, each in a process of its own",
};

interface Figures {
  plannedPeakBytes: number | null;
  peakRssBytes: number | null;
  stepSeconds: readonly number[];
}

interface Report {
  readonly shape: Shape;
  readonly definitions: typeof DEFINITIONS;
  readonly machine: { readonly cpu: string; readonly node: string; readonly threads: number };
  readonly configs: Record<string, Figures>;
}

function fail(message: string): never {
  process.stderr.write(`bench:six: ${message}\n`);
  process.exit(2);
}

function options() {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const { values } = ((): { values: Record<string, string | boolean | undefined> } => {
    try {
      return parseArgs({
        options: {
          part: text,
          rounds: text,
          threads: text,
          configs: text,
          json: text,
          tiny: flag,
          help: { ...flag, short: "h" },
        },
      });
    } catch (error) {
      return fail(`${(error as Error).message.split("\n")[0]}; --help shows what there is`);
    }
  })();
  if (values["help"] === true) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const count = (name: string, fallback: number, most: number): number => {
    const n = Number(values[name] ?? fallback);
    return Number.isInteger(n) && n > 0 && n <= most
      ? n
      : fail(`--${name} ${values[name]}: expected a whole number from 1 to ${most}`);
  };
  const part = (values["part"] as string | undefined) ?? "both";
  if (!["memory", "time", "both"].includes(part)) fail(`--part ${part}: expected memory, time or both`);
  const names = ((values["configs"] as string | undefined) ?? SIX.join()).split(",").map((name) => name.trim());
  const strange = names.find((name) => !(SIX as readonly string[]).includes(name));
  if (strange !== undefined) fail(`--configs ${strange}: expected some of ${SIX.join(", ")}`);
  return {
    parts: part === "both" ? ["memory", "time"] : [part],
    rounds: count("rounds", 5, 60),
    threads: count("threads", 2, 64),
    names,
    json: values["json"] as string | undefined,
    shape:
      values["tiny"] === true
        ? { ...BERT_BASE, layers: 2, hidden: 64, heads: 2, intermediate: 128, length: 16 }
        : BERT_BASE,
  };
}

const { parts, rounds, threads, names, json, shape } = options();
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const before = json !== undefined && existsSync(json) ? (JSON.parse(readFileSync(json, "utf8")) as Report) : undefined;
if (before !== undefined && JSON.stringify(before.shape) !== JSON.stringify(shape))
  fail(`--json ${json}: holds figures of another shape; give another file`);
const report: Report = {
  shape,
  definitions: DEFINITIONS,
  machine: { cpu: cpus()[0]?.model ?? "unknown", node: process.version, threads },
  configs: { ...before?.configs },
};
const figures = (name: string): Figures =>
  (report.configs[name] ??= { plannedPeakBytes: null, peakRssBytes: null, stepSeconds: [] });
const write = (): void => {
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
};

for (const [name, definition] of Object.entries(DEFINITIONS)) process.stdout.write(`${name}: ${definition}\n`);
process.stdout.write("\n");
const place = await workplace(shape);
try {
  if (parts.includes("memory"))
    for (const name of names) {
      Object.assign(figures(name), readMemory(name, place, threads));
      write();
      const { plannedPeakBytes: planned, peakRssBytes: peak } = figures(name);
      process.stdout.write(
        `${name.padEnd(8)} planned ${mega(planned!)}, measured ${mega(peak!)}, measured / planned ${(peak! / planned!).toFixed(3)}\n`,
      );
    }
  if (parts.includes("time")) {
    for (const [name, stepSeconds] of await readTimes(names, place, threads, rounds, say))
      Object.assign(figures(name), { stepSeconds });
    write();
    for (const name of names)
      process.stdout.write(
        `${name.padEnd(8)} ${median(figures(name).stepSeconds).toFixed(3)} s a step, the median of ${rounds}\n`,
      );
  }
} finally {
  place.dispose();
}

function mega(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
