/** Looking at an adapter without a model: its config and the header of its tensors. */
import type { Module } from "@lowrank/nn";
import { LowrankError, quote, SafetensorsFile, type Files, type TensorInfo } from "@lowrank/tensor";
import { plan } from "./attach.ts";
import { parseAdapterConfig } from "./config-file.ts";
import { readAdapterConfig, requireFiles, TENSORS } from "./files.ts";
import { fitTensors } from "./fit.ts";
import { CONFIG_FILE } from "./methods/file-parts.ts";
import type { AdapterConfig, Method } from "./methods/method.ts";
import { adapterMethods, methodOfFile } from "./methods/registry.ts";
import { MLX_SCALE, MLX_TENSORS, readMlxConfig } from "./mlx.ts";

/** A module that an adapter's file has tensors for. */
export interface AdapterModule {
  /** Path in the base, as the file has it. */
  readonly module: string;
  /** Of the product of low rank, read off its tensors; null where the update is of another kind. */
  readonly rank: number | null;
  /** Values in the file. */
  readonly parameters: number;
}

/** A plain record; what there is not is null, so that JSON has it. */
export interface AdapterFacts {
  readonly where: string;
  readonly format: "peft" | "mlx";
  /** Word in options: "lora"; null for methods that are not built. */
  readonly method: string | null;
  /** Word for people: "LoRA", or what the file calls it. */
  readonly label: string;
  /** As the file says: of modules that no pattern names. */
  readonly rank: number | null;
  readonly alpha: number | null;
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  /** Names, or a regular expression; null where the base's family decides. */
  readonly targets: readonly string[] | string | null;
  readonly modulesToSave: readonly string[];
  /** "none", "all", or that of the adapted layers. */
  readonly bias: string;
  readonly task: string | null;
  /** Name or folder of the base, as the file has it. */
  readonly base: string | null;
  readonly modules: readonly AdapterModule[];
  readonly tensors: readonly (TensorInfo & { readonly name: string })[];
  /** Values in the file, and their bytes. */
  readonly parameters: number;
  readonly bytes: number;
  /** Keys of the file that nobody reads, tensors that stand alone. */
  readonly warnings: readonly string[];
  /** Why it cannot be loaded, in one line; null where it can. */
  readonly refused: string | null;
}

/** Whether files are those of an adapter, PEFT's or mlx-lm's. */
export async function holdsAdapter(files: Files): Promise<boolean> {
  return files.exists(CONFIG_FILE);
}

/**
 * What an adapter's folder holds; no tensor is read.
 * @param base a model, with its shape only, that the adapter is held against: what does not fit is in `refused`
 * @throws LowrankError (FileError, FormatError) where the files are not those of an adapter, or damaged
 */
export async function inspectAdapter(files: Files, base?: Module): Promise<AdapterFacts> {
  requireFiles("inspectAdapter", files);
  const source = await readAdapterConfig(files);
  const mlx = source["peft_type"] === undefined && ("fine_tune_type" in source || "lora_parameters" in source);
  const tensors = await tensorsIn(files, mlx ? MLX_TENSORS : TENSORS);
  const facts = mlx ? await ofMlx(files) : ofPeft(source);
  const modules = modulesOf(tensors ?? [], mlx);
  const known = {
    ...facts,
    where: files.where,
    modules,
    tensors: tensors ?? [],
    parameters: (tensors ?? []).reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    bytes: (tensors ?? []).reduce((sum, { bytes }) => sum + bytes, 0),
    warnings: [...facts.warnings, ...halves(tensors ?? [])],
  };
  if (facts.refused !== null) return known;
  if (tensors === undefined) return { ...known, refused: await withoutTensors(files, mlx) };
  if (base === undefined || mlx) return known;
  try {
    const adapter = plan(base, parseAdapterConfig(source), "inspected");
    const { warnings } = fitTensors(adapter, new Map(tensors.map(({ name, shape }) => [name, shape])));
    return { ...known, warnings: [...known.warnings, ...adapter.warnings, ...warnings] };
  } catch (error) {
    return { ...known, refused: reasonOf(error) };
  }
}

type OwnFacts = Omit<AdapterFacts, "where" | "modules" | "tensors" | "parameters" | "bytes">;

const UNSAID = {
  rank: null,
  alpha: null,
  rankPattern: {},
  alphaPattern: {},
  targets: null,
  modulesToSave: [],
  bias: "none",
  task: null,
  base: null,
  warnings: [],
  refused: null,
} as const;

function ofPeft(source: Readonly<Record<string, unknown>>): OwnFacts {
  const base = typeof source["base_model_name_or_path"] === "string" ? source["base_model_name_or_path"] : null;
  const named = methodOfFile(source);
  const known = {
    ...UNSAID,
    format: "peft",
    method: named?.name ?? null,
    label: named?.label ?? String(source["peft_type"]),
    base: base === "" ? null : base,
  } as const;
  let config: AdapterConfig;
  try {
    config = parseAdapterConfig(source);
  } catch (error) {
    return { ...known, refused: reasonOf(error) };
  }
  // the method's own fields, under the names that PEFT has for them
  const written = config.method.write(config);
  return {
    ...known,
    // AdaLoRA's r is nothing to it
    rank: numberOr(written["init_r"]) ?? numberOr(written["r"]),
    alpha: numberOr(written["lora_alpha"]),
    rankPattern: numbersIn(written["rank_pattern"]),
    alphaPattern: numbersIn(written["alpha_pattern"]),
    targets: config.targetModules ?? null,
    modulesToSave: config.modulesToSave,
    bias: config.bias,
    task: config.taskType ?? null,
  };
}

function numberOr(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

/** Entries that are numbers: AdaLoRA's patterns say which ranks were kept, which its tensors say too. */
function numbersIn(pattern: unknown): Record<string, number> {
  const entries = Object.entries((pattern ?? {}) as Record<string, unknown>);
  return Object.fromEntries(entries.filter((entry): entry is [string, number] => typeof entry[1] === "number"));
}

async function ofMlx(files: Files): Promise<OwnFacts> {
  try {
    const { type, rank, scale = MLX_SCALE } = await readMlxConfig(files);
    const { name, label } = adapterMethods().find((method) => method.name === type)!;
    return {
      ...UNSAID,
      format: "mlx",
      method: name,
      label,
      rank: rank ?? null,
      alpha: rank === undefined ? null : scale * rank,
    };
  } catch (error) {
    return { ...UNSAID, format: "mlx", method: null, label: "mlx-lm", refused: reasonOf(error) };
  }
}

async function tensorsIn(files: Files, name: string): Promise<(TensorInfo & { readonly name: string })[] | undefined> {
  if (!(await files.exists(name))) return undefined;
  const source = await files.open(name);
  try {
    const file = await SafetensorsFile.open(source);
    return file.names.map((tensor) => {
      const { dtype, shape, bytes } = file.info(tensor);
      return { name: tensor, dtype, shape: [...shape], bytes };
    });
  } catch (error) {
    if (!(error instanceof LowrankError)) throw error;
    throw new LowrankError(error.code, `${files.where}/${name}: ${error.message}`, { cause: error });
  } finally {
    await source.close?.();
  }
}

async function withoutTensors(files: Files, mlx: boolean): Promise<string> {
  if (!mlx && (await files.exists("adapter_model.bin")))
    return `adapter_model.bin is a pickle, which is a program and never run here: write the adapter again with save_pretrained(folder, safe_serialization=True)`;
  return `there is no ${mlx ? MLX_TENSORS : TENSORS}`;
}

/** Of mlx-lm's tensors. */
const MLX_PART = /\.(lora_a|lora_b|m)$/;

/** Path of the module that a tensor is an update of; undefined for copies of modules, biases and what several modules share. */
function moduleOf(name: string, mlx: boolean): string | undefined {
  const part = mlx ? MLX_PART : adapterMethods().find(({ tensors }: Method) => tensors.test(name))?.tensors;
  const at = part?.exec(name)?.index;
  return at === undefined ? undefined : name.slice(0, at).replace(/^base_model\.model\./, "");
}

function modulesOf(tensors: readonly (TensorInfo & { readonly name: string })[], mlx: boolean): AdapterModule[] {
  const found = new Map<string, AdapterModule>();
  for (const { name, shape } of tensors) {
    const module = moduleOf(name, mlx);
    if (module === undefined) continue;
    const before = found.get(module) ?? { module, rank: null, parameters: 0 };
    const rank = /\.lora_(A|embedding_A)(\.|$)/.test(name)
      ? shape[0]!
      : name.endsWith(".lora_a")
        ? shape[1]!
        : before.rank;
    found.set(module, { module, rank, parameters: before.parameters + sizeOf(shape) });
  }
  return [...found.values()];
}

/** One factor of a product without the other. */
function halves(tensors: readonly { readonly name: string }[]): string[] {
  const names = new Set(tensors.map(({ name }) => name));
  const alone = [...names].flatMap((name) => {
    const other = name.replace(
      /(\.lora_(?:embedding_)?)([ABab])(?=\.weight$|$)/,
      (_, begin: string, letter: string) => begin + OTHER[letter]!,
    );
    return other !== name && !names.has(other) ? [`${quote(name)} is there, and ${quote(other)} is not`] : [];
  });
  return alone.length > 4 ? [...alone.slice(0, 4), `${alone.length - 4} more tensors stand alone so`] : alone;
}

const OTHER: Readonly<Record<string, string>> = { A: "B", B: "A", a: "b", b: "a" };

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((n, d) => n * d, 1);
}

function reasonOf(error: unknown): string {
  if (error instanceof LowrankError && error.kind === "input") return error.message;
  throw error;
}
