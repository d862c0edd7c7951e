/** `npm run bench`: measures, prints a table, writes JSON. */
import { writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { blockBenchmarks } from "./blocks.ts";
import { epochBenchmarks } from "./epoch.ts";
import { kernelBenchmarks } from "./kernels.ts";
import { memoryReadings } from "./memory.ts";
import { stepBenchmarks } from "./steps.ts";
import { lossBenchmarks } from "./vocabulary.ts";
import { measure, mergeRounds, peakRow, type Row } from "./suite.ts";

const HELP = `npm run -s bench -- [--json FILE] [--filter REGEX] [--threads N] [--rounds N] [--list]

  --json FILE     write the rows as JSON: [{ name, unit, median, p25, p75, n, ratio, against, ms }]
  --filter REGEX  only benchmarks whose name matches
  --threads N     measure with 1 and N threads (default: 2, or 1 on a machine with one core)
  --rounds N      go through the list N times and give the medians (default 1): a busy minute then spoils a round, not a row
  --list          names only

Examples:
  npm run -s bench -- --filter gemm
  npm run -s bench -- --filter 'step/.*4x256' --json step.json
  npm run -s bench -- --filter 'gemm|step/bert-lora/' --rounds 3
`;

function fail(message: string): never {
  process.stderr.write(`bench: ${message}\n`);
  process.exit(2);
}

function options(): { json?: string; filter: RegExp; threads: number[]; rounds: number; list: boolean } {
  let values: { json?: string; filter?: string; threads?: string; rounds?: string; list?: boolean; help?: boolean };
  try {
    ({ values } = parseArgs({
      options: {
        json: { type: "string" },
        filter: { type: "string" },
        threads: { type: "string" },
        rounds: { type: "string" },
        list: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }));
  } catch (error) {
    fail(`${(error as Error).message.split("\n")[0]}; --help shows what there is`);
  }
  if (values.help === true) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const count = (flag: "threads" | "rounds", fallback: number): number => {
    const n = Number(values[flag] ?? fallback);
    if (!Number.isInteger(n) || n < 1) fail(`--${flag} ${values[flag]}: expected a positive whole number`);
    return n;
  };
  const wanted = count("threads", Math.min(2, availableParallelism()));
  let filter = /./;
  try {
    if (values.filter !== undefined) filter = new RegExp(values.filter);
  } catch {
    fail(`--filter ${values.filter}: not a regular expression`);
  }
  return {
    ...(values.json === undefined ? {} : { json: values.json }),
    filter,
    threads: wanted === 1 ? [1] : [1, wanted],
    rounds: count("rounds", 1),
    list: values.list ?? false,
  };
}

function line(row: Row): string {
  const ratio = row.ratio === null ? "" : `${(100 * row.ratio).toFixed(1)} %`;
  return `| ${row.name.padEnd(42)} | ${row.median.toFixed(2).padStart(9)} | ${row.unit.padEnd(10)} | ${`${row.p25.toFixed(2)}–${row.p75.toFixed(2)}`.padStart(17)} | ${String(row.n).padStart(5)} | ${ratio.padStart(7)} | ${(row.ms === 0 ? "" : row.ms.toFixed(3)).padStart(9)} |`;
}

const { json, filter, threads, rounds, list } = options();
const chosen = [
  ...kernelBenchmarks(threads),
  ...blockBenchmarks(),
  ...lossBenchmarks(threads),
  ...stepBenchmarks(threads),
  ...epochBenchmarks(threads),
].filter((b) => filter.test(b.name));
const readings = memoryReadings().filter((r) => filter.test(r.name));
if (list) {
  process.stdout.write(
    `${["peak/fma128/t1", ...chosen.map((b) => b.name), ...readings.map((r) => r.name)].join("\n")}\n`,
  );
  process.exit(0);
}
process.stdout.write(
  `${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, Node ${process.version}\n\n`,
);
process.stdout.write(
  `| ${"name".padEnd(42)} | ${"median".padStart(9)} | ${"unit".padEnd(10)} | ${"p25–p75".padStart(17)} | ${"n".padStart(5)} | ${"ratio".padStart(7)} | ${"ms".padStart(9)} |\n| --- | --: | --- | --: | --: | --: | --: |\n`,
);
/** With several rounds a row is told once it is whole. */
const tell = (row: Row): void => {
  process.stdout.write(`${line(row)}\n`);
};
const tasks = [
  ...chosen.map((b) => ({ name: b.name, run: () => measure(b) })),
  ...readings.map((r) => ({ name: r.name, run: () => r.read() })),
];
const taken: Row[][] = [[], ...tasks.map(() => [])];
for (let round = 0; round < rounds; round++) {
  const last = round === rounds - 1;
  const add = (i: number, row: Row): void => {
    taken[i]!.push(row);
    if (last) tell(mergeRounds(taken[i]!));
  };
  add(0, peakRow());
  for (const [i, task] of tasks.entries()) {
    process.stderr.write(
      `[${rounds === 1 ? "" : `round ${round + 1}/${rounds}, `}${i + 1}/${tasks.length}] ${task.name}\n`,
    );
    add(i + 1, await task.run());
  }
}
if (json !== undefined) writeFileSync(json, `${JSON.stringify(taken.map(mergeRounds), null, 2)}\n`);
