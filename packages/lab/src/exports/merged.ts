/** Working an adapter into its base, and what that cost. */
import type { WrittenFloat } from "@lowrank/quant";
import type { Weight } from "@lowrank/nn";
import { toMemory } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import type { Opened } from "./opened.ts";

/** Errors of what was stored beside what was computed, of all modules the largest. */
export interface Cost {
  readonly modules: number;
  /** Of one number. */
  readonly largest: number;
  /** Of a weight as a whole, ‖stored − exact‖ / ‖exact‖. */
  readonly relative: number;
  /** Where the latter is. */
  readonly worst: string | null;
  /** Forms that weights were quantized to. */
  readonly forms: readonly string[];
}

/** What was to be stored of a weight, beside what is. */
export class Off {
  largest = 0;
  #off = 0;
  #whole = 0;

  add(wanted: ArrayLike<number>, stored: ArrayLike<number>): void {
    for (let i = 0; i < wanted.length; i++) {
      const off = stored[i]! - wanted[i]!;
      this.largest = Math.max(this.largest, Math.abs(off));
      this.#off += off * off;
      this.#whole += wanted[i]! * wanted[i]!;
    }
  }

  get relative(): number {
    return this.#whole === 0 ? 0 : Math.sqrt(this.#off / this.#whole);
  }
}

/** Weights that took the adapter in and are f32 now, by what they were: a dtype, or undefined where they were quantized. */
export interface Merged {
  readonly modules: number;
  readonly was: ReadonlyMap<Weight, WrittenFloat | undefined>;
}

/** Merged weights stay in f32, so that what they are written as is the only rounding. */
export async function mergeWide({ model, adapter }: Opened): Promise<Merged | undefined> {
  if (adapter === undefined) return undefined;
  const was = new Map<Weight, WrittenFloat | undefined>();
  for (const [, layer] of adapter.everywhere())
    for (const one of [layer.weight, "bias" in layer ? layer.bias : undefined])
      if (one !== undefined) was.set(one, one.form === undefined ? (one.parameter.dtype as WrittenFloat) : undefined);
  await narrowed(new Map([...was.keys()].map((weight) => [weight, "f32"])));
  const quantized = model.weights().some(({ form }) => form !== undefined);
  const reports = await adapter.mergeAndUnload(quantized ? { into: "dequantized", safe: true } : { safe: true });
  return { modules: reports.length, was };
}

/** Merged weights stay in the base's own dtypes and forms: those that are quantized are quantized again. */
export async function mergeKept({ adapter }: Opened): Promise<Cost | undefined> {
  if (adapter === undefined) return undefined;
  const reports = await adapter.mergeAndUnload({ into: "quantized" });
  const offs = reports.map(({ module, rounding, relative }) => ({ name: module, largest: rounding, relative }));
  return worstOf(reports.length, offs, [...new Set(reports.flatMap(({ form }) => form ?? []))]);
}

/** @param offs of what was written; of these the merged weights count */
export function costOf({ modules, was }: Merged, offs: ReadonlyMap<Weight, Off>, forms: readonly string[] = []): Cost {
  const counted = [...offs].filter(([weight]) => was.has(weight));
  return worstOf(
    modules,
    counted.map(([{ name }, { largest, relative }]) => ({ name, largest, relative })),
    forms,
  );
}

interface NamedOff {
  readonly name: string;
  readonly largest: number;
  readonly relative: number;
}

function worstOf(modules: number, offs: readonly NamedOff[], forms: readonly string[]): Cost {
  const worst = offs.reduce<NamedOff | undefined>(
    (most, one) => (most === undefined || one.relative > most.relative ? one : most),
    undefined,
  );
  return {
    modules,
    largest: Math.max(0, ...offs.map(({ largest }) => largest)),
    relative: worst?.relative ?? 0,
    worst: worst?.name ?? null,
    forms,
  };
}

/** Weights that are plain numbers, in other dtypes. @throws InputError where a number is too large for its own */
export async function narrowed(weights: ReadonlyMap<Weight, WrittenFloat>): Promise<Map<Weight, Off>> {
  const offs = new Map<Weight, Off>();
  for (const [weight, dtype] of weights) {
    if (weight.form !== undefined || !weight.materialized || weight.parameter.dtype === dtype) continue;
    const { parameter } = weight;
    const data = await parameter.data();
    const stored = toMemory(dtype, data, parameter.dtype);
    const back = toMemory("f32", stored, dtype);
    const wide = toMemory("f32", data, parameter.dtype);
    const large = back.findIndex((v, i) => !Number.isFinite(v) && Number.isFinite(wide[i]));
    if (large >= 0)
      throw new InputError(
        `${weight.name}: ${wide[large]} is beyond what ${dtype} can hold; give --type ${dtype === "f16" ? "bf16 or f32" : "f32"}`,
      );
    const off = new Off();
    off.add(wide, back);
    offs.set(weight, off);
    weight.parameter = parameter.device.parameter(stored, weight.shape, dtype, dtype);
    parameter.dispose();
  }
  return offs;
}
