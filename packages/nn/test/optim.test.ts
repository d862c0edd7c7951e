/** Optimizers, schedules and clipping against their formulas, step by step and replayed. */
import { compile, grad, init, ops, type Device, type Tensor } from "@lowrank/tensor";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  AdamW,
  clipGradNorm,
  constantSchedule,
  cosineSchedule,
  decayGroups,
  Embedding,
  LayerNorm,
  Linear,
  linearSchedule,
  Module,
  RMSNorm,
  SGD,
  Weight,
  type Optimizer,
} from "../src/index.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});

function weightOf(values: readonly number[], name: string): Weight {
  const weight = new Weight([values.length], { kind: "zeros" });
  weight.name = name;
  weight.parameter = device.parameter([...values]);
  return weight;
}

/** Minimizes Σ (w − target)² for some steps, replayed. */
async function descend(optimizer: Optimizer, weights: readonly Weight[], steps: number): Promise<number[][]> {
  const step = compile(device, () => {
    const loss = weights.map((w) => ops.sum(ops.square(ops.sub(w.value, 0.3)))).reduce((a, b) => ops.add(a, b));
    optimizer.step(grad(loss, optimizer.parameters));
    return { loss };
  });
  for (let i = 0; i < steps; i++) await step({});
  return Promise.all(weights.map(async (w) => [...(await w.value.floats())]));
}

describe("AdamW", () => {
  it("follows torch's formula for a hundred steps with groups, decay and a changing rate", async () => {
    const starts = [
      [1, -2, 0.5],
      [0.1, 4],
    ];
    const weights = starts.map((s, i) => weightOf(s, `w${i}`));
    const lr = (t: number): number => 0.05 * (t < 5 ? t / 5 : 1 / (1 + 0.1 * t));
    const decay = [0.1, 0];
    const optimizer = new AdamW(
      weights.map((w, i) => ({ weights: [w], weightDecay: decay[i]! })),
      { lr, betas: [0.9, 0.99], eps: 1e-6 },
    );
    const got = await descend(optimizer, weights, 100);
    expect(optimizer.steps).toBe(100);
    starts.forEach((start, g) =>
      start.forEach((x, i) => {
        let [p, m, v] = [x, 0, 0];
        for (let t = 1; t <= 100; t++) {
          const grad = 2 * (p - 0.3);
          p *= 1 - lr(t - 1) * decay[g]!;
          m = 0.9 * m + 0.1 * grad;
          v = 0.99 * v + 0.01 * grad * grad;
          p -= ((lr(t - 1) / (1 - 0.9 ** t)) * m) / (Math.sqrt(v) / Math.sqrt(1 - 0.99 ** t) + 1e-6);
        }
        expect(Math.abs(got[g]![i]! - p)).toBeLessThan(1e-10);
      }),
    );
  });

  it("takes a first step of the learning rate against the gradient's sign", async () => {
    const weight = weightOf([5, -5, 0.3], "w");
    const [got] = await descend(new AdamW([weight], { lr: 0.01, weightDecay: 0 }), [weight], 1);
    // −lr·g/(|g| + eps)
    [5 - 0.01, -5 + 0.01, 0.3].forEach((want, i) => expect(Math.abs(got![i]! - want)).toBeLessThan(1e-9));
  });

  it("refuses nothing to train and the same weight twice", () => {
    const weight = weightOf([1], "w");
    expect(() => new AdamW([])).toThrow(/at least one trainable weight/);
    expect(() => new AdamW([weight, weight])).toThrow(/same weight twice/);
  });
});

it("SGD with momentum and coupled decay follows torch's formula", async () => {
  const weight = weightOf([1, -2], "w");
  const [got] = await descend(new SGD([weight], { lr: 0.02, momentum: 0.9, weightDecay: 0.1 }), [weight], 40);
  [1, -2].forEach((x, i) => {
    let [p, b] = [x, 0];
    for (let t = 0; t < 40; t++) {
      b = 0.9 * b + 2 * (p - 0.3) + 0.1 * p;
      p -= 0.02 * b;
    }
    expect(Math.abs(got![i]! - p)).toBeLessThan(1e-12);
  });
});

it("decay groups leave out biases and the weights of norms, whatever their names are", () => {
  class Block extends Module {
    readonly ln_1 = new LayerNorm(2);
    readonly last = new RMSNorm(2);
    readonly renormalize = new Linear(2, 2);
    readonly bias_table = new Embedding(3, 2);
  }
  const model = new Block();
  model.last.weight.trainable = false;
  const named = [
    ...model.namedWeights(),
    ["x.lora_A.default.weight", weightOf([1], "x")],
    ["x.lora_B.default.bias", weightOf([1], "y")],
  ] as [string, Weight][];
  const groups = decayGroups(named, 0.1).map((g) => [
    g.weightDecay,
    g.weights.map((w) => named.find(([, other]) => other === w)![0]),
  ]);
  expect(groups).toEqual([
    [0.1, ["renormalize.weight", "bias_table.weight", "x.lora_A.default.weight"]],
    [0, ["ln_1.weight", "ln_1.bias", "renormalize.bias", "x.lora_B.default.bias"]],
  ]);
});

describe("schedules", () => {
  it("start at 0 under warm-up, peak at 1 and end at 0", () => {
    for (const schedule of [linearSchedule, cosineSchedule]) {
      const f = schedule({ warmupSteps: 4, totalSteps: 20 });
      expect([f(0), f(2), f(4), f(20)]).toEqual([0, 0.5, 1, 0]);
    }
    expect([0, 1, 2, 3, 100].map(constantSchedule({ warmupSteps: 2 }))).toEqual([0, 0.5, 1, 1, 1]);
    expect(linearSchedule({ totalSteps: 10 })(0)).toBe(1);
  });

  it("take their own name from a file, and no other's", () => {
    expect(linearSchedule({ name: "linear", totalSteps: 10 })(5)).toBe(0.5);
    expect(() => linearSchedule({ name: "cosine" as "linear", totalSteps: 10 })).toThrow(
      'linearSchedule: "name" must be "linear", got "cosine"',
    );
    expect(() => cosineSchedule({ totalStep: 10 } as never)).toThrow('did you mean "totalSteps"?');
  });

  it("never rise after the warm-up", () => {
    fc.assert(
      fc.property(fc.nat({ max: 20 }), fc.integer({ min: 21, max: 60 }), (warmupSteps, totalSteps) => {
        for (const f of [linearSchedule({ warmupSteps, totalSteps }), cosineSchedule({ warmupSteps, totalSteps })]) {
          for (let t = warmupSteps; t < totalSteps; t++) expect(f(t + 1)).toBeLessThanOrEqual(f(t));
        }
      }),
    );
  });
});

it("clipping bounds the norm, keeps the direction and leaves small gradients alone", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 1, maxLength: 4 }), {
        minLength: 1,
        maxLength: 3,
      }),
      fc.double({ min: 0.1, max: 5, noNaN: true }),
      async (raw, maxNorm) => {
        const before = raw.flat();
        const { grads, norm } = clipGradNorm(
          raw.map((g): Tensor => device.tensor(g)),
          maxNorm,
        );
        const after = (await Promise.all(grads.map((g) => g.floats()))).flatMap((g) => [...g]);
        const size = Math.hypot(...before);
        expect(Math.abs((await norm.item()) - size)).toBeLessThanOrEqual(1e-12 * (1 + size));
        const factor = Math.min(1, maxNorm / (size + 1e-6));
        after.forEach((v, i) =>
          expect(Math.abs(v - factor * before[i]!)).toBeLessThanOrEqual(1e-12 * (1 + Math.abs(before[i]!))),
        );
        expect(Math.hypot(...after)).toBeLessThanOrEqual(maxNorm * (1 + 1e-12));
      },
    ),
    { numRuns: 40 },
  );
});
