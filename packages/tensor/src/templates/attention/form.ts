/** Attention's sizes and what its composites say, as its template reads them. */
import type { CompositeCall, TensorForm } from "../../ir/template.ts";

/** Attributes of the composites `attentionTiles` and `attentionTilesGradient`. */
export interface TileAttrs {
  /** Of the scores. */
  readonly scale: number;
  /** A query at place i sees keys up to i + keys − queries. */
  readonly causal: boolean;
  /** Where it is not 0, a causal query sees so many keys at most: its own and those just before. */
  readonly window: number;
  /** Whether `first` is among the inputs: i32 [batch or 1, 1, queries, 1], the first key that a query may see. */
  readonly first: boolean;
  /** Whether `place` is: i32 [batch or 1, 1, 1, keys], a key's own place, or −1 where nobody may see it. */
  readonly place: boolean;
  /** Most queries, and most keys, of a tile. */
  readonly tile: number;
  /** Of dropout. 0: there is none, and no `words` among the inputs, u32 [3]. */
  readonly p: number;
}

export interface Form extends TileAttrs {
  readonly batch: number;
  /** Heads of keys and values, and how many of queries share one. */
  readonly heads: number;
  readonly group: number;
  readonly queries: number;
  readonly keys: number;
  /** Of a query and of a key; of a value. */
  readonly width: number;
  readonly valueWidth: number;
  /** Elements from example to example of `first` and of `place`; 0 where all have the same. */
  readonly firstStep: number;
  readonly placeStep: number;
}

/** Places of the inputs among a kernel's or composite's operands; −1 where there is none. */
export interface Sight {
  readonly first: number;
  readonly place: number;
  readonly words: number;
}

/** @param tensors how many inputs come before `first` */
export function formOf(call: CompositeCall, tensors: number): { readonly form: Form; readonly sight: Sight } {
  const attrs = call.attrs as unknown as TileAttrs;
  const [q, k, v] = call.inputs as [TensorForm, TensorForm, TensorForm];
  let next = tensors;
  const sight = {
    first: attrs.first ? next++ : -1,
    place: attrs.place ? next++ : -1,
    words: attrs.p > 0 ? next++ : -1,
  };
  const [batch, all, queries, width] = q.shape as [number, number, number, number];
  const [, heads, keys] = k.shape as [number, number, number, number];
  const step = (at: number, length: number): number => (at >= 0 && call.inputs[at]!.shape[0]! > 1 ? length : 0);
  const form: Form = {
    ...attrs,
    batch,
    heads,
    group: all / heads,
    queries,
    keys,
    width,
    valueWidth: v.shape[3]!,
    firstStep: step(sight.first, queries),
    placeStep: step(sight.place, keys),
  };
  return { form, sight };
}

/** Queries from `from` on that see keys from `first` on. */
export interface Tile {
  readonly from: number;
  readonly rows: number;
  readonly first: number;
  readonly columns: number;
  /** Whether some query of it may not see some key of it. */
  readonly masked: boolean;
}

/** Tiles of a block of queries. */
export interface Block {
  readonly from: number;
  readonly rows: number;
  readonly tiles: readonly Tile[];
}

/** Offsets of parts begin at whole multiples of it, where tiles are no smaller. */
const GRAIN = 64;

/** The size of tiles that cut n evenly, none longer than `most`: the last is no sliver. */
function evenly(n: number, most: number): number {
  const even = Math.ceil(n / Math.ceil(n / most));
  return most < GRAIN ? even : Math.min(most, Math.ceil(even / GRAIN) * GRAIN);
}

/** What must be computed: nothing behind a causal query's own place, and nothing before its window. */
export function blocksOf({ queries, keys, causal, window, first, place, tile }: Form): Block[] {
  const ahead = keys - queries;
  const [height, breadth] = [evenly(queries, tile), evenly(keys, tile)];
  const blocks: Block[] = [];
  for (let from = 0; from < queries; from += height) {
    const rows = Math.min(height, queries - from);
    const [nearest, farthest] = [from + ahead, from + rows - 1 + ahead];
    const end = causal ? Math.min(keys, farthest + 1) : keys;
    const start = window > 0 ? Math.max(0, nearest - window + 1) : 0;
    const tiles: Tile[] = [];
    for (let at = Math.floor(start / breadth) * breadth; at < end; at += breadth) {
      const columns = Math.min(breadth, end - at);
      const [behind, before] = [causal && at + columns - 1 > nearest, window > 0 && at <= farthest - window];
      tiles.push({ from, rows, first: at, columns, masked: first || place || behind || before });
    }
    blocks.push({ from, rows, tiles });
  }
  return blocks;
}
