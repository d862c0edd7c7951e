/**
 * Which tensor of a file belongs where: the adapter's own, base weights that PEFT saved along (embeddings and heads), and what the model has
 * no place for. What the adapter's function needs must be there and fit; the rest is listed.
 */
import { endsAtDot, endsIn, type Module, type Weight } from "@lowrank/nn";
import { LowrankError, type StoredTensor } from "@lowrank/tensor";
import type { Adapter } from "./adapter.ts";
import { adapterWeights } from "./layers/walk.ts";
import { isAdapterTensor } from "./methods/registry.ts";
import { savedMatcher } from "./names.ts";
import { converted, cut, type ValueOptions } from "./values.ts";

/** A tensor's place: a weight, and along which dimension only its beginning is taken. */
interface Place {
  readonly weight: Weight;
  readonly dim?: 0 | 1;
  readonly base: boolean;
}

export interface Fit {
  readonly places: ReadonlyMap<string, Place>;
  /** Names under which the file has tensors a second time, with the weights that they are: saving writes those again. */
  readonly again: ReadonlyMap<string, Weight>;
  readonly warnings: readonly string[];
}

const PREFIX = "base_model.model.";
/** PEFT writes some saved modules a second and third time: biases with `bias: "all"`, resized embeddings with all they have. */
const TWICE = /\.(original_module|modules_to_save)\.(?=(.*\.)?(weight|bias)$)/;
/** Tensors of a module that grow with its number of rows. */
const ROWS = /\.(((token_adapter\.)?base_layer|original_module)\.)?(weight|lora_embedding_A|lora_B\.weight)$/;

/** @param shapes of the file's tensors. @throws LowrankError (AdapterError) listing what is missing, has no place or another shape */
export function fitTensors(adapter: Adapter, shapes: ReadonlyMap<string, readonly number[]>): Fit {
  const own = adapter.fileWeights();
  const tied = (adapter.model as Module & Tied).tied ?? new Map<string, string>();
  const rest = baseWeights(adapter.model, tied);
  const { inputEmbeddings = [], outputEmbeddings = [] } = adapter.model.family ?? {};
  const vocabulary = [...inputEmbeddings, ...outputEmbeddings];
  const [problems, warnings]: [string[], string[]] = [[], []];
  const places = new Map<string, Place>();
  const again = new Map<string, Weight>();
  const rows = rowsByFollower(adapter);
  for (const [name, shape] of shapes) {
    const inside = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name;
    const weight = own.get(name) ?? own.get(olderBias(name));
    if (weight !== undefined) {
      const dim = placeIn(shape, weight, inside, adapter.method.cutsVocabulary ? vocabulary : []);
      if (dim === undefined)
        problems.push(`${name} is [${shape.join(", ")}], the model wants [${weight.shape.join(", ")}]`);
      else places.set(name, { weight, base: false, ...(dim === "all" ? {} : { dim }) });
      if (typeof dim === "number") warnings.push(partly(name, shape, weight));
      continue;
    }
    const followed = rows.get(inside);
    if (followed !== undefined) {
      again.set(name, followed);
      continue;
    }
    // a part of an adapter without a place: the file is another model's
    if (isAdapterTensor(name)) {
      problems.push(`${name} has no place in this model`);
      continue;
    }
    if (
      TWICE.test(name) &&
      own.has(name.replace(TWICE, ".")) &&
      (name.endsWith("bias") || name.includes(".modules_to_save."))
    ) {
      if (name.includes(".modules_to_save.")) again.set(name, own.get(name.replace(TWICE, "."))!);
      continue;
    }
    const plain = inside.replace(/\.weight$/, "");
    if ([...tied.values()].includes(inside) && savedMatcher(adapter.config.modulesToSave)(plain)) {
      problems.push(
        `${name} was trained apart (modules_to_save), and this base has it as the embedding table: untie the two first`,
      );
      continue;
    }
    const base = rest.get(inside.replace(/\.((token_adapter\.)?base_layer|original_module)\./, "."));
    const dim = base === undefined || base.form !== undefined ? undefined : placeIn(shape, base, inside, vocabulary);
    if (base === undefined) warnings.push(`${name} has no place in this model; it is left out`);
    else if (dim === undefined)
      warnings.push(
        `${name} is left out: ${base.form === undefined ? `it is [${shape.join(", ")}], and the base's [${base.shape.join(", ")}]` : `the base's is kept as ${base.form.kind}`}`,
      );
    else {
      places.set(name, { weight: base, base: true, ...(dim === "all" ? {} : { dim }) });
      if (dim !== "all") warnings.push(partly(name, shape, base));
    }
  }
  const found = new Set([...places.values()].map(({ weight }) => weight));
  for (const [name, weight] of own) {
    if (found.has(weight) || problems.some((p) => p.startsWith(`${name} `))) continue;
    const loose = [...adapter.saved.keys()].some(
      (path) =>
        name.startsWith(`${PREFIX}${path}.`) &&
        !adapter.config.modulesToSave.some((wanted) =>
          path.split(".").some((_, i, parts) => endsAtDot(parts.slice(0, i + 1).join("."), wanted)),
        ),
    );
    if (loose)
      warnings.push(
        `${name} is missing; the base's values stay, since modules_to_save names its module only by the end of its name`,
      );
    else problems.push(`${name} is missing`);
  }
  if (problems.length > 0)
    throw new LowrankError(
      "AdapterError",
      `the adapter does not fit this base: ${problems.slice(0, 4).join("; ")}${problems.length > 4 ? `; and ${problems.length - 4} more` : ""}`,
    );
  return { places, again, warnings };
}

/** Rows that a table's adapter trains, by the names that PEFT has for them in what is tied to the table. */
function rowsByFollower({ tokens }: Adapter): Map<string, Weight> {
  return new Map(
    [...tokens.values()].flatMap(({ update, followers }) =>
      [...followers.keys()].flatMap((path) =>
        update.weights.map(({ file, weight }): [string, Weight] => [`${path}.${file}`, weight]),
      ),
    ),
  );
}

/** A model of a family says under which second name a checkpoint may hold a weight. */
interface Tied {
  readonly tied?: ReadonlyMap<string, string>;
}

/** Weights of the base by the names that a checkpoint has for them. */
function baseWeights(model: Module, tied: ReadonlyMap<string, string>): Map<string, Weight> {
  const added = adapterWeights(model);
  const out = new Map([...model.namedWeights()].filter(([, weight]) => !added.has(weight)));
  for (const [name, second] of tied) if (out.has(name) && !out.has(second)) out.set(second, out.get(name)!);
  return out;
}

/** PEFT once wrote `query.bias` for what is `query.base_layer.bias` now. */
function olderBias(name: string): string {
  return name.replace(/\.bias$/, ".base_layer.bias");
}

/**
 * Whether a tensor is taken whole, from its beginning along one dimension (a larger vocabulary), or not.
 * @param vocabulary modules with a row for each word, which people enlarge before they train
 */
function placeIn(
  shape: readonly number[],
  { shape: wanted }: Weight,
  name: string,
  vocabulary: readonly string[],
): "all" | 0 | 1 | undefined {
  if (shape.join() === wanted.join()) return "all";
  if (shape.length !== 2 || wanted.length !== 2) return undefined;
  if (!ROWS.test(name) || !endsIn(name.replace(ROWS, ""), vocabulary)) return undefined;
  const dim = name.endsWith("lora_embedding_A") ? 1 : 0;
  return shape[1 - dim] === wanted[1 - dim] && shape[dim]! > wanted[dim]! ? dim : undefined;
}

function partly(name: string, shape: readonly number[], { shape: wanted }: Weight): string {
  return `${name} is [${shape.join(", ")}], for a larger vocabulary than the model's; its first [${wanted.join(", ")}] are taken; all of them where the model is resized first (resizeTokenEmbeddings)`;
}

/** What is to be written, checked whole before anything is. */
export async function readTensors(
  { places }: Fit,
  read: (name: string) => Promise<StoredTensor>,
  options: ValueOptions,
): Promise<Map<string, StoredTensor>> {
  const out = new Map<string, StoredTensor>();
  for (const [name, { weight, dim }] of places) {
    const stored = await read(name);
    const tensor = dim === undefined ? stored : cut(stored, dim, weight.shape[dim]!);
    converted(tensor.dtype, tensor, name, options);
    out.set(name, tensor);
  }
  return out;
}

/** Writes tensors into an adapter in memory, and base weights that differ. Returns what that changed in the base. */
export async function writeTensors(
  { places }: Fit,
  tensors: ReadonlyMap<string, StoredTensor>,
  options: ValueOptions,
): Promise<string[]> {
  const changed: string[] = [];
  for (const [
    name,
    {
      weight: { parameter },
      base,
    },
  ] of places) {
    const values = converted(parameter.dtype, tensors.get(name)!, name, options);
    if (base) {
      const before = await parameter.data();
      if (values.every((v, i) => Object.is(v, before[i]))) continue;
      changed.push(`${name} replaces the base's weight, as in PEFT; other adapters on this model see it too`);
    }
    parameter.write(values);
  }
  return changed;
}
