/** Which rows make which batch, pass by pass. A program may bring an order of its own. */
import { RandomStream } from "@lowrank/tensor";
import { deriveSeed, permutation } from "../random/seeds.ts";
import { paddedLength, rowsFor, tokenBudgetGroups, trainingGroups, type Group } from "./length-groups.ts";

export interface RowOrder {
  /** Batches of pass `epoch`, in order, each the places of its rows in the set. */
  pass(epoch: number): readonly Group[];
  /** Rows that a batch is padded to; a batch that has fewer is filled up. */
  rows(group: Group): number;
  /** Batches of a pass; the same for every pass. */
  readonly batches: number;
}

/** Remembers the last pass: a cursor asks for its batches one by one. */
function order(pass: (epoch: number) => readonly Group[], batches: number, rows: RowOrder["rows"]): RowOrder {
  let last: { readonly epoch: number; readonly groups: readonly Group[] } | undefined;
  return {
    batches,
    rows,
    pass(epoch) {
      if (last?.epoch !== epoch) last = { epoch, groups: pass(epoch) };
      return last.groups;
    },
  };
}

/** Seed of a pass's order. It depends on the run's seed and the pass only, so that all configs of a seed see the same. */
function passSeed(seed: number, epoch: number): number {
  return deriveSeed(seed, `data-order/${epoch}`);
}

/** Batches of rows of like length, in an order that mixes long and short ones. */
export function acrossLengths(lengths: Int32Array, rows: number, seed: number): RowOrder {
  return order(
    (epoch) => trainingGroups(lengths, rows, passSeed(seed, epoch)),
    Math.ceil(lengths.length / rows),
    () => rows,
  );
}

/** Batches of rows as a shuffle deals them. */
export function shuffledRows(count: number, rows: number, seed: number): RowOrder {
  const pass = (epoch: number): Group[] => {
    const all = Int32Array.from(permutation(count, new RandomStream(passSeed(seed, epoch), "shuffled-rows")));
    return Array.from({ length: Math.ceil(count / rows) }, (_, i) => all.slice(i * rows, (i + 1) * rows));
  };
  return order(pass, Math.ceil(count / rows), () => rows);
}

/** Batches of equal padded length with about `tokens` tokens each. */
export function byTokens(lengths: Int32Array, tokens: number, multiple: number, seed: number): RowOrder {
  const pass = (epoch: number): Group[] => tokenBudgetGroups(lengths, tokens, multiple, passSeed(seed, epoch));
  return order(pass, pass(0).length, (group) => rowsFor(tokens, paddedLength(lengths[group[0]!]!, multiple)));
}
