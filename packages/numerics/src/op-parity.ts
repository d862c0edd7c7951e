/** Does a device compute what the records define? Every op, forward and gradient, from its own record. */
import { isFloat, LowrankError, type Device, type DType } from "@lowrank/tensor";
import { FLOATS } from "@lowrank/tensor/records";
import fc from "fast-check";
import { arithmeticOf, type Arithmetic } from "./bounds/arithmetic.ts";
import type { Enclosure } from "./bounds/enclosure.ts";
import { boundOp, runOp, runTails, type AnyRecord, type Implementation } from "./op-case.ts";
import { sampleSource, type Gen, type SampleOptions } from "./sample-source.ts";
import {
  findOutside,
  findTailMismatch,
  GRADIENT_TOLERANCE,
  largestShare,
  TOLERANCES,
  type Mismatch,
} from "./tolerance.ts";

export interface ParityOptions extends Omit<SampleOptions, "dtype" | "wide"> {
  /** Draws each sample's dtype among those that the record names besides f32. Default false. */
  readonly dtypes?: boolean;
  /** Samples per op. Default 8. */
  readonly runs?: number;
  /** Seed of the samples; printed by fast-check when a case fails. */
  readonly seed?: number;
  /** What the device promises of single operations. Default: WGSL's table on `webgpu`, else IEEE 754's. */
  readonly arithmetic?: Arithmetic;
  /** Runs on the device in the place of the op: tests of the check itself pass wrong ones. */
  readonly implementation?: Implementation;
  /** Called for each result: the largest part of what its elements may be off that one of them is off. */
  readonly onShare?: (kind: "forward" | "gradient", share: number) => void;
}

/** Throws with the op, its arguments and the worst element when `device` strays from `reference`. */
export async function checkOpParity(
  name: string,
  record: AnyRecord,
  device: Device,
  reference: Device,
  options: ParityOptions = {},
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.gen(), async (gen) => {
      const draw = gen as unknown as Gen;
      const dtype = options.dtypes === true ? draw(fc.constantFrom, ...otherDTypes(record, device)) : "f32";
      const sample = record.sample(
        sampleSource(draw, { ...options, dtype, wide: record.tolerance === "exact" && !isFloat(dtype) }),
      );
      const [want, got] = [
        await attempt(() => boundOp(name, record, sample, reference, options.arithmetic ?? arithmeticOf(device))),
        await attempt(() => runOp(name, record, sample, device, options.implementation)),
      ];
      if (want instanceof LowrankError || got instanceof LowrankError) {
        // only a size of 0 may be too little to say anything about
        if (options.empty !== true || (want as LowrankError).code !== (got as LowrankError).code)
          throw want instanceof LowrankError ? want : (got as LowrankError);
        return;
      }
      const compare = (
        kind: "forward" | "gradient",
        values: readonly Float64Array[],
        bounds: readonly Enclosure[],
      ): void =>
        bounds.forEach((bound, i) => {
          fail(name, `${kind === "forward" ? "output" : "gradient"} ${i}`, findOutside(values[i]!, bound));
          options.onShare?.(kind, largestShare(values[i]!, bound));
        });
      compare("forward", got.outputs, want.outputs);
      compare("gradient", got.gradients, want.gradients);
    }),
    { numRuns: options.runs ?? 8, ...(options.seed === undefined ? {} : { seed: options.seed }) },
  );
}

/**
 * The same where functions are small or close to a limit: forward and gradient relative to themselves. Ops whose samples name no tails pass.
 * Throws as `checkOpParity` does.
 */
export async function checkOpTails(
  name: string,
  record: AnyRecord,
  device: Device,
  reference: Device,
  options: ParityOptions = {},
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.gen(), async (gen) => {
      const sample = record.sample(sampleSource(gen as unknown as Gen, { ...options, tails: true }));
      const want = await runTails(name, sample, reference, true);
      const got = want === undefined ? undefined : await runTails(name, sample, device, false);
      if (want === undefined || got === undefined) return;
      if (want.output !== undefined)
        fail(name, "tail", findTailMismatch(got.output!, want.output, TOLERANCES[record.tolerance], want.condition!));
      fail(
        name,
        "tail of the gradient",
        findTailMismatch(got.gradient, want.gradient, GRADIENT_TOLERANCE, want.gradientCondition!),
      );
    }),
    { numRuns: options.runs ?? 8, ...(options.seed === undefined ? {} : { seed: options.seed }) },
  );
}

/** f32 where there is no other. */
function otherDTypes(record: AnyRecord, device: Device): readonly DType[] {
  const others = (record.dtypes ?? FLOATS).filter((dtype) => dtype !== "f32" && device.engine.supports(dtype));
  return others.length === 0 ? ["f32"] : others;
}

async function attempt<T>(body: () => Promise<T>): Promise<T | LowrankError> {
  try {
    return await body();
  } catch (error) {
    if (error instanceof LowrankError) return error;
    throw error;
  }
}

function fail(name: string, what: string, mismatch: Mismatch | undefined): void {
  if (mismatch !== undefined)
    throw new Error(
      `${name}: ${what}[${mismatch.index}] is ${mismatch.got}, the reference has ${mismatch.want}; ${mismatch.allowed.toExponential(2)} is allowed`,
    );
}
