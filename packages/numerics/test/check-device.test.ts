/** The one call that people make to check a device: what it says of a good one and of a bad one. */
import { init, type Device } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { checkDevice, formatDeviceReport } from "../src/index.ts";

const OPS = ["neg", "exp", "add", "softmax", "concat", "randomBits"];

it("passes a device that computes as it should", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const seen: string[] = [];
  const report = await checkDevice(device, { ops: OPS, runs: 4, onOp: ({ op }) => seen.push(op) });
  device.close();
  const text = formatDeviceReport(report);
  expect(report.passed, text).toBe(true);
  expect(seen.sort()).toEqual([...OPS].sort());
  expect(report.ops.map(({ op }) => op).sort()).toEqual([...OPS].sort());
  expect(report.ulps.map(({ op }) => op)).toEqual(["exp"]);
  expect(report.ops.every(({ forward, gradient }) => forward <= 1 && gradient <= 1)).toBe(true);
  expect(report.ops.find(({ op }) => op === "concat")!.forward).toBe(0);
  expect(text).toMatch(/softmax +\d+ % +\d+ % {2}ok/);
  expect(text).toContain("all 6 ops and 1 functions hold");
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
});

it("says what is wrong with one that does not", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  // each float that it is given is off by a few units of the last place
  const { tensor } = device;
  const spoiled: Device["tensor"] = (values, shape, dtype) =>
    tensor.call(
      device,
      dtype === "f32" ? Float32Array.from(values as Float64Array, (x) => x * (1 + 2 ** -20)) : values,
      shape,
      dtype,
    );
  device.tensor = spoiled;
  const report = await checkDevice(device, { ops: OPS, runs: 4 });
  device.close();
  const text = formatDeviceReport(report);
  expect(report.passed).toBe(false);
  expect(
    report.ops
      .filter(({ failures }) => failures.length > 0)
      .map(({ op }) => op)
      .sort(),
  ).toEqual(["add", "concat", "exp", "neg", "softmax"]);
  expect(text).toMatch(/concat .*WRONG\n {2}concat: output 0\[\d+\] is .*, the reference has .*; 0\.00e\+0 is allowed/);
  expect(text).toContain("5 of 6 ops and 1 of 1 functions are WRONG");
});
