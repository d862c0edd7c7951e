/** Parameter counts of GPT-2 small as real PEFT prints them (peft 0.21, param_counts.txt of the golden numbers), from a config.json that names the family only. */
import { expect, it } from "vitest";
import { count } from "../src/cli/params-command.ts";

const base = 124_439_808;
const all = ["c_attn", "c_proj", "c_fc"];
const ROWS: readonly (readonly [string, Record<string, unknown>, number, number])[] = [
  ["c_attn", { target_modules: ["c_attn"] }, 294_912, 12],
  ["architecture default", { target_modules: null }, 294_912, 12],
  ["c_attn and both c_proj", { target_modules: ["c_attn", "c_proj"] }, 811_008, 36],
  ["every projection", { target_modules: all }, 1_179_648, 48],
  ["all-linear leaves the tied output layer alone", { target_modules: "all-linear" }, 1_179_648, 48],
  [
    "attention 6, feed-forward 10",
    { target_modules: all, rank_pattern: { "attn\\.c_(attn|proj)": 6, "mlp\\.c_(fc|proj)": 10 } },
    1_253_376,
    48,
  ],
  [
    "naive keys: c_proj also takes mlp.c_proj",
    { target_modules: all, rank_pattern: { c_attn: 6, c_proj: 6, c_fc: 10 } },
    1_069_056,
    48,
  ],
];

it.each(ROWS)("%s", (_, adapter, trainable, modules) => {
  const report = count(
    { model_type: "gpt2" },
    { peft_type: "LORA", task_type: "CAUSAL_LM", r: 8, lora_alpha: 16, ...adapter },
  );
  expect([report.architecture, report.trainable, report.total, report.modules.length]).toEqual([
    "GPT2LMHeadModel",
    trainable,
    base + trainable,
    modules,
  ]);
});

it.each([
  [["c_attn"], 442_512, 124_882_332],
  [["c_attn", "c_proj"], 1_216_944, 125_656_788],
  [all, 1_770_048, 126_209_904],
] as const)("AdaLoRA from rank 12 on %j", (targets, trainable, total) => {
  const report = count(
    { model_type: "gpt2" },
    {
      peft_type: "ADALORA",
      task_type: "CAUSAL_LM",
      init_r: 12,
      target_r: 8,
      total_step: 100,
      lora_alpha: 16,
      target_modules: [...targets],
    },
  );
  expect([report.trainable, report.total]).toEqual([trainable, total]);
});

// PEFT 0.21.2, get_nb_trainable_parameters
it.each([
  ["IA3", 64_512, 24],
  ["VERA", 30_720, 12],
] as const)("%s, architecture default", (peft_type, trainable, modules) => {
  const report = count({ model_type: "gpt2" }, { peft_type, task_type: "CAUSAL_LM" });
  expect([report.trainable, report.total, report.modules.length]).toEqual([trainable, base + trainable, modules]);
});

it("a classifier trains a copy of its head", () => {
  const report = count(
    { model_type: "gpt2" },
    { peft_type: "LORA", task_type: "SEQ_CLS", r: 8, lora_alpha: 16, target_modules: ["c_attn"] },
  );
  const head = 2 * 768;
  expect([report.architecture, report.trainable, report.total]).toEqual([
    "GPT2ForSequenceClassification",
    294_912 + head,
    base + 294_912 + 2 * head,
  ]);
});
