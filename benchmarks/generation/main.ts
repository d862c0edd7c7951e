/** `npm run bench:generation`: time of a token with a cache, along a text. */
import { existsSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { TextGenerator } from "@lowrank/models";
import { init } from "@lowrank/tensor";
import { llamaCpp, type Theirs } from "./llama-cpp.ts";
import { gguf, gpt2, stories, type Timed } from "./models.ts";
import { median, ours, Stream, type Reading } from "./timing.ts";

const HELP = `npm run -s bench:generation -- [--gguf FILE] [--llama-cpp FOLDER] [--threads N] [--rounds N] [--only REGEX] [--json FILE]

  --gguf FILE         a causal model beside those that are drawn or in the data folder
  --llama-cpp FOLDER  where node-llama-cpp is installed; it then takes turns with lowrank on the file
                      mkdir llama-cpp && cd llama-cpp && npm init -y && npm i node-llama-cpp
  --threads N         default 2
  --rounds N          each place of a text is timed so often; the best median counts. Default 3
  --only REGEX        models whose names match
  --json FILE         writes the figures

A row for each length of the text: milliseconds of its prompt and of a token behind it, the median of 16. Below, the bytes that a token reads and how long memory
takes for them. On a machine with other work give it a priority: what waits for a core is counted.
`;

const LENGTHS = [16, 64, 128, 256, 512];

function fail(message: string): never {
  process.stderr.write(`bench:generation: ${message}\n`);
  process.exit(2);
}

function options() {
  const text = { type: "string" } as const;
  const { values } = ((): { values: Record<string, string | boolean | undefined> } => {
    try {
      return parseArgs({
        options: {
          gguf: text,
          "llama-cpp": text,
          threads: text,
          rounds: text,
          only: text,
          json: text,
          help: { type: "boolean", short: "h" },
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
  const path = (name: string): string | undefined => {
    const value = values[name] as string | undefined;
    if (value !== undefined && !existsSync(value)) fail(`--${name} ${value}: not there`);
    return value && resolve(value);
  };
  const count = (name: string, fallback: number): number => {
    const n = Number(values[name] ?? fallback);
    return Number.isInteger(n) && n > 0 ? n : fail(`--${name} ${values[name]}: expected a positive whole number`);
  };
  return {
    gguf: path("gguf"),
    folder: path("llama-cpp"),
    threads: count("threads", 2),
    rounds: count("rounds", 3),
    only: new RegExp((values["only"] as string | undefined) ?? ""),
    json: values["json"] as string | undefined,
  };
}

/** The best of several readings of one place. */
function bestOf(readings: readonly Reading[]): Reading {
  const least = (of: (r: Reading) => number): number => Math.min(...readings.map(of));
  return { prefill: least((r) => r.prefill), token: least((r) => r.token) };
}

const { gguf: file, folder, threads, rounds, only, json } = options();
const data = resolve(import.meta.dirname, "../..", process.env["LOWRANK_DATA"] ?? "../shared/data");
const models: Timed[] = [
  ...(existsSync(data) ? [stories(data)] : []),
  gpt2,
  ...(file === undefined ? [] : [gguf(file)]),
].filter(({ name }) => only.test(name));
process.stdout.write(
  `${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, ${threads} threads, Node ${process.version}\n`,
);
const figures: object[] = [];
for (const { name, longest, load } of models) {
  const device = await init({ device: "wasm", threads });
  const model = await load(device);
  const before = device.memory().persistent;
  const generator = new TextGenerator(model);
  const theirs: Theirs | undefined =
    folder !== undefined && file !== undefined && name === file.split("/").at(-1)
      ? await llamaCpp(folder, file, threads)
      : undefined;
  const stream = new Stream(device);
  const lengths = LENGTHS.map((n) => Math.min(n, longest)).reverse();
  const all = lengths.map(() => ({ ours: [] as Reading[], theirs: [] as Reading[] }));
  const speeds: number[] = [];
  // the longest first: its cache serves all; the first round makes plans and code
  for (let round = 0; round <= rounds; round++)
    for (const [i, length] of lengths.entries()) {
      const [mine, other] = [await ours(generator, length), await theirs?.read(length)];
      speeds.push(await stream.read());
      if (round === 0) continue;
      all[i]!.ours.push(mine);
      if (other !== undefined) all[i]!.theirs.push(other);
    }
  const plans = generator.plans;
  stream.dispose();
  const cache = device.memory().persistent - before;
  // what one token reads: weights, but tables that only a row of is looked up in, and all of the cache
  const tables = model.family.inputEmbeddings.concat(model.family.slicedTables);
  const read = [...model.namedWeights()].filter(
    ([path]) => model.config.tieWordEmbeddings || !tables.some((table) => path.includes(`${table}.`)),
  );
  const bytes = read.reduce((sum, [, w]) => sum + w.bytes, 0) + cache;
  const speed = Math.max(...speeds);
  process.stdout.write(
    `\n${name}\n| tokens | prompt ms | token ms | ${theirs === undefined ? "" : "llama.cpp prompt ms | token ms | of its speed | "}prompt × a token |\n`,
  );
  const rows = lengths
    .map((length, i) => {
      const mine = bestOf(all[i]!.ours);
      const other = theirs === undefined ? undefined : bestOf(all[i]!.theirs);
      return { length, mine, other };
    })
    .reverse();
  for (const { length, mine, other } of rows) {
    const beside =
      other === undefined
        ? ""
        : ` ${other.prefill.toFixed(1)} | ${other.token.toFixed(2)} | ${(other.token / mine.token).toFixed(2)} |`;
    process.stdout.write(
      `| ${length} | ${mine.prefill.toFixed(1)} | ${mine.token.toFixed(2)} |${beside} ${(mine.prefill / length / mine.token).toFixed(2)} |\n`,
    );
  }
  const tokens = rows.map(({ mine }) => mine.token);
  const limit = bytes / speed / 1e6;
  process.stdout.write(
    `slowest / fastest length ${(Math.max(...tokens) / Math.min(...tokens)).toFixed(2)}; ${plans} plans; a token reads ${(bytes / 1e6).toFixed(1)} MB, memory ${speed.toFixed(1)} GB/s: ${limit.toFixed(2)} ms, ${(limit / median(tokens)).toFixed(2)} of the time${theirs === undefined ? "" : `; llama.cpp ${theirs.release}`}\n`,
  );
  figures.push({ name, threads, rows, plans, bytes, gigabytesPerSecond: speed });
  generator.dispose();
  await theirs?.close();
  device.close();
}
if (json !== undefined) writeFileSync(json, `${JSON.stringify(figures, null, 2)}\n`);
