/**
 * `npm run bench:peers`: the same work in lowrank and in its peers. Every engine runs in its own process; they take turns, round after round,
 * so that a machine that slows down slows all of them; medians over all rounds.
 */
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { measure } from "./measure.mjs";
import { Peer } from "./processes.mjs";
import { report } from "./report.mjs";
import { works } from "./work.mjs";

const HELP = `npm run -s bench:peers -- [--filter REGEX] [--engines LIST] [--threads LIST] [--rounds N] [--quick] [--out FILE]

  --filter REGEX   only tasks whose name matches
  --engines LIST   of ours, jax, tfjs, ort (default: these; ours always runs), ort-web
  --threads LIST   numbers of threads (default: 1,2, or 1 on a machine with one core)
  --rounds N       turns each engine gets per task (default 7)
  --quick          2 rounds of short turns: shows that everything runs, and roughly how fast
  --out FILE       where the tables go (default: benchmarks/RESULTS.md; with --filter, --engines or --quick, only the screen)

Example:
  npm run -s bench:peers -- --filter 'product 1024³' --threads 1
`;

/** Milliseconds of a turn; a call that takes longer is one turn. */
const TURN_MS = 150;
const QUICK_TURN_MS = 40;

function fail(message) {
  process.stderr.write(`bench:peers: ${message}\n`);
  process.exit(2);
}

function options() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        filter: { type: "string" },
        engines: { type: "string" },
        threads: { type: "string" },
        rounds: { type: "string" },
        quick: { type: "boolean" },
        out: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    }));
  } catch (error) {
    fail(`${error.message.split("\n")[0]}; --help shows what there is`);
  }
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const known = ["ours", "jax", "tfjs", "ort", "ort-web"];
  const wanted = values.engines?.split(",") ?? known.slice(0, 4);
  for (const name of wanted) if (!known.includes(name)) fail(`--engines ${name}: there are ${known.join(", ")}`);
  const threads = (values.threads ?? (availableParallelism() > 1 ? "1,2" : "1")).split(",").map(Number);
  if (threads.some((t) => !Number.isInteger(t) || t < 1))
    fail(`--threads ${values.threads}: expected positive whole numbers`);
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 7));
  if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds ${values.rounds}: expected a positive whole number`);
  let filter;
  try {
    filter = new RegExp(values.filter ?? ".");
  } catch {
    fail(`--filter ${values.filter}: not a regular expression`);
  }
  const whole = values.filter === undefined && values.engines === undefined && !values.quick;
  const out = values.out ?? (whole ? fileURLToPath(new URL("../RESULTS.md", import.meta.url)) : undefined);
  return {
    engines: known.filter((n) => n === "ours" || wanted.includes(n)),
    threads,
    rounds,
    turnMs: values.quick ? QUICK_TURN_MS : TURN_MS,
    out,
    chosen: works.filter((w) => filter.test(w.name)),
  };
}

/** A process that answers, or undefined and the reason in `absent`. */
async function start(engine, count) {
  const peer = new Peer(engine, count);
  const { about, lacks = [], cannot } = await peer.started();
  if (cannot === undefined) return { peer, about, lacks };
  peer.stop();
  return { cannot };
}

const { engines, threads, rounds, turnMs, out, chosen } = options();
if (chosen.length === 0) fail("--filter matches no task");
const peers = [];
const abouts = [];
const absent = [];
for (const count of threads) {
  for (const engine of engines) {
    const { peer, about, lacks, cannot } = await start(engine, count);
    if (peer === undefined) {
      absent.push({ engine, threads: count, cannot });
      if (engine === "ours") fail(`lowrank itself does not start: ${cannot}`);
      continue;
    }
    peers.push(peer);
    abouts.push({ engine, threads: count, about, lacks });
  }
}
const results = [];
for (const [i, work] of chosen.entries()) {
  process.stderr.write(`[${i + 1}/${chosen.length}] ${work.name}\n`);
  // a crash costs an engine one task, not the rest of the run
  for (const [at, { engine, threads: count, gone }] of peers.entries())
    if (gone) peers[at] = (await start(engine, count)).peer ?? peers[at];
  results.push(await measure(work, peers, { rounds, turnMs }));
}
for (const peer of peers) peer.stop();
const text = report({ engines, threads, rounds, turnMs, results, abouts, absent });
process.stdout.write(text);
if (out !== undefined) {
  writeFileSync(out, text);
  process.stderr.write(`written to ${out}\n`);
}
