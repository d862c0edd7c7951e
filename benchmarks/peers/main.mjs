/**
 * `npm run bench:peers`: the same work in lowrank and in its peers. Every engine runs in its own process; they take turns, round after round,
 * so that a machine that slows down slows all of them; medians over all rounds.
 */
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Peer } from "./processes.mjs";
import { report } from "./report.mjs";
import { works } from "./work.mjs";

const HELP = `npm run -s bench:peers -- [--filter REGEX] [--engines LIST] [--threads LIST] [--rounds N] [--out FILE]

  --filter REGEX   only tasks whose name matches
  --engines LIST   of ours, jax, tfjs, ort (default: all; ours always runs)
  --threads LIST   numbers of threads (default: 1,2, or 1 on a machine with one core)
  --rounds N       turns each engine gets per task (default 7)
  --out FILE       where the tables go (default: benchmarks/RESULTS.md; with --filter or --engines, only the screen)

Example:
  npm run -s bench:peers -- --filter 'product 1024³' --threads 1
`;

/** Milliseconds of a turn; a call that takes longer is one turn. */
const TURN_MS = 150;
/** Before a turn: threads of the engine before may still spin. */
const PAUSE_MS = 40;
/** Results may differ by rounding and by how erf and exp are approximated, not by more. Relative to the largest value. */
const AGREEMENT = 1e-3;

function fail(message) {
  process.stderr.write(`bench:peers: ${message}\n`);
  process.exit(2);
}

function options() {
  let values;
  try {
    ({ values } = parseArgs({ options: { filter: { type: "string" }, engines: { type: "string" }, threads: { type: "string" }, rounds: { type: "string" }, out: { type: "string" }, help: { type: "boolean", short: "h" } } }));
  } catch (error) {
    fail(`${error.message.split("\n")[0]}; --help shows what there is`);
  }
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const known = ["ours", "jax", "tfjs", "ort"];
  const wanted = values.engines?.split(",") ?? known;
  for (const name of wanted) if (!known.includes(name)) fail(`--engines ${name}: there are ${known.join(", ")}`);
  const threads = (values.threads ?? (availableParallelism() > 1 ? "1,2" : "1")).split(",").map(Number);
  if (threads.some((t) => !Number.isInteger(t) || t < 1)) fail(`--threads ${values.threads}: expected positive whole numbers`);
  const rounds = Number(values.rounds ?? 7);
  if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds ${values.rounds}: expected a positive whole number`);
  let filter;
  try {
    filter = new RegExp(values.filter ?? ".");
  } catch {
    fail(`--filter ${values.filter}: not a regular expression`);
  }
  const whole = values.filter === undefined && values.engines === undefined;
  const out = values.out ?? (whole ? fileURLToPath(new URL("../RESULTS.md", import.meta.url)) : undefined);
  return { engines: known.filter((n) => n === "ours" || wanted.includes(n)), threads, rounds, out, chosen: works.filter((w) => filter.test(w.name)) };
}

const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

function median(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How far two digests are apart, relative to the largest value of the first. */
function distance(ours, theirs) {
  if (ours.length !== theirs.length) return Infinity;
  const scale = Math.max(...ours.sample.map(Math.abs), Number.MIN_VALUE);
  return Math.max(...ours.sample.map((v, i) => (Number.isFinite(theirs.sample[i]) ? Math.abs(v - theirs.sample[i]) / scale : Infinity)));
}

async function measure(work, peers, rounds) {
  const rows = [];
  let expected;
  for (const peer of peers) {
    await pause();
    const answer = await peer.ask({ do: "prepare", name: work.name, warmups: 3 });
    const row = { engine: peer.engine, threads: peer.threads, samples: [] };
    if (answer.cannot !== undefined) row.cannot = answer.cannot;
    else {
      row.firstMs = answer.firstMs;
      if (peer.engine === "ours") expected ??= answer.result;
      const off = distance(expected, answer.result);
      if (off > (work.agreement ?? AGREEMENT)) row.cannot = `its result differs from lowrank's by ${off.toExponential(1)} of the largest value`;
    }
    rows.push(row);
  }
  const peaks = [];
  const peakMeter = peers.find((p) => p.engine === "ours");
  for (let round = 0; round < rounds; round++) {
    const { gflops } = await peakMeter.ask({ do: "peak" });
    if (gflops !== undefined) peaks.push(gflops);
    for (const [i, peer] of peers.entries()) {
      if (rows[i].cannot !== undefined) continue;
      await pause();
      const answer = await peer.ask({ do: "turn", ms: TURN_MS });
      if (answer.cannot === undefined) rows[i].samples.push(...answer.samples);
      else rows[i].cannot = answer.cannot;
    }
  }
  for (const peer of peers) await peer.ask({ do: "close" });
  return { work, peak: median(peaks), rows: rows.map(({ samples, ...row }) => ({ ...row, calls: samples.length, ms: row.cannot === undefined ? median(samples) : undefined })) };
}

const { engines, threads, rounds, out, chosen } = options();
if (chosen.length === 0) fail("--filter matches no task");
const peers = [];
const abouts = [];
const absent = [];
for (const count of threads) {
  for (const engine of engines) {
    const peer = new Peer(engine, count);
    const { about, cannot } = await peer.started();
    if (cannot === undefined) {
      peers.push(peer);
      abouts.push({ engine, threads: count, about });
    } else {
      absent.push({ engine, threads: count, cannot });
      peer.stop();
      if (engine === "ours") fail(`lowrank itself does not start: ${cannot}`);
    }
  }
}
const results = [];
for (const [i, work] of chosen.entries()) {
  process.stderr.write(`[${i + 1}/${chosen.length}] ${work.name}\n`);
  results.push(await measure(work, peers, rounds));
}
for (const peer of peers) peer.stop();
const text = report({ engines, threads, rounds, results, abouts, absent });
process.stdout.write(text);
if (out !== undefined) {
  writeFileSync(out, text);
  process.stderr.write(`written to ${out}\n`);
}
