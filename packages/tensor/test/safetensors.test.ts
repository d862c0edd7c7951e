/** safetensors: round trips, bytes as Hugging Face writes them, and nothing but a FormatError from a malformed file. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  dtypes,
  fromBytes,
  fromTensors,
  LowrankError,
  openFile,
  SafetensorsFile,
  serialize,
  sizeOf,
  toMemory,
  type DType,
  type RandomAccess,
  type StoredTensor,
  type TypedArray,
} from "../src/index.ts";

const fixtures = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "models",
);
const tensor: fc.Arbitrary<StoredTensor> = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(dtypes) as DType[])),
    shape: fc.array(fc.nat({ max: 4 }), { maxLength: 3 }),
  })
  .map(({ dtype, shape }) => ({
    dtype,
    shape,
    data: toMemory(
      dtype,
      Array.from({ length: sizeOf(shape) }, (_, i) => (i * 7) % 5),
      undefined,
    ),
  }));
const tensors = fc.dictionary(
  fc.string({ minLength: 1, maxLength: 8 }).filter((n) => n !== "__metadata__" && n !== "__proto__"),
  tensor,
  { maxKeys: 5 },
);

/** A file from a header object and data bytes. */
function raw(header: unknown, data = new Uint8Array(0), text = JSON.stringify(header)): Uint8Array {
  const json = new TextEncoder().encode(text);
  const out = new Uint8Array(8 + json.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(json.length), true);
  out.set(json, 8);
  out.set(data, 8 + json.length);
  return out;
}

const isFormatError = (e: unknown): e is LowrankError => e instanceof LowrankError && e.code === "FormatError";
const message = async (bytes: Uint8Array): Promise<string> =>
  SafetensorsFile.open(fromBytes(bytes)).then(
    () => "accepted",
    (e: unknown) => (isFormatError(e) ? e.message : `not a FormatError: ${String(e)}`),
  );

describe("safetensors", () => {
  it("reads back what was written", async () => {
    await fc.assert(
      fc.asyncProperty(tensors, async (map) => {
        const file = await SafetensorsFile.open(fromBytes(serialize(map)));
        expect(new Set(file.names)).toEqual(new Set(Object.keys(map)));
        for (const [name, t] of Object.entries(map)) {
          const read = await file.read(name);
          expect({ ...read, data: [...read.data] }).toEqual({ ...t, data: [...t.data] });
        }
      }),
    );
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
    [
      "bad UTF-8",
      (() => {
        const b = raw({}, undefined, '{"aaaa":1}');
        b[10] = 0xff;
        return b;
      })(),
      /UTF-8/,
    ],
    ["bad JSON", raw(null, undefined, "{nope"), /not valid JSON/],
    ["a list", raw([]), /is not a JSON object/],
    [
      "one name twice",
      raw(
        null,
        new Uint8Array(8),
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      ),
      /twice/,
    ],
    [
      "a dtype that is no name",
      raw({ a: { dtype: 32, shape: [], data_offsets: [0, 0] } }),
      /tensor "a": "dtype" must be a string/,
    ],
    [
      "a negative dimension",
      raw({ a: { dtype: "F32", shape: [-1], data_offsets: [0, 0] } }),
      /"shape.0" must be a whole number that is not negative, got -1/,
    ],
    [
      "a fractional dimension",
      raw({ a: { dtype: "F32", shape: [0.5], data_offsets: [0, 0] } }),
      /"shape.0" must be a whole number/,
    ],
    [
      "one offset",
      raw({ a: { dtype: "F32", shape: [], data_offsets: [0] } }),
      /"data_offsets" must be a list of at least 2/,
    ],
    ["an entry that is null", raw({ a: null }), /tensor "a": must be an object/],
    [
      "an entry with the same key twice",
      raw(null, new Uint8Array(4), '{"a":{"dtype":"F32","shape":[9],"shape":[1],"data_offsets":[0,4]}}'),
      /same key twice/,
    ],
    ["metadata with the same key twice", raw(null, undefined, '{"__metadata__":{"a":"1","a":"2"}}'), /same key twice/],
    [
      "a shape of more dimensions than NumPy has",
      raw({ a: { dtype: "F32", shape: new Array(70).fill(1), data_offsets: [0, 4] } }, new Uint8Array(4)),
      /more than 64 items/,
    ],
    ["brackets without an end", raw(null, undefined, `{"a":${"[".repeat(100_000)}`), /nested more than 3 deep/],
    [
      "more keys than the file has room for",
      raw(null, undefined, `{${'"":0,'.repeat(300_000)}"a":0}`),
      /more than \d+ keys/,
    ],
    [
      "a tensor called __proto__",
      raw(null, new Uint8Array(1), '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'),
      /__proto__/,
    ],
    [
      "an overflowing shape",
      raw({ a: { dtype: "F32", shape: [2 ** 40, 2 ** 40], data_offsets: [0, 0] } }),
      /too large/,
    ],
    [
      "a wrong size",
      raw({ a: { dtype: "F32", shape: [3], data_offsets: [0, 4] } }, new Uint8Array(4)),
      /needs 12 bytes/,
    ],
    [
      "offsets backwards",
      raw({ a: { dtype: "U8", shape: [], data_offsets: [4, 3] } }, new Uint8Array(4)),
      /do not fit/,
    ],
    [
      "an overlap",
      raw(
        { a: { dtype: "U8", shape: [4], data_offsets: [0, 4] }, b: { dtype: "U8", shape: [4], data_offsets: [2, 6] } },
        new Uint8Array(6),
      ),
      /overlaps/,
    ],
    ["a hole", raw({ a: { dtype: "U8", shape: [1], data_offsets: [2, 3] } }, new Uint8Array(3)), /hole/],
    [
      "bytes at the end",
      raw({ a: { dtype: "U8", shape: [1], data_offsets: [0, 1] } }, new Uint8Array(3)),
      /belong to nothing/,
    ],
    ["metadata that is no text", raw({ __metadata__: { a: 1 } }), /must be a string/],
  ])("refuses %s", async (_, bytes, telling) => {
    expect(await message(bytes)).toMatch(telling);
  });

  it("gives nothing but FormatErrors for damaged files, and reads only inside them", async () => {
    const sound = serialize({
      a: { dtype: "f32", shape: [2, 3], data: new Float32Array(6) },
      b: { dtype: "u8", shape: [5], data: new Uint8Array(5) },
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat({ max: sound.length - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 6 }),
        fc.nat({ max: sound.length }),
        async (edits, cut) => {
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
            expect(isFormatError(error)).toBe(true);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("lists a tensor of a dtype it cannot read, reads the others, and refuses that one by name", async () => {
    const file = await SafetensorsFile.open(
      fromBytes(
        raw(
          {
            __metadata__: null,
            odd: { dtype: "F8_E4M3", shape: [2], data_offsets: [0, 2] },
            new: { dtype: "F99", shape: [7], data_offsets: [2, 5] },
            a: { dtype: "U8", shape: [1], data_offsets: [5, 6] },
          },
          Uint8Array.of(1, 2, 3, 4, 5, 6),
        ),
      ),
    );
    expect([file.names, file.metadata]).toEqual([["odd", "new", "a"], {}]);
    expect([...(await file.read("a")).data]).toEqual([6]);
    await expect(file.read("odd")).rejects.toThrow(
      'safetensors: tensor "odd" is "F8_E4M3", which cannot be read here; convert it to one of',
    );
    await expect(file.read("new")).rejects.toThrow('tensor "new" is "F99"');
    // a known dtype's bytes still have to fit
    expect(await message(raw({ odd: { dtype: "F4", shape: [3], data_offsets: [0, 1] } }, new Uint8Array(1)))).toMatch(
      /F4 \[3\] needs 2 bytes/,
    );
  });

  it("takes any header for a file or refuses it, and allocates in proportion", async () => {
    const number = fc.oneof(
      { weight: 6, arbitrary: fc.nat({ max: 8 }) },
      { weight: 1, arbitrary: fc.constantFrom(-1, 0.5, 2 ** 31, 2 ** 53, 1e300, null, "4", [], {}) },
    );
    const entry = fc.record({
      dtype: fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom("F32", "U8", "BOOL", "I64", "F4", "F8_E4M3", "??") },
        { weight: 1, arbitrary: fc.jsonValue() },
      ),
      shape: fc.oneof(
        { weight: 6, arbitrary: fc.array(number, { maxLength: 3 }) },
        { weight: 1, arbitrary: fc.jsonValue() },
      ),
      data_offsets: fc.oneof(
        { weight: 6, arbitrary: fc.tuple(number, number) },
        { weight: 1, arbitrary: fc.jsonValue() },
      ),
    });
    const header = fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom("__metadata__", "toString", "constructor")),
      fc.oneof({ weight: 4, arbitrary: entry }, { weight: 1, arbitrary: fc.jsonValue() }),
      { maxKeys: 4 },
    );
    await fc.assert(
      fc.asyncProperty(header, fc.nat({ max: 40 }), async (h, n) => {
        const bytes = raw(h, new Uint8Array(n));
        try {
          const file = await SafetensorsFile.open(fromBytes(bytes));
          let covered = 0;
          for (const name of file.names) {
            const { begin, end, shape } = file.info(name);
            covered += end - begin;
            const tensor = await file.read(name).catch((e: unknown) => {
              if (!isFormatError(e)) throw e;
            });
            if (tensor !== undefined) expect(tensor.data.length).toBe(sizeOf(shape));
          }
          expect(covered).toBe(n);
        } catch (error) {
          expect(isFormatError(error) ? "" : error).toBe("");
        }
      }),
    );
  });

  it("refuses a bool that is neither 0 nor 1, and a source that gives fewer bytes than it has", async () => {
    const bytes = raw({ mask: { dtype: "BOOL", shape: [2], data_offsets: [0, 2] } }, Uint8Array.of(1, 7));
    await expect((await SafetensorsFile.open(fromBytes(bytes))).read("mask")).rejects.toThrow(
      '"mask" is BOOL and holds 7',
    );
    await expect(
      SafetensorsFile.open({
        size: bytes.length,
        read: (a, b) => Promise.resolve(bytes.subarray(a, Math.max(a, b - 1))),
      }),
    ).rejects.toThrow("it changed while it was read");
  });

  it("opens regular files only", async () => {
    await expect(openFile("/dev/zero")).rejects.toThrow("/dev/zero: is not a regular file");
    await expect(openFile(import.meta.dirname)).rejects.toThrow("is not a regular file");
    await expect(openFile(join(import.meta.dirname, "nothing-here"))).rejects.toMatchObject({ code: "FileError" });
  });

  it("signed bytes are written and listed, though nothing computes in them", async () => {
    const data = Int8Array.of(-128, -1, 0, 127);
    const file = await SafetensorsFile.open(fromBytes(serialize({ a: { dtype: "i8", shape: [2, 2], data } })));
    expect(file.info("a")).toMatchObject({ dtype: "I8", shape: [2, 2], bytes: 4 });
    expect([...(await file.range("a"))]).toEqual([128, 255, 0, 127]);
    expect(() => serialize({ a: { dtype: "i8", shape: [4], data: new Uint8Array(4) } })).toThrow(
      '"a" was announced as i8 [4] but has 4 elements of i8 in a Uint8Array',
    );
  });

  it("writes nothing it could not read: lengths, arrays, names", async () => {
    const one = (name: string, tensor: Partial<StoredTensor>): Uint8Array =>
      serialize(new Map([[name, { dtype: "f32", shape: [2], data: new Float32Array(2), ...tensor } as StoredTensor]]));
    expect(() => one("a", { data: new Float32Array(3) })).toThrow(
      '"a" was announced as f32 [2] but has 3 elements of f32',
    );
    expect(() => one("a", { data: new Float64Array(2) })).toThrow("in a Float64Array");
    for (const name of ["__metadata__", "__proto__", "a\ud800"])
      expect(() => one(name, {})).toThrow(expect.objectContaining({ code: "FormatError" }));
    expect(() => serialize({}, { a: 1 as unknown as string })).toThrow('metadata "a" must be a string, got 1');
    // names that are numbers keep the order of their bytes
    const file = await SafetensorsFile.open(
      fromBytes(
        serialize({
          b: { dtype: "u8", shape: [1], data: new Uint8Array(1) },
          10: { dtype: "u8", shape: [1], data: new Uint8Array(1) },
          9: { dtype: "f32", shape: [1], data: new Float32Array(1) },
        }),
      ),
    );
    expect(file.names.map((n) => file.info(n).begin - file.info("9").begin)).toEqual(
      file.names.map((n) => ({ 9: 0, 10: 4, b: 5 })[n]),
    );
  });

  it("reads a tensor without touching the others", async () => {
    const bytes = serialize({
      a: { dtype: "u8", shape: [1000], data: new Uint8Array(1000) },
      b: { dtype: "u8", shape: [10], data: new Uint8Array(10).fill(3) },
    });
    let read = 0;
    const file = await SafetensorsFile.open({
      size: bytes.length,
      read: (a, b) => {
        read += b - a;
        return Promise.resolve(bytes.slice(a, b));
      },
    });
    read = 0;
    expect([...(await file.read("b")).data]).toEqual(new Array(10).fill(3));
    expect(read).toBe(10);
  });

  it("narrows 64-bit integers that fit and names the tensor of one that does not", async () => {
    const data = new BigInt64Array([5n, -7n]);
    const good = await SafetensorsFile.open(
      fromBytes(raw({ ids: { dtype: "I64", shape: [2], data_offsets: [0, 16] } }, new Uint8Array(data.buffer))),
    );
    expect((await good.read("ids")).data).toEqual(Int32Array.of(5, -7));
    const wide = await SafetensorsFile.open(
      fromBytes(
        raw(
          { ids: { dtype: "I64", shape: [1], data_offsets: [0, 8] } },
          new Uint8Array(new BigInt64Array([1n << 40n]).buffer),
        ),
      ),
    );
    await expect(wide.read("ids")).rejects.toThrow(/"ids" holds 1099511627776/);
  });
});

it("tensors in memory are a source only where their values are what they are said to be", () => {
  const one = (dtype: DType, shape: number[], data: TypedArray): (() => unknown) => {
    return () => fromTensors({ a: { dtype, shape, data } });
  };
  expect(one("f32", [4], Float64Array.of(1, 2, 3, 4))).toThrow(
    'fromTensors: "a" is f32, which is held in a Float32Array',
  );
  expect(one("f32", [4, 4], new Float32Array(15))).toThrow('fromTensors: "a": 15 values do not fill [4, 4]');
  expect(one("f32", [2], [1, 2] as never)).toThrow("which is held in a Float32Array");
  expect(one("f23" as never, [2], new Float32Array(2))).toThrow("there is no dtype");
  expect(fromTensors({ a: { dtype: "bf16", shape: [2], data: new Uint16Array(2) } }).info("a")).toEqual({
    dtype: "BF16",
    shape: [2],
    bytes: 4,
  });
});
