/** `quantization_config` of a checkpoint's config.json, in the form of transformers' BitsAndBytesConfig. */
import { Projection, type Module } from "@lowrank/nn";
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
  pythonJson,
  real,
  type Rule,
} from "@lowrank/tensor/check";
import { FourBitWeight } from "./four-bit.ts";
import { FOUR_BIT_SPELT } from "./options.ts";
import { requirePlain } from "./plain.ts";
import type { FourBitOptions } from "./options.ts";

export interface QuantizationChoice extends Omit<FourBitOptions, "type" | "blockSize"> {
  /** Default nf4. */
  readonly format?: "nf4" | "fp4" | "int8";
  /** dtype products compute in, as torch spells it. Default float32. */
  readonly computeDType?: string;
  /** Modules left as they are, where that is not the default choice. */
  readonly skip?: readonly string[];
}

const COMPUTE: Rule<string> = oneOf("float32", "float16", "bfloat16");
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

export interface QuantizedConfigOptions {
  readonly computeDType?: string;
}
const CONFIG_OPTIONS: Rule<QuantizedConfigOptions> = fields<QuantizedConfigOptions>(
  { computeDType: optional(COMPUTE) },
  { spelt: { computeDtype: "computeDType", bnb_4bit_compute_dtype: "computeDType" } },
);

/**
 * Text of the config.json to lie beside what `writeQuantizedModel` writes: the model's own config with a `quantization_config` that is read
 * off the weights, so that transformers (5 or later) makes four-bit layers of exactly those that are in four bits.
 * @param config of the model, as `readConfig` gives it
 * @throws LowrankError (QuantizationError) where nothing is in four bits, or in both kinds, which one config cannot say
 */
export function quantizedConfigFile(
  model: Module,
  config: Readonly<Record<string, unknown>>,
  options: QuantizedConfigOptions = {},
): string {
  const read = checkOptions("quantizedConfigFile", CONFIG_OPTIONS, options);
  requirePlain("quantizedConfigFile", model);
  const forms = [...model.namedModules()].flatMap(([, m]) =>
    m instanceof Projection && m.weight.form instanceof FourBitWeight ? [m.weight.form] : [],
  );
  const kinds = [...new Set(forms.map((f) => f.state.type))];
  if (kinds.length !== 1)
    throw new LowrankError(
      "QuantizationError",
      `quantizedConfigFile: ${kinds.length === 0 ? "no weight of the model is in four bits; quantize it first" : "some weights are nf4 and some fp4, and one config.json has one type"}`,
    );
  const choice = {
    format: kinds[0]!,
    doubleQuantization: forms.some((f) => f.doubleQuantized),
    skip: skipModules(model),
    ...read,
  };
  return `${pythonJson({ ...config, quantization_config: quantizationConfig(choice) }, { floats: CONFIG_FLOATS, indent: 2, sortKeys: true })}\n`;
}

/** A model of a family says under which second name a checkpoint may hold a weight: output layers that are the embedding table. */
interface Tied {
  readonly tied?: ReadonlyMap<string, string>;
}

/**
 * `llm_int8_skip_modules` for the projections that are not quantized, and for output layers that share the embedding table, which are
 * modules of their own in transformers. transformers takes an entry as a regular expression for the beginning of a path, up to a dot or its
 * end, and also as plain text for the end of a path, dot or not: `classifier` takes `pre_classifier` along. Where that would take a quantized
 * one, the entry is a pattern for the whole path and for nothing else.
 */
export function skipModules(model: Module & Tied): string[] {
  const quantized = new Set<string>();
  const kept = new Set<string>();
  for (const [path, m] of model.namedModules())
    if (m instanceof Projection) (m.weight.form === undefined ? kept : quantized).add(path);
  for (const second of model.tied?.values() ?? []) {
    const path = second.replace(/\.weight$/, "");
    if (path !== second && !quantized.has(path)) kept.add(path);
  }
  return [...kept].map((path) =>
    [...quantized].some((q) => q.endsWith(path) || q.startsWith(`${path}.`)) ? `${path.replaceAll(".", "\\.")}$` : path,
  );
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
  // transformers takes a config without a method for bitsandbytes' where it says how many bits
  const method = file.quant_method ?? (four || eight ? "bitsandbytes" : undefined);
  if (method !== "bitsandbytes")
    throw new LowrankError(
      "NotBuiltError",
      `${source}: quant_method is ${quote(method)}; only bitsandbytes is built: take the checkpoint at full width and quantize it here`,
    );
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
