/** Loading and saving models in the form of Hugging Face: `config.json` and `model.safetensors`. */
import { Module, type MaterializeOptions } from "@lowrank/nn";
import { LowrankError, SafetensorsFile, ShapeError, writeSafetensors, type Device, type DType, type StoredTensor } from "@lowrank/tensor";
import type { Files } from "./files.ts";
import type { ConfigOverrides, ConfigSource } from "./shared/config.ts";

/** How one family of models reads and writes its `config.json`. */
export interface ModelFamily<Config> {
  /** `model_type` of the file. */
  readonly modelType: string;
  parse(source: ConfigSource, overrides?: ConfigOverrides): Config;
  /** The config as a file for one architecture. */
  file(config: Config, architecture: string): Record<string, unknown>;
}

export abstract class PretrainedModel<Config> extends Module {
  readonly config: Config;
  /** `bert.`: what a checkpoint of the bare base model leaves out of its names. */
  abstract readonly basePrefix: string;

  constructor(config: Config) {
    super();
    this.config = config;
  }

  /** Weights that a file may hold under a second name, or under that one alone, by name. */
  get tied(): ReadonlyMap<string, string> { return new Map(); }
}

export interface LoadOptions {
  readonly device: Device;
  /** dtype of the weights. Default: the device's float. */
  readonly dtype?: DType;
  /** For weights the checkpoint does not have, such as a new head. Default 0. */
  readonly seed?: number;
  /** How weights are kept, asked once the model's tree is there: `(model) => planQuantisation(model).storage`. Each is turned as it is read. */
  readonly storage?: (model: Module) => MaterializeOptions["storage"];
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

/** Fills `model` from `model.safetensors`. Every wrong shape is reported at once. */
export async function loadWeights(model: PretrainedModel<unknown>, files: Files, options: LoadOptions): Promise<LoadReport> {
  if (!(await files.exists("model.safetensors"))) throw new LowrankError("FileError", `${files.where}: there is no model.safetensors; give the folder of a Hugging Face checkpoint`);
  const source = await files.open("model.safetensors");
  try {
    const file = await SafetensorsFile.open(source);
    const stored = new Map(file.names.filter((n) => !BUFFERS.test(n)).map((n) => [modernName(n), n]));
    const weights = new Map(model.namedWeights());
    const bare = ![...stored.keys()].some((n) => n.startsWith(model.basePrefix));
    const exact = (name: string): string | undefined => stored.get(name) ?? (bare && name.startsWith(model.basePrefix) ? stored.get(name.slice(model.basePrefix.length)) : undefined);
    const { tied } = model;
    const place = (name: string): string | undefined => exact(name) ?? (tied.has(name) ? stored.get(tied.get(name)!) : undefined);
    const doubles = new Set(tied.values());
    const wrong = [...weights].flatMap(([name, w]) => {
      const at = place(name);
      const shape = at === undefined ? undefined : file.info(at).shape;
      return shape !== undefined && shape.join() !== w.shape.join() ? [`${name} is [${shape.join(", ")}] in the file and [${w.shape.join(", ")}] in the model`] : [];
    });
    if (wrong.length > 0) throw new ShapeError(`${files.where}: checkpoint and config.json disagree: ${wrong.slice(0, 4).join("; ")}${wrong.length > 4 ? `; and ${wrong.length - 4} more` : ""}; check vocab_size, hidden_size, intermediate_size and the number of labels`);
    const used = new Set([...weights.keys()].map(place));
    if (![...used].some((n) => n !== undefined)) throw new LowrankError("NameError", `${files.where}: no tensor of model.safetensors belongs to this model; it has ${file.names.slice(0, 3).join(", ")}, …`);
    const values: NonNullable<MaterializeOptions["values"]> = { has: (name) => place(name) !== undefined, read: (name): Promise<StoredTensor> => file.read(place(name)!) };
    const { storage, ...rest } = options;
    const kept = storage?.(model);
    const { fresh } = await model.materialize({ ...rest, values, ...(kept === undefined ? {} : { storage: kept }) });
    return { fresh, unused: [...stored.values()].filter((n) => !used.has(n) && !doubles.has(n)) };
  } finally {
    await source.close?.();
  }
}

/** Writes `config.json` and `model.safetensors`; tensors are read from the device one at a time. */
export async function saveModel(model: PretrainedModel<unknown>, files: Files, config: Record<string, unknown>): Promise<void> {
  const weights = new Map([...model.namedWeights()].filter(([, w], i, all) => all.findIndex(([, other]) => other === w) === i));
  await files.write("model.safetensors", (sink) =>
    writeSafetensors(sink, new Map([...weights].map(([name, w]) => [name, { dtype: w.form === undefined ? w.parameter.dtype : "f32", shape: w.shape }])), (name) => weights.get(name)!.read()));
  await files.write("config.json", async (sink) => {
    const { TextEncoder } = globalThis as unknown as { TextEncoder: new () => { encode(t: string): Uint8Array } };
    const sorted = Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)));
    await sink(new TextEncoder().encode(`${JSON.stringify(sorted, null, 2)}\n`));
  });
}

export async function readConfig(files: Files): Promise<Record<string, unknown>> {
  if (!(await files.exists("config.json"))) throw new LowrankError("FileError", `${files.where}: there is no config.json; give the folder of a Hugging Face checkpoint`);
  try {
    return JSON.parse(await files.text("config.json")) as Record<string, unknown>;
  } catch (cause) {
    throw new LowrankError("FormatError", `${files.where}/config.json is not valid JSON: ${(cause as Error).message}`, { cause });
  }
}
