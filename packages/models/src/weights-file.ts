/** A checkpoint's weights under the names that a model gives them, and the forms they are kept in. */
import { endsIn, type Format } from "@lowrank/nn";
import { FOREIGN_FILES, foreignEntries, foreignRefusal, formatOf, formats } from "@lowrank/quant";
import {
  LowrankError,
  openShards,
  readTensor,
  SafetensorsFile,
  shardNames,
  type Files,
  type TensorSource,
} from "@lowrank/tensor";
import { ofFile } from "./places/place.ts";
import type { PretrainedModel } from "./pretrained.ts";

/** Older TensorFlow names that transformers renames on load. */
export function modernName(name: string): string {
  return name.replace(/LayerNorm\.gamma$/, "LayerNorm.weight").replace(/LayerNorm\.beta$/, "LayerNorm.bias");
}

export interface OpenWeights {
  readonly source: TensorSource;
  close(): Promise<void>;
}

/** Why a file of Python's own is not read, and what helps. */
export const pickleRefusal: string =
  "is a pickle, which is a program and never run here: convert it once in Python with AutoModel.from_pretrained(folder).save_pretrained(folder, safe_serialization=True), of the model's own Auto class";

/** Files that hold pickled Python objects: reading one runs whatever program is in it. */
const PICKLED = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

const [WHOLE, INDEX] = ["model.safetensors", "model.safetensors.index.json"];

/** Names of the files that hold weights, the index of shards before them; none of them is looked at. @throws LowrankError as `openWeights` */
export async function weightFiles(files: Files): Promise<readonly string[]> {
  if (await files.exists(WHOLE)) return [WHOLE];
  if (await files.exists(INDEX)) return [INDEX, ...(await shardNames(files))];
  throw await withoutWeights(files);
}

/** @throws LowrankError (FileError) where there are no weights that can be read, saying what there is */
export async function openWeights(files: Files): Promise<OpenWeights> {
  if (await files.exists(WHOLE)) {
    const file = await files.open(WHOLE);
    try {
      return { source: await SafetensorsFile.open(file), close: async () => file.close?.() };
    } catch (error) {
      await file.close?.();
      throw ofFile(`${files.where}/${WHOLE}`, error);
    }
  }
  if (await files.exists(INDEX)) {
    const source = await openShards(files);
    return { source, close: () => source.close() };
  }
  throw await withoutWeights(files);
}

async function withoutWeights(files: Files): Promise<LowrankError> {
  const pickled = await pickledIn(files);
  const foreign = await foreignIn(files);
  if (foreign !== undefined) return foreign;
  return new LowrankError(
    "FileError",
    `${files.where}: there is no ${WHOLE}; ${pickled === undefined ? "give the folder of a Hugging Face checkpoint" : `${pickled} ${pickleRefusal}`}`,
  );
}

/** The refusal of what another program quantized, where a file beside the weights says so. */
export async function foreignIn(files: Files): Promise<LowrankError | undefined> {
  for (const [name, label] of Object.entries(FOREIGN_FILES))
    if (await files.exists(name)) return foreignRefusal(`${files.where}: there is a ${name}`, label);
  return undefined;
}

/** A file of Python's own that holds the weights, where there is one. */
export async function pickledIn(files: Files): Promise<string | undefined> {
  for (const name of PICKLED) if (await files.exists(name)) return name;
  return undefined;
}

/** A checkpoint's weights under the names that a model gives them. */
export class WeightsFile {
  readonly file: TensorSource;
  readonly where: string;
  /** What the file is called in messages. */
  readonly called: string;
  readonly #stored: ReadonlyMap<string, string>;
  readonly #own: readonly Format[];

  constructor(file: TensorSource, where: string, own: readonly Format[] = [], called: string = "model.safetensors") {
    this.file = file;
    this.where = where;
    this.called = called;
    this.#own = own;
    this.#stored = new Map(file.names.map((n) => [modernName(n), n]));
  }

  /** Names in the file that the model has no place for, given those it took; buffers, which are no weights, are none of them. */
  unused({ family }: PretrainedModel, taken: ReadonlySet<string>): string[] {
    return [...this.#stored.values()].filter((n) => !taken.has(n) && !endsIn(n, family.buffers));
  }

  /**
   * What another program quantized is refused as such, by names alone. Entries that a format takes are none of it.
   * @throws LowrankError (NotBuiltError) naming the method
   */
  requireReadable(): void {
    const { names } = this.file;
    if (foreignEntries(names) === undefined) return;
    const taken = new Set(names.flatMap((name) => (this.formOf(name) === undefined ? [] : this.entries(name))));
    const label = foreignEntries(names.filter((name) => !taken.has(name)));
    if (label !== undefined) throw foreignRefusal(`${this.where}: ${this.called}`, label);
  }

  /** The form that the file keeps a tensor in, where these are no plain numbers. */
  formOf(name: string): Format | undefined {
    return formatOf(this.file, name, this.#own);
  }

  /** The weight that an entry belongs to, where it is none itself but a part of a quantized one. */
  partOf(name: string): string | undefined {
    for (const format of [...this.#own, ...formats]) {
      const weight = format.partOf?.(name);
      if (weight !== undefined) return weight;
    }
    return undefined;
  }

  /** Every entry that holds a tensor. */
  entries(name: string): readonly string[] {
    return this.formOf(name)?.matches(this.file, name) ?? [name];
  }

  /** Where the file keeps a weight under its own name: a head's file may leave the base's prefix out, and a bare base is read from a model with a head. */
  own(model: PretrainedModel, name: string): string | undefined {
    const { basePrefix } = model.family;
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
      if (this.formOf(a) !== this.formOf(b)) return true;
      const [x, y] = [await readTensor(this.file, a), await readTensor(this.file, b)];
      if (x.dtype !== y.dtype || x.shape.join() !== y.shape.join() || x.data.some((v, i) => v !== y.data[i]))
        return true;
    }
    return false;
  }
}
