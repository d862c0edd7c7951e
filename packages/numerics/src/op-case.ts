/** Running one sampled op on a device: forward, and the gradient of a weighted sum of its first result. */
import { grad, isFloat, ops, records, Tensor, type Device, type OpRecord, type TensorSpec } from "@lowrank/tensor";

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
  if (typeof args === "object" && args !== null) return Object.fromEntries(Object.entries(args).map(([k, v]) => [k, makeArguments(v, device, leaves)]));
  return args;
}

/** Largest sum of magnitudes over the sampled float tensors, and at least 1: the scale that reductions are measured against. */
export function scaleOf(args: unknown): number {
  if (isSpec(args)) return args.dtype === "f32" ? Math.max(1, args.data.reduce((s, v) => s + Math.abs(v), 0)) : 1;
  if (typeof args !== "object" || args === null) return 1;
  return Math.max(1, ...Object.values(args).map(scaleOf));
}

export function callOp(name: string, args: readonly unknown[]): Tensor[] {
  const out = (ops as unknown as Record<string, (...a: unknown[]) => unknown>)[name]!(...args);
  return out instanceof Tensor ? [out] : (Object.values(out as Record<string, Tensor>));
}

/** Σ w·y with weights that tell every element from every other. */
export function weightedSum(y: Tensor): Tensor {
  const flat = ops.reshape(y, [-1]);
  const weights = ops.mul(ops.cast(ops.add(ops.coordinate(flat, 0), 1), y.dtype), 1 / Math.max(1, flat.size));
  return ops.sum(ops.mul(flat, weights));
}

export async function runOp(name: string, record: AnyRecord, sample: readonly unknown[], device: Device): Promise<OpResult> {
  const leaves: Tensor[] = [];
  const outputs = callOp(name, makeArguments(sample, device, leaves) as unknown[]);
  const first = outputs[0]!;
  const gradients = record.differentiable && leaves.length > 0 && isFloat(first.dtype) ? grad(weightedSum(first), leaves) : [];
  await device.realize(...outputs, ...gradients);
  const read = (list: readonly Tensor[]): Promise<Float64Array[]> => Promise.all(list.map((x) => x.floats()));
  return { outputs: await read(outputs), gradients: await read(gradients) };
}
