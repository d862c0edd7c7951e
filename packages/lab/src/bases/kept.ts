/** How weights may be kept: as the file has them, in f16, in four bits; bytes of each, and weights without numbers for a device that plans. */
import { Projection, type Module, type Weight, type WeightForm } from "@lowrank/nn";
import type { WeightFacts } from "@lowrank/models";
import { formats, planQuantization } from "@lowrank/quant";
import { bytesOf, dtypes, LowrankError, type Device, type DType } from "@lowrank/tensor";

/** One weight: plain numbers, or a form of quantized ones. */
export type Kept = DType | { readonly form: string; readonly doubleQuantized: boolean };

export type Keeping = (name: string, weight: Weight) => Kept;

const PLAIN: Readonly<Record<string, DType>> = { F16: "f16", BF16: "bf16" };

/**
 * As the file has them: its halves, its blocks, its codes; what is wider than f32 is narrowed to it, and what it lacks is drawn in f32.
 * Undefined for a form that nothing can be planned in.
 */
export function asStored(weights: readonly WeightFacts[]): Keeping | undefined {
  const kept = new Map<string, Kept>();
  for (const { name, dtype, doubleQuantized } of weights) {
    const format = formats.find((one) => one.name === dtype);
    if (format !== undefined && format.empty === undefined) return undefined;
    kept.set(name, format === undefined ? (PLAIN[dtype] ?? "f32") : { form: dtype, doubleQuantized });
  }
  return (name) => kept.get(name) ?? "f32";
}

/** Linear layers in NF4 with scales that are quantized too, the rest in f16; undefined where there is nothing to quantize. */
export function inFourBits(model: Module): Keeping | undefined {
  try {
    const { modules } = planQuantization(model);
    return (name) =>
      modules.has(name.replace(/\.weight$/, "")) && name.endsWith(".weight")
        ? { form: "nf4", doubleQuantized: true }
        : "f16";
  } catch (error) {
    if (error instanceof LowrankError && error.kind === "input") return undefined;
    throw error;
  }
}

/** Weights of a model, each once, under its first name. */
export function weightsOf(model: Module): [string, Weight][] {
  return [...model.namedWeights()].filter(([, w], i, all) => all.findIndex(([, other]) => other === w) === i);
}

/** Bytes of all weights on a device, tables of their forms included. @param planner a device that only plans */
export function heldBytes(model: Module, keeping: Keeping, planner: Device): number {
  const known = new Map<string, number>();
  return weightsOf(model).reduce((sum, [name, weight]) => {
    const kept = keeping(name, weight);
    if (typeof kept === "string") return sum + weight.size * bytesOf(kept);
    const key = JSON.stringify([kept, weight.shape]);
    if (!known.has(key)) {
      const form = empty(kept, planner, weight.shape, false);
      known.set(key, form.bytes);
      form.dispose();
    }
    return sum + known.get(key)!;
  }, 0);
}

/** Gives every weight its place on a device that only plans. */
export function place(model: Module, keeping: Keeping, device: Device): void {
  const turned = new Set(
    [...model.namedModules()].flatMap(([, m]) => (m instanceof Projection && m.fanInFanOut ? [m.weight] : [])),
  );
  for (const [name, weight] of weightsOf(model)) {
    weight.name = name;
    const kept = keeping(name, weight);
    if (typeof kept === "string") {
      weight.computesIn = kept === device.defaultFloat ? undefined : device.defaultFloat;
      const zeros = new dtypes[kept].array(new ArrayBuffer(weight.size * bytesOf(kept)));
      weight.parameter = device.parameter(zeros, weight.shape, kept, kept);
    } else weight.form = empty(kept, device, weight.shape, turned.has(weight));
  }
  model.labelTree();
}

function empty(
  { form, doubleQuantized }: Exclude<Kept, DType>,
  device: Device,
  shape: readonly number[],
  transposed: boolean,
): WeightForm {
  return formats.find(({ name }) => name === form)!.empty!(device, shape, {
    transposed,
    doubleQuantization: doubleQuantized,
  });
}
