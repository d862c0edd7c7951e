/** Golden trainings of torch and PEFT, every step of every configuration: losses, norms, ranks, predictions. A line for each quantity is printed. */
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dataOf, deviations, follow, golden, present } from "./reference-run.ts";

const RUNS = ["b-fp-s13", "b-q4-s13", "b-ada-s13", "joint-1-s13", "joint-3-s13", "full-s13", "head-only-s13"];

describe.skipIf(!present)("golden trainings", () => {
  let device: Device;
  let data: ReturnType<typeof dataOf>;
  beforeAll(async () => {
    device = await init({ device: "wasm", threads: 1 });
    data = dataOf(golden("b-fp-s13"));
  });
  afterAll(() => {
    device.close();
    data.remove();
  });

  it.each(RUNS)(
    "%s",
    async (name) => {
      const want = golden(name);
      const got = await follow(name, data.folder, device);
      expect(got.loss).toHaveLength(want.steps);
      expect(got.result!.parameters.trainable).toBe(want.trainable);
      const list = deviations(got, want);
      for (const { quantity, largest, allowed } of list)
        console.log(`${name}: ${quantity}: ${largest.toPrecision(2)} of ${allowed}`);
      expect(list.filter(({ largest, allowed }) => !(largest <= allowed))).toEqual([]);
    },
    3_600_000,
  );
});
