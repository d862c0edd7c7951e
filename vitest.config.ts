import { defineConfig } from "vitest/config";

const conditions = ["@lowrank/source"];

/** Tests run on TypeScript sources: the `@lowrank/source` export condition means no build is needed. */
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    pool: "forks",
    include: ["packages/*/test/**/*.test.ts"],
    testTimeout: 60_000,
  },
});
