// The whole study by one command, which may be interrupted in any way and given again, and given twice side by side:
//   node experiments/rank-allocation/run.mjs --data DIR [--out DIR] [--results DIR] [any other option of lowrank run]
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const command = fileURLToPath(new URL("../../packages/lab/dist/cli.js", import.meta.url));
const rest = process.argv.slice(2);
/** Takes an option out of what is passed on. */
const option = (name, usual) => {
  const at = rest.indexOf(name);
  return at < 0 ? usual : rest.splice(at, 2)[1];
};
const data = option("--data", process.env.LOWRANK_DATA ?? "../shared/data");
const out = option("--out", "runs/rank-allocation");
const results = option("--results", join(here, "results"));

/** Studies that lie here; what others begin with comes first. */
const studies = readdirSync(here)
  .filter((file) => file.endsWith(".yaml"))
  .map((file) => file.replace(/\.yaml$/, ""))
  .sort();

/** What studies of these names adapt, and how it comes here; planted ranks are in a base that is drawn. */
const STUDIES = [
  { names: /^sst2/, base: join(data, "minilm-l6"), get: "point --data at the folder that holds it" },
  { names: /^planted/ },
  {
    names: /^wikitext2-gpt2/,
    base: "checkpoints/gpt2-small",
    get: `make it, the same bits on every machine: lowrank pretrain clm --config experiments/rank-allocation/pretrain-gpt2.yaml --data ${data} --out checkpoints/gpt2-small`,
  },
  { names: /^wikitext2-gemma/, base: "gemma-3-270m-q4_k_m.gguf", get: "put the file into the working directory" },
];

let child;
for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"]) process.on(signal, () => child?.kill(signal));
const lowrank = (...args) =>
  new Promise((done) => {
    child = spawn(process.execPath, [command, ...args], { stdio: "inherit" });
    child.on("exit", (code, signal) => done(code ?? (signal === "SIGINT" ? 130 : 143)));
  });

let worst = 0;
for (const { names, base, get } of STUDIES)
  for (const name of studies.filter((study) => names.test(study))) {
    const file = `${name}.yaml`;
    if (base !== undefined && !existsSync(base)) {
      console.error(`${file}: not run, there is no ${base}; ${get}`);
      worst = Math.max(worst, 2);
      continue;
    }
    console.error(`\n${file}`);
    const reads = base === undefined ? [] : ["--base", base, "--data", data];
    const place = ["--out", join(out, name), "--results", results];
    const code = await lowrank("run", join(here, file), ...reads, ...place, ...rest);
    // a run that failed stops no other study; a signal, and what is to be mended, stop all
    if (code > 1) process.exit(code);
    worst = Math.max(worst, code);
  }
process.exit(worst);
