/** Random graphs on a device against their bounds: the last value and its gradients, so that everything between may be fused away. */
import { grad, type Device, type Tensor } from "@lowrank/tensor";
import fc from "fast-check";
import { errorBound, findOutside } from "../../src/index.ts";
import { weightedSum } from "../../src/op-case.ts";
import { buildGraph, nameSteps, recipes, type Kind, type Recipe } from "./random-graph.ts";

/** Without gradients where nothing is to be added up: those of what is repeated are sums. */
function wanted(recipe: Recipe, device: Device, kind: Kind): readonly Tensor[] {
  const { leaves, values } = buildGraph(recipe, device, { kind });
  const last = values.at(-1);
  if (last === undefined) return [];
  return kind === "elementwise" ? [last] : [last, ...grad(weightedSum(last), leaves)];
}

async function run(recipe: Recipe, device: Device, kind: Kind): Promise<Float64Array[]> {
  const tensors = wanted(recipe, device, kind);
  await device.realize(...tensors);
  return Promise.all(tensors.map((x) => x.floats()));
}

/** @param same devices that promise each other's bits */
export async function fuzzGraphs(
  reference: Device,
  groups: readonly { readonly name: string; readonly same: readonly Device[] }[],
  options: { readonly runs: number; readonly steps: number; readonly kind?: Kind },
): Promise<void> {
  const { kind = "any" } = options;
  await fc.assert(
    fc.asyncProperty(recipes(options.steps), async (recipe) => {
      const bounds = await errorBound(wanted(recipe, reference, kind));
      for (const { name, same } of groups) {
        const [first, ...others] = await Promise.all(same.map((device) => run(recipe, device, kind)));
        bounds.forEach((bound, i) => {
          const what = `${name}: ${i === 0 ? "the value" : `gradient ${i - 1}`} of ${nameSteps(recipe, kind)}`;
          const outside = findOutside(first![i]!, bound);
          if (outside !== undefined) throw new Error(`${what} is outside of its bound: ${JSON.stringify(outside)}`);
          for (const other of others)
            if (!other[i]!.every((v, k) => Object.is(v, first![i]![k]))) throw new Error(`${what} has other bits`);
        });
      }
    }),
    { numRuns: options.runs },
  );
}
