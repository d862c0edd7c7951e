/** `quantization_config` of a checkpoint's config.json, in the form of transformers' BitsAndBytesConfig. */
import type { KeptWeights } from "@lowrank/nn";
import { LowrankError, quote } from "@lowrank/tensor";
import {
  absent,
  checkFile,
  checkOptions,
  fields,
  flag,
  leaf,
  listOf,
  name,
  oneOf,
  optional,
  real,
  type Rule,
} from "@lowrank/tensor/check";
import { foreignMethod, foreignRefusal } from "./foreign.ts";
import { FOUR_BIT_SPELT } from "./options.ts";
import type { FourBitOptions } from "./options.ts";

export interface QuantizationChoice extends Omit<FourBitOptions, "type" | "blockSize"> {
  /** Default nf4. */
  readonly format?: "nf4" | "fp4" | "int8";
  /** dtype products compute in, as torch spells it. Default float32. */
  readonly computeDType?: string;
  /** Modules left as they are, where that is not the default choice. */
  readonly skip?: readonly string[];
}

/** What products compute in. */
export const COMPUTE: Rule<string> = oneOf("float32", "float16", "bfloat16");
const CHOICE: Rule<QuantizationChoice> = fields<QuantizationChoice>(
  {
    format: optional(oneOf("nf4", "fp4", "int8")),
    doubleQuantization: optional(flag),
    computeDType: optional(COMPUTE),
    skip: optional(listOf(name)),
  },
  {
    spelt: {
      ...FOUR_BIT_SPELT,
      type: "format",
      quantType: "format",
      bnb_4bit_quant_type: "format",
      computeDtype: "computeDType",
      bnb_4bit_compute_dtype: "computeDType",
      llm_int8_skip_modules: "skip",
      modules_to_not_convert: "skip",
      exclude: "skip",
    },
  },
);

/**
 * For `pythonJson(config, { floats: CONFIG_FLOATS })`: JSON.stringify writes 6 where transformers insists on 6.0.
 * `quantizedConfigFile` makes a whole config.json for a quantized model.
 */
export function quantizationConfig(choice: QuantizationChoice = {}): Record<string, unknown> {
  const {
    format = "nf4",
    doubleQuantization = true,
    computeDType = "float32",
    skip,
  } = checkOptions("quantizationConfig", CHOICE, choice);
  const eight = format === "int8";
  return {
    quant_method: "bitsandbytes",
    load_in_4bit: !eight,
    load_in_8bit: eight,
    bnb_4bit_quant_type: eight ? "fp4" : format,
    bnb_4bit_use_double_quant: !eight && doubleQuantization,
    bnb_4bit_compute_dtype: computeDType,
    bnb_4bit_quant_storage: "uint8",
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
    llm_int8_skip_modules: skip ?? null,
    llm_int8_threshold: 6,
  };
}

/** Keys of a config.json whose numbers are floats in Python and have to be written so. */
export const CONFIG_FLOATS: ReadonlySet<string> = new Set(["llm_int8_threshold"]);

/** Keys of a file that weights do not show: kept where the model's own file has them. */
const KEPT = ["bnb_4bit_compute_dtype", "llm_int8_threshold", "llm_int8_enable_fp32_cpu_offload"];

/**
 * What a checkpoint says of weights in one of bitsandbytes' forms, so that transformers (5 or later) makes such layers of exactly those.
 * @throws LowrankError (QuantizationError) naming a weight that is no layer's: bitsandbytes keeps no other
 */
export function bnbConfig({ weights, skip, said }: KeptWeights, choice: QuantizationChoice): Record<string, unknown> {
  const other = weights.find(({ isProjection }) => !isProjection);
  if (other !== undefined)
    throw new LowrankError(
      "QuantizationError",
      `${other.name} is kept as ${other.form.kind} and is no matrix of a layer, and transformers reads bitsandbytes' entries of layers only; keep it in f16 or bf16 (planQuantization's "embeddings"), or write it as numbers (savePretrained's "dequantize")`,
    );
  const kept = KEPT.flatMap((key) => {
    const value = said?.[key];
    return value === undefined || value === null
      ? []
      : [[key, typeof value === "string" ? value.replace("torch.", "") : value]];
  });
  return { ...quantizationConfig({ ...choice, skip }), ...(Object.fromEntries(kept) as object) };
}

interface FileConfig {
  readonly quant_method?: string;
  readonly load_in_4bit?: boolean;
  readonly load_in_8bit?: boolean;
  readonly bnb_4bit_quant_type?: "nf4" | "fp4";
  readonly bnb_4bit_use_double_quant?: boolean;
  readonly bnb_4bit_compute_dtype?: string;
  readonly bnb_4bit_quant_storage?: string;
  readonly llm_int8_has_fp16_weight?: boolean;
  readonly llm_int8_enable_fp32_cpu_offload?: boolean;
  readonly llm_int8_threshold?: number;
  readonly llm_int8_skip_modules?: readonly string[];
  readonly modules_to_not_convert?: readonly string[];
}

/** torch's dtypes may be written with the module in front. */
const TORCH_DTYPE: Rule<string> = leaf(
  "one of float32, float16, bfloat16, float64, int8, uint8",
  (v) => typeof v === "string" && /^(torch\.)?(float32|float16|bfloat16|float64|int8|uint8)$/.test(v),
);
/** transformers passes over keys that it does not know, its own of other versions among them. */
const FILE_CONFIG: Rule<FileConfig> = fields<FileConfig>(
  {
    quant_method: absent(name),
    load_in_4bit: absent(flag),
    load_in_8bit: absent(flag),
    bnb_4bit_quant_type: absent(oneOf("nf4", "fp4")),
    bnb_4bit_use_double_quant: absent(flag),
    bnb_4bit_compute_dtype: absent(TORCH_DTYPE),
    bnb_4bit_quant_storage: absent(TORCH_DTYPE),
    llm_int8_has_fp16_weight: absent(flag),
    llm_int8_enable_fp32_cpu_offload: absent(flag),
    llm_int8_threshold: absent(real({ min: 0 })),
    llm_int8_skip_modules: absent(listOf(name)),
    modules_to_not_convert: absent(listOf(name)),
  },
  { unknown: "keep" },
);

/**
 * The choice a config.json makes; undefined where it has no `quantization_config`. Left-out keys have transformers' defaults, which
 * are fp4 and plain scales.
 * @throws LowrankError (FormatError) on values of another kind and on contradictions, (NotBuiltError) naming another method
 */
export function readQuantizationConfig(config: Readonly<Record<string, unknown>>): QuantizationChoice | undefined {
  const own = config["quantization_config"];
  if (own === undefined || own === null) return undefined;
  const source = "config.json: quantization_config";
  const file = checkFile(source, FILE_CONFIG, own);
  const fail = (why: string): never => {
    throw new LowrankError("FormatError", `${source}: ${why}`);
  };
  const [four, eight] = [file.load_in_4bit === true, file.load_in_8bit === true];
  const foreign = foreignMethod(file as Readonly<Record<string, unknown>>);
  if (foreign !== undefined) throw foreignRefusal(source, foreign);
  if (four === eight)
    fail(
      `exactly one of load_in_4bit and load_in_8bit must be true, they are ${String(file.load_in_4bit)} and ${String(file.load_in_8bit)}`,
    );
  if (eight && file.llm_int8_has_fp16_weight === true)
    throw new LowrankError(
      "NotBuiltError",
      `${source}: llm_int8_has_fp16_weight true keeps weights in 16 bits, which is not built`,
    );
  const [skip, other] = [file.llm_int8_skip_modules, file.modules_to_not_convert];
  if (skip !== undefined && other !== undefined && sorted(skip) !== sorted(other))
    fail(
      `llm_int8_skip_modules ${quote(skip)} and modules_to_not_convert ${quote(other)} are two names of one list and differ`,
    );
  return {
    format: eight ? "int8" : (file.bnb_4bit_quant_type ?? "fp4"),
    doubleQuantization: four && file.bnb_4bit_use_double_quant === true,
    computeDType: (file.bnb_4bit_compute_dtype ?? "float32").replace("torch.", ""),
    ...(skip === undefined && other === undefined ? {} : { skip: skip ?? other! }),
  };
}

function sorted(names: readonly string[]): string {
  return [...new Set(names)].sort().join("\n");
}
