/** Named checks with a count, as the tests have it: a failure does not end the rest, a skip says why. */
import { writeFileSync } from "node:fs";
import { say } from "../tools.mjs";

export class Checks {
  #passed = 0;
  #failed = 0;
  #skipped = 0;

  /** Runs a check, which fails by throwing; true if it passed. */
  async check(name, body) {
    try {
      await body();
      this.#passed++;
      return true;
    } catch (error) {
      this.#failed++;
      say(`FAILED: ${name}\n  ${error.message.trim().replaceAll("\n", "\n  ")}`);
      return false;
    }
  }

  skip(names, reason) {
    this.#skipped += names.length;
    say(`skipped: ${reason} (${names.length}: ${names.slice(0, 4).join("; ")}${names.length > 4 ? "; …" : ""})`);
  }

  /** Prints the counts, leaves them for `scripts/test.mjs`, and returns the exit code. */
  finish() {
    const counts = { passed: this.#passed, failed: this.#failed, skipped: this.#skipped };
    if (process.env["LOWRANK_TEST_COUNTS"]) writeFileSync(process.env["LOWRANK_TEST_COUNTS"], JSON.stringify(counts));
    process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
    return counts.failed === 0 ? 0 : 1;
  }
}

/** @throws Error with `message` unless the list is empty; the first few entries are told. */
export function none(list, message) {
  if (list.length > 0) throw new Error(`${message}: ${list.slice(0, 5).join(", ")}${list.length > 5 ? ", …" : ""}`);
}
