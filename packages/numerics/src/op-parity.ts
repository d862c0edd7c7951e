/** Does a device compute what the records define? Every op, forward and gradient, from its own record. */
import { LowrankError, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { runOp, runTails, scaleOf, type AnyRecord, type OpResult } from "./op-case.ts";
import { sampleSource, type Gen, type SampleOptions } from "./sample-source.ts";
import { findMismatch, findTailMismatch, GRADIENT_TOLERANCE, TOLERANCES } from "./tolerance.ts";

export interface ParityOptions extends SampleOptions {
  /** Samples per op. Default 8. */
  readonly runs?: number;
  /** Seed of the samples; printed by fast-check when a case fails. */
  readonly seed?: number;
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
      const sample = record.sample(sampleSource(gen as unknown as Gen, options));
      const [want, got] = [await attempt(name, record, sample, reference), await attempt(name, record, sample, device)];
      if (want instanceof LowrankError || got instanceof LowrankError) {
        // only a size of 0 may be too little to say anything about
        if (options.empty !== true || (want as LowrankError).code !== (got as LowrankError).code)
          throw want instanceof LowrankError ? want : (got as LowrankError);
        return;
      }
      const scale = scaleOf(sample);
      want.outputs.forEach((values, i) =>
        fail(name, `output ${i}`, findMismatch(got.outputs[i]!, values, TOLERANCES[record.tolerance], scale)),
      );
      want.gradients.forEach((values, i) =>
        fail(
          name,
          `gradient ${i}`,
          findMismatch(got.gradients[i]!, values, GRADIENT_TOLERANCE, scale + largest(values)),
        ),
      );
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

async function attempt(
  name: string,
  record: AnyRecord,
  sample: readonly unknown[],
  device: Device,
): Promise<OpResult | LowrankError> {
  try {
    return await runOp(name, record, sample, device);
  } catch (error) {
    if (error instanceof LowrankError) return error;
    throw error;
  }
}

function largest(values: Float64Array): number {
  return values.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 0);
}

function fail(name: string, what: string, mismatch: ReturnType<typeof findMismatch>): void {
  if (mismatch !== undefined)
    throw new Error(
      `${name}: ${what}[${mismatch.index}] is ${mismatch.got}, the reference has ${mismatch.want}; ${mismatch.allowed.toExponential(2)} is allowed`,
    );
}
