/** Losses of heads by the problem they solve, sums that leave padding out, and what does not decay. */
import { fc, test } from "@fast-check/vitest";
import { decayGroups } from "@lowrank/nn";
import { grad, init, ops, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { metaModel, perplexityParts, tokenLosses } from "../src/index.ts";
import { answerLoss, classificationLoss, flatCrossEntropy, nextTokenLoss } from "../src/shared/losses.ts";
import type { LabelFields, ProblemType } from "../src/shared/labels.ts";
import { SMALL } from "./small-models.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

const fieldsOf = (numLabels: number, problemType?: ProblemType): LabelFields => ({
  numLabels,
  id2label: undefined,
  problemType,
});
const real = fc.double({ min: -30, max: 30, noNaN: true });
const near = (got: number, want: number): void => {
  expect(Math.abs(got - want)).toBeLessThanOrEqual(1e-10 * (1 + Math.abs(want)));
};

describe("a classifier's loss", () => {
  test.prop([fc.array(fc.tuple(real, real), { minLength: 1, maxLength: 5 })], { numRuns: 30 })(
    "of one label is the mean squared error, whether labels are [b] or [b, 1]",
    async (pairs) => {
      const b = pairs.length;
      const logits = device.tensor(
        Float64Array.from(pairs, ([x]) => x),
        [b, 1],
      );
      for (const shape of [[b], [b, 1]])
        near(
          await classificationLoss(
            logits,
            device.tensor(
              Float64Array.from(pairs, ([, y]) => y),
              shape,
            ),
            fieldsOf(1),
          )!.item(),
          pairs.reduce((s, [x, y]) => s + (x - y) ** 2, 0) / b,
        );
    },
  );

  test.prop(
    [
      fc.array(fc.tuple(fc.oneof(real, fc.constant(0)), fc.double({ min: 0, max: 1, noNaN: true })), {
        minLength: 6,
        maxLength: 6,
      }),
    ],
    { numRuns: 30 },
  )("of float labels is a binary cross-entropy each, with its gradient at 0 too", async (pairs) => {
    const logits = device.parameter(
      Float64Array.from(pairs, ([x]) => x),
      [2, 3],
    );
    const loss = classificationLoss(
      logits.value,
      device.tensor(
        Float64Array.from(pairs, ([, y]) => y),
        [2, 3],
      ),
      fieldsOf(3),
    )!;
    const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
    near(await loss.item(), pairs.reduce((s, [x, y]) => s + y * softplus(-x) + (1 - y) * softplus(x), 0) / 6);
    const slopes = await grad(loss, [logits])[0]!.floats();
    pairs.forEach(([x, y], i) => {
      near(slopes[i]!, (1 / (1 + Math.exp(-x)) - y) / 6);
    });
  });

  it("goes by the problem type that is said, and refuses labels of another kind", async () => {
    const logits = device.tensor(Float64Array.of(1, 2, 3, 4), [2, 2]);
    const floats = device.tensor(Float64Array.of(0, 1, 1, 0), [2, 2]);
    const whole = device.tensor(Int32Array.of(0, 1), [2]);
    near(await classificationLoss(logits, floats, fieldsOf(2, "regression"))!.item(), (1 + 1 + 4 + 16) / 4);
    expect(await classificationLoss(logits, device.tensor(Int32Array.of(0, 1), [2, 1]), fieldsOf(2))!.item()).toBe(
      await ops.crossEntropy(logits, whole).item(),
    );
    expect(() => classificationLoss(logits, whole, fieldsOf(2, "regression"))).toThrow(
      "labels of a regression with 2 labels must be [2, 2], got [2]",
    );
    expect(() => classificationLoss(logits, whole, fieldsOf(2, "multi_label_classification"))).toThrow(
      "must be [2, 2], got [2]",
    );
    expect(() =>
      classificationLoss(logits, device.tensor(Float64Array.of(0, 1), [2]), fieldsOf(2, "single_label_classification")),
    ).toThrow("are whole numbers, got f64");
    expect(() =>
      classificationLoss(
        device.tensor(Float64Array.of(1, 2), [2, 1]),
        device.tensor(Float64Array.of(1, 2), [1, 2]),
        fieldsOf(1),
      ),
    ).toThrow("must be [2, 1] or [2], got [1, 2]");
  });
});

test.prop([fc.array(fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }), { minLength: 1, maxLength: 3 })], {
  numRuns: 20,
})("a perplexity's parts leave padding out, at either side of a target", async (mask) => {
  const [b, n, vocab] = [mask.length, 5, 7];
  const logits = device.tensor(
    Float64Array.from({ length: b * n * vocab }, (_, i) => Math.sin(i * i)),
    [b, n, vocab],
  );
  const ids = device.tensor(
    Int32Array.from({ length: b * n }, (_, i) => (3 * i) % vocab),
    [b, n],
  );
  const all = await tokenLosses(logits, ids).floats();
  const counted = mask.flatMap((row) => row.slice(1).map((m, i) => m && row[i]!));
  const attentionMask = device.tensor(Uint8Array.from(mask.flat(), Number), [b, n], "bool");
  const { sum, count } = perplexityParts(logits, ids, attentionMask);
  near(
    await sum.item(),
    all.reduce((s, v, i) => s + (counted[i] === true ? v : 0), 0),
  );
  expect(await count.item()).toBe(counted.filter(Boolean).length);
  const unmasked = perplexityParts(logits, ids);
  near(
    await unmasked.sum.item(),
    all.reduce((s, v) => s + v, 0),
  );
  expect(await unmasked.count.item()).toBe(b * (n - 1));
});

it("a perplexity's parts count what they sum: masks of the ids' shape, and no token that is none", async () => {
  const ids = device.tensor(Int32Array.of(1, 2, -100, -100), [1, 4]);
  const { sum, count } = perplexityParts(device.zeros([1, 4, 5]), ids);
  near(Math.exp((await sum.item()) / (await count.item())), 5);
  expect(() =>
    perplexityParts(
      device.zeros([2, 4, 5]),
      device.tensor(new Int32Array(8), [2, 4]),
      device.tensor(new Uint8Array(4), [1, 4], "bool"),
    ),
  ).toThrow("attentionMask must be [2, 4], one for each position, got [1, 4]");
});

it.each(["u8", "u32", "i32"] as const)("tokens of type %s are asked for one after the other", async (dtype) => {
  const logits = device.tensor(
    Float64Array.from({ length: 20 }, (_, i) => Math.sin(i * i)),
    [1, 4, 5],
  );
  const losses = async (ids: Tensor): Promise<number[]> => [
    await nextTokenLoss(logits, ids)!.item(),
    await perplexityParts(logits, ids).count.item(),
  ];
  expect(await losses(device.tensor([1, 2, 3, 4], [1, 4], dtype))).toEqual(
    await losses(device.tensor(Int32Array.of(1, 2, 3, 4), [1, 4])),
  );
});

it("labels of another shape than the positions are refused, also where their number is the same", () => {
  const logits = device.zeros([2, 4, 5]);
  for (const shape of [[4, 2], [8], [8, 1], [1, 8]]) {
    const labels = device.tensor(new Int32Array(8), shape);
    for (const loss of [flatCrossEntropy, nextTokenLoss])
      expect(() => loss(logits, labels)).toThrow(
        `labels must be [2, 4], one for each position, got [${shape.join(", ")}]`,
      );
  }
  expect(() =>
    answerLoss(
      { startLogits: device.zeros([2, 4]), endLogits: device.zeros([2, 4]) },
      { startPositions: device.tensor(Int32Array.of(0, 1), [2]) },
      "X",
    ),
  ).toThrow("X: an answer has a start and an end");
});

it.each(Object.keys(SMALL))("%s: norms and biases do not decay, all else does", (name) => {
  const named = [
    ...metaModel(name, SMALL[name]!({ vocab: 9, heads: 2, width: 4, layers: 1, positions: 6 })).namedWeights(),
  ];
  const groups = decayGroups(named, 0.1);
  const nameOf = new Map(named.map(([n, w]) => [w, n]));
  const kept = groups.find((g) => g.weightDecay === 0)!.weights.map((w) => nameOf.get(w)!);
  expect(kept.sort()).toEqual(
    named
      .map(([n]) => n)
      .filter((n) => /bias$|LayerNorm|layer_norm|layernorm|ln_|[qk]_norm|^model\.norm/.test(n))
      .sort(),
  );
});

describe("texts in one row", () => {
  const CAUSAL = ["GPT2LMHeadModel", "LlamaForCausalLM"] as const;
  test.prop(
    [
      fc.constantFrom(...CAUSAL),
      fc.array(fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 4 }), {
        minLength: 1,
        maxLength: 3,
      }),
      fc.nat({ max: 2 }),
      fc.nat({ max: 2 }),
      fc.boolean(),
    ],
    { numRuns: 25 },
  )(
    "are each as they are alone, with and without a mask, padding before and behind",
    async (name, texts, before, behind, masked) => {
      const model = metaModel(name, {
        ...SMALL[name]!({ vocab: 9, heads: 2, width: 4, layers: 2, positions: 16 }),
        pad_token_id: null,
      });
      await model.materialize({ device, seed: 5 });
      const logitsOf = async (
        rows: readonly number[],
        positions: readonly number[],
        mask?: readonly number[],
      ): Promise<Float64Array> => {
        const shape = [1, rows.length];
        const out = model.forward({
          inputIds: device.tensor(Int32Array.from(rows), shape),
          positionIds: device.tensor(Int32Array.from(positions), shape),
          ...(mask === undefined ? {} : { attentionMask: device.tensor(Uint8Array.from(mask), shape, "bool") }),
        } as never) as { logits: Tensor };
        return out.logits.floats();
      };
      const [left, right] = masked ? [before, behind] : [0, 0];
      const none = (n: number): number[] => new Array<number>(n).fill(0);
      const row = [...none(left), ...texts.flat(), ...none(right)];
      const positions = [...none(left), ...texts.flatMap((t) => t.map((_, i) => i)), ...none(right)];
      const all = await logitsOf(
        row,
        positions,
        masked ? [...none(left), ...texts.flat().map(() => 1), ...none(right)] : undefined,
      );
      let at = left;
      for (const text of texts) {
        const alone = await logitsOf(
          text,
          text.map((_, i) => i),
        );
        alone.forEach((v, i) => {
          near(all[at * 9 + i]!, v);
        });
        at += text.length;
      }
      model.dispose();
    },
  );

  it.each(CAUSAL)(
    "%s: are apart where attention goes block by block too, in a row longer than there are positions",
    async (name) => {
      const model = metaModel(name, {
        ...SMALL[name]!({ vocab: 9, heads: 1, width: 4, layers: 1, positions: 500 }),
        pad_token_id: null,
      });
      await model.materialize({ device, seed: 5 });
      const lastOf = async (lengths: readonly number[]): Promise<Float64Array> => {
        const length = lengths.reduce((a, b) => a + b, 0);
        const positions = lengths.flatMap((n) => Array.from({ length: n }, (_, i) => i));
        const inputs = {
          inputIds: device.tensor(
            Int32Array.from(positions, (p) => (p * p) % 9),
            [1, length],
          ),
          positionIds: device.tensor(Int32Array.from(positions), [1, length]),
        };
        const { logits } = model.forward(inputs as never) as { logits: Tensor };
        return ops.slice(logits, 1, length - 1, length).floats();
      };
      const alone = await lastOf([70]);
      (await lastOf([500, 70])).forEach((v, i) => {
        near(v, alone[i]!);
      });
      model.dispose();
    },
  );
});
