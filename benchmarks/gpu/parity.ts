/**
 * Every op on the card against the `reference` device, and how many units in the last place functions of one number are off. All ops once
 * before any op more often, so that a section whose time runs out has looked at as many of them as it could.
 */
import { allRecords, checkDevice, type OpCheck, type UlpHistogram } from "@lowrank/numerics";
import { init } from "@lowrank/tensor";
import fc from "fast-check";
import type { Context, Row } from "./row.ts";

/** Samples of each op and kind: values, gradients, tails, tensors without elements. */
const PASSES = [1, 8];
const SEED = 20;

export async function checkOps({ small, report, spent, cut }: Context): Promise<void> {
  // looking for a smaller example of what is wrong would take the time of the ops behind it
  fc.configureGlobal({ endOnFailure: true });
  const device = await init({ device: "webgpu" });
  // the rest of them is the test suite's business where a kernel takes a tenth of a second to compile
  const names = allRecords().flatMap(([name], i) => (small && i % 12 !== 0 ? [] : [name]));
  for (const runs of small ? PASSES.slice(0, 1) : PASSES) {
    const began = performance.now();
    const checks: OpCheck[] = [];
    const ulps: UlpHistogram[] = [];
    for (const name of names) {
      if (spent()) break;
      const found = await checkDevice(device, { ops: [name], runs, seed: SEED + runs });
      checks.push(...found.ops);
      ulps.push(...found.ulps);
      for (const row of wrongRows(found.ops, found.ulps, runs)) report(row);
      // of a device that is gone every further op would say so
      device.checkUsable();
    }
    report(summary(checks, names.length, runs, performance.now() - began));
    if (runs === PASSES[0] && ulps.length > 0) report(units(ulps));
    if (checks.length < names.length)
      return cut(
        `${names.length - checks.length} ops from ${names[checks.length]} on were not looked at ${runs === 1 ? "" : `${runs} times`}`.trim(),
      );
  }
  device.close();
}

function wrongRows(ops: readonly OpCheck[], ulps: readonly UlpHistogram[], runs: number): Row[] {
  return [
    ...ops.flatMap(({ op, failures }) => failures.map((wrong, i) => ({ name: `op/${op}/${runs}/${i + 1}`, wrong }))),
    ...ulps
      .filter(({ worst, documented }) => worst.ulps > documented)
      .map(({ op, worst, documented }) => ({
        name: `ulps/${op}/${runs}`,
        wrong: `${worst.ulps} units in the last place off, ${documented} are documented`,
        detail: { worst },
      })),
  ];
}

function units(ulps: readonly UlpHistogram[]): Row {
  const each = ulps.map(({ op, worst, documented }) => `${op} ${worst.ulps.toFixed(1)} of ${documented}`);
  return { name: "units in the last place", note: each.join(", "), detail: { ulps } };
}

function summary(checks: readonly OpCheck[], all: number, runs: number, ms: number): Row {
  const failed = checks.filter(({ failures }) => failures.length > 0).length;
  const largest = checks.reduce((most, { forward, gradient }) => Math.max(most, forward, gradient), 0);
  return {
    name: `ops, ${runs} of each kind`,
    ms,
    note: `${checks.length} of ${all} ops, ${failed === 0 ? "none" : failed} wrong; the most that one was off is ${(100 * largest).toFixed(0)} % of what it may be`,
    detail: { looked: checks.length, failed, of: all, checks },
  };
}
