/**
 * Llama 3's rotary scaling, which llama.cpp keeps as what it divides each frequency by (`rope_freqs.weight`) and not as its four options. The
 * factor is what the lowest frequency is divided by; the others are those of all Llama 3.1 to 3.3, which is looked at. Source:
 * `generate_extra_tensors` of llama.cpp's conversion, transformers' `_compute_llama3_parameters`.
 */
import { floatsOf, LowrankError, quote, readTensor, type TensorSource } from "@lowrank/tensor";
import type { ConfigSource } from "../shared/config-table.ts";

export const ROPE_FACTORS = "rope_freqs.weight";
/** The kind of scaling that is kept so. */
export const LLAMA3 = "llama3";
const LOW = 1;
const HIGH = 4;
const ORIGINAL = 8192;

/** What frequency `f` (radians a position) is divided by. */
function divisor(f: number, factor: number): number {
  // turns that it makes in the original context
  const turns = (ORIGINAL * f) / (2 * Math.PI);
  if (turns > HIGH) return 1;
  if (turns < LOW) return factor;
  const smooth = (turns - LOW) / (HIGH - LOW);
  return 1 / ((1 - smooth) / factor + smooth);
}

/** Phi 3's. */
const OTHERS = ["rope_factors_long.weight", "rope_factors_short.weight"];

/**
 * A config with the scaling that the factors are, if there are any.
 * @throws LowrankError (NotBuiltError) where they are of another kind, or the metadata names a scaling too
 */
export async function withRopeFactors(config: ConfigSource, tensors: TensorSource): Promise<ConfigSource> {
  const other = OTHERS.find((name) => tensors.has(name));
  if (other !== undefined)
    throw new LowrankError("NotBuiltError", `GGUF: "${other}" scales rotary frequencies by length, which is not built`);
  if (!tensors.has(ROPE_FACTORS)) return config;
  if (config["rope_scaling"] !== undefined)
    throw new LowrankError(
      "NotBuiltError",
      `GGUF: there are both "${ROPE_FACTORS}" and "rope.scaling.type"; one scaling of rotary frequencies on top of another is not built`,
    );
  return { ...config, rope_scaling: await ropeScalingOf(tensors, config) };
}

/** `rope_scaling` for a config with `head_dim` and `rope_theta`. @throws LowrankError (NotBuiltError) where the factors are others */
export async function ropeScalingOf(tensors: TensorSource, config: ConfigSource): Promise<ConfigSource> {
  const { head_dim: width, rope_theta: theta } = config as { head_dim: number; rope_theta: number };
  const { data, dtype } = await readTensor(tensors, ROPE_FACTORS);
  const found = floatsOf(dtype, data);
  const factor = found.at(-1) ?? 0;
  // f32, and powers that were computed in it
  const fits = (value: number, i: number): boolean =>
    Math.abs(value / divisor(theta ** ((-2 * i) / width), factor) - 1) < 1e-3;
  if (found.length !== width / 2 || !(factor >= 1) || !found.every(fits))
    throw new LowrankError(
      "NotBuiltError",
      `GGUF: "${ROPE_FACTORS}" scales rotary frequencies otherwise than Llama 3.1 to 3.3 do, which is not built`,
    );
  return { rope_type: LLAMA3, ...optionsOf(factor) };
}

function optionsOf(factor: number): Readonly<Record<string, number>> {
  return {
    factor,
    low_freq_factor: LOW,
    high_freq_factor: HIGH,
    original_max_position_embeddings: ORIGINAL,
  };
}

/**
 * The tensor's values for a config with `head_dim`, `rope_theta` and Llama 3's scaling; undefined for all others.
 * @throws LowrankError (NotBuiltError) where the options are others than those of Llama 3.1 to 3.3, which reading takes for granted
 */
export function ropeFactorsOf(config: ConfigSource): Float32Array | undefined {
  const { rope_type: kind, ...options } = (config["rope_scaling"] ?? {}) as ConfigSource;
  if (kind !== LLAMA3) return undefined;
  const { head_dim: width, rope_theta: theta } = config as { head_dim: number; rope_theta: number };
  const factor = options["factor"] as number;
  const wrong = Object.entries(optionsOf(factor)).find(([key, value]) => options[key] !== value)?.[0];
  if (wrong !== undefined)
    throw new LowrankError(
      "NotBuiltError",
      `GGUF: config.json's "rope_scaling.${wrong}" is ${quote(options[wrong])}; only Llama 3.1 to 3.3's own is written`,
    );
  return Float32Array.from({ length: width / 2 }, (_, i) => divisor(theta ** ((-2 * i) / width), factor));
}
