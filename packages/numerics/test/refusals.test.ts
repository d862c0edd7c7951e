/** What ops must not take, from each op's own record: refused by name, with the code that callers act on, before anything is computed. */
import { init, LowrankError, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allRecords, sampleSource, type Gen } from "../src/index.ts";
import { buildOp } from "../src/op-case.ts";

/** They hand on what they are given to ops that check it. */
const TAKE_WHAT_COMES = new Set([
  "barrier",
  "detach",
  "flatten",
  "layerNorm",
  "logicalNot",
  "randomBits",
  "relu",
  "rmsNorm",
  "sigmoid",
  "silu",
  "square",
]);

describe.each(["reference", "wasm", "interpreter"] as const)("on %s", (name) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, ...(name === "wasm" ? { threads: 1 } : {}) });
  });
  afterAll(() => device.close());

  it.for(allRecords().filter(([, record]) => record.refuses !== undefined))("%s refuses", async ([op, record]) => {
    const draw = (index: number): readonly [string, string, readonly unknown[]] => {
      const [gen] = fc.sample(fc.gen(), { numRuns: 1, seed: 1 });
      return record.refuses!(sampleSource(gen as unknown as Gen))[index]!;
    };
    const [first] = fc.sample(fc.gen(), { numRuns: 1, seed: 1 });
    const count = record.refuses!(sampleSource(first as unknown as Gen)).length;
    expect(count).toBeGreaterThan(0);
    for (let i = 0; i < count; i++) {
      const [why, code, args] = draw(i);
      const error = await (async () => {
        const { outputs } = buildOp(op, record, args, device);
        await device.realize(...outputs);
      })().then(
        () => undefined,
        (e: unknown) => e,
      );
      expect(error, `${op} takes ${why}`).toBeInstanceOf(LowrankError);
      expect((error as LowrankError).code, `${op}, ${why}: ${(error as Error).message}`).toBe(code);
      expect((error as LowrankError).kind, `${op}, ${why}`).toBe("input");
    }
  });
});

it("every op says what it refuses, or hands on what it is given", () => {
  expect(
    allRecords()
      .filter(([, record]) => record.refuses === undefined)
      .map(([op]) => op)
      .sort(),
  ).toEqual([...TAKE_WHAT_COMES].sort());
});
