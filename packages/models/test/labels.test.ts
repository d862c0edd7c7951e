/** A label that is no class is an error in every head, before anything runs; what a head does not ask for does not count. */
import { init, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { metaModel } from "../src/index.ts";
import { SMALL } from "./small-models.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

const VOCAB = 19;
const ids = (shape: number[], at: Record<number, number> = {}): Tensor =>
  device.tensor(
    Int32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => at[i] ?? (i % 2) + 2),
    shape,
  );

async function lossOf(name: string, inputIds: Tensor, labels: Tensor): Promise<number> {
  const model = metaModel(name, SMALL[name]!({ vocab: VOCAB, heads: 2, width: 4, layers: 1, positions: 16 }));
  await model.materialize({ device, seed: 1 });
  model.eval();
  return (model.forward({ inputIds, labels } as never) as unknown as { loss: Tensor }).loss.item();
}

// classes of rows, of tokens, of choices, of the vocabulary
it.each<[string, number[], number[], number]>([
  ["BertForSequenceClassification", [2, 4], [2], 2],
  ["RobertaForSequenceClassification", [2, 4], [2], 2],
  ["DistilBertForSequenceClassification", [2, 4], [2], 2],
  ["GPT2ForSequenceClassification", [2, 4], [2], 2],
  ["BertForTokenClassification", [2, 4], [2, 4], 2],
  ["BertForMaskedLM", [2, 4], [2, 4], VOCAB],
  ["GPT2LMHeadModel", [2, 4], [2, 4], VOCAB],
  ["LlamaForCausalLM", [2, 4], [2, 4], VOCAB],
])("%s", async (name, inputs, shape, classes) => {
  const last = shape.reduce((a, b) => a * b) - 1;
  const fine = Object.fromEntries(Array.from({ length: last + 1 }, (_, i) => [i, i % 2]));
  expect(Number.isFinite(await lossOf(name, ids(inputs), ids(shape, fine)))).toBe(true);
  for (const wrong of [-1, classes, 2 ** 31 - 1]) {
    const where = shape.length === 1 ? `in row ${last}` : `at [1, ${shape[1]! - 1}]`;
    await expect(lossOf(name, ids(inputs), ids(shape, { ...fine, [last]: wrong })), String(wrong)).rejects.toThrow(
      `label ${wrong} ${where} of a host tensor [${shape.join(", ")}] lies outside [0, ${classes})`,
    );
  }
});

it("the first label of each text is nobody's next token", async () => {
  for (const name of ["GPT2LMHeadModel", "LlamaForCausalLM"])
    expect(Number.isFinite(await lossOf(name, ids([2, 4]), ids([2, 4], { 0: 99, 4: -7 })))).toBe(true);
});

it("a token that no table holds is named with its module", async () => {
  await expect(lossOf("BertForSequenceClassification", ids([1, 4], { 2: VOCAB }), ids([1], { 0: 1 }))).rejects.toThrow(
    `embedding in bert.embeddings.word_embeddings: id ${VOCAB} at [0, 2] of a host tensor [1, 4] lies outside [0, ${VOCAB})`,
  );
});
