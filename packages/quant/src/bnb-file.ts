/** bitsandbytes' safetensors entries of one four-bit weight, and `quantization_config`. */
import { FormatError, LowrankError, quote, sizeOf, type StoredTensor } from "@lowrank/tensor";
import {
  checkFile,
  checkOptions,
  fields,
  flag,
  listOf,
  oneOf,
  optional,
  parseJson,
  pythonJson,
  real,
  whole,
  type Rule,
} from "@lowrank/tensor/check";
import { checkLengths } from "./blockwise.ts";
import { NESTED_BLOCK } from "./nested.ts";
import { BLOCK_SIZE } from "./options.ts";
import type { FourBitState } from "./state.ts";
import { codeBooks, dynamicMap, type FourBitType } from "./tables.ts";

export const STATE = "quant_state.bitsandbytes__";
const KNOWN = new Set(["absmax", "quant_map", "nested_absmax", "nested_quant_map"]);

/** What of a state is its own, in hand or to be asked for. The tables are the same for all. */
interface StateParts<T> {
  readonly codes: T;
  readonly scales: T;
  /** Of quantized scales. */
  readonly outer?: { readonly absmax: T; readonly offset: number };
}

/**
 * Entries under the weight's name, in the order bitsandbytes writes them.
 * @param constant how tables and the state's text are given
 */
export function entriesOf<T>(
  name: string,
  { type, blockSize, shape, sourceDType }: Omit<FourBitState, "codes" | "scales">,
  { codes, scales, outer }: StateParts<T>,
  constant: (data: Float32Array | Uint8Array) => T,
): Map<string, Entry<T>> {
  const n = sizeOf(shape);
  const [bytes, blocks] = [Math.ceil(n / 2), Math.ceil(n / blockSize)];
  const entry = (dtype: "u8" | "f32", dims: readonly number[], data: T): Entry<T> => ({ dtype, shape: dims, data });
  const table = (data: Float32Array): Entry<T> => entry("f32", [data.length], constant(data));
  const entries = new Map<string, Entry<T>>([[name, entry("u8", [bytes, 1], codes)]]);
  const json: [string, unknown][] = [
    ["quant_type", type],
    ["blocksize", blockSize],
    ["dtype", sourceDType],
    ["shape", shape],
  ];
  entries.set(`${name}.absmax`, entry(outer === undefined ? "f32" : "u8", [blocks], scales));
  if (outer !== undefined) {
    entries.set(`${name}.nested_absmax`, entry("f32", [Math.ceil(blocks / NESTED_BLOCK)], outer.absmax));
    entries.set(`${name}.nested_quant_map`, table(dynamicMap));
    json.push(["nested_blocksize", NESTED_BLOCK], ["nested_dtype", "float32"], ["nested_offset", outer.offset]);
  }
  entries.set(`${name}.quant_map`, table(codeBooks[type]));
  const text = pythonJson(Object.fromEntries(json), { floats: new Set(["nested_offset"]) });
  const state = Uint8Array.from(text, (c) => c.charCodeAt(0));
  return entries.set(`${name}.${STATE}${type}`, entry("u8", [state.length], constant(state)));
}

interface Entry<T> {
  readonly dtype: "u8" | "f32";
  readonly shape: readonly number[];
  readonly data: T;
}

/** As `entriesOf`, of a state on the host. @throws ShapeError where codes or scales are not as many as the shape needs */
export function toEntries(name: string, state: FourBitState): Map<string, StoredTensor> {
  const { codes, scales, shape, blockSize } = state;
  const plain = scales instanceof Float32Array;
  const count = plain ? scales.length : scales.codes.length;
  checkLengths(`toEntries: ${name}`, codes.length, count, sizeOf(shape), blockSize);
  const parts = plain ? { codes, scales } : { codes, scales: scales.codes, outer: scales };
  return entriesOf<Float32Array | Uint8Array>(name, state, parts, (data) => data);
}

/** Whether `names` hold a four-bit weight called `name`. */
export function isFourBit(name: string, names: Iterable<string>): boolean {
  for (const n of names) if (n.startsWith(`${name}.${STATE}`)) return true;
  return false;
}

interface FileState {
  readonly quant_type: FourBitType;
  readonly blocksize: number;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly nested_blocksize?: number;
  readonly nested_dtype?: string;
  readonly nested_offset?: number;
}

const FILE_STATE: Rule<FileState> = fields<FileState>({
  quant_type: oneOf("nf4", "fp4"),
  blocksize: BLOCK_SIZE,
  dtype: oneOf("float32", "float16", "bfloat16", "float64"),
  shape: listOf(whole(0)),
  nested_blocksize: optional(oneOf(NESTED_BLOCK)),
  nested_dtype: optional(oneOf("float32")),
  nested_offset: optional(real()),
});
/** A state is a line of seven keys. */
const LONGEST_STATE = 4096;

export interface ReadOptions {
  /** Takes scales that are not finite numbers of at least 0. Default false. */
  readonly allowNonFinite?: boolean;
}

/** @throws LowrankError (FormatError) naming the key that is missing, unknown or does not fit, or the scale that is no magnitude */
export function fromEntries(
  name: string,
  entries: ReadonlyMap<string, StoredTensor>,
  options: ReadOptions = {},
): FourBitState {
  const { allowNonFinite = false } = checkOptions("fromEntries", READ_OPTIONS, options);
  const fail = (why: string): never => {
    throw new LowrankError("FormatError", `${name}: not a bitsandbytes four-bit weight: ${why}`);
  };
  const own = [...entries.keys()].filter((k) => k.startsWith(`${name}.`)).map((k) => k.slice(name.length + 1));
  const states = own.filter((k) => k.startsWith(STATE));
  if (states.length !== 1) fail(`it needs exactly one ${STATE}* entry, has ${states.length}`);
  const strange = own.filter((k) => !KNOWN.has(k) && !k.startsWith(STATE));
  if (strange.length > 0) fail(`unknown entries ${strange.join(", ")}`);
  const need = (key: string): StoredTensor =>
    entries.get(key === "" ? name : `${name}.${key}`) ?? fail(`${key === "" ? "the codes" : key} missing`);
  const state = parseState(`${name}.${states[0]!}`, need(states[0]!));
  const { quant_type: type, blocksize: blockSize, shape, dtype: sourceDType } = state;
  if (states[0] !== `${STATE}${type}`) fail(`${states[0]} says quant_type ${quote(type)}`);
  const n = sizeOf(shape);
  const codes = bytesOf(need(""));
  if (codes.length !== Math.ceil(n / 2))
    fail(`shape [${shape.join(", ")}] needs ${Math.ceil(n / 2)} bytes of codes, there are ${codes.length}`);
  sameTable("quant_map", need("quant_map"), codeBooks[type], fail);
  const blocks = Math.ceil(n / blockSize);
  const absmax = need("absmax");
  if (absmax.data.length !== blocks)
    fail(`${n} elements in blocks of ${blockSize} need ${blocks} scales, there are ${absmax.data.length}`);
  const nested = state.nested_blocksize !== undefined;
  if (absmax.dtype !== (nested ? "u8" : "f32"))
    fail(`absmax is ${absmax.dtype}, ${nested ? "quantized scales are u8" : "plain scales are f32"}`);
  const magnitudes = (key: string): Float32Array => {
    const data = need(key).data as Float32Array;
    const bad = allowNonFinite ? -1 : data.findIndex((s) => !(s >= 0 && s < Infinity));
    if (bad >= 0)
      throw new FormatError(
        `${name}.${key}: scale ${bad} is ${data[bad]}; a scale is a finite number of at least 0 (allowNonFinite takes others)`,
      );
    return data;
  };
  if (!nested) {
    const extra =
      ["nested_absmax", "nested_quant_map"].find((key) => own.includes(key)) ??
      (["nested_offset", "nested_dtype"] as const).find((key) => state[key] !== undefined);
    if (extra !== undefined) fail(`${extra} is there, and the state has no nested_blocksize`);
    return { type, blockSize, shape, codes, scales: magnitudes("absmax"), sourceDType };
  }
  sameTable("nested_quant_map", need("nested_quant_map"), dynamicMap, fail);
  const [outer, offset] = [need("nested_absmax"), state.nested_offset ?? fail("nested_offset missing")];
  if (outer.dtype !== "f32" || outer.data.length !== Math.ceil(blocks / NESTED_BLOCK))
    fail(
      `${blocks} scales need ${Math.ceil(blocks / NESTED_BLOCK)} f32 numbers in nested_absmax, there are ${outer.data.length} of ${outer.dtype}`,
    );
  // kept in f32, as they are added to the scales
  if (!Number.isFinite(Math.fround(offset))) fail(`nested_offset ${offset} does not fit f32`);
  return {
    type,
    blockSize,
    shape,
    codes,
    scales: { codes: absmax.data as Uint8Array, absmax: magnitudes("nested_absmax"), offset },
    sourceDType,
  };
}

const READ_OPTIONS: Rule<ReadOptions> = fields<ReadOptions>({ allowNonFinite: optional(flag) });

function parseState(source: string, { dtype, data }: StoredTensor): FileState {
  if (dtype !== "u8" || data.length > LONGEST_STATE)
    throw new LowrankError(
      "FormatError",
      `${source}: a state is at most ${LONGEST_STATE} bytes, this is ${data.length} elements of ${dtype}`,
    );
  // JSON of Python is ASCII; anything else is a character that the rules refuse
  return checkFile(source, FILE_STATE, parseJson(String.fromCharCode(...data), source));
}

/** Decoding uses the known tables; a file made with others would decode to other numbers. Their last bits depend on who computed them. */
function sameTable(
  key: string,
  { dtype, data }: StoredTensor,
  known: Float32Array,
  fail: (why: string) => never,
): void {
  if (dtype !== "f32" || data.length !== known.length || known.some((x, i) => !(Math.abs(x - data[i]!) <= 1e-6)))
    fail(`${key} is not the table this format is known by`);
}

/** `quant_storage` may show the same bytes as wider numbers. */
function bytesOf({ data }: StoredTensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
