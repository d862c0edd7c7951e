/** What PEFT adapts where nothing is said (`peft/utils/constants.py`, 0.21.2), for the families that are built. */
import type { Module } from "@lowrank/nn";
import { endsAtDot } from "./names.ts";

const LORA: Readonly<Record<string, readonly string[]>> = {
  bert: ["query", "value"],
  roberta: ["query", "value"],
  "xlm-roberta": ["query", "value"],
  gpt2: ["c_attn"],
  llama: ["q_proj", "v_proj"],
  mistral: ["q_proj", "v_proj"],
  qwen2: ["q_proj", "v_proj"],
  qwen3: ["q_proj", "v_proj"],
  gemma: ["q_proj", "v_proj"],
  gemma2: ["q_proj", "v_proj"],
  gemma3_text: ["q_proj", "v_proj"],
  phi: ["q_proj", "v_proj", "fc1", "fc2"],
};
const ADALORA: typeof LORA = { ...LORA, roberta: ["query", "key", "value", "dense"] };

/** For models that say no family: the attention names they have. */
const BY_NAME = [["query", "value"], ["c_attn"], ["q_proj", "v_proj"]] as const;

/** The family of a task model, as its class says it. */
export function modelTypeOf(model: Module): string | undefined {
  return (model.constructor as { family?: { modelType?: unknown } }).family?.modelType as string | undefined;
}

/** Names of the modules that PEFT takes by default; none where it has no default either. */
export function defaultTargets(model: Module, adaLora: boolean, paths: readonly string[]): readonly string[] {
  const type = modelTypeOf(model);
  const table = adaLora ? ADALORA : LORA;
  if (type !== undefined && Object.hasOwn(table, type)) return table[type]!;
  return BY_NAME.find((names) => paths.some((path) => names.some((name) => endsAtDot(path, name)))) ?? [];
}
