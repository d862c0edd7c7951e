/**
 * Files shaped like those that people share: counts are PEFT's on the same two files, and what cannot be counted is refused in words
 * that say why.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { count } from "../src/cli/params-command.ts";

const folder = resolve(import.meta.dirname, "../../..", process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures", "public-shapes");
const present = existsSync(join(folder, "README.md"));
const read = (name: string): Record<string, unknown> => JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")) as Record<string, unknown>;

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

  it.each(["config-old-gpt2-without-model-type", "config-old-roberta-without-model-type"])("%s is nobody's: it has no model_type", (model) => {
    expect(() => count(read(model), read("adapter-plain-llama"))).toThrow(/config\.json has no "model_type"/);
  });
});
