/** LoRA whose ranks are shared out before training: which module has which, at the scale that each had. */
import type { Base } from "../bases/base.ts";
import { shapeOf, type LinearShape } from "../bases/shape.ts";
import { InputError } from "../errors.ts";
import type { Allocator } from "../records/allocator.ts";
import type { AdaptContext } from "../records/method.ts";
import type { ModuleRow, Proof } from "../store/result.ts";
import type { AdapterMethodConfig, Settled } from "./adapter.ts";
import { predictAdapter } from "./rules.ts";

/** What decides ranks and scales by module. */
export interface RankWords extends AdapterMethodConfig {
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly rsLora: boolean;
}

/** Ranks by path, the scale of each module as it was, and no adapter where no rank is left. */
export function withShares<O extends RankWords>(
  options: O,
  modules: readonly ModuleRow[],
  ranks: ReadonlyMap<string, number>,
): O {
  const left = modules.flatMap((row) => {
    const rank = ranks.get(row.module)!;
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

/** Asks an allocator for the ranks. @throws InputError where they are not as many as the config has, or more than a module can have */
export async function sharedStart<O extends RankWords>(
  base: Base,
  options: O,
  rows: (found: readonly LinearShape[], options: O) => ModuleRow[],
  { name, share }: Pick<Allocator, "name" | "share">,
  { data, seed, task }: AdaptContext,
): Promise<Settled<O>> {
  const { modules } = predictAdapter(shapeOf(base.model, base.kind), options, (found) => rows(found, options));
  const ranked = modules.map(({ module, in: inner, out, rank }) => ({ module, in: inner, out, rank: rank! }));
  const ranks = await share!(ranked, { base, data, seed, task });
  const budget = ranked.reduce((sum, { rank }) => sum + rank, 0);
  const given = ranked.map(({ module }) => ranks.get(module) ?? 0);
  const sum = given.reduce((a, b) => a + b, 0);
  if (sum !== budget)
    throw new InputError(
      `allocator ${name}: the ranks of the adapted modules add up to ${sum}, and the config has ${budget} in ${modules.length} modules; choose "r" and "target" so that they are equal`,
    );
  const wide = ranked.find(({ in: inner, out }, i) => given[i]! > Math.min(inner, out));
  if (wide !== undefined)
    throw new InputError(
      `allocator ${name}: ${wide.module} [${wide.out}, ${wide.in}] cannot have rank ${ranks.get(wide.module)}`,
    );
  return {
    options: withShares(options, modules, ranks),
    begin: (adapter) => {
      const has = [...adapter.updates.values()].reduce((total, { lowRank }) => total + lowRank!.rank, 0);
      const proof: Proof = {
        name: "ranks-shared-out",
        holds: has === budget,
        detail: { allocator: name, budget, has, least: Math.min(...given), most: Math.max(...given) },
      };
      return Promise.resolve([proof]);
    },
  };
}
