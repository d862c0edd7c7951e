/** Filling a model from `model.safetensors`: which tensor goes where, what is missing, and whether it is what a weight can be. */
import type { MaterializeOptions, Module, Weight } from "@lowrank/nn";
import {
  LowrankError,
  NumericsError,
  quote,
  SafetensorsFile,
  ShapeError,
  toMemory,
  type Device,
  type DType,
  type StoredTensor,
} from "@lowrank/tensor";
import type { Files } from "./files.ts";
import type { ModelFamily, PretrainedModel } from "./pretrained.ts";

export interface LoadOptions {
  readonly device: Device;
  /** dtype of the weights. Default: the device's float. */
  readonly dtype?: DType;
  /** For weights the checkpoint does not have, such as a new head. Default 0. */
  readonly seed?: number;
  /** How weights are kept, asked once the model's tree is there: `(model) => planQuantization(model).storage`. Each is turned as it is read. */
  readonly storage?: (model: Module) => MaterializeOptions["storage"];
  /** What becomes of weights that the checkpoint lacks though they belong neither to the task's head nor to the pooler. Default "refuse". */
  readonly missing?: "refuse" | "draw";
  /** Whether weights may hold infinities and NaN. Default false. */
  readonly allowNonFinite?: boolean;
}

export interface LoadReport {
  /** Weights the checkpoint does not have; drawn fresh. */
  readonly fresh: readonly string[];
  /** Tensors of the checkpoint the model has no place for. */
  readonly unused: readonly string[];
}

/** Older TensorFlow names that transformers renames on load. */
function modernName(name: string): string {
  return name.replace(/LayerNorm\.gamma$/, "LayerNorm.weight").replace(/LayerNorm\.beta$/, "LayerNorm.bias");
}

/** Buffers that old checkpoints carry and no model needs: positions, GPT-2's causal masks, rotary frequencies. */
const BUFFERS = /(^|\.)(position_ids|attn\.(masked_)?bias|rotary_emb\.inv_freq)$/;
/** What bitsandbytes writes beside a weight that it keeps in four or eight bits. */
const QUANTizED = /\.(quant_state\.|absmax$|quant_map$|nested_absmax$|SCB$)/;

/** A checkpoint's weights under the names that a model gives them. */
export class WeightsFile {
  readonly file: SafetensorsFile;
  readonly where: string;
  readonly #stored: ReadonlyMap<string, string>;

  private constructor(file: SafetensorsFile, where: string) {
    this.file = file;
    this.where = where;
    this.#stored = new Map(file.names.filter((n) => !BUFFERS.test(n)).map((n) => [modernName(n), n]));
  }

  /** Opens the file, gives it to `body` and closes it. */
  static async use<T>(files: Files, body: (file: WeightsFile) => Promise<T>): Promise<T> {
    if (!(await files.exists("model.safetensors"))) {
      const shards = await files.exists("model.safetensors.index.json");
      throw new LowrankError(
        "FileError",
        `${files.where}: there is no model.safetensors; ${shards ? "its weights lie in shards, which are not read: save the model in one file" : "give the folder of a Hugging Face checkpoint"}`,
      );
    }
    const source = await files.open("model.safetensors");
    try {
      return await body(new WeightsFile(await SafetensorsFile.open(source), files.where));
    } finally {
      await source.close?.();
    }
  }

  /** Names in the file that the model has no place for, given those it took. */
  unused(taken: ReadonlySet<string>): string[] {
    return [...this.#stored.values()].filter((n) => !taken.has(n));
  }

  get quantized(): string | undefined {
    return this.file.names.find((n) => QUANTizED.test(n));
  }

  /** Where the file keeps a weight under its own name: a head's file may leave the base's prefix out, and a bare base is read from a model with a head. */
  own(model: PretrainedModel, name: string): string | undefined {
    const { family } = model.constructor as unknown as { readonly family: ModelFamily<unknown> };
    const { basePrefix } = family;
    const prefixed = [...this.#stored.keys()].some((n) => n.startsWith(basePrefix));
    if (model.basePrefix === "") return this.#stored.get(prefixed ? `${basePrefix}${name}` : name);
    return (
      this.#stored.get(name) ??
      (!prefixed && name.startsWith(basePrefix) ? this.#stored.get(name.slice(basePrefix.length)) : undefined)
    );
  }

  /** The same, or under a second name. */
  place(model: PretrainedModel, name: string): string | undefined {
    const second = model.tied.get(name);
    return this.own(model, name) ?? (second === undefined ? undefined : this.#stored.get(second));
  }

  /** Whether the file holds two different tensors where the model has one: then they are not tied, whatever the config says. */
  async untied(model: PretrainedModel): Promise<boolean> {
    for (const [name, second] of model.tied) {
      const [a, b] = [this.own(model, name), this.#stored.get(second)];
      if (a === undefined || b === undefined) continue;
      const [x, y] = [await this.file.read(a), await this.file.read(b)];
      if (x.dtype !== y.dtype || x.shape.join() !== y.shape.join() || x.data.some((v, i) => v !== y.data[i]))
        return true;
    }
    return false;
  }
}

export interface FillOptions extends LoadOptions {
  /** The head is a new one: where the file's has another size, it is drawn. */
  readonly newHead?: boolean;
}

/**
 * Fills `model`. Every wrong shape is reported at once.
 * @throws LowrankError naming the tensors: ShapeError, FormatError where one cannot be a weight, NameError where the file is another model's or lacks part of this one
 */
export async function fill(
  model: PretrainedModel,
  file: WeightsFile,
  { missing = "refuse", allowNonFinite = false, newHead = false, storage, ...options }: FillOptions,
): Promise<LoadReport> {
  const { where } = file;
  const weights = new Map(model.namedWeights());
  const inHead = (name: string): boolean => model.basePrefix !== "" && !name.startsWith(model.basePrefix);
  const misfits = [...weights].flatMap(([name, w]) => {
    const at = file.place(model, name);
    const shape = at === undefined ? undefined : file.file.info(at).shape;
    return shape !== undefined && shape.join() !== w.shape.join()
      ? [{ name, message: `${name} is [${shape.join(", ")}] in the file and [${w.shape.join(", ")}] in the model` }]
      : [];
  });
  const redrawn = new Set(newHead ? misfits.map((m) => m.name).filter(inHead) : []);
  const wrong = misfits.filter((m) => !redrawn.has(m.name)).map((m) => m.message);
  const { quantized } = file;
  if (quantized !== undefined)
    throw new LowrankError(
      "FormatError",
      `${where}: model.safetensors keeps weights in bitsandbytes' quantized form (${quantized}); loadFourBit of @lowrank/quant reads it, or save the model without quantization`,
    );
  if (wrong.length > 0)
    throw new ShapeError(
      `${where}: checkpoint and config.json disagree: ${wrong.slice(0, 4).join("; ")}${wrong.length > 4 ? `; and ${wrong.length - 4} more` : ""}; check vocab_size, hidden_size, intermediate_size and the number of labels`,
    );
  const place = (name: string): string | undefined => (redrawn.has(name) ? undefined : file.place(model, name));
  const used = new Set([...weights.keys()].flatMap((name) => file.place(model, name) ?? []));
  if (used.size === 0)
    throw new LowrankError(
      "NameError",
      `${where}: no tensor of model.safetensors belongs to this model; it has ${file.file.names.slice(0, 3).join(", ")}, …`,
    );
  const pooler = `${model.basePrefix}pooler.`;
  const lacking = [...weights.keys()].filter(
    (name) => place(name) === undefined && !inHead(name) && !name.startsWith(pooler),
  );
  if (lacking.length > 0 && missing === "refuse")
    throw new LowrankError(
      "NameError",
      `${where}: model.safetensors lacks ${lacking.length} weight${lacking.length > 1 ? "s" : ""} of the base model: ${lacking.slice(0, 4).join(", ")}${lacking.length > 4 ? ", …" : ""}; drawn at random the model is another one, say missing: "draw" if that is meant`,
    );
  const kept = storage?.(model);
  if (kept !== undefined && typeof kept !== "function")
    throw new LowrankError(
      "ConfigError",
      `fromPretrained: "storage" is asked with the model and must give a function (name, weight) => dtype or format, or nothing; it gave ${quote(kept)}: say storage: () => (name) => …`,
    );
  const target = (name: string): DType => {
    const how = kept?.(name, weights.get(name)!) ?? options.dtype ?? options.device.defaultFloat;
    return typeof how === "string" ? how : "f32";
  };
  const read = async (name: string): Promise<StoredTensor> =>
    inMemory(`${where}: ${place(name)!}`, await file.file.read(place(name)!), target(name), allowNonFinite);
  for (const name of weights.keys()) requireFloat(file, place(name));
  const doubles = new Set(model.tied.values());
  const { fresh } = await model.materialize({
    ...options,
    values: { has: (name) => place(name) !== undefined, read },
    ...(kept === undefined ? {} : { storage: kept }),
  });
  return { fresh, unused: file.unused(used).filter((n) => !doubles.has(n)) };
}

const FLOATS = ["F64", "F32", "F16", "BF16"];

function requireFloat({ file, where }: WeightsFile, name: string | undefined): void {
  if (name === undefined) return;
  const { dtype } = file.info(name);
  if (!FLOATS.includes(dtype))
    throw new LowrankError(
      "FormatError",
      `${where}: ${name} is ${dtype} in model.safetensors; a weight is one of ${FLOATS.join(", ")}`,
    );
}

/** The numbers as they will be kept, looked at in that form: a cast to a narrower dtype may overflow. */
function inMemory(what: string, { dtype, shape, data }: StoredTensor, target: DType, anything: boolean): StoredTensor {
  const memory = toMemory(target, data, dtype);
  if (!anything && !isFinite({ dtype: target, data: memory })) {
    throw new NumericsError(
      isFinite({ dtype, data })
        ? `${what} holds numbers beyond what ${target} can hold; load it in a wider dtype`
        : `${what} holds numbers that are not finite: the file is damaged, or say allowNonFinite: true`,
    );
  }
  return { dtype: target, shape, data: memory };
}

function isFinite({ dtype, data }: Pick<StoredTensor, "dtype" | "data">): boolean {
  // infinities and NaN have all bits of the exponent set
  const exponent = dtype === "f16" ? 0x7c00 : dtype === "bf16" ? 0x7f80 : 0;
  return exponent === 0 ? data.every((v) => Number.isFinite(v)) : data.every((v) => (v & exponent) !== exponent);
}

/** The dtype a file is said to have: the widest of its weights', since transformers casts all of them to it. */
export function dtypeOf(weights: Iterable<Weight>): string {
  const names = ["bfloat16", "float16", "float32", "float64"];
  const widest = Math.max(
    ...[...weights].map((w) => (w.form === undefined ? ["bf16", "f16", "f32", "f64"].indexOf(w.parameter.dtype) : 2)),
  );
  return names[widest] ?? "float32";
}
