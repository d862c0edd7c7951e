/** What a trainer and an evaluation see of a data set: how many examples there are, how long each is, and padded batches of them. */
import type { CompileInputs } from "@lowrank/tensor";
import type { Group } from "./length-groups.ts";

/** The shape that a batch is padded to. */
export interface BatchShape {
  /** Rows of the batch; those beyond the group are filling and count for nothing. */
  readonly rows: number;
  /** Sequences are padded to a multiple of this. */
  readonly multiple: number;
}

export interface Batch {
  readonly rows: number;
  /** Positions of a row, padding included. */
  readonly length: number;
  /** Places in the set of the real rows; the rows after these are filling. */
  readonly members: Group;
  /** What a compiled step is called with. */
  readonly inputs: CompileInputs;
  /** Targets that count in the loss: what a mean over several batches is divided by. */
  readonly counted: number;
}

export interface Examples {
  readonly count: number;
  /** Positions that each example needs, special tokens included. */
  readonly lengths: Int32Array;
  /** @param seed for what is drawn anew in every batch, as masks are */
  batch(members: Group, shape: BatchShape, seed: number): Batch;
}
