/** Running one sampled op on a device: forward, and the gradient of a weighted sum of its first result. */
import {
  grad,
  isFloat,
  ops,
  records,
  sameShape,
  Tensor,
  type Device,
  type OpRecord,
  type TensorSpec,
} from "@lowrank/tensor";

export type AnyRecord = OpRecord<readonly unknown[], unknown>;

/** Every op record by name. */
export function allRecords(): [string, AnyRecord][] {
  return Object.entries(records) as unknown as [string, AnyRecord][];
}

export interface OpResult {
  readonly outputs: Float64Array[];
  readonly gradients: Float64Array[];
}

function isSpec(value: unknown): value is TensorSpec {
  return typeof value === "object" && value !== null && (value as { spec?: unknown }).spec === true;
}

/** Puts tensors in the place of specs; float tensors are collected for differentiation. */
export function makeArguments(args: unknown, device: Device, leaves: Tensor[]): unknown {
  if (isSpec(args)) {
    const tensor = device.tensor(args.data, args.shape, args.dtype === "f32" ? device.defaultFloat : args.dtype);
    if (args.dtype === "f32") leaves.push(tensor);
    return tensor;
  }
  if (Array.isArray(args)) return args.map((a) => makeArguments(a, device, leaves));
  if (typeof args === "object" && args !== null)
    return Object.fromEntries(Object.entries(args).map(([k, v]) => [k, makeArguments(v, device, leaves)]));
  return args;
}

/** Largest sum of magnitudes over the sampled float tensors, and at least 1: the scale that reductions are measured against. */
export function scaleOf(args: unknown): number {
  if (isSpec(args))
    return args.dtype === "f32"
      ? Math.max(
          1,
          args.data.reduce((s, v) => s + Math.abs(v), 0),
        )
      : 1;
  if (typeof args !== "object" || args === null) return 1;
  return Math.max(1, ...Object.values(args).map(scaleOf));
}

export function callOp(name: string, args: readonly unknown[]): Tensor[] {
  const out = (ops as unknown as Record<string, (...a: unknown[]) => unknown>)[name]!(...args);
  return out instanceof Tensor ? [out] : Object.values(out as Record<string, Tensor>);
}

/** Σ w·y with weights that tell every element from every other. */
export function weightedSum(y: Tensor): Tensor {
  const flat = ops.reshape(y, [-1]);
  const weights = ops.mul(ops.cast(ops.add(ops.iota(flat, 0), 1), y.dtype), 1 / Math.max(1, flat.size));
  return ops.sum(ops.mul(flat, weights));
}

export async function runOp(
  name: string,
  record: AnyRecord,
  sample: readonly unknown[],
  device: Device,
): Promise<OpResult> {
  const leaves: Tensor[] = [];
  const outputs = callOp(name, makeArguments(sample, device, leaves) as unknown[]);
  const first = outputs[0]!;
  const gradients =
    record.differentiable && leaves.length > 0 && isFloat(first.dtype) ? grad(weightedSum(first), leaves) : [];
  await device.realize(...outputs, ...gradients);
  const read = (list: readonly Tensor[]): Promise<Float64Array[]> => Promise.all(list.map((x) => x.floats()));
  return { outputs: await read(outputs), gradients: await read(gradients) };
}

export interface TailResult {
  /** Undefined where the op reduces. */
  readonly output: Float64Array | undefined;
  readonly gradient: Float64Array;
  /** κ of the output's and the gradient's elements, where they were asked for. */
  readonly condition: Float64Array | undefined;
  readonly gradientCondition: Float64Array | undefined;
}

/** An elementwise op in the tails of its first such argument; undefined where the sample has none. */
export async function runTails(
  name: string,
  sample: readonly unknown[],
  device: Device,
  conditions: boolean,
): Promise<TailResult | undefined> {
  const at = sample.findIndex((a) => isSpec(a) && a.tails === true);
  if (at < 0) return undefined;
  const args = makeArguments(sample, device, []) as unknown[];
  const x = args[at] as Tensor;
  const y = callOp(name, args)[0]!;
  const values = sameShape(x.shape, y.shape) ? [y] : [];
  const [first] = grad(ops.sum(y), [x]) as [Tensor];
  const second = conditions ? grad(ops.sum(first), [x]) : [];
  await device.realize(...values, first, ...second);
  const [points, output, gradient, curvature] = await Promise.all([
    x.floats(),
    values[0]?.floats(),
    first.floats(),
    second[0]?.floats(),
  ]);
  const conditionOf = (slope: Float64Array | undefined, value: Float64Array | undefined): Float64Array | undefined =>
    slope === undefined || value === undefined
      ? undefined
      : points.map((p, i) => (slope[i] === 0 ? 0 : Math.abs((p * slope[i]!) / value[i]!)));
  return {
    output,
    gradient,
    condition: conditionOf(gradient, output),
    gradientCondition: conditionOf(curvature, gradient),
  };
}
