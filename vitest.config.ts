import { defineConfig } from "vitest/config";

const conditions = ["@lowrank/source"];
const set = process.env["LOWRANK_TEST_SET"] ?? "all";
const include = {
  all: ["packages/*/test/**/*.test.ts", "benchmarks/test/*.test.ts", "examples/*/test/*.test.ts"],
  fixtures: ["packages/*/test/**/*.fixture.test.ts"],
  slow: ["packages/*/test/**/*.slow.ts"],
}[set];

/** Tests run on TypeScript sources: the `@lowrank/source` export condition means no build is needed. */
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    // Dawn is native code and wasm threads are real: a process per file keeps them apart
    pool: "forks",
    maxWorkers: 2,
    include: include ?? [],
    setupFiles: ["./scripts/property-seed.mjs"],
    testTimeout: 120_000,
    passWithNoTests: set === "slow",
  },
});
