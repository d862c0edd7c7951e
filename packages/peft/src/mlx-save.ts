/**
 * An adapter as mlx-lm's files: `lora_a` [in, r], `lora_b` [r, out], one rank and one absolute scale for all modules. Smaller ranks are filled
 * up with zeros; scales that differ are in `lora_b`.
 */
import { encodeUtf8, LowrankError, transposeOf, writeSafetensors, type WritableFiles } from "@lowrank/tensor";
import type { Adapter } from "./adapter.ts";
import { adapterFactors, type ModuleFactors } from "./factors.ts";
import { requireFiles } from "./files.ts";
import { CONFIG_FILE } from "./methods/file-parts.ts";
import { MLX_TENSORS } from "./mlx.ts";

/** @throws LowrankError (NotBuiltError) naming what is no product of two matrices, (AdapterError) where nothing is adapted */
export async function saveMlxAdapter(adapter: Adapter, files: WritableFiles): Promise<void> {
  requireFiles("saveMlxAdapter", files);
  const factors = await adapterFactors(adapter, "an MLX adapter");
  if (factors.length === 0)
    throw new LowrankError("AdapterError", "saveMlxAdapter: the adapter changes no module; there is nothing to write");
  const rank = Math.max(...factors.map((f) => f.rank));
  const scale = factors.find((f) => f.scale !== 0)?.scale ?? 1;
  const tensors = new Map<string, { readonly shape: readonly number[]; readonly data: () => Float32Array }>();
  for (const one of factors) {
    const { inFeatures, outFeatures } = one;
    const name = mlxName(one.module);
    tensors.set(`${name}.lora_a`, { shape: [inFeatures, rank], data: () => turnedA(one, rank) });
    tensors.set(`${name}.lora_b`, { shape: [rank, outFeatures], data: () => turnedB(one, rank, one.scale / scale) });
  }
  await files.write(MLX_TENSORS, (sink) =>
    writeSafetensors(sink, new Map([...tensors].map(([n, { shape }]) => [n, { dtype: "f32", shape }])), (n) => {
      const { shape, data } = tensors.get(n)!;
      return Promise.resolve({ dtype: "f32", shape, data: data() });
    }),
  );
  const config = {
    fine_tune_type: "lora",
    // every layer: those that the file has nothing for start from B = 0
    num_layers: -1,
    lora_parameters: { rank, scale, dropout: 0, keys: [...new Set(factors.map((f) => keyOf(f.module)))] },
  };
  const text = encodeUtf8(`${JSON.stringify(config, null, 4)}\n`);
  await files.write(CONFIG_FILE, async (sink) => sink(text));
}

/** mlx-lm calls the body of every model `model`; what stands outside of it has no number in its path. */
function mlxName(module: string): string {
  return /\.\d+\./.test(module) ? module.replace(/^[^.]+(?=\.)/, "model") : module;
}

/** A module's name within its layer. */
function keyOf(module: string): string {
  return /\.\d+\.(.+)$/.exec(module)?.[1] ?? module;
}

/** Aᵀ, with columns of zeros. */
function turnedA({ a, rank, inFeatures }: ModuleFactors, wide: number): Float32Array {
  const padded = new Float32Array(wide * inFeatures);
  padded.set(a.subarray(0, rank * inFeatures));
  return transposeOf(padded, wide, inFeatures);
}

/** Bᵀ times what one scale does not say, with rows of zeros. */
function turnedB({ b, rank, outFeatures }: ModuleFactors, wide: number, factor: number): Float32Array {
  const out = new Float32Array(wide * outFeatures);
  for (let o = 0; o < outFeatures; o++)
    for (let k = 0; k < rank; k++)
      out[k * outFeatures + o] = factor === 1 ? b[o * rank + k]! : factor * b[o * rank + k]!;
  return out;
}
