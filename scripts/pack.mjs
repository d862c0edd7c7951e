/**
 * `npm run test:pack`: the packages as people install them. Packs all, looks into every tarball, installs them into an empty folder with
 * plain npm, and there type-checks and runs the examples of the README files and the command. With `--keep` the folder stays.
 * `npm run pack -- FOLDER` writes the tarballs there, and that is all.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Checks, none } from "./pack/checks.mjs";
import { COMMAND } from "./pack/command.mjs";
import { CONTENTS } from "./pack/contents.mjs";
import { compile, examples, PROJECTS, runExample, writeExamples } from "./pack/examples.mjs";
import { installed, installTarballs, runIn, scripted } from "./pack/install.mjs";
import { filesOf, packAll, packages, tarballName, version } from "./pack/packages.mjs";
import { build, install, root, say } from "./tools.mjs";

install();
// needs what was installed just now
const { LINTERS } = await import("./pack/lint.mjs");
if (build() !== 0) process.exit(1);

const [flag, target] = process.argv.slice(2);
if (flag === "--to") {
  if (target === undefined) {
    say("where to? npm run pack -- FOLDER");
    process.exit(2);
  }
  const to = resolve(process.env["INIT_CWD"] ?? ".", target);
  mkdirSync(to, { recursive: true });
  packAll(to);
  for (const entry of packages) process.stdout.write(`${join(to, tarballName(entry))}\n`);
  process.exit(0);
}

const keep = flag === "--keep";
const folder = mkdtempSync(join(tmpdir(), "lowrank-pack-"));
const checks = new Checks();
const started = performance.now();
const phase = (name) => say(`  ${name} (after ${((performance.now() - started) / 1000).toFixed(1)} s)`);

const unequal = packages.filter(({ manifest }) => manifest.version !== version).map(({ name }) => name);
await checks.check("one version", () => none(unequal, `not ${version} as the root; raise it with \`npm version\``));
try {
  if (await checks.check("pack", () => packAll(folder))) {
    await inspect();
    await use();
  }
} finally {
  if (keep) say(`kept: ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
}
process.exit(checks.finish());

/** Looks into every tarball. */
async function inspect() {
  phase("tarballs");
  for (const entry of packages) {
    const { name, folder: source } = entry;
    const tarball = readFileSync(join(folder, tarballName(entry)));
    const files = filesOf(tarball);
    const manifest = JSON.parse(files.get("package.json"));
    say(`    ${name}: ${files.size} files, ${(tarball.length / 1024).toFixed(0)} KiB`);
    for (const [what, body] of Object.entries({ ...CONTENTS, ...LINTERS }))
      await checks.check(`${name}: ${what}`, () => body({ folder: source, manifest, files, tarball }));
  }
}

/** Installs them and does with them what people do. */
async function use() {
  const app = join(folder, "app");
  const steps = [
    ...Object.keys(PROJECTS).map((project) => [`types of the examples: ${project}`, () => compile(app, project)]),
    ["a checkpoint for the examples", () => writeCheckpoint(app)],
    ...examples.map((example) => [`example ${example.name}`, () => runExample(app, example)]),
    ...Object.entries(COMMAND).map(([what, body]) => [`lowrank ${what}`, () => body(app)]),
  ];
  phase("install");
  mkdirSync(app);
  let there = false;
  const tarballs = packages.map((entry) => join(folder, tarballName(entry)));
  const fine = await checks.check("npm install", () => (there = installTarballs(app, tarballs)));
  if (!fine) return;
  if (!there) {
    const names = steps.map(([name]) => name);
    return checks.skip(names, "no registry can be reached, and npm's cache lacks what the packages depend on");
  }
  say(`    ${installed(app).join(", ")}`);
  await checks.check("nothing is compiled or downloaded on installation", () =>
    none(scripted(app), "packages with install scripts or native code"),
  );
  writeExamples(app);
  for (const [name, body] of steps) {
    phase(name);
    await checks.check(name, body);
  }
}

function writeCheckpoint(app) {
  copyFileSync(join(root, "scripts/pack/checkpoint.mjs"), join(app, "checkpoint.mjs"));
  runIn(app, process.execPath, ["checkpoint.mjs"]);
}
