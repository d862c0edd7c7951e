/** Functions of one number stay within what is documented of them, and the histogram counts what it says. */
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { swiftShaderAvailable } from "../../tensor/test/support/swiftshader.ts";
import { formatUlpHistogram, ULP_OPS, ulpHistogram } from "../src/index.ts";

describe.each(["wasm", "interpreter", "webgpu"] as const)("units of the last place on %s", (name) => {
  let device: Device | undefined;
  let reason: string | undefined;
  beforeAll(async () => {
    if (name === "webgpu") reason = await swiftShaderAvailable();
    if (reason === undefined) device = await init({ device: name });
  }, 120_000);
  afterAll(() => device?.close());

  it.for(ULP_OPS)("%s", async (op, { skip }) => {
    if (device === undefined) return skip(reason ?? "no device");
    const histogram = await ulpHistogram(device, op);
    expect(histogram.bars.reduce((a, b) => a + b)).toBe(histogram.points);
    expect(histogram.worst.ulps, formatUlpHistogram(histogram)).toBeLessThanOrEqual(histogram.documented);
  });
});

it("prints a bar for each half unit", async () => {
  const device = await init({ device: "interpreter" });
  const histogram = await ulpHistogram(device, "exp", { points: 1000 });
  expect(
    formatUlpHistogram({
      ...histogram,
      bars: [900, 90, 0, 10],
      worst: { ulps: 1.5, at: 1, got: 2, want: 3 },
      documented: 1.3,
    })
      .split("\n")
      .map((l) => l.trimEnd()),
  ).toEqual([
    "exp: 1.50 units at 1.00000000, 1.3 documented, 1000 points",
    `   0.0 ${"█".repeat(40)} 900`,
    `   0.5 ████${" ".repeat(36)} 90`,
    `   1.0 ${" ".repeat(40)} 0`,
    `   1.5 █${" ".repeat(39)} 10`,
  ]);
  device.close();
});
