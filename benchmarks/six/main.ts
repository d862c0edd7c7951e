/** `npm run bench:six`: memory and time of the study's six configurations at BERT-base's shape, random weights. */
import { existsSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { codeVersion, readMeasured, type Measured } from "@lowrank/lab";
import { readMemory } from "./memory.ts";
import { readTimes } from "./times.ts";
import { BERT_BASE, SIX, workplace } from "./workplace.ts";

const HELP = `npm run -s bench:six -- [--part memory|time|both] [--rounds N] [--repeats N] [--threads N] [--configs NAMES] [--json FILE]

  --part          memory: each configuration in a fresh process (does not mind other work on the machine)
                  time: interleaved steps (wants a quiet one). Default both
  --rounds N      steps of each configuration that are timed, up to 60. Default 5
  --repeats N     fresh processes of each configuration whose memory is read. Default 3
  --threads N     default 2
  --configs NAMES of ${SIX.join(", ")}. Default all
  --tiny          two narrow layers and short rows instead, to see that it works
  --json FILE     writes the figures, for \`lowrank report --measured FILE\`; what FILE has of the other part or of other configurations stays
`;

const FIGURES = [
  {
    name: "planned-peak",
    label: "planned peak memory",
    unit: "bytes",
    exact: true,
    definition:
      "resident memory of the whole process at its peak, told from plans before the first step: what --memory is held against (memory.json)",
  },
  {
    name: "peak-rss",
    label: "peak resident memory",
    unit: "bytes",
    exact: false,
    definition:
      "highest resident size (ru_maxrss) of a fresh process of `lowrank run` that makes this one run: loading, proofs, three steps, an evaluation, files",
  },
  {
    name: "step-time",
    label: "time per step",
    unit: "seconds",
    exact: false,
    definition:
      "wall time of a whole training step (forward, backward, clipping, update, allocation), after two that plan; configurations take turns, each in a process of its own",
  },
] as const;

type FigureName = (typeof FIGURES)[number]["name"];

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
          repeats: text,
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
    repeats: count("repeats", 3, 60),
    threads: count("threads", 2, 64),
    names,
    json: values["json"] as string | undefined,
    shape:
      values["tiny"] === true
        ? { ...BERT_BASE, layers: 2, hidden: 64, heads: 2, intermediate: 128, length: 16 }
        : BERT_BASE,
  };
}

const { parts, rounds, repeats, threads, names, json, shape } = options();
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const what = `${Object.entries(shape)
  .map(([key, value]) => `${key} ${value}`)
  .join(", ")}: a BERT of this shape with random weights, configurations as in the preset sst2-six, rows of one length`;
const before = json !== undefined && existsSync(json) ? readMeasured(json) : undefined;
const code = codeVersion();
if (before !== undefined && (before.what !== what || before.code !== code))
  fail(`--json ${json}: holds figures of ${before.what !== what ? "another shape" : "other code"}; give another file`);
const values = new Map<FigureName, Record<string, readonly number[]>>(
  FIGURES.map(({ name }) => [name, { ...before?.figures.find((figure) => figure.name === name)?.values }]),
);
const take = (figure: FigureName, name: string, readings: readonly number[]): void => {
  values.get(figure)![name] = readings;
  if (json === undefined) return;
  const host = `${cpus()[0]?.model ?? "unknown"}, Node ${process.version}, ${threads} threads`;
  const figures = FIGURES.map((known) => ({ ...known, values: values.get(known.name)! }));
  const measured: Measured = {
    format: 1,
    what,
    host,
    code,
    figures: figures.filter((known) => Object.keys(known.values).length > 0),
  };
  writeFileSync(json, `${JSON.stringify(measured, null, 2)}\n`);
};

process.stdout.write(`${what}\n`);
for (const { name, definition } of FIGURES) process.stdout.write(`${name}: ${definition}\n`);
process.stdout.write("\n");
const place = await workplace(shape);
try {
  if (parts.includes("memory"))
    for (const name of names) {
      const readings = Array.from({ length: repeats }, () => readMemory(name, place, threads));
      const [planned, peaks] = [readings[0]!.plannedPeakBytes, readings.map(({ peakRssBytes }) => peakRssBytes)];
      take("planned-peak", name, [planned]);
      take("peak-rss", name, peaks);
      process.stdout.write(
        `${name.padEnd(8)} planned ${mega(planned)}, measured ${peaks.map(mega).join(", ")}, median / planned ${(median(peaks) / planned).toFixed(3)}\n`,
      );
    }
  if (parts.includes("time"))
    for (const [name, stepSeconds] of await readTimes(names, place, threads, rounds, say)) {
      take("step-time", name, stepSeconds);
      process.stdout.write(`${name.padEnd(8)} ${median(stepSeconds).toFixed(3)} s a step, the median of ${rounds}\n`);
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
