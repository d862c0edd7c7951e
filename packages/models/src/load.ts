/** Filling a model from `model.safetensors`: which tensor goes where, what is missing, and whether it is what a weight can be. */
import {
  loadForm,
  Projection,
  type Format,
  type LoadTarget,
  type MaterializeOptions,
  type Module,
  type WeightForm,
} from "@lowrank/nn";
import {
  LowrankError,
  NumericsError,
  quote,
  readTensor,
  toMemory,
  type Device,
  type DType,
  type StoredTensor,
} from "@lowrank/tensor";
import { fitWeights, requireFit } from "./fit.ts";
import type { PretrainedModel } from "./pretrained.ts";
import type { WeightsFile } from "./weights-file.ts";

export interface LoadOptions {
  readonly device: Device;
  /** dtype of the weights. "auto": halves stay the halves that the file has. Default: the device's float. */
  readonly dtype?: DType | "auto";
  /** For weights the checkpoint does not have, such as a new head. Default 0. */
  readonly seed?: number;
  /** How weights are kept, asked once the model's tree is there: `(model) => planQuantization(model).storage`. Each is turned as it is read. */
  readonly storage?: (model: Module) => MaterializeOptions["storage"];
  /** What becomes of weights that the checkpoint lacks though they belong neither to the task's head nor to the pooler. Default "refuse". */
  readonly missing?: "refuse" | "draw";
  /** Whether weights may hold infinities and NaN. Default false. */
  readonly allowNonFinite?: boolean;
  /** Forms of the caller's own that a file may keep weights in, asked before those that are built in. */
  readonly formats?: readonly Format[];
}

export interface LoadReport {
  /** Weights the checkpoint does not have; drawn fresh. */
  readonly fresh: readonly string[];
  /** Tensors of the checkpoint the model has no place for. */
  readonly unused: readonly string[];
  /** Weights that are kept in the file's own form, by name: "nf4", "int8". */
  readonly forms: ReadonlyMap<string, string>;
}

export interface FillOptions extends LoadOptions {
  /** The head is a new one: where the file's has another size, it is drawn. */
  readonly newHead?: boolean;
  /** The form that config.json says the weights are in. */
  readonly said?: string | undefined;
}

/**
 * Fills `model`. Every wrong shape is reported at once.
 * @throws LowrankError naming the tensors: ShapeError, FormatError where one cannot be a weight, NameError where the file is another model's or lacks part of this one
 */
export async function fill(
  model: PretrainedModel,
  file: WeightsFile,
  { missing = "refuse", allowNonFinite = false, newHead = false, storage, said, formats: _, ...options }: FillOptions,
): Promise<LoadReport> {
  const { where } = file;
  const weights = new Map(model.namedWeights());
  const fit = fitWeights(model, file, newHead);
  requireFit(model, file, fit, { missing, said });
  const { place } = fit;
  const asked = storage?.(model);
  if (asked !== undefined && typeof asked !== "function")
    throw new LowrankError(
      "ConfigError",
      `fromPretrained: "storage" is asked with the model and must give a function (name, weight) => dtype or format, or nothing; it gave ${quote(asked)}: say storage: () => (name) => …`,
    );
  const { dtype, ...others } = options;
  /** dtypes of halves, where those of the file count. */
  const asStored = (name: string): DType | undefined => {
    const at = dtype === "auto" ? place(name) : undefined;
    return at === undefined || file.formOf(at) !== undefined ? undefined : HALVES[file.file.info(at).dtype];
  };
  const kept: MaterializeOptions["storage"] =
    dtype === "auto" ? (name, weight) => asked?.(name, weight) ?? asStored(name) : asked;
  const plain = dtype === "auto" ? undefined : dtype;
  const target = (name: string): DType => {
    const how = kept?.(name, weights.get(name)!) ?? plain ?? options.device.defaultFloat;
    return typeof how === "string" ? how : "f32";
  };
  const turned = new Set(
    [...model.namedModules()].flatMap(([, m]) => (m instanceof Projection && m.fanInFanOut ? [m.weight] : [])),
  );
  const loadTarget = (name: string): LoadTarget => {
    const weight = weights.get(name)!;
    return { shape: weight.shape, transposed: turned.has(weight), allowNonFinite };
  };
  const read = async (name: string): Promise<StoredTensor> => {
    const at = place(name)!;
    const stored =
      (await file.formOf(at)?.decode(file.file, at, loadTarget(name))) ?? (await readTensor(file.file, at));
    return inMemory(`${where}: ${at}`, stored, target(name), allowNonFinite);
  };
  const forms = new Map<string, string>();
  const form = (name: string): Promise<WeightForm> | undefined => {
    const at = place(name)!;
    const format = file.formOf(at);
    if (format !== undefined) forms.set(name, format.name);
    return format === undefined ? undefined : loadForm(format, options.device, file.file, at, loadTarget(name));
  };
  const { fresh } = await model.materialize({
    ...others,
    ...(plain === undefined ? {} : { dtype: plain }),
    values: { has: (name) => place(name) !== undefined, read, form },
    ...(kept === undefined ? {} : { storage: kept }),
  });
  return { fresh, unused: fit.unused, forms };
}

/** dtypes that safetensors and GGUF have halves in. */
const HALVES: Readonly<Record<string, DType>> = { F16: "f16", BF16: "bf16" };

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
