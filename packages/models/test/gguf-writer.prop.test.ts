/** What is written is what is read: every kind of value, tensors of any type and shape; what a kind cannot hold is refused. */
import { fc, test } from "@fast-check/vitest";
import { fromBytes } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { GgufFile, writeGguf, type GgufTensorEntry, type GgufTyped, type GgufValue } from "../src/index.ts";
import { written } from "./written-bytes.ts";

const scalars = {
  u8: fc.integer({ min: 0, max: 255 }),
  i8: fc.integer({ min: -128, max: 127 }),
  u16: fc.integer({ min: 0, max: 65_535 }),
  i16: fc.integer({ min: -32_768, max: 32_767 }),
  u32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  i32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  f32: fc.float(),
  bool: fc.boolean(),
  string: fc.string({ unit: "grapheme" }),
  u64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  i64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  f64: fc.double(),
};
type Scalar = keyof typeof scalars;
const kinds = Object.keys(scalars) as Scalar[];

const scalar = fc
  .constantFrom(...kinds)
  .chain((kind) => (scalars[kind] as fc.Arbitrary<string>).map((value): GgufTyped => ({ kind, value })));
const array = fc
  .constantFrom(...kinds)
  .chain((of) =>
    fc
      .array(scalars[of] as fc.Arbitrary<string>, { maxLength: 5 })
      .map((value): GgufTyped => ({ kind: "array", of, value })),
  );
const nested = fc.array(array, { maxLength: 3 }).map((value): GgufTyped => ({ kind: "array", of: "array", value }));
const key = fc.stringMatching(/^[a-z][a-z0-9_.]{0,20}$/);
const metadata = fc.dictionary(key, fc.oneof(scalar, array, nested), { maxKeys: 8 });

const TYPES = [
  ["F32", 1, 4],
  ["F16", 1, 2],
  ["Q8_0", 32, 34],
  ["Q6_K", 256, 210],
] as const;
interface Drawn {
  readonly type: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}
const tensor = fc
  .tuple(fc.constantFrom(...TYPES), fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }), fc.nat())
  .map(([[type, elements, size], dims, seed]): Drawn => {
    const shape = [...dims.slice(0, -1), dims.at(-1)! * elements];
    const blocks = dims.reduce((a, b) => a * b, 1);
    return { type, shape, bytes: Uint8Array.from({ length: blocks * size }, (_, i) => (i * 31 + seed) & 255) };
  });

/** As `GgufFile.value` gives it: 64-bit integers as numbers where these hold them. */
function plain(value: GgufTyped | GgufValue | undefined): unknown {
  if (typeof value === "object" && "kind" in value)
    return value.kind === "array" ? Array.from(value.value as ArrayLike<GgufTyped>, plain) : plain(value.value);
  if (typeof value === "object") return Array.from(value as ArrayLike<GgufValue>, plain);
  return typeof value === "bigint" ? String(value) : Number.isInteger(value) ? String(BigInt(value as number)) : value;
}

describe("a written GGUF file", () => {
  test.prop([metadata, fc.dictionary(key, tensor, { maxKeys: 5 }), fc.constantFrom(undefined, 8, 64)], {
    numRuns: 50,
  })("has the values and bytes that it was given, twice the same", async (drawn, tensors, alignment) => {
    const entries = new Map<string, GgufTyped>(Object.entries(drawn));
    if (alignment !== undefined) entries.set("general.alignment", { kind: "u32", value: alignment });
    const content = new Map(
      Object.entries(tensors).map(([name, { bytes, ...what }]): [string, GgufTensorEntry] => [
        name,
        {
          ...what,
          // in two pieces
          async write(sink) {
            await sink(bytes.subarray(0, bytes.length >> 1));
            await sink(bytes.subarray(bytes.length >> 1));
          },
        },
      ]),
    );
    const bytes = await written((sink) => writeGguf(sink, entries, content));
    expect(await written((sink) => writeGguf(sink, entries, content))).toEqual(bytes);
    const file = await GgufFile.open(fromBytes(bytes));
    expect(file.keys).toEqual([...entries.keys()]);
    for (const [name, value] of entries) {
      expect(plain(file.value(name))).toEqual(plain(value));
      const read = file.typed(name)!;
      expect([read.kind, plain(read)]).toEqual([value.kind, plain(value)]);
      if (value.kind === "array") expect(read).toMatchObject({ of: value.of });
    }
    expect(file.names).toEqual(Object.keys(tensors));
    for (const [name, { type, shape, bytes: wanted }] of Object.entries(tensors)) {
      expect(file.info(name)).toEqual({ dtype: type, shape, bytes: wanted.length });
      expect([...(await file.range(name))]).toEqual([...wanted]);
    }
  });

  const refused = (value: GgufTyped): Promise<Uint8Array> =>
    written((sink) => writeGguf(sink, new Map([["a", value]]), new Map()));
  it.each<[GgufTyped, string]>([
    [{ kind: "u8", value: 256 }, '"a" is to be u8, which 256 is not'],
    [{ kind: "i32", value: 1.5 }, '"a" is to be i32, which 1.5 is not'],
    [{ kind: "u64", value: -1n }, '"a" is to be u64'],
    [{ kind: "bool", value: 1 }, '"a" is to be bool, which 1 is not'],
    [{ kind: "string", value: 1 }, '"a" is to be string'],
    [{ kind: "array", of: "f32", value: ["x"] }, '"a" is to be f32'],
  ])("refuses %o", async (value, message) => {
    await expect(refused(value)).rejects.toThrow(message);
  });

  it("refuses tensors that their type cannot be", async () => {
    const one = (type: string, shape: number[]): Promise<Uint8Array> =>
      written((sink) => writeGguf(sink, new Map(), new Map([["t", { type, shape, write: () => {} }]])));
    await expect(one("Q8_0", [2, 33])).rejects.toThrow("its rows of 33 are no whole blocks of 32");
    await expect(one("Q9", [2])).rejects.toThrow('tensor "t" is to be "Q9", which there is not');
    await expect(one("F32", [0])).rejects.toThrow("dimensions above 0");
  });
});
