/**
 * GoRA's ranks (He et al. 2025, "GoRA: Gradient-driven Adaptive Low Rank Adaptation", arXiv:2502.12171, §3.2): before training, a module's importance is the
 * mean of |W ⊙ G| with G the gradient of the loss, averaged over batches, and a module gets ranks in proportion to its share of all importance, between a
 * least and a most rank. A rank costs √(in + out) there: modules are charged for their width, less than in proportion.
 *
 * The paper rounds each module's rank by itself, so that the sum of ranks comes out as it may. Here it is the budget: shares are scaled until they add up to it within
 * their bounds, and what rounding down leaves over goes to the largest remainders.
 */
import { LowrankError } from "@lowrank/tensor";

/** A module that is to be adapted. */
export interface GradedModule {
  readonly name: string;
  readonly in: number;
  readonly out: number;
  /** That it would have had. */
  readonly rank: number;
  /** Mean of |W ⊙ G|. */
  readonly importance: number;
}

/** A module keeps at least half of its rank (and one), and gets at most four times of it: the paper's bounds. */
export function goraBounds({ rank, in: inner, out }: Pick<GradedModule, "rank" | "in" | "out">): [number, number] {
  const widest = Math.min(inner, out);
  return [Math.min(Math.max(1, Math.floor(rank / 2)), widest), Math.min(4 * rank, widest)];
}

/**
 * Ranks by module, as many in all as there were.
 * @throws LowrankError (AdapterError) for importances that are negative, not finite, or all 0; (ConfigError) where bounds leave no room for the budget
 */
export function goraRanks(modules: readonly GradedModule[]): Map<string, number> {
  const odd = modules.find(({ importance }) => !(importance >= 0 && importance < Infinity));
  if (odd !== undefined)
    throw new LowrankError("AdapterError", `GoRA: the importance of ${odd.name} is ${odd.importance}`);
  if (modules.every(({ importance }) => importance === 0))
    throw new LowrankError(
      "AdapterError",
      "GoRA: no gradient reaches any of the modules, so nothing tells one from another",
    );
  const budget = modules.reduce((sum, { rank }) => sum + rank, 0);
  const bounds = modules.map(goraBounds);
  const [least, most] = [0, 1].map((side) => bounds.reduce((sum, bound) => sum + bound[side]!, 0));
  if (budget < least! || budget > most!)
    throw new LowrankError(
      "ConfigError",
      `GoRA: ${budget} ranks do not fit between the ${least} that modules keep and the ${most} that they can have`,
    );
  const weights = modules.map(({ importance, in: inner, out }) => importance / Math.sqrt(inner + out));
  const shares = scaledShares(weights, bounds, budget);
  const ranks = shares.map(Math.floor);
  const left = budget - ranks.reduce((a, b) => a + b, 0);
  // a share that a bound cut is whole, so that what is given beyond stays within bounds
  const byRemainder = shares
    .map((share, i) => ({ i, remainder: share - ranks[i]!, weight: weights[i]! }))
    .sort((a, b) => b.remainder - a.remainder || b.weight - a.weight || a.i - b.i);
  for (const { i } of byRemainder.slice(0, left)) ranks[i]!++;
  return new Map(modules.map(({ name }, i) => [name, ranks[i]!]));
}

/** min(most, max(least, λ·weight)) with the λ whose sum is the budget. The sum rises with λ in straight pieces, between the places where a bound is met. */
function scaledShares(
  weights: readonly number[],
  bounds: readonly (readonly [number, number])[],
  budget: number,
): number[] {
  const at = (scale: number): number[] =>
    weights.map((weight, i) => Math.min(bounds[i]![1], Math.max(bounds[i]![0], scale * weight)));
  const sum = (shares: readonly number[]): number => shares.reduce((a, b) => a + b, 0);
  const turns = weights
    .flatMap((weight, i) => (weight > 0 ? [bounds[i]![0] / weight, bounds[i]![1] / weight] : []))
    .sort((a, b) => a - b);
  let [low, high] = [0, turns.at(-1)!];
  for (const turn of turns) {
    if (sum(at(turn)) <= budget) low = turn;
    else {
      high = turn;
      break;
    }
  }
  const [below, above] = [sum(at(low)), sum(at(high))];
  const shares = at(above > below ? low + ((budget - below) / (above - below)) * (high - low) : low);
  // what no importance asks for: modules of none, where all others have their most
  let rest = budget - sum(shares);
  if (high !== low || rest <= 0) return settled(shares, budget);
  return settled(
    shares.map((share, i) => {
      const more = Math.min(rest, bounds[i]![1] - share);
      rest -= more;
      return share + more;
    }),
    budget,
  );
}

/** Shares a rounding away from a whole number are that number. */
function settled(shares: readonly number[], budget: number): number[] {
  const rounding = 64 * 2 ** -53 * Math.max(1, budget);
  return shares.map((share) => (Math.abs(share - Math.round(share)) <= rounding ? Math.round(share) : share));
}
