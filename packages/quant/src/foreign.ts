/** Ways of quantizing that other programs have and that are not read: known by what config.json calls them, and by the entries they leave. */
import { LowrankError, quote } from "@lowrank/tensor";

/** Labels by `quant_method` in lower case, of transformers 5.24's `QuantizationMethod` and of engines that write the key. */
const METHODS: Readonly<Record<string, string>> = {
  gptq: "GPTQ",
  awq: "AWQ",
  aqlm: "AQLM",
  vptq: "VPTQ",
  quanto: "Quanto",
  eetq: "EETQ",
  higgs: "HIGGS",
  hqq: "HQQ",
  "compressed-tensors": "compressed-tensors",
  fbgemm_fp8: "FBGEMM FP8",
  torchao: "torchao",
  gguf: "GGUF",
  bitnet: "BitNet",
  spqr: "SpQR",
  fp8: "FP8",
  quark: "Quark",
  fp_quant: "FP-Quant",
  "auto-round": "AutoRound",
  "intel/auto-round": "AutoRound",
  mxfp4: "MXFP4",
  nvfp4: "NVFP4",
  mxfp8: "MXFP8",
  metal: "Metal",
  fouroversix: "Four Over Six",
  sinq: "SINQ",
  modelopt: "NVIDIA ModelOpt",
  exl2: "EXL2",
  exl3: "EXL3",
};

/** What one module's entries are called, all of which it has. The first row that fits is meant. */
const ENTRIES: readonly (readonly [label: string, entries: readonly string[]])[] = [
  ["GPTQ", ["qweight", "qzeros", "g_idx"]],
  ["AWQ or GPTQ", ["qweight", "qzeros", "scales"]],
  ["EXL2", ["q_weight", "q_scale"]],
  ["EXL3", ["trellis", "svh"]],
  ["MLX", ["weight", "scales", "biases"]],
  ["HQQ", ["W_q"]],
  ["AQLM", ["codebooks", "codes"]],
  ["SpQR", ["dense_weights"]],
  ["EETQ", ["weight", "weight_scales"]],
  ["Quanto", ["weight._data", "weight._scale"]],
  ["compressed-tensors", ["weight_packed", "weight_scale"]],
  ["FP8", ["weight", "weight_scale_inv"]],
  ["FP8", ["weight", "weight_scale"]],
];

/** One line that says what a checkpoint is kept by, and what to do instead. */
export function foreignRefusal(where: string, label: string): LowrankError {
  return new LowrankError(
    "NotBuiltError",
    `${where}: the weights are quantized by ${label}, which is not read here: take the checkpoint at full width and quantize it as it loads (storage: (model) => planQuantization(model).storage), or take a GGUF file or a bitsandbytes folder of it`,
  );
}

/** Files beside config.json that quantizers leave, and config.json may say nothing. */
export const FOREIGN_FILES: Readonly<Record<string, string>> = {
  "quantize_config.json": "GPTQ",
  "quant_config.json": "AWQ",
  "quanto_qmap.json": "Quanto",
};

/** The method of a `quantization_config`, where that is another than bitsandbytes'. */
export function foreignMethod(quantization: Readonly<Record<string, unknown>>): string | undefined {
  const method = quantization["quant_method"];
  // transformers takes a config without a method for bitsandbytes' where it says how many bits
  if (method === "bitsandbytes" || quantization["load_in_4bit"] === true || quantization["load_in_8bit"] === true)
    return undefined;
  if (typeof method === "string") return METHODS[method.toLowerCase()] ?? `the method ${quote(method)}`;
  // mlx-lm writes these two alone
  return "group_size" in quantization && "bits" in quantization ? "MLX" : "a method that config.json does not name";
}

/** Whose entries these are, where they are known; undefined where none are. */
export function foreignEntries(names: readonly string[]): string | undefined {
  const all = new Set(names);
  for (const [label, [first, ...others]] of ENTRIES)
    for (const name of names)
      if (name.endsWith(`.${first}`)) {
        const module = name.slice(0, -first!.length);
        if (others.every((entry) => all.has(`${module}${entry}`))) return label;
      }
  return undefined;
}
