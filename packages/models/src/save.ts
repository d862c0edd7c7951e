/** Writing a model in the form of Hugging Face: `config.json`, and `model.safetensors` or shards with their index. */
import { aFormat, type Format } from "@lowrank/nn";
import { CONFIG_FLOATS, writtenModel, type WrittenFloat } from "@lowrank/quant";
import {
  directory,
  encodeUtf8,
  LowrankError,
  quote,
  writeShards,
  type DType,
  type WritableFiles,
} from "@lowrank/tensor";
import {
  anyOf,
  callback,
  checkOptions,
  fields,
  leaf,
  listOf,
  oneOf,
  optional,
  pythonJson,
  whole,
  writableFiles,
  type Place,
  type Rule,
} from "@lowrank/tensor/check";
import { PretrainedModel, type ModelClass } from "./pretrained.ts";

export interface SaveOptions {
  /**
   * Weights that are kept quantized are written as plain numbers of this dtype: all of them, or by name where a function is given (undefined
   * leaves a weight in its form). Default: each in its own form, with `quantization_config` in config.json.
   */
  readonly dequantize?: WrittenFloat | ((name: string) => WrittenFloat | undefined);
  /** Bytes of tensors in one file, or "5GB", "500MB", …; what is more is written in shards with an index. Default "50GB", as in transformers. */
  readonly maxShardSize?: number | string;
  /** Forms of the caller's own that weights of the model are kept in. */
  readonly formats?: readonly Format[];
}

const UNITS: Readonly<Record<string, number>> = { KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };
const SIZE = /^(\d+(?:\.\d+)?) ?(KB|MB|GB|TB)$/i;
const OPTIONS = fields<SaveOptions>(
  {
    dequantize: optional(anyOf(oneOf("f32", "f16", "bf16"), callback())) as Rule<SaveOptions["dequantize"]>,
    maxShardSize: optional(
      anyOf(
        whole(1),
        leaf<string>('a size such as "5GB" or "500MB"', (v) => typeof v === "string" && SIZE.test(v)),
      ),
    ),
    formats: optional(listOf(aFormat)),
  },
  { spelt: { max_shard_size: "maxShardSize", maxSize: "maxShardSize", dequantise: "dequantize", dtype: "dequantize" } },
);

const FOLDER: Rule<string> = leaf(
  `the path of a folder, or ${writableFiles.expects}`,
  (v) => typeof v === "string" && v !== "" && !/^[a-z]+:\/\//i.test(v),
);

/**
 * Writes a checkpoint that transformers loads: `config.json`, and `model.safetensors` or shards. Weights that are kept in four or eight bits
 * stay so, and loading the folder gives the same bits; tensors are read from the device one at a time. A folder's earlier checkpoint is
 * replaced.
 * @throws LowrankError (AdapterError) while the model carries adapters, merged or not; (FormatError) where a weight is kept in a form that
 * safetensors files do not hold, such as GGUF's blocks; (QuantizationError) where transformers could not read the forms
 */
export async function savePretrained(
  model: PretrainedModel,
  to: string | WritableFiles,
  options: SaveOptions = {},
): Promise<void> {
  const { maxShardSize, dequantize, formats } = checkOptions("savePretrained", OPTIONS, options);
  const files = placeToWrite(to);
  if (!(model instanceof PretrainedModel))
    throw new LowrankError(
      "ConfigError",
      `savePretrained: "model" must be a model of a family, such as fromPretrained gives, got ${quote(model)}`,
    );
  const { config, family, architecture } = model;
  requirePlain("savePretrained", model);
  const weights = [...new Set(model.weights())];
  const said = config.source["quantization_config"] as Record<string, unknown> | undefined;
  const written = writtenModel("savePretrained", model, {
    ...(dequantize === undefined ? {} : { dequantize }),
    ...(formats === undefined ? {} : { formats }),
    said,
  });
  await writeShards(files, await written.entries(), {
    maxShardSize: bytesIn(maxShardSize ?? "50GB"),
    metadata: { total_parameters: weights.reduce((n, w) => n + w.size, 0) },
  });
  const file = {
    ...family.file(config, architecture),
    dtype: dtypeOf(written.plain),
    ...(written.config === undefined ? {} : { quantization_config: written.config }),
  };
  const floats = new Set([...family.floatKeys, ...CONFIG_FLOATS]);
  const text = encodeUtf8(`${pythonJson(file, { floats, indent: 2, sortKeys: true })}\n`);
  await files.write("config.json", async (sink) => sink(text));
}

function placeToWrite(to: string | WritableFiles): WritableFiles {
  const at: Place = { source: "savePretrained", path: ["to"], code: "ConfigError" };
  if (typeof to === "object" && to !== null) return writableFiles.read(to, at);
  return directory(FOLDER.read(to, at));
}

function bytesIn(size: number | string): number {
  if (typeof size === "number") return size;
  const [, count, unit] = SIZE.exec(size)!;
  return Math.max(1, Math.floor(Number(count) * UNITS[unit!.toUpperCase()]!));
}

/** The dtype a file is said to have: the widest of its plain weights', since transformers casts all of them to it. */
function dtypeOf(plain: ReadonlySet<DType>): string {
  const widest = (["f64", "f32", "f16", "bf16"] as const).find((dtype) => plain.has(dtype)) ?? "f32";
  return { f64: "float64", f32: "float32", f16: "float16", bf16: "bfloat16" }[widest];
}

/** Refuses a model whose weights are not those of its class: adapters on it, merged or not, would be written under names that nothing reads. */
export function requirePlain(source: string, model: PretrainedModel): void {
  const as = model.constructor as unknown as ModelClass;
  // the same class and config, without anything done to it
  const plain = new as(model.config as never);
  const wanted = new Map(plain.namedWeights());
  const have = new Map(model.namedWeights());
  const strange =
    [...have.keys()].find((name) => !wanted.has(name)) ?? [...wanted.keys()].find((name) => !have.has(name));
  if (strange !== undefined)
    throw new LowrankError(
      "AdapterError",
      `${source}: the model's weights are not those of a plain ${model.constructor.name} (${strange}): it carries adapters; save them with saveAdapter, or call mergeAndUnload first`,
    );
  const resized = [...have].find(([name, w]) => w.shape.join() !== wanted.get(name)!.shape.join());
  if (resized !== undefined)
    throw new LowrankError(
      "ShapeError",
      `${source}: ${resized[0]} is [${resized[1].shape.join(", ")}], and the model's config says [${wanted.get(resized[0])!.shape.join(", ")}]`,
    );
}
