/**
 * `npm test`: installs, builds, lints, checks types and runs every test. With `--fixtures` only the golden-number tests, with
 * `--slow` only the slow ones, with `--soak` all of them on cases that nobody has seen before. The last line is `N passed, M failed, K skipped`; a failed stage counts as one failure.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, install, run, say } from "./tools.mjs";

const args = process.argv.slice(2);
const only = ["--fixtures", "--slow", "--soak"].find((flag) => args.includes(flag));
const rest = args.filter((a) => a !== only);

install();
const failed = [];
const stage = (name, body) => {
  say(`${name} …`);
  const started = performance.now();
  const code = body();
  say(`${name}: ${code === 0 ? "ok" : "FAILED"} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  if (code !== 0) failed.push(name);
};

if (only === undefined) {
  stage("build", build);
  stage("format", () => run("oxfmt", ["--check"]));
  stage("lint", () => run("oxlint", ["--type-aware", "--quiet"]));
  stage("types of tests", () => run("tsc", ["-p", "tsconfig.test.json"]));
}

const seed = process.env["LOWRANK_SEED"] ?? (only === "--soak" ? String(Date.now() % 2 ** 31) : undefined);
const drawn = seed === undefined ? {} : { LOWRANK_SEED: seed };
if (seed !== undefined) say(`LOWRANK_SEED=${seed} draws the same cases again`);

const folder = mkdtempSync(join(tmpdir(), "lowrank-test-"));
const counts = join(folder, "counts.json");
stage("tests", () =>
  run("vitest", ["run", "--reporter=default", "--reporter=./scripts/count-reporter.mjs", ...rest], {
    env: {
      ...drawn,
      LOWRANK_TEST_COUNTS: counts,
      LOWRANK_TEST_SET: only === "--fixtures" ? "fixtures" : only === "--slow" ? "slow" : "all",
    },
  }),
);
let [passed, failures, skipped] = [0, 0, 0];
try {
  ({ passed, failed: failures, skipped } = JSON.parse(readFileSync(counts, "utf8")));
} catch {
  say("the test runner left no counts: it did not finish");
}
rmSync(folder, { recursive: true, force: true });
const stages = failed.filter((name) => name !== "tests" || failures === 0);
if (stages.length > 0) say(`failed: ${stages.join(", ")}`);
const total = failures + stages.length;
process.stdout.write(`${passed} passed, ${total} failed, ${skipped} skipped\n`);
process.exit(total === 0 ? 0 : 1);
