/** safetensors: round trips, bytes as Hugging Face writes them, and nothing but a FormatError from a malformed file. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dtypes, FormatError, fromBytes, openFile, SafetensorsFile, serialize, sizeOf, toMemory, type DType, type RandomAccess, type StoredTensor } from "../src/index.ts";

const fixtures = resolve(import.meta.dirname, "../../..", process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures", "models");
const tensor: fc.Arbitrary<StoredTensor> = fc.record({ dtype: fc.constantFrom(...(Object.keys(dtypes) as DType[])), shape: fc.array(fc.nat({ max: 4 }), { maxLength: 3 }) })
  .map(({ dtype, shape }) => ({ dtype, shape, data: toMemory(dtype, Array.from({ length: sizeOf(shape) }, (_, i) => (i * 7) % 5), undefined) }));
const tensors = fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }).filter((n) => n !== "__metadata__" && n !== "__proto__"), tensor, { maxKeys: 5 });

/** A file from a header object and data bytes. */
function raw(header: unknown, data = new Uint8Array(0), text = JSON.stringify(header)): Uint8Array {
  const json = new TextEncoder().encode(text);
  const out = new Uint8Array(8 + json.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(json.length), true);
  out.set(json, 8);
  out.set(data, 8 + json.length);
  return out;
}

const message = async (bytes: Uint8Array): Promise<string> => SafetensorsFile.open(fromBytes(bytes)).then(() => "accepted", (e: unknown) => (e instanceof FormatError ? e.message : `not a FormatError: ${String(e)}`));

describe("safetensors", () => {
  it("reads back what was written", async () => {
    await fc.assert(fc.asyncProperty(tensors, async (map) => {
      const file = await SafetensorsFile.open(fromBytes(serialize(map)));
      expect(new Set(file.names)).toEqual(new Set(Object.keys(map)));
      for (const [name, t] of Object.entries(map)) {
        const read = await file.read(name);
        expect({ ...read, data: [...read.data] }).toEqual({ ...t, data: [...t.data] });
      }
    }));
  });

  it("writes the bytes that Hugging Face writes", async ({ skip }) => {
    if (!existsSync(fixtures)) return skip(`no golden numbers at ${fixtures}; set LOWRANK_FIXTURES`);
    for (const folder of readdirSync(fixtures)) {
      const path = join(fixtures, folder, "checkpoint", "model.safetensors");
      if (!existsSync(path)) continue;
      const file = await SafetensorsFile.open(await openFile(path));
      const all = new Map<string, StoredTensor>();
      for (const name of file.names) all.set(name, await file.read(name));
      expect(Buffer.compare(Buffer.from(serialize(all, file.metadata)), readFileSync(path)), folder).toBe(0);
      await file.close();
    }
  });

  it.each([
    ["too short", Uint8Array.of(1, 2, 3), /too short/],
    ["cut off", raw({ a: { dtype: "F32", shape: [1], data_offsets: [0, 4] } }), /do not fit/],
    ["a huge header", Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 127, 0), /over the limit/],
    ["bad UTF-8", (() => { const b = raw({}, undefined, '{"aaaa":1}'); b[10] = 0xff; return b; })(), /UTF-8/],
    ["bad JSON", raw(null, undefined, "{nope"), /not valid JSON/],
    ["a list", raw([]), /must be a JSON object/],
    ["one name twice", raw(null, new Uint8Array(8), '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'), /twice/],
    ["an unknown dtype", raw({ a: { dtype: "F99", shape: [], data_offsets: [0, 0] } }), /unknown dtype/],
    ["a negative dimension", raw({ a: { dtype: "F32", shape: [-1], data_offsets: [0, 0] } }), /non-negative/],
    ["a fractional dimension", raw({ a: { dtype: "F32", shape: [0.5], data_offsets: [0, 0] } }), /non-negative/],
    ["an overflowing shape", raw({ a: { dtype: "F32", shape: [2 ** 40, 2 ** 40], data_offsets: [0, 0] } }), /too large/],
    ["a wrong size", raw({ a: { dtype: "F32", shape: [3], data_offsets: [0, 4] } }, new Uint8Array(4)), /needs 12 bytes/],
    ["offsets backwards", raw({ a: { dtype: "U8", shape: [], data_offsets: [4, 3] } }, new Uint8Array(4)), /do not fit/],
    ["an overlap", raw({ a: { dtype: "U8", shape: [4], data_offsets: [0, 4] }, b: { dtype: "U8", shape: [4], data_offsets: [2, 6] } }, new Uint8Array(6)), /overlaps/],
    ["a hole", raw({ a: { dtype: "U8", shape: [1], data_offsets: [2, 3] } }, new Uint8Array(3)), /hole/],
    ["bytes at the end", raw({ a: { dtype: "U8", shape: [1], data_offsets: [0, 1] } }, new Uint8Array(3)), /belong to nothing/],
    ["metadata that is no text", raw({ __metadata__: { a: 1 } }), /must be a string/],
  ])("refuses %s", async (_, bytes, telling) => {
    expect(await message(bytes)).toMatch(telling);
  });

  it("gives nothing but FormatErrors for damaged files, and reads only inside them", async () => {
    const sound = serialize({ a: { dtype: "f32", shape: [2, 3], data: new Float32Array(6) }, b: { dtype: "u8", shape: [5], data: new Uint8Array(5) } });
    await fc.assert(fc.asyncProperty(fc.array(fc.tuple(fc.nat({ max: sound.length - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 6 }), fc.nat({ max: sound.length }), async (edits, cut) => {
      const bytes = sound.slice(0, edits[0]![1] % 2 === 0 ? sound.length : cut);
      for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
      const spy: RandomAccess = {
        size: bytes.length,
        read(begin, end) {
          expect(begin >= 0 && begin <= end && end <= bytes.length).toBe(true);
          return Promise.resolve(bytes.subarray(begin, end));
        },
      };
      try {
        const file = await SafetensorsFile.open(spy);
        for (const name of file.names) await file.read(name);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }), { numRuns: 500 });
  });

  it("reads a tensor without touching the others", async () => {
    const bytes = serialize({ a: { dtype: "u8", shape: [1000], data: new Uint8Array(1000) }, b: { dtype: "u8", shape: [10], data: new Uint8Array(10).fill(3) } });
    let read = 0;
    const file = await SafetensorsFile.open({ size: bytes.length, read: (a, b) => { read += b - a; return Promise.resolve(bytes.slice(a, b)); } });
    read = 0;
    expect([...(await file.read("b")).data]).toEqual(new Array(10).fill(3));
    expect(read).toBe(10);
  });

  it("narrows 64-bit integers that fit and names the tensor of one that does not", async () => {
    const data = new BigInt64Array([5n, -7n]);
    const good = await SafetensorsFile.open(fromBytes(raw({ ids: { dtype: "I64", shape: [2], data_offsets: [0, 16] } }, new Uint8Array(data.buffer))));
    expect((await good.read("ids")).data).toEqual(Int32Array.of(5, -7));
    const wide = await SafetensorsFile.open(fromBytes(raw({ ids: { dtype: "I64", shape: [1], data_offsets: [0, 8] } }, new Uint8Array(new BigInt64Array([1n << 40n]).buffer))));
    await expect(wide.read("ids")).rejects.toThrow(/"ids" holds 1099511627776/);
  });
});
