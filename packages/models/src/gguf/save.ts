/** Writing a model as a GGUF file: metadata of its architecture and tokenizer, and its weights in llama.cpp's names and order. */
import { decodeGgml, encodedForms, encodeGgml } from "@lowrank/quant";
import type { Weight } from "@lowrank/nn";
import { FormatError, LowrankError, NumericsError, ops, quote, toMemory, type ByteSink } from "@lowrank/tensor";
import { PretrainedModel } from "../pretrained.ts";
import { requirePlain } from "../save.ts";
import type { ConfigSource } from "../shared/config-table.ts";
import type { TokenizerFolder } from "../tokenizer/folder.ts";
import type { GgufArchitecture } from "./architecture.ts";
import type { GgufFile } from "./file.ts";
import { architectureName } from "./metadata.ts";
import { reordered } from "./pairs.ts";
import { ggufArchitectureFor } from "./registry.ts";
import { ROPE_FACTORS, ropeFactorsOf } from "./rope-factors.ts";
import { tokenizerEntries } from "./tokenizer-entries.ts";
import { writeGguf, type GgufTensorEntry } from "./writer.ts";
import type { GgufTyped } from "./values.ts";

/** `general.file_type` by what matrices are in. Source: llama.cpp's `llama_ftype`. */
const FILE_TYPES = { F32: 0, F16: 1, Q8_0: 7 } as const;
/** What matrices are written as. */
export type GgufMatrixType = keyof typeof FILE_TYPES;
export const GGUF_MATRIX_TYPES: readonly GgufMatrixType[] = ["F16", "Q8_0", "F32"];
const QUANTIZATION_VERSION = 2;
/** Elements that are read from the device at once. */
const PIECE = 1 << 22;

export interface SaveGgufOptions {
  /** What matrices are written as; those whose rows are no whole blocks are F16 beside Q8_0, and vectors always F32. Default F16. */
  readonly type?: GgufMatrixType;
  /** The GGUF file that the model is from: its metadata are copied, the tokenizer's among them. */
  readonly from?: GgufFile;
  /** The tokenizer of a model from a folder, as `readTokenizerFolder` gives it. Without it and `from` the file holds none, which llama.cpp does not run. */
  readonly tokenizer?: TokenizerFolder;
  /** `general.name`. */
  readonly name?: string;
  /** Told before each tensor. */
  readonly onTensor?: (name: string, index: number, count: number) => void;
  /** Told of each piece of a weight, in order, what was to be written and, when asked, the numbers that the bytes stand for. */
  readonly onPiece?: (weight: Weight, wanted: Float32Array, stored: () => Float32Array) => void;
}

export interface SavedGguf {
  /** Tensors of each type. */
  readonly types: Readonly<Record<string, number>>;
  /** Matrices that are F16 because their rows are no whole blocks. */
  readonly unblocked: readonly string[];
}

/**
 * Writes a plain causal language model. Weights kept in any form are written as the numbers that they stand for; of these a piece is in
 * memory at a time.
 * @throws LowrankError NotBuiltError where llama.cpp's files have no word for something in the config, the tokenizer or the weights,
 * AdapterError while the model carries adapters, NumericsError for numbers beyond the type
 */
export async function saveGguf(
  model: PretrainedModel,
  sink: ByteSink,
  options: SaveGgufOptions = {},
): Promise<SavedGguf> {
  const { type = "F16", from, tokenizer, name, onTensor, onPiece } = options;
  if (!(model instanceof PretrainedModel))
    throw new LowrankError("ConfigError", `saveGguf: "model" must be a model of a family, got ${quote(model)}`);
  requirePlain("saveGguf", model);
  const config = model.family.file(model.config, model.architecture);
  const architecture = ggufArchitectureFor(model.family.modelType);
  const metadata =
    from === undefined
      ? entriesOf(architecture, config, tokenizer, model.config.vocabSize, name)
      : copied(from, architecture, model.config.vocabSize);
  metadata.set("general.file_type", { kind: "u32", value: FILE_TYPES[type] });
  if (type === "Q8_0") metadata.set("general.quantization_version", { kind: "u32", value: QUANTIZATION_VERSION });
  const tensors = tensorsOf(model, architecture, config, type, onPiece);
  const told = new Map(
    [...tensors].map(([called, entry], i): [string, GgufTensorEntry] => [
      called,
      {
        ...entry,
        write(to) {
          onTensor?.(called, i, tensors.size);
          return entry.write(to);
        },
      },
    ]),
  );
  await writeGguf(sink, metadata, told);
  const types: Record<string, number> = {};
  for (const { type: is } of tensors.values()) types[is] = (types[is] ?? 0) + 1;
  const wanted = [...tensors].filter(([, t]) => t.shape.length === 2 && t.type !== type);
  return { types, unblocked: wanted.map(([called]) => called) };
}

/** What a config and a tokenizer come to. */
function entriesOf(
  architecture: GgufArchitecture,
  config: ConfigSource,
  tokenizer: TokenizerFolder | undefined,
  words: number,
  name: string | undefined,
): Map<string, GgufTyped> {
  return new Map<string, GgufTyped>([
    ["general.architecture", { kind: "string", value: architecture.name }],
    ["general.type", { kind: "string", value: "model" }],
    ...(name === undefined ? [] : [["general.name", { kind: "string", value: name }] as [string, GgufTyped]]),
    ...architecture.metadata(config),
    ...(tokenizer === undefined ? [] : tokenizerEntries(tokenizer, words, config)),
  ]);
}

/** Everything a file says, but what its tensors are in. */
function copied(from: GgufFile, architecture: GgufArchitecture, words: number): Map<string, GgufTyped> {
  const is = architectureName(from);
  if (is !== architecture.name)
    throw new FormatError(`GGUF: the model is written as ${architecture.name}, and the file that it is from is ${is}`);
  const out = new Map(from.keys.map((key) => [key, from.typed(key)!] as const));
  out.delete("general.quantization_version");
  const tokens = out.get("tokenizer.ggml.tokens");
  if (tokens?.kind === "array" && tokens.value.length !== words)
    throw new FormatError(`GGUF: the model has ${words} words, and the file that it is from ${tokens.value.length}`);
  return out;
}

function tensorsOf(
  model: PretrainedModel,
  architecture: GgufArchitecture,
  config: ConfigSource,
  type: GgufMatrixType,
  onPiece: SaveGgufOptions["onPiece"],
): Map<string, GgufTensorEntry> {
  const out = new Map<string, GgufTensorEntry>();
  const seen = new Set<Weight>();
  for (const [name, weight] of model.namedWeights()) {
    if (seen.has(weight)) continue;
    seen.add(weight);
    const stored = architecture.names.written(name);
    if (stored === undefined)
      throw new LowrankError(
        "NotBuiltError",
        `GGUF: ${name} of ${model.architecture} has no place in a file of llama.cpp's, which holds causal language models`,
      );
    const heads = architecture.pairedHeads?.(stored, config);
    out.set(stored, {
      type: typeOf(weight.shape, type),
      shape: weight.shape,
      write: (sink) =>
        writeWeight(sink, weight, {
          type: typeOf(weight.shape, type),
          what: name,
          offset: architecture.offset?.(stored) ?? 0,
          headRows: heads === undefined ? undefined : weight.shape[0]! / heads,
          onPiece,
        }),
    });
  }
  const factors = ropeFactorsOf(config);
  if (factors !== undefined)
    out.set(ROPE_FACTORS, {
      type: "F32",
      shape: [factors.length],
      write: (sink) => sink(new Uint8Array(factors.buffer)),
    });
  return out;
}

function typeOf(shape: readonly number[], type: GgufMatrixType): string {
  if (shape.length < 2) return "F32";
  return encodedForms.includes(type) && shape.at(-1)! % 32 !== 0 ? "F16" : type;
}

interface WrittenAs {
  readonly type: string;
  readonly what: string;
  readonly offset: number;
  readonly headRows: number | undefined;
  readonly onPiece: SaveGgufOptions["onPiece"];
}

/** A piece of whole rows, of whole heads where these are reordered. */
async function writeWeight(
  sink: ByteSink,
  weight: Weight,
  { type, what, offset, headRows = 1, onPiece }: WrittenAs,
): Promise<void> {
  const { shape, value } = weight;
  const [rows, width] = [shape[0]!, shape.length > 1 ? shape[1]! : 1];
  const step = Math.max(1, Math.floor(PIECE / (headRows * width))) * headRows;
  for (let from = 0; from < rows; from += step) {
    const to = Math.min(rows, from + step);
    const piece = from === 0 && to === rows ? value : ops.slice(value, 0, from, to);
    const numbers = toMemory("f32", await piece.data(), piece.dtype) as Float32Array;
    const wanted = offset === 0 ? numbers : numbers.map((v) => v + offset);
    const bytes = encoded(type, wanted, width, what);
    onPiece?.(weight, wanted, () => decoded(type, bytes));
    await sink(headRows === 1 ? bytes : reordered(bytes, headRows, bytes.length / (to - from), "file"));
  }
}

function encoded(type: string, numbers: Float32Array, width: number, what: string): Uint8Array {
  if (encodedForms.includes(type)) return encodeGgml(type, numbers, width, what);
  const bad = numbers.findIndex((v) => !Number.isFinite(v));
  if (bad >= 0) throw new NumericsError(`${what}: element ${bad} of a piece is ${numbers[bad]}`);
  if (type === "F32") return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  const narrow = toMemory("f16", numbers, "f32") as Uint16Array;
  const large = narrow.findIndex((bits) => (bits & 0x7c00) === 0x7c00);
  if (large >= 0) throw new NumericsError(`${what}: ${numbers[large]} is beyond what F16 can hold; write F32`);
  return new Uint8Array(narrow.buffer, narrow.byteOffset, narrow.byteLength);
}

function decoded(type: string, bytes: Uint8Array): Float32Array {
  if (encodedForms.includes(type)) return decodeGgml(type, bytes);
  const { buffer, byteOffset, byteLength } = bytes;
  if (type === "F32") return new Float32Array(buffer, byteOffset, byteLength / 4);
  return toMemory("f32", new Uint16Array(buffer, byteOffset, byteLength / 2), "f16") as Float32Array;
}
