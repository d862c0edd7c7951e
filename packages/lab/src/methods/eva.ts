/** LoRA that begins with the directions of its inputs (EVA): rows of the training set decide ranks and A. */
import { beginWithDirections, evaShares, type EvaShare } from "@lowrank/peft";
import { ops, RandomStream, type Tensor } from "@lowrank/tensor";
import type { Base } from "../bases/base.ts";
import { shapeOf, type BaseShape, type LinearShape } from "../bases/shape.ts";
import type { Batch } from "../data/examples.ts";
import { permutation } from "../random/seeds.ts";
import type { AdaptContext } from "../records/method.ts";
import type { ModuleRow, Proof } from "../store/result.ts";
import type { AdapterMethodConfig, Settled } from "./adapter.ts";
import { predictAdapter } from "./rules.ts";

/** Rows that are looked at, drawn from the training set: tens of thousands of tokens, where directions are told by thousands. */
const [ROWS, BATCH] = [512, 16];

/** What a model is told of a batch beside its labels. */
const SEEN = ["inputIds", "attentionMask", "tokenTypeIds", "positionIds"];

/** What decides ranks and scales by module, and how far apart ranks may come. */
interface RankWords extends AdapterMethodConfig {
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly rsLora: boolean;
  readonly rho?: number | undefined;
}

export async function evaStart<O extends RankWords>(
  base: Base,
  options: O,
  rows: (found: readonly LinearShape[], options: O) => ModuleRow[],
  { data, seed }: AdaptContext,
): Promise<Settled<O>> {
  const shape: BaseShape = shapeOf(base.model, base.kind);
  const { modules } = predictAdapter(shape, options, (found) => rows(found, options));
  const order = permutation(data.train.count, new RandomStream(seed, "eva")).slice(0, ROWS);
  const batches = Array.from({ length: Math.ceil(order.length / BATCH) }, (_, i) =>
    data.train.batch(
      Int32Array.from(order.slice(i * BATCH, (i + 1) * BATCH)),
      { rows: Math.min(BATCH, order.length - i * BATCH), multiple: data.multiple },
      seed,
    ),
  );
  base.model.eval();
  const shares = await evaShares(
    base.model,
    modules.map(({ module, rank }) => ({ name: module, rank: rank! })),
    base.device,
    { batches, forward: (batch) => look(base, batch), ...(options.rho === undefined ? {} : { rho: options.rho }) },
  );
  return {
    options: settledBy(options, modules, shares),
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

/** Runs the model. Returns which rows of the modules' inputs are text. */
function look(base: Base, { inputs }: Batch): Tensor | undefined {
  const seen: Record<string, Tensor> = {};
  for (const [name, { data, shape, dtype }] of Object.entries(inputs))
    if (SEEN.includes(name)) seen[name] = base.device.tensor(data, shape, dtype);
  base.forward(seen as never);
  const { attentionMask: mask } = seen;
  return mask === undefined ? undefined : ops.reshape(mask, [-1]);
}

/** Ranks by path, the scale of each module as it was, and no adapter where no rank is left. */
function settledBy<O extends RankWords>(
  options: O,
  modules: readonly ModuleRow[],
  shares: ReadonlyMap<string, EvaShare>,
): O {
  const left = modules.flatMap((row) => {
    const { rank } = shares.get(row.module)!;
    return rank === 0 ? [] : [{ ...row, now: rank }];
  });
  const strength = (rank: number): number => (options.rsLora ? Math.sqrt(rank) : rank);
  return {
    ...options,
    target: left.map(({ module }) => module),
    exclude: undefined,
    rankPattern: Object.fromEntries(left.map(({ module, now }) => [module, now])),
    alphaPattern: Object.fromEntries(left.map(({ module, now, scale }) => [module, scale! * strength(now)])),
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
