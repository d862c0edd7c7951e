/** What people write by hand: studies, settings of a command line, pretraining, tables of texts. */
import { parse as parseYamlText, stringify } from "yaml";
import { loadStudy } from "../../src/config/load.ts";
import { PRESETS } from "../../src/config/presets.ts";
import type { Study } from "../../src/config/study.ts";
import { readLabelledTsv, type LabelledText } from "../../src/data/tsv.ts";
import { loadPretrainConfig, type PretrainConfig } from "../../src/pretrain/config.ts";
import { PRETRAIN_PRESETS } from "../../src/pretrain/presets.ts";
import { encoder, pick, strangeNumber, textOf, yamlFile } from "./files.ts";
import type { FuzzFormat } from "./judge.ts";
import { damaged, mutateBytes, type Json } from "./mutate.ts";
export const study: FuzzFormat = {
  name: "study YAML",
  draw: (random) =>
    damaged(parseYamlText(PRESETS[pick(random, Object.keys(PRESETS))]!) as Json, random, (document) =>
      stringify(document),
    ),
  read: (bytes) => loadStudy(yamlFile("study.yaml", bytes)),
  senseless(_, read: Study) {
    if (read.seeds.length === 0 || read.seeds.some((seed) => !Number.isSafeInteger(seed) || seed < 0))
      return `the seeds are ${read.seeds.join()}`;
    return strangeNumber({ ...read, seeds: [] });
  },
};

export const overrides: FuzzFormat = {
  name: "--set",
  draw(random) {
    const key = pick(random, [
      "train.lr",
      "train.batchSize",
      "task.length",
      "seeds",
      "configs.b-fp.r",
      "configs.b-fp",
      "model.hidden",
      "__proto__.x",
      "configs.__proto__.r",
      "train",
      "a.b.c.d",
      "",
      "train.",
      ".",
      "name",
    ]);
    const value = pick(random, [
      "1",
      "0",
      "-1",
      "1e300",
      "null",
      "[1, 2]",
      "{a: 1}",
      "&a [*a]",
      "!!js/function x",
      "nan",
      ".inf",
      "true",
      "x",
      "",
      "'",
      "{",
      "\u0000",
      "1e8",
      "[[[[]]]]",
    ]);
    return encoder.encode(random.integer(8) === 0 ? key : `${key}=${value}`);
  },
  read: (bytes) => loadStudy("demo", { set: [textOf(bytes)] }),
  senseless: (_, read: Study) => ("x" in {} ? "Object.prototype was changed" : strangeNumber({ ...read, seeds: [] })),
};

export const pretrain: FuzzFormat = {
  name: "pretrain YAML",
  draw: (random) =>
    damaged(
      parseYamlText(PRETRAIN_PRESETS.mlm[pick(random, Object.keys(PRETRAIN_PRESETS.mlm))]!) as Json,
      random,
      (document) => stringify(document),
    ),
  read: (bytes) => loadPretrainConfig(yamlFile("pretrain.yaml", bytes), []),
  senseless: (_, config: PretrainConfig) => strangeNumber(config),
};

const TSV = 'sentence\tlabel\nit \'s a charming film \t1\n"quoted" and "bad" \t0\nunflinchingly bleak\t0\n';

export const labelledTsv: FuzzFormat = {
  name: "train.tsv",
  draw(random) {
    let bytes = mutateBytes(encoder.encode(TSV), random);
    for (let n = random.integer(3); n > 0; n--) bytes = mutateBytes(bytes, random);
    return bytes;
  },
  read: (bytes) => readLabelledTsv(yamlFile("train.tsv", bytes), 2),
  senseless: (_, rows: readonly LabelledText[]) =>
    rows.every(({ text, label }) => (label === 0 || label === 1) && text.trim() !== "" && !text.includes("\0")) &&
    rows.length > 0
      ? undefined
      : `a row is ${JSON.stringify(rows)}`,
};
