/** Vocabularies of other sizes: the rows that stay, those that are drawn, and the model that they belong to. */
import { fc, test } from "@fast-check/vitest";
import { planQuantization } from "@lowrank/quant";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { metaModel, resizeTokenEmbeddings, type PretrainedModel } from "../src/index.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

const [WORDS, WIDTH] = [40, 8];
const SIZES = {
  vocab_size: WORDS,
  hidden_size: WIDTH,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  intermediate_size: 12,
  max_position_embeddings: 16,
  initializer_range: 0.3,
};
const CASES = {
  tied: ["LlamaForCausalLM", "llama", { tie_word_embeddings: true }],
  untied: ["LlamaForCausalLM", "llama", { tie_word_embeddings: false }],
  "gpt-2": ["GPT2LMHeadModel", "gpt2", { n_embd: WIDTH, n_layer: 1, n_head: 2 }],
  "masked, with biases": ["BertForMaskedLM", "bert", {}],
  "masked, untied": ["RobertaForMaskedLM", "roberta", { tie_word_embeddings: false }],
  "without an output layer": ["BertForSequenceClassification", "bert", {}],
} as const;

async function made(key: keyof typeof CASES): Promise<PretrainedModel> {
  const [name, type, more] = CASES[key];
  const model = metaModel(name, { model_type: type, ...SIZES, ...more });
  await model.materialize({ device, seed: 1 });
  return model.eval() as PretrainedModel;
}
const scores = async (model: PretrainedModel): Promise<{ values: ArrayLike<number>; columns: number }> => {
  const inputIds = device.tensor([2, 5, 7, 9, 3, 4], [2, 3], "i32");
  const { logits } = model.forward({ inputIds } as never) as {
    logits: { shape: readonly number[]; floats(): Promise<Float64Array> };
  };
  return { values: await logits.floats(), columns: logits.shape.at(-1)! };
};
const valuesOf = async (model: PretrainedModel): Promise<Map<string, { shape: readonly number[]; data: number[] }>> => {
  const out = new Map<string, { shape: readonly number[]; data: number[] }>();
  for (const [name, weight] of model.namedWeights())
    out.set(name, { shape: weight.shape, data: Array.from((await weight.read()).data as Float32Array) });
  return out;
};

describe.each(Object.keys(CASES) as (keyof typeof CASES)[])("a vocabulary resized: %s", (key) => {
  test.prop([fc.integer({ min: 10, max: 60 }), fc.constantFrom(undefined, 8, 7), fc.boolean()], { numRuns: 8 })(
    "keeps what is there, bit for bit, and scores known words as before",
    async (words, padToMultipleOf, meanResizing) => {
      const model = await made(key);
      const [before, seen] = [await valuesOf(model), await scores(model)];
      const next = await resizeTokenEmbeddings(model, words, {
        meanResizing,
        ...(padToMultipleOf === undefined ? {} : { padToMultipleOf }),
      });
      const count = padToMultipleOf === undefined ? words : Math.ceil(words / padToMultipleOf) * padToMultipleOf;
      expect(next.config.vocabSize).toBe(count);
      expect([next.constructor, next.resized, next.training]).toEqual([model.constructor, count !== WORDS, false]);
      expect(model.weights().some(({ materialized }) => materialized)).toBe(false);
      const after = await valuesOf(next);
      expect([...after.keys()]).toEqual([...before.keys()]);
      for (const [name, { shape, data }] of after) {
        const old = before.get(name)!;
        expect(shape).toEqual(old.shape.map((d, i) => (i === 0 && d === WORDS ? count : d)));
        const same = Math.min(data.length, old.data.length);
        expect(data.slice(0, same)).toEqual(old.data.slice(0, same));
        expect(data.every(Number.isFinite)).toBe(true);
      }
      const now = await scores(next);
      if (seen.columns !== WORDS) {
        expect(now.values).toEqual(seen.values);
        return;
      }
      for (let row = 0; row < 6; row++)
        for (let c = 0; c < Math.min(count, WORDS); c++)
          expect(Math.abs(now.values[row * count + c]! - seen.values[row * WORDS + c]!)).toBeLessThan(1e-5);
    },
  );
});

describe("rows that are drawn", () => {
  it("lie around the mean of the others, with a billionth of their covariance", async () => {
    const model = await made("untied");
    const before = (await valuesOf(model)).get("lm_head.weight")!.data;
    const added = 400;
    // in f64: what rows are apart by is below f32's rounding of their mean
    const wide = await init({ device: "reference" });
    const exact = metaModel("LlamaForCausalLM", { model_type: "llama", ...SIZES, tie_word_embeddings: false });
    await exact.materialize({ device: wide, seed: 1 });
    const own = Array.from(await exact.getModule("lm_head").weights()[0]!.value.floats());
    const rows = Array.from(
      (
        await (await resizeTokenEmbeddings(exact, WORDS + added)).getModule("lm_head").weights()[0]!.value.floats()
      ).slice(WORDS * WIDTH),
    );
    wide.close();
    expect(own.map((v) => Math.fround(v))).toEqual(before);
    const mean = (values: number[], c: number): number =>
      values.filter((_, i) => i % WIDTH === c).reduce((a, b) => a + b, 0) / (values.length / WIDTH);
    const covariance = (values: number[], c: number, d: number): number => {
      const [a, b, n] = [mean(values, c), mean(values, d), values.length / WIDTH];
      let sum = 0;
      for (let i = 0; i < n; i++) sum += (values[i * WIDTH + c]! - a) * (values[i * WIDTH + d]! - b);
      return sum / n;
    };
    for (let c = 0; c < WIDTH; c++) {
      const spread = Math.sqrt(1e-9 * covariance(own, c, c));
      // five standard errors of a mean of 400, and of their variance
      expect(Math.abs(mean(rows, c) - mean(own, c))).toBeLessThan((5 * spread) / Math.sqrt(added));
      expect(Math.abs(covariance(rows, c, c) / spread ** 2 - 1)).toBeLessThan(5 * Math.sqrt(2 / added));
      const other = (c + 1) % WIDTH;
      const bound = 5 * Math.sqrt((2 * covariance(own, c, c) * covariance(own, other, other)) / added);
      expect(Math.abs(1e9 * covariance(rows, c, other) - covariance(own, c, other))).toBeLessThan(bound);
    }
  });

  it("are the model's own otherwise, other ones from another seed, and the same again from the same", async () => {
    const drawn = async (options: object): Promise<number[]> => {
      const next = await resizeTokenEmbeddings(await made("tied"), WORDS + 50, options);
      return (await valuesOf(next)).get("model.embed_tokens.weight")!.data.slice(WORDS * WIDTH);
    };
    const own = await drawn({ meanResizing: false });
    const deviation = Math.sqrt(own.reduce((sum, v) => sum + v * v, 0) / own.length);
    expect(Math.abs(deviation / 0.3 - 1)).toBeLessThan(0.2);
    expect(await drawn({ meanResizing: false })).toEqual(own);
    expect(await drawn({ meanResizing: false, seed: 1 })).not.toEqual(own);
  });
});

it("keeps tables in the form that they have, and says what cannot be", async () => {
  const model = metaModel("LlamaForCausalLM", {
    model_type: "llama",
    ...SIZES,
    hidden_size: 64,
    num_attention_heads: 4,
  });
  const { storage } = planQuantization(model, { embeddings: "nf4" });
  await model.materialize({ device, seed: 1, storage });
  const before = (await valuesOf(model)).get("model.embed_tokens.weight")!.data;
  const next = await resizeTokenEmbeddings(model, WORDS + 3);
  const table = (next.getModule("model.embed_tokens") as never as { weight: { form?: { kind: string } } }).weight;
  expect(table.form?.kind).toBe("nf4");
  // blocks are rows here: those that stay have the same codes
  (await valuesOf(next))
    .get("model.embed_tokens.weight")!
    .data.slice(0, before.length)
    .forEach((v, i) => expect(v).toBeCloseTo(before[i]!, 2));
  await expect(resizeTokenEmbeddings(next, 0)).rejects.toThrow('"words" must be a positive whole number');
  await expect(resizeTokenEmbeddings(next, 9, { padToMultiple: 8 } as never)).rejects.toThrow("padToMultipleOf");
});
