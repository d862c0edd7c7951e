/** Does a device compute what the records define? Every op, forward and gradient, from its own record. */
import type { Device } from "@lowrank/tensor";
import fc from "fast-check";
import { runOp, scaleOf, type AnyRecord } from "./op-case.ts";
import { sampleSource, type Gen, type SampleOptions } from "./sample-source.ts";
import { findMismatch, GRADIENT_TOLERANCE, TOLERANCES } from "./tolerance.ts";

export interface ParityOptions extends SampleOptions {
  /** Samples per op. Default 8. */
  readonly runs?: number;
  /** Seed of the samples; printed by fast-check when a case fails. */
  readonly seed?: number;
}

/** Throws with the op, its arguments and the worst element when `device` strays from `reference`. */
export async function checkOpParity(name: string, record: AnyRecord, device: Device, reference: Device, options: ParityOptions = {}): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.gen(), async (gen) => {
      const sample = record.sample(sampleSource(gen as unknown as Gen, options));
      const [want, got] = [await runOp(name, record, sample, reference), await runOp(name, record, sample, device)];
      const scale = scaleOf(sample);
      want.outputs.forEach((values, i) => fail(name, `output ${i}`, findMismatch(got.outputs[i]!, values, TOLERANCES[record.tolerance], scale)));
      want.gradients.forEach((values, i) => fail(name, `gradient ${i}`, findMismatch(got.gradients[i]!, values, GRADIENT_TOLERANCE, scale + largest(values))));
    }),
    { numRuns: options.runs ?? 8, ...(options.seed === undefined ? {} : { seed: options.seed }) },
  );
}

function largest(values: Float64Array): number {
  return values.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 0);
}

function fail(name: string, what: string, mismatch: ReturnType<typeof findMismatch>): void {
  if (mismatch !== undefined) throw new Error(`${name}: ${what}[${mismatch.index}] is ${mismatch.got}, the reference has ${mismatch.want}; ${mismatch.allowed.toExponential(2)} is allowed`);
}
