/**
 * `npm test`: installs, builds, lints, checks types, runs every test, and tries the packages as people install them. With `--fixtures`
 * only the golden-number tests, with `--slow` only the slow ones, with `--soak` all of them on cases that nobody has seen before. The
 * last line is `N passed, M failed, K skipped`; a failed stage that counts nothing itself is one failure.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, install, run, say } from "./tools.mjs";

const args = process.argv.slice(2);
const only = ["--fixtures", "--slow", "--soak"].find((flag) => args.includes(flag));
const rest = args.filter((a) => a !== only);

/** In order; each returns an exit code. One that counts gets an environment that says where to leave `{ passed, failed, skipped }`. */
const STAGES = [
  { name: "build", body: build },
  { name: "format", body: () => run("oxfmt", ["--check"]) },
  { name: "lint", body: () => run("oxlint", ["--type-aware", "--quiet"]) },
  { name: "structure", body: () => run(process.execPath, ["scripts/structure.mjs"]) },
  { name: "types of tests", body: () => run("tsc", ["-p", "tsconfig.test.json"]) },
  { name: "tests", counts: true, body: tests },
  { name: "packages", counts: true, body: (env) => run(process.execPath, ["scripts/pack.mjs"], { env }) },
];

function tests(env) {
  const seed = process.env["LOWRANK_SEED"] ?? (only === "--soak" ? String(Date.now() % 2 ** 31) : undefined);
  if (seed !== undefined) say(`LOWRANK_SEED=${seed} draws the same cases again`);
  const reporters = ["--reporter=default", "--reporter=./scripts/count-reporter.mjs"];
  const set = only === "--fixtures" ? "fixtures" : only === "--slow" ? "slow" : "all";
  return run("vitest", ["run", ...reporters, ...rest], {
    env: { ...env, ...(seed === undefined ? {} : { LOWRANK_SEED: seed }), LOWRANK_TEST_SET: set },
  });
}

/** What a stage counted; undefined if it did not get so far. */
function take(path) {
  if (!existsSync(path)) return undefined;
  const counts = JSON.parse(readFileSync(path, "utf8"));
  rmSync(path);
  return counts;
}

install();
const folder = mkdtempSync(join(tmpdir(), "lowrank-test-"));
const total = { passed: 0, failed: 0, skipped: 0 };
const failed = [];
for (const { name, counts, body } of STAGES) {
  if (only !== undefined && name !== "tests") continue;
  say(`${name} …`);
  const started = performance.now();
  const path = join(folder, "counts.json");
  const code = body(counts ? { LOWRANK_TEST_COUNTS: path } : undefined);
  const counted = counts ? take(path) : { passed: 0, failed: 0, skipped: 0 };
  if (counted === undefined) say(`${name} left no counts: it did not finish`);
  const fine = code === 0 && counted !== undefined;
  say(`${name}: ${fine ? "ok" : "FAILED"} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  if (!fine) failed.push(name);
  total.passed += counted?.passed ?? 0;
  total.skipped += counted?.skipped ?? 0;
  total.failed += fine ? 0 : counted?.failed || 1;
}
rmSync(folder, { recursive: true, force: true });
if (failed.length > 0) say(`failed: ${failed.join(", ")}`);
process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exit(total.failed === 0 ? 0 : 1);
