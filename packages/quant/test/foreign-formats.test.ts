/** A format of the user's own is held to what formats give while it loads, not when a layer first reads the weight. */
import { Linear, Module, type Format, type WeightForm } from "@lowrank/nn";
import { fromTensors, init, ops, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadQuantized } from "../src/index.ts";

class Net extends Module {
  readonly first = new Linear(2, 3, { bias: false });
}

const source = fromTensors({
  "first.weight": { dtype: "f32", shape: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
});

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

function giving(form: unknown): Format {
  return {
    name: "own",
    matches: (file, name) => (file.has(name) ? [name] : undefined),
    load: async () => form as WeightForm,
    decode: async () => ({ dtype: "f32", shape: [3, 2], data: new Float32Array(6) }),
  };
}

let disposed = 0;
/** Made of prototypes, as instances of classes are. */
function formOf(shape: readonly number[], changes: object = {}): object {
  const form = {
    kind: "own",
    bytes: 24,
    value: () => ops.reshape(device.tensor(Float32Array.of(1, 2, 3, 4, 5, 6)), shape),
    dispose: () => void disposed++,
    ...changes,
  };
  return Object.create(form) as object;
}

it("a form with all its parts is taken", async () => {
  const net = new Net();
  expect(await loadQuantized(net, source, device, { formats: [giving(formOf([3, 2]))] })).toEqual(["first.weight"]);
  expect([...(await net.first.weight.value.floats())]).toEqual([1, 2, 3, 4, 5, 6]);
});

const WHAT = 'first.weight, loaded by the format "own":';
it.each<[string, unknown, string]>([
  ["ConfigError", undefined, `${WHAT} is missing; it must be the form of a weight (a WeightForm)`],
  ["ConfigError", formOf([3, 2], { kind: undefined }), `${WHAT} "kind" is missing`],
  ["ConfigError", formOf([3, 2], { bytes: NaN }), `${WHAT} "bytes" must be a number at least 0`],
  ["ConfigError", formOf([3, 2], { value: 5 }), `${WHAT} "value" must be a function`],
  ["ConfigError", formOf([3, 2], { dispose: undefined }), `${WHAT} "dispose" is missing`],
  ["ConfigError", formOf([3, 2], { value: () => undefined }), `${WHAT} value(): is missing; it must be a tensor`],
  ["ShapeError", formOf([2, 3]), `${WHAT} its value is [2, 3], the weight is [3, 2]`],
  ["ShapeError", formOf([4, 2]), `${WHAT} its value cannot be built: `],
])("a form that is none is refused while loading, by its format and weight: %s %#", async (code, form, message) => {
  const [net, before] = [new Net(), disposed];
  await expect(loadQuantized(net, source, device, { formats: [giving(form)] })).rejects.toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(message) as string }) as Error,
  );
  expect(net.first.weight.materialized).toBe(false);
  expect(disposed - before).toBe(code === "ShapeError" || message.includes("value()") ? 1 : 0);
});

it.each<[unknown, string]>([
  [{}, 'loadQuantized: "formats.0.name" is missing; it must be a string that is not empty'],
  [null, 'loadQuantized: "formats.0" must be a form of weights in files (a Format), got null'],
  [{ ...giving(undefined), load: undefined }, 'loadQuantized: "formats.0.load" is missing; it must be a function'],
])("a format that is none is refused: %#", async (format, message) => {
  await expect(loadQuantized(new Net(), source, device, { formats: [format as Format] })).rejects.toThrow(message);
});

it("what values or storage give while a model is filled is looked at too", async () => {
  const values = (form: unknown): never =>
    ({ has: () => true, read: () => undefined, form: () => Promise.resolve(form) }) as never;
  await expect(new Net().materialize({ device, values: values(undefined) })).rejects.toThrow(
    "first.weight: is missing",
  );
  await expect(new Net().materialize({ device, values: values(formOf([6])) })).rejects.toThrow(
    "first.weight: its value is [6], the weight is [3, 2]",
  );
  const storage = (): never => ({ kind: "own", keep: () => formOf([2, 3]) }) as never;
  await expect(new Net().materialize({ device, storage })).rejects.toThrow(
    "first.weight, kept as own: its value is [2, 3], the weight is [3, 2]",
  );
});
