/** A folder with what the six configurations run on: a checkpoint of BERT's shape with random weights, a tokenizer, rows of one length, the study. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { metaModel, savePretrained } from "@lowrank/models";
import { init, RandomStream } from "@lowrank/tensor";

export interface Shape {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly intermediate: number;
  readonly vocabulary: number;
  /** Rows and tokens of a batch. */
  readonly batch: number;
  readonly length: number;
}

export const BERT_BASE: Shape = {
  layers: 12,
  hidden: 768,
  heads: 12,
  intermediate: 3072,
  vocabulary: 30_522,
  batch: 32,
  length: 128,
};

/** As in the preset sst2-six. */
export const SIX = ["b-fp", "b-q4", "b-ada", "joint-1", "joint-2", "joint-3"] as const;

export interface Workplace {
  readonly folder: string;
  /** The preset's study on this folder's base and rows, as words of `--set`. @param steps of an epoch, which is what it has */
  set(steps: number): string[];
  dispose(): void;
}

const SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const LARGEST = 64;

export async function workplace(shape: Shape): Promise<Workplace> {
  const folder = mkdtempSync(join(tmpdir(), "lowrank-six-"));
  const device = await init({ device: "wasm", threads: 1 });
  const model = metaModel("BertForSequenceClassification", {
    model_type: "bert",
    vocab_size: shape.vocabulary,
    hidden_size: shape.hidden,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    intermediate_size: shape.intermediate,
    max_position_embeddings: 512,
  });
  await model.materialize({ device, seed: 3 });
  await savePretrained(model, join(folder, "base"));
  device.close();
  const words = [...SPECIAL, ...Array.from({ length: shape.vocabulary - SPECIAL.length }, (_, i) => `w${i}`)];
  writeFileSync(join(folder, "base", "tokenizer.json"), JSON.stringify(tokenizerOf(words)));
  const stream = new RandomStream(1, "six");
  const row = (i: number): string => {
    const text = Array.from(
      { length: shape.length },
      () => words[SPECIAL.length + stream.integer(words.length - SPECIAL.length)],
    );
    return `${text.join(" ")},${i % 2 === 0 ? "good" : "bad"}\n`;
  };
  const rows = (count: number): string => `text,label\n${Array.from({ length: count }, (_, i) => row(i)).join("")}`;
  writeFileSync(join(folder, "train.csv"), rows(LARGEST * shape.batch));
  writeFileSync(join(folder, "dev.csv"), rows(8));
  return {
    folder,
    set: (steps) => [
      `base=${join(folder, "base")}`,
      `task={name: text-classification, train: ${join(folder, "train.csv")}, validation: ${join(folder, "dev.csv")}, maxLength: ${shape.length}, trainLimit: ${steps * shape.batch}}`,
      `train.batchSize=${shape.batch}`,
      "train.epochs=1",
      "seeds=[1]",
      // a schedule of ranks that a few steps hold
      ...["b-ada", "joint-1", "joint-2"].flatMap((name) =>
        ["tinit=1", "tfinal=1", "deltaT=1"].map((words) => `configs.${name}.${words}`),
      ),
    ],
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function tokenizerOf(words: readonly string[]): object {
  const placed = (id: string, type: "Sequence" | "SpecialToken"): object => ({ [type]: { id, type_id: 0 } });
  const special = (id: string): object => ({ id, ids: [words.indexOf(id)], tokens: [id] });
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: "WhitespaceSplit" },
    post_processor: {
      type: "TemplateProcessing",
      single: [placed("[CLS]", "SpecialToken"), placed("A", "Sequence"), placed("[SEP]", "SpecialToken")],
      pair: [
        placed("[CLS]", "SpecialToken"),
        placed("A", "Sequence"),
        placed("[SEP]", "SpecialToken"),
        placed("B", "Sequence"),
        placed("[SEP]", "SpecialToken"),
      ],
      special_tokens: { "[CLS]": special("[CLS]"), "[SEP]": special("[SEP]") },
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: false },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
    },
  };
}
