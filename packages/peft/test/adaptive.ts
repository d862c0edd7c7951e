/** A model whose projections carry SVD-form updates, and a compiled training step with an allocator in it. */
import { Linear, Module, SGD, Weight, type Optimizer } from "@lowrank/nn";
import {
  compile,
  grad,
  ops,
  RandomStream,
  type Compiled,
  type Device,
  type HostTensor,
  type Tensor,
} from "@lowrank/tensor";
import { AdaptedProjection, SvdUpdate, type AdaptiveMethod, type StepGradients, type Triplets } from "../src/index.ts";

/** b(tanh(a(x))). */
export class Pair extends Module {
  a: AdaptedProjection;
  b: AdaptedProjection;

  constructor(sizes: readonly [number, number, number], ranks: readonly [number, number], scale = 4) {
    super();
    this.a = svd(new Linear(sizes[0], sizes[1]), ranks[0], scale);
    this.b = svd(new Linear(sizes[1], sizes[2]), ranks[1], scale);
    this.freeze(/base|^[ab]\.(weight|bias)$/);
  }

  forward(x: Tensor): Tensor {
    return this.b.forward(ops.tanh(this.a.forward(x)));
  }
  get layers(): Triplets[] {
    return [triplets("a", this.a), triplets("b", this.b)];
  }
  updateOf(name: "a" | "b"): SvdUpdate {
    return this[name].updates.get("default") as SvdUpdate;
  }
}

function svd(base: Linear, rank: number, scale: number): AdaptedProjection {
  const layer = new AdaptedProjection(base);
  layer.add("default", new SvdUpdate(layer.site, { rank, scale, dropout: 0 }));
  return layer;
}

export function triplets(name: string, layer: AdaptedProjection): Triplets {
  const { a, b, e } = layer.updates.get("default") as SvdUpdate;
  return { name, a, b, e };
}

/** A pair in memory whose E is not zero, so that every triplet has a gradient from the first step. */
export async function stirred(device: Device, seed: number, ranks: readonly [number, number] = [3, 3]): Promise<Pair> {
  const model = new Pair([5, 4, 3], ranks);
  await model.materialize({ device, seed });
  const stream = new RandomStream(seed, "stir");
  for (const { a, b, e } of model.layers)
    for (const w of [a, b, e])
      write(
        w,
        Array.from({ length: w.size }, () => 0.3 * stream.normal()),
      );
  return model;
}

/** Triplets of random values that belong to no model, for feeding gradients by hand. */
export function loose(
  device: Device,
  ranks: readonly number[],
  seed: number,
  sizes: readonly [number, number] = [4, 3],
): Triplets[] {
  const stream = new RandomStream(seed, "loose");
  const weight = (shape: readonly number[], name: string): Weight => {
    const out = new Weight(shape, { kind: "zeros" });
    out.parameter = device.parameter(
      Float64Array.from({ length: out.size }, () => stream.normal()),
      shape,
      device.defaultFloat,
    );
    out.name = name;
    return out;
  };
  return ranks.map((r, m) => ({
    name: `m${m}`,
    a: weight([r, sizes[0]], `m${m}.lora_A`),
    b: weight([sizes[1], r], `m${m}.lora_B`),
    e: weight([r, 1], `m${m}.lora_E`),
  }));
}

/** One allocator step on its own: every weight's gradient is given. Returns the report. */
export async function feed(
  device: Device,
  method: AdaptiveMethod,
  gradient: (weight: Weight, i: number) => number,
): Promise<Float64Array> {
  const weights = method.layers.flatMap(({ a, b, e }) => [a, b, e]);
  const map = new Map(
    weights.map((w) => [
      w,
      device.tensor(
        Array.from({ length: w.size }, (_, i) => gradient(w, i)),
        w.shape,
      ),
    ]),
  );
  const report = method.afterStep({ raw: map, clipped: map });
  await device.realize(report);
  return report.floats();
}

export function write(weight: Weight, values: readonly number[]): void {
  weight.parameter.write(weight.parameter.dtype === "f64" ? Float64Array.from(values) : Float32Array.from(values));
}

export interface Trainer {
  readonly optimizer: Optimizer;
  readonly step: Compiled<{ total: Tensor; task: Tensor; report: Tensor }>;
  run(x: HostTensor, y: HostTensor): Promise<{ total: number; task: number; report: Float64Array }>;
}

/** @param gradientScale factor on the gradients that the allocator sees */
export function trainer(
  model: Pair,
  method: AdaptiveMethod,
  device: Device,
  lr = 0.05,
  options: { gradientScale?: Tensor; skip?: (w: Weight) => boolean; onGradients?: (g: Tensor[]) => void } = {},
): Trainer {
  const optimizer = new SGD(model.trainableWeights(), { lr });
  const step = compile(device, ({ x, y }) => {
    const task = ops.mse(model.forward(x!), y!);
    const regularizer = method.regularizer();
    const total = regularizer === undefined ? task : ops.add(task, regularizer);
    const grads = grad(total, optimizer.parameters);
    optimizer.step(grads);
    const seen = options.gradientScale === undefined ? grads : grads.map((g) => ops.mul(g, options.gradientScale!));
    const report = method.afterStep(
      gradientsOf(
        optimizer.weights.filter((w) => options.skip?.(w) !== true),
        optimizer.weights,
        seen,
      ),
    );
    return { total, task, report };
  });
  return {
    optimizer,
    step,
    async run(x, y) {
      const out = await step({ x, y });
      const report = await out.report.floats();
      method.check(report);
      return { total: await out.total.item(), task: await out.task.item(), report };
    },
  };
}

export function gradientsOf(
  wanted: readonly Weight[],
  weights: readonly Weight[],
  grads: readonly Tensor[],
): StepGradients {
  const map = new Map(wanted.map((w) => [w, grads[weights.indexOf(w)]!]));
  return { raw: map, clipped: map };
}

/** Inputs and targets of a regression, in the device's float. */
export function batch(
  device: Device,
  seed: number,
  rows = 6,
  sizes: readonly [number, number, number] = [5, 4, 3],
): { x: HostTensor; y: HostTensor } {
  const stream = new RandomStream(seed, "batch");
  const make = (width: number): HostTensor => {
    const values = Float64Array.from({ length: rows * width }, () => stream.normal());
    return { data: device.defaultFloat === "f64" ? values : Float32Array.from(values), shape: [rows, width] };
  };
  return { x: make(sizes[0]), y: make(sizes[2]) };
}
