/**
 * Files shaped like those that people share: counts are PEFT's on the same two files, and what cannot be counted is refused in words
 * that say why.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { count } from "../src/cli/params-command.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "public-shapes",
);
const present = existsSync(join(folder, "README.md"));
const read = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")) as Record<string, unknown>;

describe.skipIf(!present)("configurations of models", () => {
  it.each([
    ["adapter-token-cls", "config-roberta-classifier", "RobertaForTokenClassification", 1075, 6054],
    ["adapter-question-ans", "config-roberta-classifier", "RobertaForQuestionAnswering", 1075, 6054],
    ["adapter-feature-extraction", "config-tiny-bert-classifier", "BertModel", 1024, 6240],
    ["adapter-plain-llama", "config-tiny-llama-rope3", "LlamaForCausalLM", 896, 6096],
    ["adapter-plain-llama", "config-bnb-4bit", "LlamaForCausalLM", 896, 6096],
  ])("%s on %s is a %s with %i of %i", (adapter, model, architecture, trainable, total) => {
    expect(count(read(model), read(adapter))).toMatchObject({ architecture, trainable, total });
  });

  it.each(["config-old-gpt2-without-model-type", "config-old-roberta-without-model-type"])(
    "%s is nobody's: it has no model_type",
    (model) => {
      expect(() => count(read(model), read("adapter-plain-llama"))).toThrow(/config\.json has no "model_type"/);
    },
  );
});

describe.skipIf(!present)("configurations of adapters", () => {
  it.each([
    // without a task the head is a linear layer like others
    ["adapter-all-linear-without-task", "config-tiny-bert-classifier", 3736, 9003],
    // modules_to_save goes by the end of a name: pre_classifier trains too
    ["adapter-distilbert-seq-cls", "config-tiny-distilbert", 1330, 6548],
    ["adapter-saved-embeddings", "config-tiny-llama", 2176, 7376],
    ["adapter-saved-norms", "config-tiny-llama", 976, 6176],
  ])("%s on %s: %i of %i", (adapter, model, trainable, total) => {
    expect(count(read(model), read(adapter))).toMatchObject({ trainable, total, warnings: [] });
  });

  it("what is another format, or another start, is refused by name", () => {
    expect(() => count(read("config-tiny-llama"), read("adapter-mlx-lm"))).toThrow(
      /there is no "peft_type"; the file is mlx-lm's; read it with loadMlxAdapter/,
    );
    expect(() => count(read("config-tiny-llama"), read("adapter-mica"))).toThrow(
      /"init_lora_weights": "mica" is not built/,
    );
  });

  it("DistilBERT of real size trains what PEFT trains", () => {
    const adapter = { ...read("adapter-distilbert-seq-cls"), r: 8 };
    expect(count({ model_type: "distilbert" }, adapter)).toMatchObject({ trainable: 739_586, total: 67_694_596 });
  });

  it("RoBERTa's default targets are PEFT's, for AdaLoRA too", () => {
    const names = (file: Record<string, unknown>): string[] =>
      [
        ...new Set(
          count(read("config-roberta-classifier"), { task_type: "SEQ_CLS", ...file }).modules.map(({ module }) =>
            module.split(".").at(-1)!,
          ),
        ),
      ].sort();
    expect(names({ peft_type: "LORA" })).toEqual(["query", "value"]);
    expect(names({ peft_type: "ADALORA", total_step: 10 })).toEqual(["dense", "key", "query", "value"]);
  });
});
