/**
 * What bytes in a file mean: one record for each way of keeping a weight. A source (`TensorSource`) gives bytes, a format makes of them
 * what is kept on a device, without decoding on the way, or the numbers that they stand for. Plain numbers need no format: they are
 * what a weight is otherwise.
 */
import type { Device, StoredTensor, TensorSource } from "@lowrank/tensor";
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
  /** Entries of a file for a weight that is kept in this form; absent where no file can hold it. */
  encode?(name: string, form: WeightForm): Promise<ReadonlyMap<string, StoredTensor>>;
}

/** A format among options. */
export const aFormat: Rule<Format> = having<Format>("a form of weights in files (a Format)", {
  name,
  matches: callback(),
  load: callback(),
  decode: callback(),
  encode: optional(callback()),
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
