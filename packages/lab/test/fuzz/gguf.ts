/**
 * GGUF: a small sound file with fields of its header overwritten, and what a second reader says is in it. That one has the whole file and is
 * naive: lengths are BigInts, whatever is out of bounds throws, and it looks at every bit of what the first has taken.
 */
import { ggufTokenizer, openGguf, type Files, type GgufFile, type GgufValue } from "@lowrank/models";
import { fromBytes, LowrankError, type RandomStream } from "@lowrank/tensor";
import type { FuzzFormat } from "./judge.ts";
import { mutateBytes } from "./mutate.ts";

const encoder = new TextEncoder();

/** Bytes, and where in them counts, lengths, types, sizes and offsets stand. */
class Writer {
  readonly bytes: number[] = [];
  readonly fields: { readonly at: number; readonly size: number }[] = [];

  field(value: number | bigint, size: 4 | 8): this {
    this.fields.push({ at: this.bytes.length, size });
    return this.number(value, size);
  }
  number(value: number | bigint, size: number): this {
    for (let i = 0; i < size; i++) this.bytes.push(Number((BigInt(value) >> BigInt(8 * i)) & 255n));
    return this;
  }
  raw(bytes: Iterable<number>): this {
    this.bytes.push(...bytes);
    return this;
  }
  text(value: string): this {
    const bytes = encoder.encode(value);
    return this.field(bytes.length, 8).raw(bytes);
  }
  f32(value: number): this {
    return this.raw(new Uint8Array(Float32Array.of(value).buffer));
  }
}

const U32 = 4;
const SIZES: Readonly<Record<string, number>> = {
  "llama.block_count": 1,
  "llama.embedding_length": 32,
  "llama.feed_forward_length": 32,
  "llama.attention.head_count": 2,
  "llama.context_length": 64,
  "general.alignment": 32,
};
/** Name, dimensions, type and bytes. */
const TENSORS: readonly (readonly [string, readonly number[], number, number])[] = [
  ["token_embd.weight", [32, 3], 8, 102],
  ["blk.0.attn_q.weight", [32, 32], 2, 576],
  ["blk.0.attn_norm.weight", [32], 0, 128],
  ["odd", [4, 3, 2, 1], 24, 24],
];

function sound(random: RandomStream): Writer {
  const out = new Writer();
  const entries = Object.entries(SIZES);
  const withTokens = random.integer(2);
  out.raw(encoder.encode("GGUF")).field(2 + random.integer(2), 4);
  out.field(TENSORS.length, 8).field(entries.length + 5 + 2 * withTokens, 8);
  out.text("general.architecture").field(8, 4).text("llama");
  for (const [key, value] of entries) out.text(key).field(U32, 4).number(value, 4);
  out.text("llama.attention.layer_norm_rms_epsilon").field(6, 4).f32(1e-5);
  out.text("flag").field(7, 4).number(random.integer(2), 1);
  out
    .text("wide")
    .field(10, 4)
    .number(2n ** BigInt(random.integer(64)), 8);
  if (withTokens) out.text("tokenizer.ggml.model").field(8, 4).text("llama");
  if (withTokens) out.text("tokenizer.ggml.tokens").field(9, 4).field(8, 4).field(3, 8).text("a").text("é").text("");
  out.text("nested").field(9, 4).field(9, 4).field(2, 8);
  out.field(5, 4).field(2, 8).number(-1, 4).number(7, 4).field(1, 4).field(0, 8);
  let offset = 0;
  for (const [name, dims, type, bytes] of TENSORS) {
    out.text(name).field(dims.length, 4);
    for (const d of dims) out.field(d, 8);
    out.field(type, 4).field(offset, 8);
    offset = Math.ceil((offset + bytes) / 32) * 32;
  }
  while (out.bytes.length % 32 !== 0) out.number(0, 1);
  return out.raw(Array.from({ length: offset }, (_, i) => (i * 37) & 255));
}

const NASTY = [
  0n,
  1n,
  2n,
  3n,
  7n,
  8n,
  9n,
  12n,
  13n,
  31n,
  33n,
  48n,
  64n,
  99n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n + 1n,
  2n ** 60n,
  2n ** 61n,
  2n ** 63n,
  2n ** 64n - 1n,
  2n ** 64n - 32n,
];

function draw(random: RandomStream): Uint8Array {
  const { bytes, fields } = sound(random);
  const out = Uint8Array.from(bytes);
  const kind = random.integer(8);
  if (kind === 0) return mutateBytes(out, random);
  for (let n = random.integer(4); n > 0; n--) {
    const { at, size } = fields[random.integer(fields.length)]!;
    const view = new DataView(out.buffer);
    const old = size === 8 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true));
    const value = random.integer(2) === 0 ? NASTY[random.integer(NASTY.length)]! : old + BigInt(random.integer(5) - 2);
    if (size === 8) view.setBigUint64(at, BigInt.asUintN(64, value), true);
    else view.setUint32(at, Number(BigInt.asUintN(32, value)), true);
  }
  if (kind === 1) out[random.integer(Math.min(out.length, 600))] = random.integer(256);
  return kind === 2 ? mutateBytes(out, random) : out;
}

const filesOf = (bytes: Uint8Array): Files => ({
  where: "memory",
  exists: async (name) => name === "model.gguf",
  text: async () => "",
  open: async () => fromBytes(bytes),
  list: async () => ["model.gguf"],
});

interface Seen {
  readonly entries: (readonly [string, unknown])[];
  readonly tensors: (readonly [name: string, type: string, shape: readonly number[], bytes: string])[];
}

/** Numbers and what they are in arrays of any type; so that both readers' values compare as text. */
function spelt(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
  if (ArrayBuffer.isView(value)) return Array.from(value as Uint8Array, spelt);
  return Array.isArray(value) ? value.map(spelt) : value;
}
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

async function seenBy(file: GgufFile): Promise<Seen> {
  const tensors: Seen["tensors"] = [];
  for (const name of file.names) {
    const { dtype, shape } = file.info(name);
    tensors.push([name, dtype, shape, hex(await file.range(name))]);
  }
  const entries = file.keys.map((key) => [key, spelt(file.value(key) as GgufValue)] as const);
  return { entries, tensors };
}

const BLOCKS: Readonly<Record<number, readonly [string, bigint, bigint]>> = {
  0: ["F32", 1n, 4n],
  1: ["F16", 1n, 2n],
  2: ["Q4_0", 32n, 18n],
  3: ["Q4_1", 32n, 20n],
  6: ["Q5_0", 32n, 22n],
  7: ["Q5_1", 32n, 24n],
  8: ["Q8_0", 32n, 34n],
  9: ["Q8_1", 32n, 36n],
  12: ["Q4_K", 256n, 144n],
  13: ["Q5_K", 256n, 176n],
  14: ["Q6_K", 256n, 210n],
  20: ["IQ4_NL", 32n, 18n],
  24: ["I8", 1n, 1n],
  25: ["I16", 1n, 2n],
  26: ["I32", 1n, 4n],
  27: ["I64", 1n, 8n],
  28: ["F64", 1n, 8n],
  30: ["BF16", 1n, 2n],
  39: ["MXFP4", 32n, 17n],
};

/** The second reader. Throws on whatever makes no sense. */
function naive(bytes: Uint8Array): Seen {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const need = (good: boolean, why: string): void => {
    if (!good) throw new Error(why);
  };
  let at = 8;
  need(hex(bytes.subarray(0, 4)) === "47475546", "magic");
  const little = [2, 3].includes(view.getUint32(4, true));
  need(little || [2, 3].includes(view.getUint32(4, false)), "version");
  const u32 = (): number => view.getUint32((at += 4) - 4, little);
  const u64 = (): bigint => view.getBigUint64((at += 8) - 8, little);
  const take = (n: bigint): Uint8Array => {
    need(n <= BigInt(bytes.length - at), "past the end");
    return bytes.subarray(at, (at += Number(n)));
  };
  const text = (): string => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(take(u64()));
  const value = (type: number): unknown => {
    const number = (size: number, read: (at: number) => number | bigint): string => {
      const found = read(at);
      at += size;
      return spelt(found) as string;
    };
    switch (type) {
      case 0:
        return number(1, (i) => view.getUint8(i));
      case 1:
        return number(1, (i) => view.getInt8(i));
      case 2:
        return number(2, (i) => view.getUint16(i, little));
      case 3:
        return number(2, (i) => view.getInt16(i, little));
      case 4:
        return number(4, (i) => view.getUint32(i, little));
      case 5:
        return number(4, (i) => view.getInt32(i, little));
      case 6:
        return number(4, (i) => view.getFloat32(i, little));
      case 7:
        need(view.getUint8(at) < 2, "bool");
        return take(1n)[0] === 1;
      case 8:
        return text();
      case 9: {
        const [item, count, out] = [u32(), u64(), [] as unknown[]];
        need(item < 13, "array type");
        for (let i = 0n; i < count; i++) out.push(value(item));
        return out;
      }
      case 10:
        return number(8, (i) => view.getBigUint64(i, little));
      case 11:
        return number(8, (i) => view.getBigInt64(i, little));
      case 12:
        return number(8, (i) => view.getFloat64(i, little));
      default:
        throw new Error(`value type ${type}`);
    }
  };
  const [tensorCount, entryCount] = [u64(), u64()];
  const entries: (readonly [string, unknown])[] = [];
  let alignment = 32n;
  for (let i = 0n; i < entryCount; i++) {
    const [key, type] = [text(), u32()];
    need(key !== "" && !entries.some(([k]) => k === key), "key");
    const found = value(type);
    entries.push([key, found]);
    if (key !== "general.alignment") continue;
    need(type === 4, "type of the alignment");
    alignment = BigInt(found as string);
    need(
      [...Array(32).keys()].some((k) => 2n ** BigInt(k) === alignment),
      "alignment",
    );
  }
  const described: { name: string; type: string; dims: bigint[]; offset: bigint; size: bigint; element: bigint }[] = [];
  for (let i = 0n; i < tensorCount; i++) {
    const name = text();
    need(!described.some((t) => t.name === name), "tensor twice");
    const rank = u32();
    need(rank <= 4, "rank");
    const dims = Array.from({ length: rank }, () => u64());
    const block = BLOCKS[u32()];
    const offset = u64();
    if (block === undefined) throw new Error("tensor type");
    need((dims[0] ?? 1n) % block[1] === 0n, "whole blocks");
    const count = dims.reduce((a, b) => a * b, 1n);
    described.push({ name, type: block[0], dims, offset, size: (count / block[1]) * block[2], element: block[2] });
  }
  const start = BigInt(Math.ceil(at / Number(alignment))) * alignment;
  const used: (readonly [bigint, bigint])[] = [];
  const tensors = described.map(({ name, type, dims, offset, size, element }) => {
    need(offset % alignment === 0n && start + offset + size <= BigInt(bytes.length), "place");
    need(!used.some(([from, to]) => start + offset < to && from < start + offset + size), "overlap");
    used.push([start + offset, start + offset + size]);
    const data = Uint8Array.from(bytes.subarray(Number(start + offset), Number(start + offset + size)));
    if (!little) for (let i = 0; i < data.length; i += Number(element)) data.subarray(i, i + Number(element)).reverse();
    return [name, type, dims.map(Number).toReversed(), hex(data)] as const;
  });
  return { entries, tensors };
}

export const ggufFile: FuzzFormat = {
  name: "gguf",
  draw,
  async read(bytes) {
    const checkpoint = (await openGguf(filesOf(bytes)))!;
    // what the door makes of it must not fail in another way than by refusing
    for (const name of checkpoint.weights.names) await checkpoint.weights.range(name);
    try {
      ggufTokenizer(checkpoint.file);
    } catch (error) {
      // most have none
      if (!(error instanceof LowrankError)) throw error;
    }
    return seenBy(checkpoint.file);
  },
  senseless(bytes, value: Seen) {
    let second: Seen;
    try {
      second = naive(bytes);
    } catch (error) {
      return `a second reader finds: ${(error as Error).message}`;
    }
    const [a, b] = [JSON.stringify(value), JSON.stringify(second)];
    return a === b ? undefined : `it says ${b.slice(0, 300)}, and was read as ${a.slice(0, 300)}`;
  },
};
