/**
 * The place in the data: which batch comes next. It counts what was taken, so that a step that was skipped has its batch behind it, and a
 * training that is resumed sees what an uninterrupted one would.
 */
import { deriveSeed } from "../random/seeds.ts";
import type { Batch, Examples } from "./examples.ts";
import { paddedLength, type Group } from "./length-groups.ts";
import type { RowOrder } from "./orders.ts";

/** How the rows of a batch are computed: all at once, or some at a time with the gradients added up. */
export interface Cut {
  /** Rows that are computed at a time. Absent: all of a batch. */
  readonly rows?: number | undefined;
  /** Whether rows of like length are computed together; the batch's members stay. */
  readonly byLength?: boolean;
}

export interface CursorOptions {
  readonly order: RowOrder;
  /** Sequences are padded to a multiple of this. */
  readonly multiple: number;
  readonly cut?: Cut;
  /** Of what each batch draws anew, as masks are. */
  readonly seed: number;
}

export interface CursorState {
  /** Batches taken so far. */
  readonly taken: number;
}

export class DataCursor {
  readonly #examples: Examples;
  readonly #options: CursorOptions;
  #taken = 0;

  constructor(examples: Examples, options: CursorOptions) {
    this.#examples = examples;
    this.#options = options;
  }

  /** Batches taken so far. */
  get taken(): number {
    return this.#taken;
  }

  get state(): CursorState {
    return { taken: this.#taken };
  }

  restore({ taken }: CursorState): void {
    this.#taken = taken;
  }

  /** The next batch: its parts in the order in which they are computed. */
  next(): Batch[] {
    return this.parts(this.#taken++);
  }

  /** Positions of the parts of a pass's batches, `rows × length`: each number once, in the order in which they are met. Makes no batch. */
  sizes(): number[] {
    const { order, multiple, cut = {} } = this.#options;
    const { lengths } = this.#examples;
    const found = new Set<number>();
    for (const group of order.pass(0)) {
      const rows = order.rows(group);
      for (const piece of cutGroup(group, cut, lengths)) {
        const longest = piece.reduce((most, i) => Math.max(most, lengths[i]!), 1);
        found.add(Math.min(rows, cut.rows ?? rows) * paddedLength(longest, multiple));
      }
    }
    return [...found];
  }

  /** The parts of batch `at`, counted from 0 over all passes. */
  parts(at: number): Batch[] {
    const { order, multiple, cut = {}, seed } = this.#options;
    const group = order.pass(Math.floor(at / order.batches))[at % order.batches]!;
    const rows = order.rows(group);
    const pieces = cutGroup(group, cut, this.#examples.lengths);
    // one for the whole batch: what a row draws does not depend on the parts that it is computed in
    const own = deriveSeed(seed, `masking/${at}`);
    const shape = { rows: Math.min(rows, cut.rows ?? rows), multiple };
    return pieces.map((members) => this.#examples.batch(members, shape, own));
  }
}

function cutGroup(group: Group, { rows = group.length, byLength = false }: Cut, lengths: Int32Array): Group[] {
  // stable, so that equal lengths keep their order
  const members = byLength ? Int32Array.from([...group].sort((a, b) => lengths[a]! - lengths[b]!)) : group;
  return Array.from({ length: Math.ceil(members.length / rows) }, (_, i) => members.slice(i * rows, (i + 1) * rows));
}
