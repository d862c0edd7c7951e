/** Checkpoints of a few thousand weights with the tokenizer of a dozen words beside them. */
import { copyFileSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { metaModel, savePretrained } from "@lowrank/models";
import type { Device } from "@lowrank/tensor";

export const TOY_SIZES = {
  model_type: "bert",
  vocab_size: 16,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 32,
  max_position_embeddings: 32,
  initializer_range: 0.3,
};

/** A causal model whose files name no padding, and whose tokenizer has none. */
export const TOY_CAUSAL = {
  model_type: "gpt2",
  vocab_size: 16,
  n_positions: 32,
  n_embd: 16,
  n_layer: 1,
  n_head: 2,
  initializer_range: 0.3,
};

/** A folder with the checkpoint of a model that predicts words. @param data a folder that `writeToyData` wrote */
export async function toyCheckpoint(
  data: string,
  device: Device,
  [architecture, sizes]: readonly [string, Record<string, unknown>] = ["BertForMaskedLM", TOY_SIZES],
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "lowrank-toy-"));
  const model = metaModel(architecture, sizes);
  await model.materialize({ device, seed: 3 });
  await savePretrained(model, folder);
  model.dispose();
  copyFileSync(join(data, "bert-base-uncased-tokenizer", "tokenizer.json"), join(folder, "tokenizer.json"));
  return folder;
}
