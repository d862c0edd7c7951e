/** Parameter counts of BERT-base as real PEFT prints them (peft 0.21, param_counts.txt of the golden numbers), without a byte of weights. */
import { BertForSequenceClassification, metaModel } from "@lowrank/models";
import { adaLoraConfig, attach, familyRanks, type AdapterOptions, type LoraConfig } from "@lowrank/peft";
import { expect, it } from "vitest";

const target = ["query", "key", "value", "dense"];
const qkv = { "attention.self.query": 6, "attention.self.key": 6, "attention.self.value": 6 };
const ROWS: readonly (readonly [string, Partial<LoraConfig>, number, number, number])[] = [
  ["r 8 on query, key, value, dense", { targetModules: target }, 1_340_930, 110_824_708, 73],
  ["all-linear", { targetModules: "all-linear" }, 1_340_930, 110_824_708, 73],
  [
    "no task type: the head stays frozen",
    { targetModules: target, taskType: undefined as never },
    1_339_392,
    110_823_170,
    73,
  ],
  [
    "encoder only, by regular expression",
    { targetModules: ".*encoder.*\\.(query|key|value|dense)" },
    1_328_642,
    110_812_420,
    72,
  ],
  [
    "encoder only, by exclusion",
    { targetModules: target, excludeModules: ["pooler.dense"] },
    1_328_642,
    110_812_420,
    72,
  ],
  ["query and value", { targetModules: ["query", "value"] }, 296_450, 109_780_228, 24],
  ["architecture default", { targetModules: undefined as never }, 296_450, 109_780_228, 24],
  [
    "naive keys: output.dense also takes attention.output.dense",
    { targetModules: target, rankPattern: { ...qkv, "intermediate.dense": 10, "output.dense": 10 } },
    1_451_522,
    110_935_300,
    73,
  ],
  [
    "attention 6, feed-forward 10, in the right order",
    {
      targetModules: target,
      rankPattern: { ...qkv, "attention.output.dense": 6, "intermediate.dense": 10, "output.dense": 10 },
    },
    1_377_794,
    110_861_572,
    73,
  ],
  [
    "the same by regular expression",
    { targetModules: target, rankPattern: { "attention.*": 6, "(intermediate|output).dense": 10 } },
    1_377_794,
    110_861_572,
    73,
  ],
  [
    "the same without the pooler",
    {
      targetModules: target,
      excludeModules: ["pooler.dense"],
      rankPattern: { "attention.*": 6, "(intermediate|output).dense": 10 },
    },
    1_365_506,
    110_849_284,
    72,
  ],
  [
    "pooler 6",
    { targetModules: target, rankPattern: { "attention.*": 6, "(intermediate|output).dense": 10, "pooler.dense": 6 } },
    1_374_722,
    110_858_500,
    73,
  ],
  [
    "pooler 10",
    { targetModules: target, rankPattern: { "attention.*": 6, "(intermediate|output).dense": 10, "pooler.dense": 10 } },
    1_380_866,
    110_864_644,
    73,
  ],
  [
    "AdaLoRA from rank 12: E counts, and ranknum counts as frozen",
    { targetModules: target, adaLora: adaLoraConfig({ initR: 12, targetR: 8, totalStep: 100 }) },
    2_011_502,
    111_495_353,
    73,
  ],
  [
    "AdaLoRA on query and value",
    { targetModules: ["query", "value"], adaLora: adaLoraConfig({ initR: 12, targetR: 8, totalStep: 100 }) },
    444_194,
    109_927_996,
    24,
  ],
  [
    "attention 6, feed-forward 10, in words",
    { targetModules: target, rankPattern: familyRanks(BertForSequenceClassification, { attention: 6, ffn: 10 }) },
    1_377_794,
    110_861_572,
    73,
  ],
  [
    "dense 10",
    { targetModules: target, rankPattern: { query: 6, key: 6, value: 6, dense: 10 } },
    1_454_594,
    110_938_372,
    73,
  ],
];

it.each(ROWS)("%s", (_, config, trainable, total, modules) => {
  const adapter = attach(metaModel("BertForSequenceClassification", {}), {
    r: 8,
    alpha: 16,
    taskType: "SEQ_CLS",
    ...config,
  });
  const report = adapter.report();
  expect([report.trainable, report.total, report.table.length]).toEqual([trainable, total, modules]);
  expect(report.percent).toBeCloseTo((100 * trainable) / total, 10);
});

// PEFT 0.21.2, get_nb_trainable_parameters
it.each<[string, AdapterOptions, number, number, number]>([
  ["IA³, architecture default", { method: "ia3" }, 66_050, 109_549_828, 48],
  [
    "IA³ on what query and value give",
    { method: "ia3", targetModules: ["query", "value"], feedforwardModules: [] },
    19_970,
    109_503_748,
    24,
  ],
  ["VeRA, architecture default: projections are buffers", { method: "vera" }, 26_114, 109_509_892, 24],
  ["VeRA of rank 64", { method: "vera", r: 64, targetModules: ["query", "dense"] }, 69_954, 109_553_732, 49],
])("%s", (_, config, trainable, total, modules) => {
  const report = attach(metaModel("BertForSequenceClassification", {}), { ...config, taskType: "SEQ_CLS" }).report();
  expect([report.trainable, report.total, report.table.length]).toEqual([trainable, total, modules]);
});

it("the pattern keys that most likely did nothing in the study are an error here", () => {
  const model = metaModel("BertForSequenceClassification", {});
  expect(() =>
    attach(model, { r: 8, targetModules: target, taskType: "SEQ_CLS", rankPattern: { attention: 6, ffn: 10 } }),
  ).toThrow(/rank_pattern "attention" matches no target module; a key is the end of a path at a dot; there are query/);
  expect(() =>
    attach(model, { r: 8, targetModules: target, rankPattern: { "output.dense": 10, "attention.output.dense": 6 } }),
  ).toThrow(/"attention.output.dense" only matches modules that an earlier key takes; put it first/);
});
