/** Which tensor of a file is which weight of a model, told from names and shapes alone, and what speaks against it. */
import { LowrankError, ShapeError } from "@lowrank/tensor";
import type { PretrainedModel } from "./pretrained.ts";
import type { WeightsFile } from "./weights-file.ts";

export interface WeightsFit {
  /** Where the file keeps a weight; undefined where it does not, or where another size is meant. */
  place(name: string): string | undefined;
  /** Entries of the file that belong to the model. */
  readonly used: ReadonlySet<string>;
  /** Weights that the file lacks, each once. */
  readonly fresh: readonly string[];
  /** Those of them that are neither the task's head nor the pooler: without them the model is another one. */
  readonly lacking: readonly string[];
  /** Tensors of the file that the model has no place for. */
  readonly unused: readonly string[];
  /** A phrase for each tensor of another shape. */
  readonly wrong: readonly string[];
}

/** @param newHead the head is a new one: where the file's has another size, it has no place */
export function fitWeights(model: PretrainedModel, file: WeightsFile, newHead: boolean): WeightsFit {
  const weights = new Map(model.namedWeights());
  const inHead = (name: string): boolean => model.basePrefix !== "" && !name.startsWith(model.basePrefix);
  const misfits = [...weights].flatMap(([name, w]) => {
    const at = file.place(model, name);
    // what is kept in a form says its shape when it is read
    const shape = at === undefined || file.formOf(at) !== undefined ? undefined : file.file.info(at).shape;
    return shape !== undefined && shape.join() !== w.shape.join()
      ? [{ name, message: `${name} is [${shape.join(", ")}] in the file and [${w.shape.join(", ")}] in the model` }]
      : [];
  });
  const redrawn = new Set(newHead ? misfits.map((m) => m.name).filter(inHead) : []);
  const place = (name: string): string | undefined => (redrawn.has(name) ? undefined : file.place(model, name));
  const used = new Set(
    [...weights.keys()].flatMap((name) => {
      const at = file.place(model, name);
      return at === undefined ? [] : file.entries(at);
    }),
  );
  const pooler = `${model.basePrefix}pooler.`;
  const names = [...weights.keys()].filter((name) => place(name) === undefined);
  const once = [...weights].filter(([, w], i, all) => all.findIndex(([, other]) => other === w) === i);
  const doubles = new Set(model.tied.values());
  return {
    place,
    used,
    fresh: once.flatMap(([name]) => (place(name) === undefined ? [name] : [])),
    lacking: names.filter((name) => !inHead(name) && !name.startsWith(pooler)),
    unused: file.unused(model, used).filter((n) => !doubles.has(n)),
    wrong: misfits.filter((m) => !redrawn.has(m.name)).map((m) => m.message),
  };
}

export interface FitRules {
  readonly missing: "refuse" | "draw";
  /** The form that config.json says the weights are in. */
  readonly said: string | undefined;
}

/** @throws LowrankError naming the tensors: ShapeError, FormatError where one cannot be a weight, NameError where the file is another model's or lacks part of this one */
export function requireFit(
  model: PretrainedModel,
  file: WeightsFile,
  { place, used, lacking, wrong }: WeightsFit,
  { missing, said }: FitRules,
): void {
  const { where } = file;
  if (wrong.length > 0)
    throw new ShapeError(
      `${where}: checkpoint and config.json disagree: ${wrong.slice(0, 4).join("; ")}${wrong.length > 4 ? `; and ${wrong.length - 4} more` : ""}; check vocab_size, hidden_size, intermediate_size and the number of labels`,
    );
  if (used.size === 0)
    throw new LowrankError(
      "NameError",
      `${where}: no tensor of ${file.called} belongs to this model; it has ${file.file.names.slice(0, 3).join(", ")}, …`,
    );
  if (lacking.length > 0 && missing === "refuse")
    throw new LowrankError(
      "NameError",
      `${where}: ${file.called} lacks ${lacking.length} weight${lacking.length > 1 ? "s" : ""} of the base model: ${lacking.slice(0, 4).join(", ")}${lacking.length > 4 ? ", …" : ""}; drawn at random the model is another one, say missing: "draw" if that is meant`,
    );
  const names = [...model.namedWeights()].map(([name]) => name);
  for (const name of names) requireNumbers(file, place(name));
  requireWhole(file, used);
  requireSaid(file, said, names.map(place));
}

/** Config and weights must tell the same story. A config that says nothing is believed less than the entries, which say everything. */
function requireSaid(file: WeightsFile, said: string | undefined, places: readonly (string | undefined)[]): void {
  if (said === undefined) return;
  const found = new Set(places.flatMap((at) => (at === undefined ? [] : (file.formOf(at)?.name ?? []))));
  if (found.size === 1 && found.has(said)) return;
  throw new LowrankError(
    "FormatError",
    `${file.where}: config.json says in quantization_config that weights are kept as ${said}, and ${file.called} keeps ${found.size === 0 ? "none so" : `some as ${[...found].join(" and ")}`}`,
  );
}

/** Half of a quantized form must not be taken for a weight of plain numbers that lies beside it. */
function requireWhole(file: WeightsFile, used: ReadonlySet<string>): void {
  for (const name of file.file.names) {
    const weight = used.has(name) ? undefined : file.partOf(name);
    if (weight !== undefined && used.has(weight))
      throw new LowrankError(
        "FormatError",
        `${file.where}: ${file.called} has ${name}, a part of a quantized weight, and ${weight} is not kept as one: the other parts are missing`,
      );
  }
}

const FLOATS = ["F64", "F32", "F16", "BF16"];

function requireNumbers(file: WeightsFile, name: string | undefined): void {
  if (name === undefined || file.formOf(name) !== undefined) return;
  const { dtype } = file.file.info(name);
  if (!FLOATS.includes(dtype))
    throw new LowrankError(
      "FormatError",
      `${file.where}: ${name} is ${dtype} in ${file.called}; a weight is one of ${FLOATS.join(", ")}`,
    );
}
