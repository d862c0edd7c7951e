/** bitsandbytes' safetensors entries of one four-bit weight, and `quantization_config`. */
import { LowrankError, sizeOf, type StoredTensor } from "@lowrank/tensor";
import { pythonJson } from "@lowrank/tensor/check";
import { BLOCK_SIZES } from "./blockwise.ts";
import { NESTED_BLOCK } from "./nested.ts";
import type { FourBitState } from "./state.ts";
import { codeBooks, dynamicMap, type FourBitType } from "./tables.ts";

const STATE = "quant_state.bitsandbytes__";
const KNOWN = new Set(["absmax", "quant_map", "nested_absmax", "nested_quant_map"]);

/** Entries under the weight's name, in the order bitsandbytes writes them. */
export function toEntries(name: string, state: FourBitState): Map<string, StoredTensor> {
  const { type, blockSize, shape, codes, scales, sourceDType } = state;
  const f32 = (data: Float32Array): StoredTensor => ({ dtype: "f32", shape: [data.length], data });
  const u8 = (data: Uint8Array, dims: readonly number[] = [data.length]): StoredTensor => ({ dtype: "u8", shape: dims, data });
  const entries = new Map<string, StoredTensor>([[name, u8(codes, [codes.length, 1])]]);
  const json: [string, unknown][] = [["quant_type", type], ["blocksize", blockSize], ["dtype", sourceDType], ["shape", shape]];
  if (scales instanceof Float32Array) {
    entries.set(`${name}.absmax`, f32(scales));
  } else {
    entries.set(`${name}.absmax`, u8(scales.codes));
    entries.set(`${name}.nested_absmax`, f32(scales.absmax));
    entries.set(`${name}.nested_quant_map`, f32(dynamicMap));
    json.push(["nested_blocksize", NESTED_BLOCK], ["nested_dtype", "float32"], ["nested_offset", scales.offset]);
  }
  entries.set(`${name}.quant_map`, f32(codeBooks[type]));
  entries.set(`${name}.${STATE}${type}`, u8(Uint8Array.from(pythonJson(Object.fromEntries(json), { floats: new Set(["nested_offset"]) }), (c) => c.charCodeAt(0))));
  return entries;
}

/** Whether `names` hold a four-bit weight called `name`. */
export function isFourBit(name: string, names: Iterable<string>): boolean {
  for (const n of names) if (n.startsWith(`${name}.${STATE}`)) return true;
  return false;
}

/** @throws LowrankError (FormatError) naming the key that is missing, unknown or does not fit */
export function fromEntries(name: string, entries: ReadonlyMap<string, StoredTensor>): FourBitState {
  const fail = (why: string): never => { throw new LowrankError("FormatError", `${name}: not a bitsandbytes four-bit weight: ${why}`); };
  const own = [...entries.keys()].filter((k) => k.startsWith(`${name}.`)).map((k) => k.slice(name.length + 1));
  const states = own.filter((k) => k.startsWith(STATE));
  if (states.length !== 1) fail(`it needs exactly one ${STATE}* entry, has ${states.length}`);
  const strange = own.filter((k) => !KNOWN.has(k) && !k.startsWith(STATE));
  if (strange.length > 0) fail(`unknown entries ${strange.join(", ")}`);
  const need = (key: string): StoredTensor => entries.get(key === "" ? name : `${name}.${key}`) ?? fail(`${key === "" ? "the codes" : key} missing`);
  const json = parseState(need(states[0]!), fail);
  const type = json["quant_type"] as FourBitType;
  if (type !== "nf4" && type !== "fp4") fail(`quant_type ${JSON.stringify(type)} is neither nf4 nor fp4`);
  const [blockSize, shape, sourceDType] = [json["blocksize"] as number, json["shape"] as number[], json["dtype"] as string];
  if (!BLOCK_SIZES.includes(blockSize)) fail(`blocksize ${JSON.stringify(blockSize)} is not one of ${BLOCK_SIZES.join(", ")}`);
  if (!Array.isArray(shape) || !shape.every((d) => Number.isSafeInteger(d) && d >= 0)) fail(`shape ${JSON.stringify(shape)} is not a list of sizes`);
  if (typeof sourceDType !== "string") fail(`dtype ${JSON.stringify(sourceDType)} is not a name`);
  const n = sizeOf(shape);
  const codes = bytesOf(need(""));
  if (codes.length !== Math.ceil(n / 2)) fail(`shape [${shape.join(", ")}] needs ${Math.ceil(n / 2)} bytes of codes, there are ${codes.length}`);
  sameTable("quant_map", need("quant_map"), codeBooks[type], fail);
  const blocks = Math.ceil(n / blockSize);
  const absmax = need("absmax");
  if (absmax.data.length !== blocks) fail(`${n} elements in blocks of ${blockSize} need ${blocks} scales, there are ${absmax.data.length}`);
  const nested = json["nested_blocksize"] !== undefined;
  if (absmax.dtype !== (nested ? "u8" : "f32")) fail(`absmax is ${absmax.dtype}, ${nested ? "quantised scales are u8" : "plain scales are f32"}`);
  if (!nested) return { type, blockSize, shape, codes, scales: absmax.data as Float32Array, sourceDType };
  if (json["nested_blocksize"] !== NESTED_BLOCK) fail(`nested_blocksize ${JSON.stringify(json["nested_blocksize"])}; only ${NESTED_BLOCK} is known`);
  sameTable("nested_quant_map", need("nested_quant_map"), dynamicMap, fail);
  const [outer, offset] = [need("nested_absmax"), json["nested_offset"]];
  if (outer.dtype !== "f32" || outer.data.length !== Math.ceil(blocks / NESTED_BLOCK)) fail(`${blocks} scales need ${Math.ceil(blocks / NESTED_BLOCK)} f32 numbers in nested_absmax, there are ${outer.data.length} of ${outer.dtype}`);
  if (typeof offset !== "number") fail(`nested_offset ${JSON.stringify(offset)} is not a number`);
  return { type, blockSize, shape, codes, scales: { codes: absmax.data as Uint8Array, absmax: outer.data as Float32Array, offset: offset as number }, sourceDType };
}

function parseState({ data }: StoredTensor, fail: (why: string) => never): Record<string, unknown> {
  let text = "";
  for (const byte of data) text += String.fromCharCode(byte);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    fail(`its state is not valid JSON: ${(cause as Error).message}`);
  }
  return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : fail("its state is not a JSON object");
}

/** Decoding uses the known tables; a file made with others would decode to other numbers. Their last bits depend on who computed them. */
function sameTable(key: string, { dtype, data }: StoredTensor, known: Float32Array, fail: (why: string) => never): void {
  if (dtype !== "f32" || data.length !== known.length || known.some((x, i) => !(Math.abs(x - data[i]!) <= 1e-6))) fail(`${key} is not the table this format is known by`);
}

/** `quant_storage` may show the same bytes as wider numbers. */
function bytesOf({ data }: StoredTensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
