/**
 * `npm run test:interop -- --python PATH`: the real Python libraries read our files, and we read theirs. One line a check on stdout, then the
 * sum; exit code 1 where a check fails. What a part needs and is not there is skipped by name.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { build, install, root, say } from "./tools.mjs";

const HELP = `Interoperability with the Python stack: what we write is read by transformers, PEFT and bitsandbytes, and what they write by us.

  npm run test:interop -- --python PATH [options]

  --python PATH   a Python with torch, transformers, safetensors and peft; bitsandbytes for the four-bit parts, tokenizers for the
                  tokenizers. The figures in the documentation are torch 2.13.0, transformers 5.24, peft 0.21.2, bitsandbytes 0.50.2.
                  Default: LOWRANK_PYTHON
  --out DIR       where both sides write (about 1 GB with --base). Default: a folder of its own under the system's temporary one
  --base DIR      a real BERT checkpoint with its tokenizer: adds every check on real weights, and 30 steps beside torch
  --data DIR      a folder with sst2-glue, wikitext-2, bert-base-uncased-tokenizer and gpt2-tokenizer: adds the tokenizers. Default: LOWRANK_DATA
  --run DIR       the --out folder of a finished \`lowrank run sst2\` on --base: its files are read in Python. May be repeated
  --only PARTS    some of: adapters, theirs, forms, four-bit, edges, counts, tokens, steps, runs, speed (with what they need). Comma-separated
  --counts N      random configs whose parameters are counted, beside each method's defaults on each family. Default 40
  --seed N        which ones. Default 1
  --speed         also times a training step, lowrank and torch in turn
  --help

Lines: PASS, FAIL; REFUSED is a clear error of ours, PEFT-CANNOT and PYTHON-CANNOT are cases that Python itself cannot do. A quarter of an hour or so.

  python -m venv venv && venv/bin/pip install torch transformers peft bitsandbytes safetensors
  npm run test:interop -- --python venv/bin/python
  npm run test:interop -- --python venv/bin/python --base checkpoints/minilm --data data --out out
  npm run test:interop -- --python venv/bin/python --only four-bit,counts
`;

const here = join(root, "interop");
const wrong = (message) => {
  say(`test:interop: ${message}`);
  process.exit(2);
};

function options() {
  try {
    const text = { type: "string" };
    return parseArgs({
      options: {
        python: text,
        out: text,
        base: text,
        data: text,
        run: { ...text, multiple: true },
        only: text,
        counts: text,
        seed: text,
        speed: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    return wrong(`${error.message}; --help shows what there is`);
  }
}

const given = options();
if (given.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const cwd = process.env["INIT_CWD"] ?? process.cwd();
const folder = (flag, path) => {
  if (path === undefined) return undefined;
  const full = resolve(cwd, path);
  return existsSync(full) && statSync(full).isDirectory() ? full : wrong(`${flag}: there is no folder ${full}`);
};
const whole = (flag, text, otherwise) =>
  text === undefined
    ? otherwise
    : /^\d+$/.test(text)
      ? text
      : wrong(`${flag} must be a whole number, got ${JSON.stringify(text)}`);

const asked = given.python ?? process.env["LOWRANK_PYTHON"];
if (asked === undefined)
  wrong(
    "--python PATH is needed: a Python with torch, transformers, safetensors and peft; --help shows how to make one",
  );
const python = asked.includes("/") || asked.includes("\\") ? resolve(cwd, asked) : asked;
const base = folder("--base", given.base);
const data = folder("--data", given.data ?? process.env["LOWRANK_DATA"]);
const runs = (given.run ?? []).map((path) => folder("--run", path));
const counts = whole("--counts", given.counts, "40");
const seed = whole("--seed", given.seed, "1");

/** Versions by name, as far as they are there. */
const VERSIONS =
  "import importlib.metadata as m, json\nd = {}\nfor n in ('torch', 'transformers', 'safetensors', 'peft', 'bitsandbytes', 'tokenizers'):\n  try: d[n] = m.version(n)\n  except m.PackageNotFoundError: pass\nprint(json.dumps(d))";
const asking = spawnSync(python, ["-c", VERSIONS], { encoding: "utf8" });
if (asking.status !== 0)
  wrong(`${python} does not run: ${(asking.error?.message ?? asking.stderr).trim().split("\n").at(-1)}`);
const versions = JSON.parse(asking.stdout);
const missing = ["torch", "transformers", "safetensors", "peft"].filter((name) => versions[name] === undefined);
if (missing.length > 0)
  wrong(`${python} has no ${missing.join(", ")}; install with: ${python} -m pip install ${missing.join(" ")}`);

// what each part needs besides the models, which all of them start from
const needs = {
  base: [base !== undefined, "--base"],
  data: [data !== undefined, "--data"],
  bitsandbytes: [versions.bitsandbytes !== undefined, "bitsandbytes in Python"],
  tokenizers: [versions.tokenizers !== undefined, "tokenizers in Python"],
  runs: [runs.length > 0, "--run"],
  speed: [given.speed === true, "--speed"],
};
const out = given.out === undefined ? mkdtempSync(join(tmpdir(), "lowrank-interop-")) : resolve(cwd, given.out);
const real = base === undefined ? [] : [base];
const py = (script, ...args) => [python, [join(here, script), ...args]];
const js = (script, ...args) => [process.execPath, ["--no-warnings", join(here, script), root, ...args]];
/** In order: later parts read what earlier ones wrote (`after`). */
const PARTS = {
  adapters: { needs: [], steps: [js("ours.mjs", out), py("check_ours.py", out)] },
  theirs: { needs: [], steps: [py("theirs.py", out), js("check_theirs.mjs", out)] },
  forms: { needs: [], steps: [py("forms_theirs.py", out, ...real), js("forms.mjs", out), py("check_forms.py", out)] },
  "four-bit": {
    needs: ["bitsandbytes"],
    steps: [py("bnb_theirs.py", out), js("bnb.mjs", out), py("check_bnb.py", out)],
  },
  edges: {
    needs: [],
    after: ["adapters", "theirs", "forms"],
    steps: [js("edges.mjs", out), py("check_edges.py", out)],
  },
  counts: { needs: [], steps: [py("counts.py", out, counts, seed), js("check_counts.mjs", out)] },
  tokens: { needs: ["data", "tokenizers"], steps: [py("tokens.py", out, data, ...real), js("tokens.mjs", out, data)] },
  steps: { needs: ["base", "data"], steps: [py("parity.py", out, data, base), js("parity.mjs", out)] },
  runs: { needs: ["runs", "base", "data"], steps: runs.map((path) => py("check_run.py", out, path, data, base, root)) },
  speed: { needs: ["speed", "base"], steps: [1, 2, 3].flatMap(() => [py("speed.py", out), js("speed.mjs", out)]) },
};
const chosen = given.only === undefined ? Object.keys(PARTS) : given.only.split(",").map((s) => s.trim());
const unknown = chosen.find((part) => PARTS[part] === undefined);
if (unknown !== undefined)
  wrong(`--only: there is no part ${JSON.stringify(unknown)}; parts are ${Object.keys(PARTS).join(", ")}`);
const wanted = new Set(chosen.flatMap((part) => [...(PARTS[part].after ?? []), part]));

install();
if (build() !== 0) process.exit(1);

mkdirSync(out, { recursive: true });
for (const old of ["A", "B", "C", "D", "tokens", "results.jsonl"])
  rmSync(join(out, old), { recursive: true, force: true });
const env = {
  ...process.env,
  HF_HUB_OFFLINE: "1",
  OMP_NUM_THREADS: "1",
  PYTHONUNBUFFERED: "1",
  PYTHONDONTWRITEBYTECODE: "1",
  NODE_NO_WARNINGS: "1",
};
const log = [];
const lines = [];
const print = (line) => {
  lines.push(line);
  process.stdout.write(`${line}\n`);
};

/** Shows the checks of one script; what else it says is kept in `stderr.log`. */
async function step(command, args) {
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((done) => {
    child.on("close", (code, signal) => done(code ?? signal));
    child.on("error", (error) => done(error.message));
  });
  child.stderr.on("data", (bytes) => log.push(bytes));
  for await (const line of createInterface({ input: child.stdout }))
    if (/^(PASS|FAIL|REFUSED|PEFT-CANNOT|PYTHON-CANNOT|#)/.test(line)) print(line);
  const code = await ended;
  if (code !== 0)
    print(`FAIL harness/${args.find((a) => a.startsWith(here)).slice(here.length + 1)} exit ${code} | see stderr.log`);
}

print(
  `# Python: ${Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ")}`,
);
await step(...py("make_models.py", out, ...real));
for (const part of Object.keys(PARTS).filter((name) => wanted.has(name))) {
  const lacking = PARTS[part].needs
    .map((need) => needs[need])
    .filter(([there]) => !there)
    .map(([, what]) => what);
  if (lacking.length > 0) print(`# skipped: ${part} (needs ${lacking.join(" and ")})`);
  else for (const [command, args] of PARTS[part].steps) await step(command, args);
}
if (base === undefined) print("# skipped: checks on real weights (need --base)");

const count = (pattern) => lines.filter((line) => pattern.test(line)).length;
const failed = count(/^FAIL/);
print(
  `# ${count(/^PASS/)} passed, ${failed} failed, ${count(/^REFUSED/)} refused by lowrank, ${count(/^(PEFT|PYTHON)-CANNOT/)} that Python itself cannot do`,
);
writeFileSync(join(out, "checks.txt"), `${lines.join("\n")}\n`);
writeFileSync(join(out, "stderr.log"), Buffer.concat(log));
say(`all lines: ${join(out, "checks.txt")}`);
process.exit(failed === 0 ? 0 : 1);
