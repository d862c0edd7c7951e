/** Files of gguf-py: every kind of metadata, every form of tensor, and files that are damaged. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { formatOf } from "@lowrank/quant";
import { floatsOf, fromBytes, LowrankError, readTensor, SafetensorsFile, type TensorSource } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { GgufFile, type GgufValue } from "../src/index.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "gguf",
);
const present = existsSync(join(folder, "manifest.json"));
const read = (name: string): Uint8Array => readFileSync(join(folder, name));
const json = <T>(name: string): T => JSON.parse(readFileSync(join(folder, name), "utf8")) as T;
const open = (name: string): Promise<GgufFile> => GgufFile.open(fromBytes(read(name)));

/** All numbers of a tensor, decoded on the host. */
async function numbersOf(source: TensorSource, name: string): Promise<Float64Array> {
  const { shape } = source.info(name);
  const target = { shape, transposed: false, allowNonFinite: false };
  const stored = (await formatOf(source, name)?.decode(source, name, target)) ?? (await readTensor(source, name));
  return floatsOf(stored.dtype, stored.data);
}

describe.skipIf(!present)("GGUF fixtures", () => {
  interface Malformed {
    readonly cases: readonly { file: string; verdict: "accept" | "refuse" | "either"; why: string }[];
  }
  const { cases } = present ? json<Malformed>("malformed.json") : { cases: [] };
  it.each(cases)("$verdict $file: $why", async ({ file, verdict }) => {
    const opened = await open(file).catch((error: unknown) => error);
    if (opened instanceof GgufFile) {
      expect(verdict).not.toBe("refuse");
      for (const key of opened.keys)
        try {
          opened.value(key);
        } catch (error) {
          expect((error as LowrankError).code).toBe("FormatError");
        }
      for (const name of opened.names) expect((await opened.range(name)).length).toBe(opened.info(name).bytes);
    } else {
      expect(verdict).not.toBe("accept");
      expect(opened).toBeInstanceOf(LowrankError);
      expect((opened as LowrankError).message).toMatch(/^GGUF: [^\n]{10,300}$/);
    }
  });

  interface Kinds {
    readonly files: readonly string[];
    readonly entries: readonly { key: string; type: string; value: unknown; bits?: string }[];
    readonly tensors: readonly { name: string; type: string; dims: number[]; values: (number | string)[] }[];
  }
  const plain = (value: GgufValue | undefined): unknown => {
    if (typeof value === "bigint") return String(value);
    if (ArrayBuffer.isView(value)) return Array.from(value as Float32Array, plain);
    if (Array.isArray(value)) return value.map(plain);
    return value;
  };
  const { files, entries, tensors } = present ? json<Kinds>("kinds.json") : { files: [], entries: [], tensors: [] };
  it.each(files)("%s: every kind of value and plain tensor", async (name) => {
    const file = await open(name);
    expect(file.littleEndian).toBe(!name.includes("be"));
    expect(file.keys).toEqual(entries.map(({ key }) => key));
    // kinds.json spells what JSON cannot: 64-bit integers, NaN and infinities
    const spelt = (value: unknown): unknown =>
      Array.isArray(value) ? value.map(spelt) : String(value).replace("Infinity", "inf").replace("NaN", "nan");
    const said = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(said)
        : typeof value === "object" && value !== null && "value" in value
          ? said((value as { value: unknown }).value)
          : value;
    for (const { key, value } of entries) expect(spelt(plain(file.value(key))), key).toEqual(spelt(said(value)));
    for (const { name: tensor, type, dims, values } of tensors) {
      const info = file.info(tensor);
      expect([info.dtype, info.shape]).toEqual([type, dims.toReversed()]);
      const { buffer } = Uint8Array.from(await file.range(tensor));
      const array = { I8: Int8Array, I16: Int16Array, I64: BigInt64Array }[type];
      const got = array === undefined ? [...(await numbersOf(file, tensor))] : [...new array(buffer)];
      expect(spelt(got), tensor).toEqual(spelt(values.map((v) => (type === "I64" ? v : Number(v)))));
    }
  });

  it.each(["quants"])("%s: every value has gguf-py's bits", async (name) => {
    const file = await open(`${name}.gguf`);
    const golden = await SafetensorsFile.open(fromBytes(read(`${name}.golden.safetensors`)));
    for (const tensor of file.names) {
      const got = Float32Array.from(await numbersOf(file, tensor));
      const want = (await golden.read(tensor)).data as Float32Array;
      expect(new Uint32Array(got.buffer), tensor).toEqual(new Uint32Array(want.buffer, want.byteOffset, want.length));
    }
    expect(file.names.length).toBe(golden.names.length);
  });

  it("says what a form is called that is not built", async () => {
    const file = await open("quants-optional.gguf");
    await expect(readTensor(file, file.names[0]!)).rejects.toThrow(/Q2_K|Q3_K|IQ4/);
  });

  it("llama-mixed: sums of every tensor", async () => {
    interface Sums {
      readonly tensors: readonly {
        name: string;
        type: string;
        dims: number[];
        sum: number;
        sum_sq: number;
        first4: number[];
      }[];
      readonly sha256: string;
    }
    const spec = json<Sums>("llama-mixed.json");
    expect(createHash("sha256").update(read("llama-mixed.gguf")).digest("hex")).toBe(spec.sha256);
    const file = await open("llama-mixed.gguf");
    expect(file.names).toEqual(spec.tensors.map(({ name }) => name));
    for (const { name, type, sum, sum_sq, first4 } of spec.tensors) {
      expect(file.info(name).dtype).toBe(type);
      const got = await numbersOf(file, name);
      expect([...got.subarray(0, 4)], name).toEqual(first4);
      // sums of at most 1.4e5 numbers in f64, in another order: each step is right to 2^-53 of what has been added up
      const magnitude = got.reduce((a, v) => a + Math.abs(v), 0);
      expect(Math.abs(got.reduce((a, v) => a + v, 0) - sum), name).toBeLessThan(1e-11 * magnitude);
      expect(Math.abs(got.reduce((a, v) => a + v * v, 0) - sum_sq), name).toBeLessThan(1e-11 * sum_sq);
    }
  });
});
