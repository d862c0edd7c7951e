/** The tables of RESULTS.md. */
import { readFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const names = { ours: "lowrank", jax: "jax-js", tfjs: "tfjs-wasm", ort: "onnxruntime", "ort-web": "onnxruntime-web" };
const packages = {
  jax: ["@jax-js/jax"],
  tfjs: ["@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm"],
  ort: ["onnxruntime-node", "onnxruntime-web"],
  "ort-web": ["onnxruntime-web"],
};

/** Read from the folder: not every package exports its package.json. */
function version(name) {
  const folder = require.resolve.paths(name).map((p) => join(p, name, "package.json"));
  for (const file of folder) {
    try {
      return JSON.parse(readFileSync(file, "utf8")).version;
    } catch {
      /* the next folder up */
    }
  }
  return "not installed";
}

function rate({ unit, amount }, ms) {
  const value = unit === "ns/element" ? (1e6 * ms) / amount : amount / ms / 1e6;
  return `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ${unit}`;
}

const time = (ms) => (ms >= 100 ? ms.toFixed(0) : ms >= 1 ? ms.toFixed(2) : ms.toFixed(3));

function table(count, { engines, results }) {
  const head = ["task", ...engines.map((e) => `${names[e]}, ms`), "lowrank's rate", "of peak"];
  const lines = results.map(({ work, rows }) => {
    const row = (engine) => rows.find((r) => r.engine === engine && r.threads === count);
    const ours = row("ours");
    const cells = engines.map((engine) => {
      const found = row(engine);
      if (found?.ms === undefined) return "cannot";
      return engine === "ours"
        ? `**${time(found.ms)}**`
        : found.ratio === undefined
          ? time(found.ms)
          : `${time(found.ms)} (${found.ratio.toFixed(2)}×)`;
    });
    const share = work.unit === "GFLOP/s" && ours?.share !== undefined ? `${(100 * ours.share).toFixed(0)} %` : "";
    return [work.name, ...cells, ours?.ms === undefined ? "" : rate(work, ours.ms), share];
  });
  const rule = head.map((_, i) => (i === 0 ? "---" : "--:"));
  return [head, rule, ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function cannots({ results, absent }) {
  const groups = new Map();
  const note = (engine, threads, task, why) => {
    const key = `${engine}|${task}|${why}`;
    groups.set(key, { engine, task, why, threads: [...(groups.get(key)?.threads ?? []), threads] });
  };
  for (const { engine, threads, cannot } of absent) note(engine, threads, "everything", cannot);
  for (const { work, rows } of results)
    for (const { engine, threads, cannot } of rows) if (cannot !== undefined) note(engine, threads, work.name, cannot);
  if (groups.size === 0) return "Nothing that was asked for.";
  const lines = [...groups.values()].map(
    ({ engine, task, why, threads }) => `| ${names[engine]} | ${task} | ${threads.join(", ")} | ${why} |`,
  );
  return ["| engine | task | threads | why |", "| --- | --- | --- | --- |", ...lines].join("\n");
}

/** What compiling costs: the first call of the tasks that are whole models. */
function firstCalls({ engines, results }) {
  const models = results.filter(({ work }) => work.kind === "step" || work.kind === "forward");
  if (models.length === 0) return "";
  const lines = models.flatMap(({ work, rows }) =>
    [...new Set(rows.map((r) => r.threads))].map((threads) => {
      const cells = engines.map((engine) => {
        const found = rows.find((r) => r.engine === engine && r.threads === threads);
        return found?.ms === undefined ? "cannot" : time(found.firstMs);
      });
      return [work.name, threads, ...cells];
    }),
  );
  const head = ["first call, ms", "threads", ...engines.map((e) => names[e])];
  const rule = head.map((_, i) => (i === 0 ? "---" : "--:"));
  return `\n## First calls\n\nTracing and compiling included; loading libraries and making weights not (onnxruntime compiles while it makes the session).\n\n${[head, rule, ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

/** A machine that computes nothing else keeps its peak within a few per cent; twice that is somebody else's work, and so are the times below it. */
const STEADY = 1.15;

/** The tenth and the ninetieth of a hundred: one hiccup is no disturbance. */
function span(peaks) {
  const sorted = [...peaks].sort((a, b) => a - b);
  const at = (q) => sorted[Math.round(q * (sorted.length - 1))] ?? Number.NaN;
  return [at(0.1), at(0.9)];
}

function disturbance([low, high], threads) {
  const spread = high / low;
  const load = loadavg()[0];
  if (spread <= STEADY && load <= Math.max(...threads) + 1) return "";
  return `\n**This run was disturbed by other work on the machine** (the peak moved by ${spread.toFixed(1)}×, load average ${load.toFixed(1)}): ratios near 1 mean little, fractions of the peak less. Run it again on a quiet machine.\n`;
}

function lacks({ abouts, threads }) {
  const lines = abouts
    .filter((a) => a.threads === threads[0])
    .flatMap(({ engine, lacks: list }) =>
      list.map(({ what, instead }) => `| ${names[engine]} | ${what} | ${instead} |`),
    );
  return lines.length === 0
    ? ""
    : `\nOperations they have not, found by trying, and what was measured in their place:\n\n${["| engine | lacks | instead |", "| --- | --- | --- |", ...lines].join("\n")}\n`;
}

/** Everything as Markdown. */
export function report(run) {
  const { engines, threads, rounds, results, abouts } = run;
  const [low, high] = span(results.flatMap((r) => r.peaks));
  const used = [...new Set(engines.filter((e) => e !== "ours").flatMap((e) => packages[e]))].map(
    (name) => `${name} ${version(name)}`,
  );
  return `# lowrank beside its peers

Written by \`npm run bench:peers\`; how it measures: [peers/README.md](peers/README.md).

* Machine: ${cpus()[0]?.model.trim() ?? "unknown processor"}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${process.platform} ${process.arch}; Node ${process.version} (V8 ${process.versions.v8})
* Multiply-add peak of one thread, 128 bits wide, during the run: ${low.toFixed(1)}–${high.toFixed(1)} GFLOP/s
* Peers: ${used.join(", ")}
* ${rounds} turns of at least ${run.turnMs} ms (or one call) each; engines take turns within a task. Times are medians of calls. In brackets: how many times lowrank's
  time, median over the rounds; "of peak" likewise, against the peak beside each turn.
${disturbance([low, high], threads)}
${threads.map((t) => `## ${t === 1 ? "One thread" : `${t} threads`}\n\n${table(t, run)}`).join("\n\n")}
${firstCalls(run)}
## What peers cannot do

${cannots(run)}
${lacks(run)}
## How each runs

${abouts.map(({ engine, threads: t, about }) => `* ${names[engine]} (${t}): ${about}`).join("\n")}
`;
}
