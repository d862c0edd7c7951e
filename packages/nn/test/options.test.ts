/** What the public functions of nn are told is what they do, or is refused by name. */
import { compile, grad, init, ops, RandomStream, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  AdamW,
  clipGradNorm,
  constantSchedule,
  cosineSchedule,
  Rngs,
  Linear,
  linearSchedule,
  LossScaler,
  Module,
  SGD,
  type Weight,
} from "../src/index.ts";

class Deep extends Module {
  layers: Linear[] = Array.from({ length: 12 }, () => new Linear(3, 3));
  head: Linear = new Linear(3, 2, { bias: false });
}

let device: Device;
let model: Deep;
beforeAll(async () => {
  device = await init({ device: "interpreter" });
  model = new Deep();
  await model.materialize({ device });
});
afterAll(() => device.close());

describe("options that mean nothing are refused, with the key that is meant", () => {
  const weights = (): Weight[] => model.weights();
  it.each<[string, () => unknown, string]>([
    [
      "learningRate",
      () => new AdamW(weights(), { learningRate: 1 } as never),
      'AdamW: has an unknown key "learningRate"; did you mean "lr"?',
    ],
    [
      "weight_decay",
      () => new SGD(weights(), { weight_decay: 1 } as never),
      'SGD: has an unknown key "weight_decay"; did you mean "weightDecay"?',
    ],
    [
      "a negative rate",
      () => new AdamW(weights(), { lr: -1 }),
      'AdamW: "lr" must be a number at least 0, or a function, got -1',
    ],
    ["a rate that is no number", () => new AdamW(weights(), { lr: NaN }), 'AdamW: "lr" must be'],
    ["one beta", () => new AdamW(weights(), { betas: [0.9] as never }), 'AdamW: "betas" must be a list of at least 2'],
    [
      "a beta of 1",
      () => new AdamW(weights(), { betas: [0.9, 1] }),
      'AdamW: "betas.1" must be a number at least 0 and below 1, got 1',
    ],
    [
      "a group's rate",
      () => new AdamW([{ weights: weights(), learning_rate: 1 } as never]),
      'optimizer: "0" has an unknown key "learning_rate"; did you mean "lr"?',
    ],
    [
      "parameters for weights",
      () => new SGD(weights().map((w) => w.parameter) as never),
      'optimizer: "0" has an unknown key',
    ],
    ["a scale of 0", () => new LossScaler({ initScale: 0 }), 'LossScaler: "initScale" must be a number above 0, got 0'],
    [
      "a growth that shrinks",
      () => new LossScaler({ growthFactor: 0.5 }),
      'LossScaler: "growthFactor" must be a number above 1, got 0.5',
    ],
    ["init_scale", () => new LossScaler({ init_scale: 8 } as never), 'did you mean "initScale"?'],
    [
      "a warm-up in parts",
      () => linearSchedule({ totalSteps: 10, warmupSteps: 0.1 }),
      'linearSchedule: "warmupSteps" must be a whole number of at least 0, got 0.1',
    ],
    ["no length", () => cosineSchedule({} as never), 'cosineSchedule: "totalSteps" is missing'],
    [
      "warmup",
      () => constantSchedule({ warmup: 3 } as never),
      'constantSchedule: has an unknown key "warmup"; did you mean "warmupSteps"?',
    ],
    [
      "a norm of 0",
      () => clipGradNorm([device.zeros([1])], 0),
      "clipGradNorm: maxNorm must be a number above 0, got 0",
    ],
    [
      "no norm",
      () => clipGradNorm([device.zeros([1])], undefined as never),
      "clipGradNorm: maxNorm must be a number above 0, got undefined",
    ],
    [
      "a bias that is a word",
      () => new Linear(2, 2, { bias: "no" } as never),
      'Linear: "bias" must be true or false, got "no"',
    ],
    ["a seed that is no number", () => new Rngs(device, NaN), "Rngs: the seed must be a whole number, got NaN"],
    ["a seed in parts", () => new RandomStream(1.5), "RandomStream: the seed must be a whole number, got 1.5"],
    [
      "strictness that is a word",
      () => model.loadStateDict(new Map(), { strict: "no" } as never),
      'loadStateDict: "strict" must be true or false',
    ],
  ])("%s", (_, body, message) => {
    expect(body).toThrow(message);
  });

  it("of materialize", async () => {
    await expect(new Deep().materialize({ device, dtype: "float16" as never })).rejects.toThrow(
      'materialize: "dtype" must be one of "f64", "f32"',
    );
    await expect(new Deep().materialize({ device, seeds: 1 } as never)).rejects.toThrow(
      'materialize: has an unknown key "seeds"; did you mean "seed"?',
    );
    await expect(new Deep().materialize({} as never)).rejects.toThrow('materialize: "device" is missing');
  });
});

it("an optimizer counts the frozen weights it is given and refuses them", () => {
  model.freeze();
  model.unfreeze("head");
  expect(() => new AdamW(model.weights())).toThrow(
    "an optimizer trains what it is given, and 24 of these 25 weights are frozen (layers.0.weight, layers.0.bias, layers.1.weight, …); give it model.trainableWeights(), or unfreeze them",
  );
  expect(new AdamW(model.trainableWeights()).weights).toHaveLength(1);
  expect(() => new AdamW([{ weights: model.weights().slice(0, 1) }])).toThrow("1 of these 1 weights is frozen");
  model.unfreeze();
});

it("an optimizer takes the gradients of its weights, in their order", () => {
  const optimizer = new SGD(model.weights().slice(0, 2));
  const zeros = (...shape: number[]) => device.zeros(shape);
  expect(() => {
    optimizer.step([zeros(3, 3)]);
  }).toThrow("step: 1 gradients for 2 weights");
  expect(() => {
    optimizer.step([zeros(3, 3), zeros(1)]);
  }).toThrow("step: the gradient of layers.0.bias [3] is [1]");
  optimizer.step([zeros(3, 3), ops.add(zeros(3), 1)]);
  expect(device.pending.size).toBe(2);
  device.takePending();
});

it("an optimizer refuses, and counts, weights that were frozen after it was made", async () => {
  const net = new Deep();
  await net.materialize({ device });
  const optimizer = new SGD(net.head.weights());
  const update = (): Record<string, never> => {
    optimizer.step(grad(ops.sum(net.head.weight.value), optimizer.parameters));
    return {};
  };
  const step = compile(device, update);
  for (let i = 0; i < 3; i++) await step({});
  const before = await net.head.weight.value.floats();
  net.freeze();
  const said = "1 of these 1 weights is frozen (head.weight)";
  await expect(step({})).rejects.toThrow(said);
  expect(update).toThrow(said);
  expect(device.pending.size).toBe(0);
  expect(await net.head.weight.value.floats()).toEqual(before);
  net.unfreeze();
  await step({});
  expect(optimizer.steps).toBe(4);
});

it.each([NaN, undefined, "0.1", -1, Infinity])(
  "a learning rate's function that gives %s is refused before it spoils a weight",
  async (wrong) => {
    const net = new Deep();
    await net.materialize({ device });
    for (const Kind of [AdamW, SGD]) {
      let rate: unknown = 0.1;
      const optimizer = new Kind([{ weights: net.head.weights(), lr: () => rate as number }]);
      const step = compile(device, () => {
        optimizer.step(grad(ops.sum(net.head.weight.value), optimizer.parameters));
        return {};
      });
      for (let i = 0; i < 3; i++) await step({});
      const before = await net.head.weight.value.floats();
      rate = wrong;
      const shown = typeof wrong === "string" ? `"${wrong}"` : String(wrong);
      await expect(step({})).rejects.toMatchObject({
        code: "ConfigError",
        message: `${Kind.name}: "lr" must be a number at least 0, and its function gave ${shown} for step 4`,
      });
      expect(await net.head.weight.value.floats()).toEqual(before);
      expect(optimizer.steps).toBe(3);
    }
  },
);
