/** Every op on every device against the reference, from the op's own record: there is no per-op test file to forget. */
import { init, ops, type Device, type InitOptions } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { swiftShaderAvailable } from "../../tensor/test/support/swiftshader.ts";
import { allRecords, checkOpParity, checkOpTails } from "../src/index.ts";

const seed = fc.readConfigureGlobal().seed!;
const devices: readonly (readonly [string, InitOptions])[] = [
  ["wasm", { device: "wasm", threads: 1 }],
  ["wasm, two threads", { device: "wasm", threads: 2 }],
  ["wasm, no fusion", { device: "wasm", threads: 1, fusion: false }],
  ["interpreter", { device: "interpreter" }],
  ["webgpu", { device: "webgpu" }],
];

describe.each(devices)("ops on %s", (_, options) => {
  let device: Device | undefined;
  let reference: Device;
  let reason: string | undefined;

  beforeAll(async () => {
    reference = await init({ device: "reference" });
    if (options.device === "webgpu") reason = await swiftShaderAvailable();
    if (reason === undefined) device = await init(options);
  }, 120_000);
  afterAll(() => device?.close());

  it.for(allRecords())("%s", async ([name, record], { skip }) => {
    if (device === undefined) return skip(reason ?? "no device");
    // a case on a software GPU compiles shaders for each sample
    const runs = options.device === "webgpu" ? 3 : 8;
    await checkOpParity(name, record, device, reference, { seed, runs });
    await checkOpTails(name, record, device, reference, { seed, runs });
  });

  it.for(allRecords())("%s of other dtypes, of views", async ([name, record], { skip }) => {
    if (device === undefined) return skip(reason ?? "no device");
    const runs = options.device === "webgpu" ? 1 : 4;
    await checkOpParity(name, record, device, reference, { seed, runs, dtypes: true, layouts: true });
  });

  it.for(allRecords())("%s of tensors without elements", async ([name, record], { skip }) => {
    if (device === undefined) return skip(reason ?? "no device");
    await checkOpParity(name, record, device, reference, {
      seed,
      runs: options.device === "webgpu" ? 3 : 12,
      empty: true,
    });
  });

  it("survive subnormals, huge values and signed zeros", async ({ skip }) => {
    if (device === undefined) return skip(reason ?? "no device");
    for (const [name, record] of allRecords())
      if (record.tolerance === "exact" && !record.differentiable)
        await checkOpParity(name, record, device, reference, { seed, runs: 2, nasty: options.device !== "webgpu" });
  });
});

describe("the registry", () => {
  it("has a record for every op", () => {
    expect(
      allRecords()
        .map(([name]) => name)
        .sort(),
    ).toEqual(Object.keys(ops).sort());
  });
});
