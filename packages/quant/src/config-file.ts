/** `quantization_config` of a checkpoint's config.json, in the form of transformers' BitsAndBytesConfig. */
import { LowrankError } from "@lowrank/tensor";
import type { FourBitOptions } from "./state.ts";

export interface QuantisationChoice extends Omit<FourBitOptions, "type" | "blockSize"> {
  /** Default nf4. */
  readonly format?: "nf4" | "fp4" | "int8";
  /** dtype products compute in, as torch spells it. Default float32. */
  readonly computeDType?: string;
  /** Modules left as they are, where that is not the default choice. */
  readonly skip?: readonly string[];
}

export function quantizationConfig({ format = "nf4", doubleQuantisation = true, computeDType = "float32", skip }: QuantisationChoice = {}): Record<string, unknown> {
  const eight = format === "int8";
  return {
    quant_method: "bitsandbytes", load_in_4bit: !eight, load_in_8bit: eight, bnb_4bit_quant_type: eight ? "fp4" : format,
    bnb_4bit_use_double_quant: !eight && doubleQuantisation, bnb_4bit_compute_dtype: computeDType, bnb_4bit_quant_storage: "uint8",
    llm_int8_enable_fp32_cpu_offload: false, llm_int8_has_fp16_weight: false, llm_int8_skip_modules: skip ?? null, llm_int8_threshold: 6,
  };
}

/**
 * The choice a config.json makes; undefined where it has no `quantization_config`. Left-out keys have transformers' defaults, which
 * are fp4 and plain scales.
 * @throws LowrankError (ConfigError) on another method and on contradictions
 */
export function readQuantizationConfig(config: Readonly<Record<string, unknown>>): QuantisationChoice | undefined {
  const own = config["quantization_config"] as Record<string, unknown> | null | undefined;
  if (own === undefined || own === null) return undefined;
  const fail = (why: string): never => { throw new LowrankError("ConfigError", `quantization_config: ${why}`); };
  if (own["quant_method"] !== "bitsandbytes") fail(`quant_method is ${JSON.stringify(own["quant_method"])}; only bitsandbytes is known`);
  const [four, eight] = [own["load_in_4bit"] === true, own["load_in_8bit"] === true];
  if (four === eight) fail(`exactly one of load_in_4bit and load_in_8bit must be true, they are ${String(own["load_in_4bit"])} and ${String(own["load_in_8bit"])}`);
  const type = own["bnb_4bit_quant_type"] ?? "fp4";
  if (type !== "nf4" && type !== "fp4") fail(`bnb_4bit_quant_type ${JSON.stringify(type)} is neither nf4 nor fp4`);
  const skip = own["llm_int8_skip_modules"] as readonly string[] | null | undefined;
  return {
    format: eight ? "int8" : (type as "nf4" | "fp4"),
    doubleQuantisation: four && own["bnb_4bit_use_double_quant"] === true,
    computeDType: (own["bnb_4bit_compute_dtype"] as string | undefined) ?? "float32",
    ...(Array.isArray(skip) ? { skip } : {}),
  };
}
