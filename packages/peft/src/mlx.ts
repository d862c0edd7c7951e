/** Adapters that Apple's mlx-lm wrote: `lora_a` [in, r], `lora_b` [r, out], DoRA's magnitudes `m` [out], one absolute scale for all. */
import {
  FormatError,
  LowrankError,
  SafetensorsFile,
  transposeOf,
  type Files,
  type StoredTensor,
} from "@lowrank/tensor";
import {
  absent,
  checkFile,
  checkOptions,
  fields,
  parseJson,
  probability,
  real,
  size,
  text,
  type Rule,
} from "@lowrank/tensor/check";
import { nearest, type Module } from "@lowrank/nn";
import type { Adapter } from "./adapter.ts";
import { filled, plan } from "./attach.ts";
import { LOAD_RULES, requireFiles, type LoadAdapterOptions } from "./files.ts";
import { fitTensors, readTensors, writeTensors } from "./fit.ts";
import { targetsOf } from "./layers/walk.ts";
import { CONFIG_FILE } from "./methods/file-parts.ts";

export const MLX_TENSORS = "adapters.safetensors";

export interface MlxParameters {
  readonly rank?: number;
  readonly scale?: number;
  readonly dropout?: number;
}
interface MlxConfig {
  readonly fine_tune_type?: string;
  readonly lora_parameters?: MlxParameters;
}

const MLX: Rule<MlxConfig> = fields<MlxConfig>(
  {
    fine_tune_type: absent(text),
    lora_parameters: absent(
      fields<MlxParameters>(
        { rank: absent(size), scale: absent(real()), dropout: absent(probability) },
        { unknown: "keep" },
      ),
    ),
  },
  { unknown: "keep" },
);

/** mlx-lm's default. */
export const MLX_SCALE = 20;

/** Their names and ours, by the end of the name. */
const PARTS: Readonly<Record<string, string>> = {
  lora_a: "lora_A.weight",
  lora_b: "lora_B.weight",
  m: "lora_magnitude_vector",
};

/** What the folder says of itself. @throws LowrankError (FileError, FormatError, NotBuiltError) naming the folder */
export async function readMlxConfig(files: Files): Promise<MlxParameters & { readonly type: "lora" | "dora" }> {
  for (const name of [CONFIG_FILE, MLX_TENSORS])
    if (!(await files.exists(name)))
      throw new LowrankError(
        "FileError",
        `${files.where}: there is no ${name}; give the folder that mlx_lm.lora wrote`,
      );
  const config = parseJson(await files.text(CONFIG_FILE), `${files.where}/${CONFIG_FILE}`);
  if (typeof config === "object" && config !== null && "peft_type" in config)
    throw new FormatError(
      `${files.where}: ${CONFIG_FILE} names a peft_type, so it is PEFT's; read it with loadAdapter`,
    );
  const { fine_tune_type: type = "lora", lora_parameters: parameters = {} } = checkFile(
    `${files.where}/${CONFIG_FILE}`,
    MLX,
    config,
  );
  if (type !== "lora" && type !== "dora")
    throw new LowrankError("NotBuiltError", `${files.where}: fine_tune_type "${type}" is not built; lora and dora are`);
  return { ...parameters, type };
}

/**
 * Attaches an mlx-lm adapter. A = lora_aᵀ, B = lora_bᵀ, alpha = scale · r.
 * @throws LowrankError where the folder's type and tensors disagree, or name what the model does not have; the model is then as it was
 */
export async function loadMlxAdapter(model: Module, files: Files, where: LoadAdapterOptions): Promise<Adapter> {
  const {
    name: called = "default",
    allowNonFinite = false,
    ...memory
  } = checkOptions("loadMlxAdapter", LOAD_RULES, where);
  requireFiles("loadMlxAdapter", files);
  const { type, ...parameters } = await readMlxConfig(files);
  const source = await files.open(MLX_TENSORS);
  try {
    const file = await SafetensorsFile.open(source);
    const modules = file.names.filter((n) => n.endsWith(".lora_a")).map((n) => n.slice(0, -".lora_a".length));
    if (modules.length === 0)
      throw new FormatError(
        `${files.where}: ${MLX_TENSORS} holds no lora_a; it has ${file.names.slice(0, 3).join(", ")}`,
      );
    const magnitude = file.names.find((n) => n.endsWith(".m"));
    if (type === "lora" && magnitude !== undefined)
      throw new FormatError(
        `${files.where}: ${CONFIG_FILE} says fine_tune_type "lora", and ${MLX_TENSORS} holds magnitudes (${magnitude}), which only DoRA has; say "dora" if that is what was trained`,
      );
    const places = new Map(modules.map((module) => [module, placeOf(model, module)]));
    const rank = parameters.rank ?? file.info(`${modules[0]!}.lora_a`).shape[1]!;
    const adapter = plan(
      model,
      {
        r: rank,
        alpha: (parameters.scale ?? MLX_SCALE) * rank,
        dropout: parameters.dropout ?? 0,
        dora: type === "dora",
        targetModules: [...places.values()].map((path) => path.replaceAll(".", "\\.")).join("|"),
      },
      called,
    );
    // ours to theirs; what has no counterpart keeps its name, and is listed
    const names = new Map(
      file.names.map((theirs) => {
        const dot = theirs.lastIndexOf(".");
        const [path, part] = [places.get(theirs.slice(0, dot)), PARTS[theirs.slice(dot + 1)]];
        return [path === undefined || part === undefined ? theirs : `base_model.model.${path}.${part}`, theirs];
      }),
    );
    const turned = (ours: string): boolean => /\.lora_[AB]\.weight$/.test(ours);
    const fit = fitTensors(
      adapter,
      new Map(
        [...names].map(([ours, theirs]) => [
          ours,
          turned(ours) ? [...file.info(theirs).shape].reverse() : file.info(theirs).shape,
        ]),
      ),
    );
    const read = async (ours: string): Promise<StoredTensor> => {
      const tensor = await file.read(names.get(ours)!);
      return turned(ours) ? turn(tensor) : tensor;
    };
    const tensors = await readTensors(fit, read, { allowNonFinite });
    await filled(adapter, async () => {
      await adapter.materialize(memory);
      adapter.warnings.push(...fit.warnings, ...(await writeTensors(fit, tensors, { allowNonFinite })));
    });
    return adapter;
  } finally {
    await source.close?.();
  }
}

/** mlx-lm calls the body of every model `model`, where Hugging Face's GPT-2 says `transformer`: what counts is the path below it. */
function placeOf(model: Module, module: string): string {
  const paths = targetsOf(model).map(([path]) => path);
  if (paths.includes(module)) return module;
  const below = module.replace(/^model\./, "");
  const found = paths.filter((path) => path.endsWith(`.${below}`));
  if (found.length !== 1)
    throw new LowrankError(
      "AdapterError",
      `the mlx-lm adapter names ${module}, which ${found.length === 0 ? `the model does not have; near it: ${nearest(module, paths).join(", ")}` : `may be ${found.join(" or ")}`}`,
    );
  return found[0]!;
}

function turn({ dtype, shape, data }: StoredTensor): StoredTensor {
  const [rows, cols] = shape as [number, number];
  return { dtype, shape: [cols, rows], data: transposeOf(data, rows, cols) };
}
