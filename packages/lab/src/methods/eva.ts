/** LoRA that begins with the directions of its inputs (EVA): rows of the training set decide ranks and A. */
import { beginWithDirections, evaShares, type EvaShare } from "@lowrank/peft";
import { ops } from "@lowrank/tensor";
import type { Base } from "../bases/base.ts";
import { calibrationBatches, look } from "../bases/calibration.ts";
import { shapeOf, type BaseShape, type LinearShape } from "../bases/shape.ts";
import type { AdaptContext } from "../records/method.ts";
import type { ModuleRow, Proof } from "../store/result.ts";
import type { Settled } from "./adapter.ts";
import { predictAdapter } from "./rules.ts";
import { withShares, type RankWords } from "./shares.ts";

/** And how far apart ranks may come. */
interface EvaWords extends RankWords {
  readonly rho?: number | undefined;
}

export async function evaStart<O extends EvaWords>(
  base: Base,
  options: O,
  rows: (found: readonly LinearShape[], options: O) => ModuleRow[],
  { data, seed }: AdaptContext,
): Promise<Settled<O>> {
  const shape: BaseShape = shapeOf(base.model, base.kind);
  const { modules } = predictAdapter(shape, options, (found) => rows(found, options));
  base.model.eval();
  const shares = await evaShares(
    base.model,
    modules.map(({ module, rank }) => ({ name: module, rank: rank! })),
    base.device,
    {
      batches: calibrationBatches(data, seed, "eva"),
      forward: (batch) => look(base, batch),
      ...(options.rho === undefined ? {} : { rho: options.rho }),
    },
  );
  return {
    options: withShares(options, modules, new Map([...shares].map(([module, { rank }]) => [module, rank]))),
    async begin(adapter) {
      beginWithDirections(adapter, shares);
      let apart = 0;
      for (const { lowRank } of adapter.updates.values()) {
        const a = lowRank!.factors!.a.value;
        const [rank] = a.shape as [number];
        const gram = await ops.matmul(a, ops.transpose(a)).floats();
        gram.forEach((v, i) => (apart = Math.max(apart, Math.abs(v - Number(i % (rank + 1) === 0)))));
      }
      return [startProof(modules, shares, apart)];
    },
  };
}

/** Rounding of unit vectors to f32. */
const UNIT = 1e-5;

function startProof(modules: readonly ModuleRow[], shares: ReadonlyMap<string, EvaShare>, apart: number): Proof {
  const budget = modules.reduce((sum, { rank }) => sum + rank!, 0);
  const ranks = [...shares.values()].map(({ rank }) => rank);
  const given = ranks.reduce((a, b) => a + b, 0);
  return {
    name: "starts-with-directions",
    holds: given === budget && apart <= UNIT,
    detail: { budget, given, least: Math.min(...ranks), most: Math.max(...ranks), fromOrthonormal: apart },
  };
}
