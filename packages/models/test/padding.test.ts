/** What may not matter: later tokens to earlier ones, what stands at the padding, and on which side it is. */
import { fc, test } from "@fast-check/vitest";
import { grad, init, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  GPT2ForSequenceClassification,
  metaModel,
  parseGPT2Config,
  positionsOf,
  tokenLosses,
  type PretrainedModel,
} from "../src/index.ts";
import { SMALL, type Sizes } from "./small-models.ts";

const SIZES: Sizes = { vocab: 19, heads: 2, width: 4, layers: 2, positions: 16 };
const CAUSAL = [
  "GPT2LMHeadModel",
  "LlamaForCausalLM",
  "MistralForCausalLM",
  "Qwen2ForCausalLM",
  "Qwen3ForCausalLM",
  "Gemma3ForCausalLM",
] as const;
const ENCODERS = [
  "BertForSequenceClassification",
  "RobertaForSequenceClassification",
  "DistilBertForSequenceClassification",
] as const;
/** Padding of RoBERTa is 1, of the others 0; texts have neither. */
const PAD: Readonly<Record<string, number>> = { RobertaForSequenceClassification: 1 };

let device: Device;
const models = new Map<string, PretrainedModel>();
// f64: what is left of a difference is rounding, and the tolerance below is far from any real one
beforeAll(async () => {
  device = await init({ device: "reference" });
  for (const name of [...CAUSAL, ...ENCODERS, "GPT2ForSequenceClassification"]) {
    const model = metaModel(name, SMALL[name]!(SIZES));
    await model.materialize({ device, seed: 7 });
    models.set(name, model);
  }
});
afterAll(() => device.close());

const token = fc.integer({ min: 2, max: SIZES.vocab - 1 });
const text = fc.array(token, { minLength: 1, maxLength: 8 });
const padding = fc.integer({ min: 0, max: 6 });

const ids = (rows: readonly (readonly number[])[]): Tensor =>
  device.tensor(rows.flat(), [rows.length, rows[0]!.length], "i32");
const mask = (rows: readonly (readonly number[])[]): Tensor =>
  device.tensor(Uint8Array.from(rows.flat()), [rows.length, rows[0]!.length], "bool");
const times = (n: number, value: number): number[] => new Array<number>(n).fill(value);

async function logitsOf(
  name: string,
  inputs: { inputIds: Tensor; attentionMask?: Tensor; positionIds?: Tensor },
): Promise<Float64Array> {
  const out = models.get(name)!.forward(inputs as never) as { logits: Tensor };
  return Float64Array.from(await out.logits.floats());
}

/** Sums of the same terms, with zeros in between: they may be grouped in another way, some tens of roundings of numbers below 100. */
function expectSame(got: ArrayLike<number>, want: ArrayLike<number>): void {
  expect(got.length).toBe(want.length);
  expect(Math.max(0, ...Array.from(want, (v, i) => Math.abs(got[i]! - v)))).toBeLessThanOrEqual(1e-11);
}

describe.each(CAUSAL)("%s", (name) => {
  test.prop([text, text, text, fc.boolean()], { numRuns: 20 })(
    "does not let later tokens reach earlier ones",
    async (start, one, two, masked) => {
      const length = Math.min(one.length, two.length);
      const whole = [...start, ...one.slice(0, length)];
      const other = [...start, ...two.slice(0, length)];
      const extra = masked ? { attentionMask: mask([times(whole.length, 1)]) } : {};
      const [a, b] = [
        await logitsOf(name, { inputIds: ids([whole]), ...extra }),
        await logitsOf(name, { inputIds: ids([other]), ...extra }),
      ];
      const known = start.length * SIZES.vocab;
      // weights beyond the query are exact zeros, so the bits are the same
      expect(a.subarray(0, known)).toEqual(b.subarray(0, known));
      expectSame(a.subarray(0, known), await logitsOf(name, { inputIds: ids([start]) }));
    },
  );

  test.prop([text, padding, token], { numRuns: 20 })(
    "says the same under left padding, whatever stands there",
    async (words, pad, filler) => {
      const attentionMask = mask([[...times(pad, 0), ...times(words.length, 1)]]);
      const padded = await logitsOf(name, {
        inputIds: ids([[...times(pad, filler), ...words]]),
        attentionMask,
        positionIds: positionsOf(attentionMask),
      });
      expectSame(padded.subarray(pad * SIZES.vocab), await logitsOf(name, { inputIds: ids([words]) }));
      expect(padded.every(Number.isFinite)).toBe(true);
    },
  );

  test.prop([text, padding, token], { numRuns: 10 })(
    "says the same under right padding",
    async (words, pad, filler) => {
      const attentionMask = mask([[...times(words.length, 1), ...times(pad, 0)]]);
      const padded = await logitsOf(name, { inputIds: ids([[...words, ...times(pad, filler)]]), attentionMask });
      expectSame(padded.subarray(0, words.length * SIZES.vocab), await logitsOf(name, { inputIds: ids([words]) }));
    },
  );

  test.prop([fc.array(token, { minLength: 2, maxLength: 8 })], { numRuns: 10 })(
    "has the mean of the token losses as its loss",
    async (words) => {
      const model = models.get(name)!;
      const inputIds = ids([words]);
      const { logits, loss } = model.forward({ inputIds, labels: inputIds });
      const each = await tokenLosses(logits!, inputIds).floats();
      expect(each.length).toBe(words.length - 1);
      expectSame([await loss!.item()], [each.reduce((a, b) => a + b, 0) / each.length]);
    },
  );

  it("attends evenly where there is only padding, and its gradients are finite", async () => {
    const model = models.get(name)!;
    const attentionMask = mask([[0, 0, 1, 1]]);
    const { attentions, loss } = model.forward({
      inputIds: ids([[2, 3, 4, 5]]),
      attentionMask,
      labels: ids([[-100, -100, 4, 5]]),
    });
    const weights = Array.from(await attentions[0]!.floats());
    expectSame(weights.slice(0, 8), times(8, 0.25));
    expectSame(weights.slice(8, 12), [0, 0, 1, 0]);
    for (const g of grad(
      loss!,
      model
        .weights()
        .slice(0, 3)
        .map((w) => w.parameter),
    ))
      expect((await g.floats()).every(Number.isFinite)).toBe(true);
    expect(
      await positionsOf(
        mask([
          [0, 0, 1, 1],
          [1, 1, 1, 0],
        ]),
      ).data(),
    ).toEqual(Int32Array.of(0, 0, 0, 1, 0, 1, 2, 2));
  });
});

describe.each(ENCODERS)("%s", (name) => {
  test.prop([text, padding], { numRuns: 20 })("says the same however far a text is padded", async (words, pad) => {
    const attentionMask = mask([[...times(words.length, 1), ...times(pad, 0)]]);
    expectSame(
      await logitsOf(name, { inputIds: ids([[...words, ...times(pad, PAD[name] ?? 0)]]), attentionMask }),
      await logitsOf(name, { inputIds: ids([words]) }),
    );
  });
});

describe("GPT2ForSequenceClassification", () => {
  test.prop([text, padding], { numRuns: 20 })(
    "reads the last token that is not padding, on either side",
    async (words, pad) => {
      const name = "GPT2ForSequenceClassification";
      const plain = await logitsOf(name, { inputIds: ids([words]) });
      const right = mask([[...times(words.length, 1), ...times(pad, 0)]]);
      expectSame(await logitsOf(name, { inputIds: ids([[...words, ...times(pad, 0)]]), attentionMask: right }), plain);
      const left = mask([[...times(pad, 0), ...times(words.length, 1)]]);
      expectSame(
        await logitsOf(name, {
          inputIds: ids([[...times(pad, 0), ...words]]),
          attentionMask: left,
          positionIds: positionsOf(left),
        }),
        plain,
      );
    },
  );

  it("reads each text of a batch at its own end", async () => {
    const both = await logitsOf("GPT2ForSequenceClassification", {
      inputIds: ids([
        [3, 4, 5, 0, 0],
        [0, 6, 7, 8, 9],
      ]),
      attentionMask: mask([
        [1, 1, 1, 0, 0],
        [0, 1, 1, 1, 1],
      ]),
      positionIds: device.tensor([0, 1, 2, 2, 2, 0, 0, 1, 2, 3], [2, 5], "i32"),
    });
    expectSame(both.subarray(0, 2), await logitsOf("GPT2ForSequenceClassification", { inputIds: ids([[3, 4, 5]]) }));
    expectSame(both.subarray(2), await logitsOf("GPT2ForSequenceClassification", { inputIds: ids([[6, 7, 8, 9]]) }));
  });

  it("wants to know the padding when there is more than one text", async () => {
    const model = new GPT2ForSequenceClassification(
      parseGPT2Config({ ...SMALL["GPT2ForSequenceClassification"]!(SIZES), pad_token_id: null }),
    );
    await model.materialize({ device, seed: 7 });
    expect(() =>
      model.forward({
        inputIds: ids([
          [3, 4],
          [5, 6],
        ]),
      }),
    ).toThrow(/no pad_token_id/);
    expectSame(
      await model.forward({ inputIds: ids([[3, 4, 5]]) }).logits.floats(),
      await logitsOf("GPT2ForSequenceClassification", { inputIds: ids([[3, 4, 5]]) }),
    );
  });
});
