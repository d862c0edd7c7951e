/** Adapters that Apple's mlx-lm wrote: `lora_a` [in, r], `lora_b` [r, out], one absolute scale for all. */
import { LowrankError, SafetensorsFile, toMemory, type Device, type DType, type StoredTensor } from "@lowrank/tensor";
import type { Module } from "@lowrank/nn";
import { attach, type LoraAdapter } from "./adapter.ts";
import type { AdapterFiles } from "./files.ts";

const CONFIG = "adapter_config.json";
const TENSORS = "adapters.safetensors";

interface MlxConfig { readonly fine_tune_type?: string; readonly lora_parameters?: { readonly rank?: number; readonly scale?: number; readonly dropout?: number } }

/** mlx-lm's default scale. */
const DEFAULT_SCALE = 20;

/** Attaches an mlx-lm adapter. A = lora_aᵀ, B = lora_bᵀ, alpha = scale · r. */
export async function loadMlxAdapter(model: Module, files: AdapterFiles, where: { device: Device; dtype?: DType }): Promise<LoraAdapter> {
  for (const name of [CONFIG, TENSORS]) if (!(await files.exists(name))) throw new LowrankError("FileError", `${files.where}: there is no ${name}; give the folder that mlx_lm.lora wrote`);
  const { fine_tune_type: type = "lora", lora_parameters: parameters = {} } = JSON.parse(await files.text(CONFIG)) as MlxConfig;
  if (type !== "lora") throw new LowrankError("NotBuiltError", `${files.where}: fine_tune_type "${type}" is not built; only lora is`);
  const source = await files.open(TENSORS);
  try {
    const file = await SafetensorsFile.open(source);
    const modules = file.names.filter((n) => n.endsWith(".lora_a")).map((n) => n.slice(0, -".lora_a".length));
    if (modules.length === 0) throw new LowrankError("FormatError", `${files.where}: ${TENSORS} holds no lora_a; it has ${file.names.slice(0, 3).join(", ")}`);
    const rank = parameters.rank ?? file.info(`${modules[0]!}.lora_a`).shape[1]!;
    const adapter = attach(model, { r: rank, alpha: (parameters.scale ?? DEFAULT_SCALE) * rank, dropout: parameters.dropout ?? 0, targetModules: modules });
    await adapter.materialize(where);
    const tensors = new Map<string, StoredTensor>();
    for (const module of modules) {
      for (const [theirs, ours] of [["lora_a", "lora_A"], ["lora_b", "lora_B"]] as const) tensors.set(`base_model.model.${module}.${ours}.weight`, transposed(await file.read(`${module}.${theirs}`)));
    }
    adapter.load(tensors, (dtype, t) => toMemory(dtype, t.data, t.dtype));
    return adapter;
  } finally {
    await source.close?.();
  }
}

function transposed({ dtype, shape, data }: StoredTensor): StoredTensor {
  const [rows, cols] = shape as [number, number];
  const out = data.slice();
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = data[r * cols + c]!;
  return { dtype, shape: [cols, rows], data: out };
}
