/**
 * What bytes in a file mean: one record for each way of keeping a weight. A source (`TensorSource`) gives bytes, a format makes of them
 * what is kept on a device, without decoding on the way, or the numbers that they stand for. Plain numbers need no format: they are
 * what a weight is otherwise.
 */
import type { Device, FileEntry, StoredTensor, TensorSource } from "@lowrank/tensor";
import { callback, having, name, optional, type Rule } from "@lowrank/tensor/check";
import { checkForm } from "./form.ts";
import type { WeightForm } from "./weight.ts";

/** The weight that a file's entries are read for. */
export interface LoadTarget {
  /** As the model has it. */
  readonly shape: readonly number[];
  /** Whether the module uses the weight as [in, out] while files keep it as [out, in] (GPT-2's `Conv1D`). */
  readonly transposed: boolean;
  /** Takes scales that are not finite. */
  readonly allowNonFinite: boolean;
}

/** A weight of a model that is kept in a form. */
export interface KeptWeight {
  readonly name: string;
  readonly form: WeightForm;
  /** Whether it is the matrix of a product; a table, for instance, is not. */
  readonly isProjection: boolean;
}

/** What a checkpoint's config.json is made from, where all of its quantized weights are in one form. */
export interface KeptWeights {
  readonly weights: readonly KeptWeight[];
  /** Modules that stay as they are, in transformers' words for them. */
  readonly skip: readonly string[];
  /** `quantization_config` of the file that the model is from: what weights do not show is taken from it. */
  readonly said: Readonly<Record<string, unknown>> | undefined;
}

/** How weights of one form stand in a safetensors checkpoint. */
export interface FormatWriter {
  /** The entries of a weight, one of them under its name. What the header does not need is read from the device when its turn comes. */
  entries(name: string, form: WeightForm): Promise<ReadonlyMap<string, FileEntry>>;
  /**
   * `quantization_config` of config.json; absent where the entries say everything to whoever reads them.
   * @throws LowrankError naming a weight that whoever reads the config could not read
   */
  config?(kept: KeptWeights): Readonly<Record<string, unknown>>;
}

export interface Format {
  /** As in reports and options: "nf4", "int8". The `kind` of the forms that it makes. */
  readonly name: string;
  /**
   * The entries that hold a weight called `name`, the weight's own first, where the source keeps it in this form; else undefined. Looks
   * at names and what the header says of them only.
   */
  matches(source: TensorSource, name: string): readonly string[] | undefined;
  /**
   * The weight on the device, its bytes as they are in the file. On the host there is one weight's entries at a time, once.
   * @throws LowrankError (FormatError) naming what is damaged or of another shape
   */
  load(device: Device, source: TensorSource, name: string, target: LoadTarget): Promise<WeightForm>;
  /** The numbers that the entries stand for, in the target's shape. @throws as `load` does */
  decode(source: TensorSource, name: string, target: LoadTarget): Promise<StoredTensor>;
  /** Name of the weight that an entry called `name` is written beside, by its name alone: it must not lie there without the others. */
  partOf?(name: string): string | undefined;
  /** How such weights are written; absent where no safetensors file holds them. */
  readonly write?: FormatWriter;
}

const WRITER = having<FormatWriter>("how weights are written (a FormatWriter)", {
  entries: callback(),
  config: optional(callback()),
});

/** A format among options. */
export const aFormat: Rule<Format> = having<Format>("a form of weights in files (a Format)", {
  name,
  matches: callback(),
  load: callback(),
  decode: callback(),
  partOf: optional(callback()),
  write: optional(WRITER),
});

/**
 * A weight as `format` keeps it, held to what a form must be.
 * @param name the weight's in the source
 * @throws LowrankError naming the format and the weight, where what it gives is no form or has another shape
 */
export async function loadForm(
  format: Format,
  device: Device,
  source: TensorSource,
  name: string,
  target: LoadTarget,
): Promise<WeightForm> {
  const form = await format.load(device, source, name, target);
  return checkForm(`${name}, loaded by the format "${format.name}"`, form, target.shape);
}

/** The entries of one weight, read. */
export async function readEntries(
  read: (name: string) => Promise<StoredTensor>,
  names: readonly string[],
): Promise<Map<string, StoredTensor>> {
  const entries = new Map<string, StoredTensor>();
  for (const name of names) entries.set(name, await read(name));
  return entries;
}
