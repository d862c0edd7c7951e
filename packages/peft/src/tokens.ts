/** Which rows of which tables are trained by themselves (`trainable_token_indices`): PEFT's rules, and what it passes over in silence. */
import { Embedding, endsIn, type Module, type Projection } from "@lowrank/nn";
import { LowrankError } from "@lowrank/tensor";
import type { AdaptedEmbedding } from "./layers/adapted-embedding.ts";
import { TiedWords } from "./layers/tied-words.ts";
import type { TokenRows } from "./layers/token-rows.ts";
import { placesOf, type Layer, type Target } from "./layers/walk.ts";
import type { AdapterConfig, TokenIndices } from "./methods/method.ts";
import type { Unmatched } from "./names.ts";

/** A table, and the rows of it that are trained. */
export interface TokenTarget {
  readonly path: string;
  readonly indices: readonly number[];
}

/** The same, planned for a model. */
export interface TokenPlace {
  readonly layer: Layer;
  readonly update: TokenRows;
  /** Output layers that have their weight in the table, by path: the rows count there too. */
  readonly followers: ReadonlyMap<string, TiedWords>;
}

/** Why indices mean nothing, or undefined. */
export function tokensProblem(given: TokenIndices | undefined): string | undefined {
  if (given === undefined) return undefined;
  const lists: readonly (readonly number[])[] = isList(given) ? [given] : Object.values(given);
  if (lists.length === 0 || lists.some((list) => list.length === 0))
    return "trainable_token_indices holds no index; leave it out";
  const twice = lists.flatMap((list) => list.filter((id, i) => list.indexOf(id) !== i))[0];
  return twice === undefined ? undefined : `trainable_token_indices names ${twice} twice; name each token once`;
}

function isList(given: TokenIndices): given is readonly number[] {
  return Array.isArray(given);
}

/** @param all what adapters can sit on. @throws LowrankError naming the module or the token that is not there */
export function tokenTargets(
  model: Module,
  { trainableTokenIndices: given }: AdapterConfig,
  all: readonly [string, Target][],
  unmatched: Unmatched,
): TokenTarget[] {
  if (given === undefined) return [];
  const found = isList(given) ? [[inputTable(model, all), given] as const] : named(given, all, unmatched);
  const targets = new Map(all);
  const kept = found.filter(([path, indices]) => {
    const first = found.find(([other]) => other !== path && followsTable(targets, path, other));
    if (first !== undefined && first[1].join() !== indices.join())
      throw new LowrankError(
        "NotBuiltError",
        `trainable_token_indices: ${path} has its weight in ${first[0]}, and other tokens are named for it; name the same for both, or untie the two`,
      );
    return first === undefined;
  });
  return kept.map(([path, indices]) => {
    const words = wordsOf(targets.get(path)!);
    const beyond = indices.find((id) => id >= words);
    if (beyond !== undefined)
      throw new LowrankError(
        "AdapterError",
        `trainable_token_indices: there is no token ${beyond} in ${path}, which has ${words} rows; resize the model's vocabulary first (resizeTokenEmbeddings)`,
      );
    return { path, indices };
  });
}

/** The table that token ids look up. PEFT falls back on a name. */
function inputTable({ family }: Module, all: readonly [string, Target][]): string {
  const names = family?.inputEmbeddings ?? ["embed_tokens"];
  const path = all.find(([at, target]) => target instanceof Embedding && endsIn(at, names))?.[0];
  if (path === undefined)
    throw new LowrankError(
      "PatternError",
      `trainable_token_indices: the model has no table called ${names.join(" or ")}; name the module: { "wte": [5, 6] }`,
    );
  return path;
}

/** Names match the end of a path, at a dot or not, as in PEFT. */
function named(
  given: Exclude<TokenIndices, readonly number[]>,
  all: readonly [string, Target][],
  unmatched: Unmatched,
): (readonly [string, readonly number[]])[] {
  const paths = all.map(([path]) => path);
  return Object.entries(given).flatMap(([name, indices]) => {
    const hits = paths.filter((path) => path.endsWith(name));
    if (hits.length === 0) unmatched.name("trainable_token_indices", name, paths);
    return hits.map((path) => [path, indices] as const);
  });
}

function wordsOf(target: Target): number {
  return target instanceof Embedding ? target.weight.shape[0]! : target.outFeatures;
}

function followsTable(targets: ReadonlyMap<string, Target>, path: string, table: string): boolean {
  const [own, other] = [targets.get(path)!, targets.get(table)!];
  return !(own instanceof Embedding) && other instanceof Embedding && own.weight === other.weight;
}

/** Output layers that read an embedding's weight. @throws LowrankError where one cannot be made to follow */
export function followersOf(model: Module, path: string, layer: AdaptedEmbedding): Map<string, TiedWords> {
  const readers = placesOf(model, (m) => "crossEntropy" in m && (m as Projection).weight === layer.weight);
  const out = new Map<string, TiedWords>();
  for (const [at, place] of readers) {
    if (place instanceof TiedWords) out.set(at, place);
    else if ("adapters" in place || "copies" in place)
      throw new LowrankError(
        "NotBuiltError",
        `trainable_token_indices: ${at} has its weight in ${path} and carries an adapter or a copy of its own; leave one of the two out`,
      );
    else out.set(at, new TiedWords(place as Projection, layer));
  }
  const { tied } = model as { tied?: ReadonlyMap<string, string> };
  const name = tied?.get(`${path}.weight`);
  if (name !== undefined && out.size === 0)
    throw new LowrankError(
      "NotBuiltError",
      `trainable_token_indices: ${path} is also the weight of ${name}, which would not follow in this model; untie the two`,
    );
  return out;
}

/** Puts output layers that no adapter needs to follow any more back as they were. */
export function releaseFollowers(model: Module, all = false): void {
  for (const [path, place] of placesOf(model, (m) => m instanceof TiedWords))
    if (all || !(place as TiedWords).needed) model.setModule(path, (place as TiedWords).base);
}
