/** Many random graphs, deep ones among them. */
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, it } from "vitest";
import { fuzzGraphs } from "./support/graph-fuzz.ts";
import { checkSecondDerivatives } from "./support/second-derivative.ts";

let reference: Device;
const open: Device[] = [];
beforeAll(async () => {
  reference = await init({ device: "reference" });
  for (const options of [{ threads: 1 }, { threads: 2 }, { threads: 1, fusion: false }])
    open.push(await init({ device: "wasm", ...options }));
});
afterAll(() => [reference, ...open].forEach((d) => d.close()));

it("2000 random graphs stay within their bounds", { timeout: 1_200_000 }, async () => {
  const [one, two, plain] = open as [Device, Device, Device];
  const groups = [
    { name: "wasm", same: [one, two] },
    { name: "wasm, no fusion", same: [plain] },
  ];
  await fuzzGraphs(reference, groups, { runs: 1000, steps: 8 });
  await fuzzGraphs(reference, groups, { runs: 1000, steps: 20 });
});

it("2000 graphs without sums have the same bits with and without fusion", { timeout: 1_200_000 }, async () => {
  const [one, , plain] = open as [Device, Device, Device];
  const groups = [{ name: "wasm", same: [one, plain] }];
  await fuzzGraphs(reference, groups, { runs: 2000, steps: 10, kind: "elementwise" });
});

it("2000 gradients of gradients agree with differences", { timeout: 1_200_000 }, async () => {
  await checkSecondDerivatives(reference, { runs: 2000, steps: 7 });
});
