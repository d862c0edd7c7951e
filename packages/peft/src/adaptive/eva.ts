/**
 * EVA as a start of LoRA (Paischer et al. 2024, arXiv:2410.07170), with the rules of PEFT's `initialize_lora_eva_weights`: A of each module begins
 * as the leading directions of what goes into it, and ranks are shared out once, over all modules, by the variance along each direction. Their sum
 * stays. B is 0, so the model begins as its base.
 *
 * PEFT follows the directions batch by batch with a random projection, until they stand still; here they are the eigenvectors of the inputs' covariance,
 * which is where that ends.
 */
import type { Module } from "@lowrank/nn";
import { LowrankError, toMemory, type Device } from "@lowrank/tensor";
import { checkOptions, fields, real } from "@lowrank/tensor/check";
import type { Adapter } from "../adapter.ts";
import { inputDirections, type CalibrationOptions } from "./explained-variance.ts";

/** A module that is to be adapted, with the rank that it would have had. */
export interface EvaModule {
  readonly name: string;
  readonly rank: number;
}

/** What a module begins with. */
export interface EvaShare {
  /** May be 0: the module then takes no adapter. */
  readonly rank: number;
  /** Unit vectors, [rank, in]. */
  readonly directions: Float64Array;
}

export interface EvaOptions<Batch> extends CalibrationOptions<Batch> {
  /** A module gets at most this many times its rank. Default 2; 1 leaves ranks as they are. */
  readonly rho?: number;
}

/** @param model without the adapter. @throws LowrankError (AdapterError) naming the module that nothing went into */
export async function evaShares<Batch>(
  model: Module,
  modules: readonly EvaModule[],
  device: Device,
  { rho = 2, ...calibration }: EvaOptions<Batch>,
): Promise<Map<string, EvaShare>> {
  const { rho: most } = checkOptions("evaShares", fields<{ rho: number }>({ rho: real({ min: 1 }) }), { rho });
  const wanted = modules.map(({ name, rank }) => ({ name, e: { size: Math.round(rank * most) } }));
  const found = await inputDirections(model, wanted, device, calibration);
  const ratios = new Map([...found].map(([name, { ratios: list }]) => [name, list]));
  const ranks = shareOut(
    ratios,
    modules.reduce((sum, { rank }) => sum + rank, 0),
  );
  return new Map(
    modules.map(({ name }): [string, EvaShare] => {
      const [rank, { directions, ratios: list }] = [ranks.get(name)!, found.get(name)!];
      return [name, { rank, directions: directions.slice(0, rank * (directions.length / list.length)) }];
    }),
  );
}

/**
 * The `budget` components with the largest shares of variance, of all modules; of equal ones those of the module that comes first. Of modules with the
 * same input the first has the largest rank.
 */
export function shareOut(ratios: ReadonlyMap<string, Float64Array>, budget: number): Map<string, number> {
  const components = [...ratios].flatMap(([name, list]) => Array.from(list, (ratio) => ({ name, ratio })));
  const ranks = new Map([...ratios.keys()].map((name) => [name, 0]));
  for (const { name } of components.sort((a, b) => b.ratio - a.ratio).slice(0, budget))
    ranks.set(name, ranks.get(name)! + 1);
  const first = new Map<string, string>();
  for (const [name, list] of ratios) {
    const same = first.get(list.join()) ?? name;
    first.set(list.join(), same);
    const [here, there] = [ranks.get(name)!, ranks.get(same)!];
    if (there < here) {
      ranks.set(same, here);
      ranks.set(name, there);
    }
  }
  return ranks;
}

/** Writes the directions into A. @throws LowrankError (AdapterError) for a module of the adapter without a share, or with another rank */
export function beginWithDirections(adapter: Adapter, shares: ReadonlyMap<string, EvaShare>): void {
  for (const [path, { lowRank }] of adapter.updates) {
    const share = shares.get(path);
    const a = lowRank?.factors?.a;
    if (share === undefined || a?.size !== share.directions.length)
      throw new LowrankError(
        "AdapterError",
        `EVA: ${path} has ${share === undefined ? "no directions" : `${share.rank} directions, and the adapter another rank`}`,
      );
    a.parameter.write(toMemory(a.parameter.dtype, share.directions, "f64"));
  }
}
