/**
 * Every op on the card against the `reference` device, from the op's own record. All ops once before any op twice, so that a section whose
 * time runs out has looked at as many of them as it could.
 */
import { allRecords, checkOpParity, checkOpTails, type AnyRecord } from "@lowrank/numerics";
import { init, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { reason, type Context } from "./row.ts";

const SEED = 20;

interface Pass {
  readonly what: string;
  check(name: string, record: AnyRecord, device: Device, reference: Device): Promise<void>;
}

function pass(runs: number): Pass {
  return {
    what: "values and gradients",
    check: (name, record, device, reference) =>
      checkOpParity(name, record, device, reference, { runs, seed: SEED + runs }),
  };
}

const PASSES: readonly Pass[] = [
  pass(1),
  {
    what: "tails",
    check: (name, record, device, reference) => checkOpTails(name, record, device, reference, { runs: 1, seed: SEED }),
  },
  {
    what: "tensors without elements",
    check: (name, record, device, reference) =>
      checkOpParity(name, record, device, reference, { runs: 2, seed: SEED, empty: true }),
  },
  pass(8),
];

export async function checkOps({ small, report, spent, cut }: Context): Promise<void> {
  // looking for a smaller example of what is wrong would take the time of the ops behind it
  fc.configureGlobal({ endOnFailure: true });
  const [device, reference] = [await init({ device: "webgpu" }), await init({ device: "reference" })];
  // the rest of them is the test suite's business where a kernel takes a tenth of a second to compile
  const records = allRecords().filter((_, i) => !small || i % 8 === 0);
  for (const [i, { what, check }] of (small ? PASSES.slice(0, 2) : PASSES).entries()) {
    const began = performance.now();
    let looked = 0;
    let failed = 0;
    for (const [name, record] of records) {
      if (spent()) break;
      try {
        await check(name, record, device, reference);
      } catch (error) {
        failed++;
        report({ name: `op/${name}/${i + 1}`, wrong: reason(error), note: what });
        // of a device that is gone every op would say so
        device.checkUsable();
      }
      looked++;
    }
    const ms = performance.now() - began;
    const note = `${what}: ${looked} of ${records.length} ops${failed > 0 ? `, ${failed} WRONG` : ""}`;
    report({ name: `ops/${i + 1}`, ms, note, detail: { looked, failed, of: records.length } });
    if (looked < records.length)
      return cut(`${what} of ${records.length - looked} ops from ${records[looked]![0]} on were not looked at`);
  }
  device.close();
}
