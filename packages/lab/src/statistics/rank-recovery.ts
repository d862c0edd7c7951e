/** How well the ranks that a method found agree with ranks that are known: Spearman's correlation over modules. */

export interface RankRow {
  readonly module: string;
  readonly truth: number;
  readonly found: number;
}

export interface RankRecovery {
  /** What `found` is. */
  readonly rule: string;
  /** NaN (null in JSON) where all found ranks are equal: nothing was told apart. */
  readonly spearman: number;
  readonly modules: readonly RankRow[];
}

/** Rows for every module of `found`; modules without a planted update have true rank 0. */
export function rankRecovery(
  rule: string,
  truth: ReadonlyMap<string, number>,
  found: ReadonlyMap<string, number>,
): RankRecovery {
  const modules = [...found].map(([module, rank]) => ({ module, truth: truth.get(module) ?? 0, found: rank }));
  return {
    rule,
    spearman: spearman(
      modules.map((m) => m.truth),
      modules.map((m) => m.found),
    ),
    modules,
  };
}

/** Pearson's correlation of ranks; ties share the mean of their places. NaN where one side is constant. */
export function spearman(x: readonly number[], y: readonly number[]): number {
  const [a, b] = [places(x), places(y)];
  const mean = (a.length + 1) / 2;
  const sum = (f: (i: number) => number): number => a.reduce((s, _, i) => s + f(i), 0);
  return (
    sum((i) => (a[i]! - mean) * (b[i]! - mean)) /
    Math.sqrt(sum((i) => (a[i]! - mean) ** 2) * sum((i) => (b[i]! - mean) ** 2))
  );
}

function places(values: readonly number[]): number[] {
  return values.map((v) => values.filter((w) => w < v).length + (values.filter((w) => w === v).length + 1) / 2);
}

/** Singular values that count towards an update's rank, relative to the largest of all modules: fixed-rank methods keep many tiny ones. */
export const COUNTED = 0.1;

/** The rule of `effectiveRanks`, in words. */
export const EFFECTIVE_RANK: string = `singular values of the update that are at least ${COUNTED} of the largest of all modules`;

/** How many singular values of each module's update reach `COUNTED` of the largest of all. */
export function effectiveRanks(singularValues: ReadonlyMap<string, ArrayLike<number>>): Map<string, number> {
  const largest = Math.max(...[...singularValues.values()].map((s) => s[0] ?? 0));
  return new Map(
    [...singularValues].map(([module, s]) => [
      module,
      Array.from(s).filter((v) => v >= COUNTED * largest && v > 0).length,
    ]),
  );
}
