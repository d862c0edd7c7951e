/** Losses of heads over long vocabularies: those of the logits, which are not stored. */
import { compile, grad, init, ops, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { metaModel, tokenLosses, type ModelInputs, type PretrainedModel } from "../src/index.ts";
import { SMALL } from "./small-models.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

const LENGTH = 72;
const WORDS = 250_000;
const SIZES = { vocab: WORDS, heads: 2, width: 4, layers: 1, positions: 128 };

async function made(name: string): Promise<PretrainedModel> {
  const model = metaModel(name, SMALL[name]!(SIZES)) as PretrainedModel;
  await model.materialize({ device, seed: 1 });
  return model;
}

const words = Int32Array.from({ length: LENGTH }, (_, i) => (i * 7919 * 31) % WORDS);
const labelled = words.map((id, i) => (i % 5 === 1 ? -100 : (id * 3) % WORDS));
const i32 = (data: Int32Array): { data: Int32Array; shape: number[] } => ({ data, shape: [1, LENGTH] });

const largest = (values: ArrayLike<number>): number => Array.from(values).reduce((a, v) => Math.max(a, Math.abs(v)), 0);
const furthest = (got: ArrayLike<number>, want: ArrayLike<number>): number =>
  Array.from(got).reduce((a, v, i) => Math.max(a, Math.abs(v - want[i]!)), 0);

it.each([
  ["LlamaForCausalLM", true],
  ["Gemma3ForCausalLM", true],
  ["BertForMaskedLM", false],
  ["DistilBertForMaskedLM", false],
] as const)("%s: loss, losses of tokens and gradients are those of its logits", async (name, causal) => {
  const model = await made(name);
  const weights = model.trainableWeights().map((w) => w.parameter);
  const targets = (labels: Tensor): Tensor =>
    causal ? ops.concat([ops.slice(labels, 1, 1, LENGTH), device.full([1, 1], -100, "i32")], 1) : labels;
  const step = (stored: boolean) =>
    compile(device, ({ inputIds, labels }) => {
      const out = model.forward({ inputIds: inputIds!, labels: labels! } as ModelInputs);
      const flat = ops.reshape(targets(labels!), [-1]);
      const logits = ops.reshape(out.logits!, [-1, WORDS]);
      const loss = stored ? ops.crossEntropy(logits, flat) : out.loss!;
      const each = stored ? ops.crossEntropy(logits, flat, { reduction: "none" }) : ops.reshape(out.tokenLosses!, [-1]);
      const grads = grad(loss, weights);
      return { loss, each, ...Object.fromEntries(grads.map((g, i) => [`g${i}`, g])) };
    });
  const inputs = { inputIds: i32(words), labels: i32(labelled) };
  const [whole, blocks] = [step(true), step(false)];
  const want = (await whole(inputs)) as Record<string, Tensor>;
  const got = (await blocks(inputs)) as Record<string, Tensor>;
  expect(got["each"]!.size).toBe(causal ? LENGTH - 1 : LENGTH);
  const read = async (of: Record<string, Tensor>, key: string): Promise<ArrayLike<number>> => of[key]!.floats();
  // some gradients are 0 but for rounding, that of a key's bias for one
  let scale = 0;
  for (const key of Object.keys(want)) if (key.startsWith("g")) scale = Math.max(scale, largest(await read(want, key)));
  for (const key of Object.keys(want)) {
    const [a, b] = [await read(got, key), await read(want, key)];
    // outputs are the same sums; e^x, their sum and products with it are each off by a few units of 2^-24
    expect(furthest(a, b), key).toBeLessThan(1e-5 * (key.startsWith("g") ? scale : largest(b)));
  }
  const logits = 4 * LENGTH * WORDS;
  expect(whole.info()[0]!.arenaBytes).toBeGreaterThan(logits);
  // of outputs and their gradients one is left: few blocks wait for a gradient of the table
  expect(blocks.info()[0]!.arenaBytes).toBeLessThan(whole.info()[0]!.arenaBytes - 0.6 * logits);
  model.dispose();
});

it("computes logits only where they are read", async () => {
  const model = await made("Gemma3ForCausalLM");
  const planned = (read: (out: ReturnType<typeof model.forward>) => Tensor): number =>
    compile(device, ({ inputIds }) => ({
      x: read(model.forward({ inputIds: inputIds!, labels: inputIds! } as ModelInputs)),
    })).plan({ inputIds: { shape: [1, LENGTH], dtype: "i32" } }).arenaBytes;
  expect(planned(({ tokenLosses: each }) => each!)).toBeLessThan(20e6);
  expect(planned(({ loss }) => loss!)).toBeLessThan(20e6);
  expect(planned(({ logits }) => ops.sum(logits!))).toBeGreaterThan(70e6);
  const inputIds = device.tensor(words.subarray(0, 9), [1, 9]);
  const { logits, tokenLosses: each } = model.forward({ inputIds, labels: inputIds } as ModelInputs);
  // few outputs: the very same operations
  expect(await each!.floats()).toEqual(await tokenLosses(logits!, inputIds).floats());
  model.dispose();
});
