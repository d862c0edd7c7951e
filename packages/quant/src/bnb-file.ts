/** bitsandbytes' safetensors entries of one four-bit weight, and `quantization_config`. */
import { LowrankError, type StoredTensor } from "@lowrank/tensor";
import type { FourBitOptions, FourBitState } from "./four-bit.ts";
import { NESTED_BLOCK } from "./nested.ts";
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
  entries.set(`${name}.${STATE}${type}`, u8(Uint8Array.from(pythonJson(json), (c) => c.charCodeAt(0))));
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
  const json = JSON.parse(String.fromCharCode(...(need(states[0]!).data as Uint8Array))) as Record<string, unknown>;
  const type = json["quant_type"] as FourBitType;
  if (!(type in codeBooks)) fail(`quant_type ${JSON.stringify(type)} is neither nf4 nor fp4`);
  const [blockSize, shape] = [json["blocksize"] as number, json["shape"] as number[]];
  const n = shape.reduce((a, b) => a * b, 1);
  const codes = bytesOf(need(""));
  if (codes.length !== Math.ceil(n / 2)) fail(`shape [${shape.join(", ")}] needs ${Math.ceil(n / 2)} bytes of codes, there are ${codes.length}`);
  const absmax = need("absmax");
  if (absmax.data.length !== Math.ceil(n / blockSize)) fail(`${n} elements in blocks of ${blockSize} need ${Math.ceil(n / blockSize)} scales, there are ${absmax.data.length}`);
  const scales = json["nested_blocksize"] === undefined ? (absmax.data as Float32Array)
    : { codes: absmax.data as Uint8Array, absmax: need("nested_absmax").data as Float32Array, offset: json["nested_offset"] as number };
  return { type, blockSize, shape, codes, scales, sourceDType: json["dtype"] as string };
}

/** `quant_storage` may show the same bytes as wider numbers. */
function bytesOf({ data }: StoredTensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

export function quantizationConfig(options: FourBitOptions & { readonly computeDType?: string } = {}): Record<string, unknown> {
  return {
    quant_method: "bitsandbytes", load_in_4bit: true, load_in_8bit: false, bnb_4bit_quant_type: options.type ?? "nf4",
    bnb_4bit_use_double_quant: options.doubleQuantisation ?? true, bnb_4bit_compute_dtype: options.computeDType ?? "float32", bnb_4bit_quant_storage: "uint8",
    llm_int8_enable_fp32_cpu_offload: false, llm_int8_has_fp16_weight: false, llm_int8_skip_modules: null, llm_int8_threshold: 6,
  };
}

/** Python's json.dumps of an ordered dict, ASCII only: ", " and ": ", exponents with two digits. */
function pythonJson(entries: readonly (readonly [string, unknown])[]): string {
  const value = (x: unknown): string => (Array.isArray(x) ? `[${x.map(value).join(", ")}]` : typeof x === "number" ? pythonNumber(x) : JSON.stringify(x));
  return `{${entries.map(([k, v]) => `${JSON.stringify(k)}: ${value(v)}`).join(", ")}}`;
}

/** Integers as they are; floats as repr: exponent form below 1e-4 and from 1e16. */
function pythonNumber(x: number): string {
  if (Number.isInteger(x) && Math.abs(x) < 1e16) return String(x);
  const size = Math.abs(x);
  if (size >= 1e-4 && size < 1e16) return String(x);
  return x.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
}
