/** LoRA (Hu et al. 2022): s·B·A beside the base's weight. */
import { LowrankError } from "@lowrank/tensor";
import { ATTENTION_NAMES } from "../default-targets.ts";
import { AdaptedEmbedding } from "../layers/adapted-embedding.ts";
import { LoraUpdate, type LoraOptions } from "../layers/lora.ts";
import type { Layer } from "../layers/walk.ts";
import { besideOriginal } from "../lora/beside.ts";
import { loraConfig, scaleOf, type LoraConfig } from "../lora/config.ts";
import { LORA_FILE, parseLora, writeLora } from "../lora/file.ts";
import { loraRows } from "../lora/rows.ts";
import { savedScales } from "../lora/scales.ts";
import { checkLoftq, startLoftq } from "../lora/loftq.ts";
import { checkProjection, startProjection } from "../lora/start.ts";
import type { Method, StartContext, Started, TargetRow } from "./method.ts";

export const lora: Method<LoraConfig> = {
  name: "lora",
  label: "LoRA",
  peftType: "LORA",
  file: LORA_FILE,
  tensors: /\.lora_(A|B|E|embedding_A|embedding_B|magnitude_vector)(\.|$)/,
  targets: "lora",
  usualNames: ATTENTION_NAMES,
  cutsVocabulary: true,
  defaults: (options) => loraConfig(lora, options),
  parse: (file, common) => loraConfig(lora, parseLora(file, common)),
  write: writeLora,
  resolve: (chosen, config, unmatched) =>
    loraRows(chosen, config, unmatched, (outFeatures) => (config.loraBias ? outFeatures : 0)),
  make: (config) => (row, layer) => new LoraUpdate(layer.site, loraOptions(config, row, layer)),
  checkStart: checkLora,
  start: startLora,
  scaled: (config, { alpha, rank }, strength) => scaleOf(config, alpha! * strength, rank!),
  saved: savedScales,
  beside: besideOriginal,
};

/** What A and B are made of and start from. Starts that need the base are `start`'s. */
export function loraOptions(config: LoraConfig, { module, rank, scale }: TargetRow, layer: Layer): LoraOptions {
  const options: LoraOptions = { rank: rank!, scale: scale!, dropout: config.dropout, loraBias: config.loraBias };
  if (layer instanceof AdaptedEmbedding) {
    if (config.loraBias) throw new LowrankError("ConfigError", `lora_bias: the embedding ${module} can have none`);
    return { ...options, initA: { kind: "zeros" }, initB: { kind: "normal", std: 1 } };
  }
  if (config.initLora === "olora" && layer.fanInFanOut)
    throw new LowrankError(
      "NotBuiltError",
      `init_lora_weights "olora" on ${module}, a Conv1D: PEFT factorizes its weight the wrong way round and cannot read such an adapter; start with "pissa", which it reads`,
    );
  if (config.initLora === "gaussian") return { ...options, initA: { kind: "normal", std: 1 / rank! } };
  // without PEFT's reset B keeps the values of a fresh linear layer
  return config.initLora === false ? { ...options, initB: { kind: "uniform", bound: 1 / Math.sqrt(rank!) } } : options;
}

function checkLora(context: StartContext<LoraConfig>): void {
  const { layer, update, config, path } = context;
  if (layer instanceof AdaptedEmbedding) {
    if (config.initLora === "loftq")
      throw new LowrankError(
        "NotBuiltError",
        `init_lora_weights "loftq" on ${path}, an embedding, is not built; leave it out`,
      );
    return;
  }
  checkProjection(context, layer);
  if (config.initLora === "loftq") checkLoftq(context, layer, update as LoraUpdate);
}

async function startLora(context: StartContext<LoraConfig>): Promise<Started | undefined> {
  const { layer, update, config } = context;
  if (layer instanceof AdaptedEmbedding) return undefined;
  return (config.initLora === "loftq" ? startLoftq : startProjection)(context, layer, update as LoraUpdate);
}
