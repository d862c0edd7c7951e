/** Random graphs of ops, with gradients, on devices against the reference. */
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, it } from "vitest";
import { fuzzGraphs } from "./support/graph-fuzz.ts";

describe("random graphs", () => {
  const open: Device[] = [];
  const device = async (options: Parameters<typeof init>[0]): Promise<Device> => {
    open.push(await init(options));
    return open.at(-1)!;
  };
  let reference: Device;
  beforeAll(async () => {
    reference = await device({ device: "reference" });
  });
  afterAll(() => open.forEach((d) => d.close()));

  it("stay within their bounds", async () => {
    const groups = [
      {
        name: "wasm",
        same: [await device({ device: "wasm", threads: 1 }), await device({ device: "wasm", threads: 2 })],
      },
      { name: "wasm, no fusion", same: [await device({ device: "wasm", threads: 1, fusion: false })] },
      { name: "interpreter", same: [await device({ device: "interpreter" })] },
    ];
    await fuzzGraphs(reference, groups, { runs: 100, steps: 8 });
  });

  it("have the same bits with and without fusion where nothing is added up", async () => {
    const same = [
      await device({ device: "wasm", threads: 1 }),
      await device({ device: "wasm", threads: 1, fusion: false }),
    ];
    await fuzzGraphs(reference, [{ name: "wasm", same }], { runs: 100, steps: 8, kind: "elementwise" });
  });
});
