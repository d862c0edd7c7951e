/**
 * Gradients of gradients: the directional derivative of ⟨∇f, w⟩ against central differences of the f64 reference's first gradient. With
 * h = 1e-4 rounding is about 2⁻⁵³·|∇f|/h ≈ 1e-12·|∇f| and truncation h²·|f⁗|/6 ≈ 1e-9; differences over h and 2h are combined (Richardson), which
 * leaves h⁴.
 */
import { grad, ops, type Device, type Tensor } from "@lowrank/tensor";
import fc from "fast-check";
import { weightedSum } from "../../src/op-case.ts";
import { buildGraph, nameSteps, recipes, type Recipe } from "./random-graph.ts";

const STEP = 1e-4;
const RELATIVE = 1e-5;

/** ⟨∇f, w⟩ for the gradient with respect to the first leaf. */
function slope(recipe: Recipe, device: Device, shift?: Float64Array): { value: Tensor; leaf: Tensor } | undefined {
  const { leaves, values } = buildGraph(recipe, device, { kind: "smooth", ...(shift === undefined ? {} : { shift }) });
  const last = values.at(-1);
  if (last === undefined) return undefined;
  const leaf = leaves[0]!;
  return { value: weightedSum(grad(ops.mean(ops.sin(last)), [leaf])[0]!), leaf };
}

export async function checkSecondDerivatives(
  reference: Device,
  options: { readonly runs: number; readonly steps: number },
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(recipes(options.steps), async (recipe) => {
      const here = slope(recipe, reference);
      if (here === undefined) return;
      const along = Float64Array.from({ length: here.leaf.size }, (_, i) => ((i * 7) % 5) / 4 - 0.5);
      const second = await grad(here.value, [here.leaf])[0]!.floats();
      const got = second.reduce((s, g, i) => s + g * along[i]!, 0);
      const at = (h: number): Promise<number> =>
        slope(
          recipe,
          reference,
          along.map((a) => a * h),
        )!.value.item();
      const difference = async (h: number): Promise<number> => ((await at(h)) - (await at(-h))) / (2 * h);
      const [near, far] = [await difference(STEP), await difference(2 * STEP)];
      const want = (4 * near - far) / 3;
      // where the two differences disagree, the function bends too much for either
      const allowed = RELATIVE * Math.max(1, Math.abs(want)) + Math.abs(near - far);
      if (!(Math.abs(got - want) <= allowed))
        throw new Error(
          `the second derivative of ${nameSteps(recipe, "smooth")} is ${got}, central differences give ${want}; ${allowed} is allowed`,
        );
    }),
    { numRuns: options.runs },
  );
}
