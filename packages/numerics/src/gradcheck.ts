/**
 * Gradients against central differences in f64. With h = 1e-6·max(1, |x|) the truncation is about h²·|f‴|/6 ≈ 1e-13 and the
 * rounding about 2⁻⁵³·|f|/h ≈ 1e-10·|f|: 1e-7 absolute (times the size of f) and 1e-5 relative leave room for both. Samples keep
 * away from kinks.
 */
import { grad, type Device, type Tensor } from "@lowrank/tensor";
import type { TensorSpec } from "@lowrank/tensor/records";
import fc from "fast-check";
import { callOp, makeArguments, weightedSum, type AnyRecord } from "./op-case.ts";
import { sampleSource, type Gen } from "./sample-source.ts";

const STEP = 1e-6;
const ABSOLUTE = 1e-7;
const RELATIVE = 1e-5;
/** Elements of each argument that are checked one by one; the direction test covers the others. */
const ELEMENTS = 6;

function floatSpecs(args: unknown): TensorSpec[] {
  if (typeof args !== "object" || args === null) return [];
  if ((args as { spec?: unknown }).spec === true)
    return (args as TensorSpec).dtype === "f32" ? [args as TensorSpec] : [];
  return Object.values(args).flatMap(floatSpecs);
}

/** @param device the reference device: differences need f64 */
export async function checkGradient(
  name: string,
  record: AnyRecord,
  device: Device,
  options: { runs?: number; seed?: number } = {},
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.gen(), async (gen) => {
      const sample = record.sample(sampleSource(gen as unknown as Gen));
      if (record.isDerivative?.(sample) === false) return;
      const specs = floatSpecs(sample);
      const leaves: Tensor[] = [];
      const output = callOp(name, makeArguments(sample, device, leaves) as unknown[])[0]!;
      // rounded to a narrower dtype the function is a staircase, of which differences say nothing
      if (output.dtype !== device.defaultFloat) return;
      const value = weightedSum(output);
      const gradients = await Promise.all(grad(value, leaves).map((g) => g.floats()));
      const evaluate = (): Promise<number> =>
        weightedSum(callOp(name, makeArguments(sample, device, []) as unknown[])[0]!).item();
      const size = Math.max(1, Math.abs(await evaluate()));
      const compare = (what: string, got: number, want: number): void => {
        if (!(Math.abs(got - want) <= ABSOLUTE * size + RELATIVE * Math.abs(want)))
          throw new Error(`${name}: ${what} is ${got}, central differences give ${want}`);
      };
      for (const [k, spec] of specs.entries()) {
        for (let i = 0; i < Math.min(ELEMENTS, spec.data.length); i++) {
          compare(`gradient ${k}[${i}]`, gradients[k]![i]!, await difference(spec, (x) => (x === i ? 1 : 0), evaluate));
        }
      }
      // ⟨∇f, w⟩ against the derivative along w, over all elements at once
      for (const [k, spec] of specs.entries()) {
        const along = (i: number): number => ((i * 7) % 5) / 4 - 0.5;
        const want = await difference(spec, along, evaluate);
        compare(
          `gradient ${k} along a direction`,
          gradients[k]!.reduce((s, g, i) => s + g * along(i), 0),
          want,
        );
      }
    }),
    { numRuns: options.runs ?? 4, ...(options.seed === undefined ? {} : { seed: options.seed }) },
  );
}

async function difference(
  spec: TensorSpec,
  along: (i: number) => number,
  evaluate: () => Promise<number>,
): Promise<number> {
  const saved = spec.data.slice();
  const h = STEP * Math.max(1, ...saved.map(Math.abs));
  const at = async (sign: number): Promise<number> => {
    spec.data.forEach((_, i) => {
      spec.data[i] = saved[i]! + sign * h * along(i);
    });
    return evaluate();
  };
  const slope = ((await at(1)) - (await at(-1))) / (2 * h);
  spec.data.set(saved);
  return slope;
}
