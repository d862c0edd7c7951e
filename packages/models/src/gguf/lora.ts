/**
 * A LoRA adapter as a file that llama.cpp lays over a GGUF model: for each weight that it changes `NAME.lora_a` [r, in] and `NAME.lora_b` [out, r],
 * and one alpha for all. llama.cpp adds alpha/r · B(A(x)), r being that of the weight's own matrices. Source: llama.cpp's convert_lora_to_gguf.py
 * and llama-adapter.cpp.
 */
import { FormatError, LowrankError, type ByteSink } from "@lowrank/tensor";
import type { PretrainedModel } from "../pretrained.ts";
import type { ConfigSource } from "../shared/config-table.ts";
import type { GgufArchitecture } from "./architecture.ts";
import { reordered } from "./pairs.ts";
import { ggufArchitectureFor } from "./registry.ts";
import { writeGguf, type GgufTensorEntry } from "./writer.ts";
import type { GgufTyped } from "./values.ts";

/** What is added to a module's weight: scale·B·A, A [rank, in], B [out, rank]. `adapterFactors` of @lowrank/peft gives them. */
export interface LoraFactors {
  readonly module: string;
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly scale: number;
}

/**
 * Writes an adapter for the GGUF file of `model`, which is asked for its config only. Matrices are F32; scales that one alpha cannot say are in B.
 * @throws LowrankError NotBuiltError for models that are not written as GGUF, and modules that a GGUF file has no tensor for
 */
export async function saveGgufLora(
  model: PretrainedModel,
  factors: readonly LoraFactors[],
  sink: ByteSink,
  { name }: { readonly name?: string } = {},
): Promise<void> {
  if (factors.length === 0)
    throw new LowrankError("AdapterError", "GGUF: the adapter changes no module; there is nothing to write");
  const config = model.family.file(model.config, model.architecture);
  const architecture = ggufArchitectureFor(model.family.modelType);
  const alpha = commonAlpha(factors);
  const tensors = new Map<string, GgufTensorEntry>();
  for (const one of factors) {
    const stored = storedName(architecture, config, one.module);
    tensors.set(`${stored}.lora_a`, matrix(one.a, [one.rank, one.inFeatures]));
    tensors.set(
      `${stored}.lora_b`,
      matrix(inB(one, alpha), [one.outFeatures, one.rank], headRows(architecture, config, stored, one)),
    );
  }
  const metadata = new Map<string, GgufTyped>([
    ["general.architecture", { kind: "string", value: architecture.name }],
    ["general.type", { kind: "string", value: "adapter" }],
    ...(name === undefined ? [] : [["general.name", { kind: "string", value: name }] as [string, GgufTyped]]),
    ["adapter.type", { kind: "string", value: "lora" }],
    ["adapter.lora.alpha", { kind: "f32", value: alpha }],
  ]);
  await writeGguf(sink, metadata, tensors);
}

/** The alpha that most modules have. llama.cpp takes 0 for "no scale", which is 1: that is nobody's. */
function commonAlpha(factors: readonly LoraFactors[]): number {
  const counts = new Map<number, number>();
  for (const { scale, rank } of factors) {
    const alpha = Math.fround(scale * rank);
    if (alpha !== 0 && Number.isFinite(alpha)) counts.set(alpha, (counts.get(alpha) ?? 0) + 1);
  }
  const [first = 1, ...others] = counts.keys();
  return others.reduce((best, alpha) => (counts.get(alpha)! > counts.get(best)! ? alpha : best), first);
}

/** B with what alpha/r leaves of the scale. */
function inB({ b, scale, rank }: LoraFactors, alpha: number): Float32Array {
  // what one alpha says is not touched, not even by a rounding
  if (Math.fround(scale * rank) === alpha) return b;
  const left = scale / (alpha / rank);
  return b.map((v) => v * left);
}

function storedName(architecture: GgufArchitecture, config: ConfigSource, module: string): string {
  const stored = architecture.names.written(module);
  if (stored === undefined)
    throw new LowrankError(
      "NotBuiltError",
      `GGUF: ${module} has no tensor in a file of llama.cpp's; leave it out of the adapter, or merge and export the whole model`,
    );
  if (stored === architecture.names.written("lm_head") && config["tie_word_embeddings"] === true)
    throw new LowrankError(
      "NotBuiltError",
      `GGUF: ${module} is the embedding table in this model, whose file has no tensor of its own for it; leave it out of the adapter, or merge and export the whole model`,
    );
  return stored;
}

/** Rows of B are rows of the weight: those of heads are in the file's order. */
function headRows(
  architecture: GgufArchitecture,
  config: ConfigSource,
  stored: string,
  { outFeatures }: LoraFactors,
): number | undefined {
  const heads = architecture.pairedHeads?.(stored, config);
  return heads === undefined ? undefined : outFeatures / heads;
}

function matrix(values: Float32Array, shape: readonly [number, number], rows?: number): GgufTensorEntry {
  if (values.length !== shape[0] * shape[1])
    throw new FormatError(
      `GGUF: a matrix of the adapter has ${values.length} values and is to be [${shape.join(", ")}]`,
    );
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return {
    type: "F32",
    shape,
    write: (sink) => sink(rows === undefined ? bytes : reordered(bytes, rows, 4 * shape[1], "file")),
  };
}
