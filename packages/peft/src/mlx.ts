/** Adapters that Apple's mlx-lm wrote: `lora_a` [in, r], `lora_b` [r, out], DoRA's magnitudes `m` [out], one absolute scale for all. */
import { LowrankError, SafetensorsFile, toMemory, type Device, type DType, type StoredTensor } from "@lowrank/tensor";
import { nearest, type Module } from "@lowrank/nn";
import type { LoraAdapter } from "./adapter.ts";
import { attach } from "./attach.ts";
import type { AdapterFiles } from "./files.ts";
import { targetsOf } from "./layers/walk.ts";

const CONFIG = "adapter_config.json";
const TENSORS = "adapters.safetensors";

interface MlxConfig { readonly fine_tune_type?: string; readonly lora_parameters?: { readonly rank?: number; readonly scale?: number; readonly dropout?: number } }

/** mlx-lm's default scale. */
const DEFAULT_SCALE = 20;

/** Attaches an mlx-lm adapter. A = lora_aᵀ, B = lora_bᵀ, alpha = scale · r. */
export async function loadMlxAdapter(model: Module, files: AdapterFiles, where: { device: Device; dtype?: DType; name?: string }): Promise<LoraAdapter> {
  for (const name of [CONFIG, TENSORS]) if (!(await files.exists(name))) throw new LowrankError("FileError", `${files.where}: there is no ${name}; give the folder that mlx_lm.lora wrote`);
  const { fine_tune_type: type = "lora", lora_parameters: parameters = {} } = JSON.parse(await files.text(CONFIG)) as MlxConfig;
  if (type !== "lora" && type !== "dora") throw new LowrankError("NotBuiltError", `${files.where}: fine_tune_type "${type}" is not built; lora and dora are`);
  const source = await files.open(TENSORS);
  try {
    const file = await SafetensorsFile.open(source);
    const modules = file.names.filter((n) => n.endsWith(".lora_a")).map((n) => n.slice(0, -".lora_a".length));
    if (modules.length === 0) throw new LowrankError("FormatError", `${files.where}: ${TENSORS} holds no lora_a; it has ${file.names.slice(0, 3).join(", ")}`);
    const places = new Map(modules.map((module) => [module, placeOf(model, module)]));
    const rank = parameters.rank ?? file.info(`${modules[0]!}.lora_a`).shape[1]!;
    const adapter = attach(model, {
      r: rank, alpha: (parameters.scale ?? DEFAULT_SCALE) * rank, dropout: parameters.dropout ?? 0, dora: type === "dora",
      targetModules: [...places.values()].map((path) => path.replaceAll(".", "\\.")).join("|"),
    }, where.name);
    await adapter.materialize(where);
    const tensors = new Map<string, StoredTensor>();
    for (const [module, path] of places) {
      for (const [theirs, ours] of [["lora_a", "lora_A"], ["lora_b", "lora_B"]] as const) tensors.set(`base_model.model.${path}.${ours}.weight`, transposed(await file.read(`${module}.${theirs}`)));
      if (type === "dora") tensors.set(`base_model.model.${path}.lora_magnitude_vector`, await file.read(`${module}.m`));
    }
    adapter.load(tensors, (dtype, t) => toMemory(dtype, t.data, t.dtype));
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
  if (found.length !== 1) throw new LowrankError("AdapterError", `the mlx-lm adapter names ${module}, which ${found.length === 0 ? `the model does not have; near it: ${nearest(module, paths).join(", ")}` : `may be ${found.join(" or ")}`}`);
  return found[0]!;
}

function transposed({ dtype, shape, data }: StoredTensor): StoredTensor {
  const [rows, cols] = shape as [number, number];
  const out = data.slice();
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = data[r * cols + c]!;
  return { dtype, shape: [cols, rows], data: out };
}
