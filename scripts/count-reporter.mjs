/** Counts test results for `scripts/test.mjs`, and names every skip with its reason: a skip must be seen. */
import { writeFileSync } from "node:fs";

export default class CountReporter {
  onTestRunEnd(modules, errors) {
    const counts = { passed: 0, failed: errors.length, skipped: 0 };
    const reasons = new Map();
    for (const module of modules) {
      if (module.children.size === 0 && !module.ok()) counts.failed++;
      for (const test of module.children.allTests()) {
        const { state, note } = test.result();
        counts[state === "pending" ? "skipped" : state]++;
        if (state === "skipped") {
          const key = note ?? "no reason given";
          reasons.set(key, [...(reasons.get(key) ?? []), test.name]);
        }
      }
    }
    for (const [reason, names] of reasons)
      process.stdout.write(
        `skipped: ${reason} (${names.length}: ${[...new Set(names)].slice(0, 4).join("; ")}${names.length > 4 ? "; …" : ""})\n`,
      );
    if (process.env.LOWRANK_TEST_COUNTS) writeFileSync(process.env.LOWRANK_TEST_COUNTS, JSON.stringify(counts));
  }
}
