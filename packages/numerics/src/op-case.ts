/** Running one sampled op on a device: forward, and the gradient of a weighted sum of its first result. */
import { grad, isFloat, ops, sameShape, Tensor, type Device } from "@lowrank/tensor";
import { records, type OpRecord, type TensorSpec } from "@lowrank/tensor/records";
import type { Arithmetic } from "./bounds/arithmetic.ts";
import type { Enclosure } from "./bounds/enclosure.ts";
import { errorBound } from "./bounds/error-bound.ts";
import { makeTensor } from "./layouts.ts";

export type AnyRecord = OpRecord;

/** Every op record by name. */
export function allRecords(): [string, AnyRecord][] {
  return Object.entries(records);
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
    const tensor = makeTensor(args, device, args.dtype === "f32" ? device.defaultFloat : args.dtype);
    if (isFloat(args.dtype)) leaves.push(tensor);
    return tensor;
  }
  if (Array.isArray(args)) return args.map((a) => makeArguments(a, device, leaves));
  if (typeof args === "object" && args !== null)
    return Object.fromEntries(Object.entries(args).map(([k, v]) => [k, makeArguments(v, device, leaves)]));
  return args;
}

export function callOp(name: string, args: readonly unknown[], implementation?: Implementation): Tensor[] {
  const out = (implementation ?? (ops as unknown as Record<string, Implementation>)[name]!)(...args);
  return out instanceof Tensor ? [out] : Object.values(out as Record<string, Tensor>);
}

/** Σ w·y with weights that tell every element from every other. */
export function weightedSum(y: Tensor): Tensor {
  const flat = ops.reshape(y, [-1]);
  const weights = ops.mul(ops.cast(ops.add(ops.iota(flat, 0), 1), y.dtype), 1 / Math.max(1, flat.size));
  return ops.sum(ops.mul(flat, weights));
}

/** What runs in the place of an op: the op itself, or what a test wants to see refused. */
export type Implementation = (...args: unknown[]) => unknown;

/** The outputs of one sampled op and the gradients of its first one; nothing has run. */
export interface BuiltOp {
  readonly outputs: readonly Tensor[];
  readonly gradients: readonly Tensor[];
}

export function buildOp(
  name: string,
  record: AnyRecord,
  sample: readonly unknown[],
  device: Device,
  implementation?: Implementation,
): BuiltOp {
  const leaves: Tensor[] = [];
  const outputs = callOp(name, makeArguments(sample, device, leaves) as unknown[], implementation);
  const first = outputs[0]!;
  const gradients =
    record.differentiable && leaves.length > 0 && isFloat(first.dtype) ? grad(weightedSum(first), leaves) : [];
  return { outputs, gradients };
}

export async function runOp(
  name: string,
  record: AnyRecord,
  sample: readonly unknown[],
  device: Device,
  implementation?: Implementation,
): Promise<OpResult> {
  const { outputs, gradients } = buildOp(name, record, sample, device, implementation);
  await device.realize(...outputs, ...gradients);
  const read = (list: readonly Tensor[]): Promise<Float64Array[]> => Promise.all(list.map((x) => x.floats()));
  return { outputs: await read(outputs), gradients: await read(gradients) };
}

export interface OpBounds {
  readonly outputs: readonly Enclosure[];
  readonly gradients: readonly Enclosure[];
}

/** The same on the reference device, with how far another device may be off. */
export async function boundOp(
  name: string,
  record: AnyRecord,
  sample: readonly unknown[],
  reference: Device,
  arithmetic: Arithmetic,
): Promise<OpBounds> {
  const { outputs, gradients } = buildOp(name, record, sample, reference);
  // arguments that ops refuse only when they run are refused here
  await reference.realize(...outputs, ...gradients);
  const bounds = await errorBound([...outputs, ...gradients], { arithmetic });
  return { outputs: bounds.slice(0, outputs.length), gradients: bounds.slice(outputs.length) };
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
