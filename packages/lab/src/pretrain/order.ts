/** The stream of masked batches: which examples step n sees is a function of the seed and n, so a resumed run sees what an uninterrupted one would. */
import { rowsFor, paddedLength, tokenBudgetGroups, type Group } from "../data/length-groups.ts";
import { maskedBatch, type MaskedBatch } from "../data/masking.ts";
import { sequence, sequenceCount, type TokenSet } from "../data/token-set.ts";
import type { SpecialIds } from "../data/word-piece.ts";
import { deriveSeed } from "../random/seeds.ts";

/** Sequences are padded to a multiple of this. Coarser than for fine-tuning, since each shape is a plan with a large vocabulary projection. */
const MULTIPLE = 16;

export interface MaskedStreamOptions {
  readonly tokensPerBatch: number;
  readonly probability: number;
  readonly special: SpecialIds;
  readonly vocabSize: number;
  readonly seed: number;
}

export class MaskedStream {
  private readonly set: TokenSet;
  private readonly options: MaskedStreamOptions;
  private readonly lengths: Int32Array;
  private epoch = -1;
  private groups: Group[] = [];
  private readonly perEpoch: number;

  constructor(set: TokenSet, options: MaskedStreamOptions) {
    this.set = set;
    this.options = options;
    this.lengths = Int32Array.from({ length: sequenceCount(set) }, (_, i) => sequence(set, i).length + 2);
    this.perEpoch = this.groupsOf(0).length;
  }

  /** Batches in one pass over the corpus; the same for every pass. */
  get batchesPerEpoch(): number {
    return this.perEpoch;
  }

  /** Batch of step `step` (from 0). */
  batch(step: number): MaskedBatch {
    const epoch = Math.floor(step / this.perEpoch);
    const members = this.groupsOf(epoch)[step % this.perEpoch]!;
    const padded = paddedLength(this.lengths[members[0]!]!, MULTIPLE);
    return maskedBatch(this.set, members, {
      ...this.options,
      rows: rowsFor(this.options.tokensPerBatch, padded),
      multiple: MULTIPLE,
      seed: deriveSeed(this.options.seed, `masking/${step}`),
    });
  }

  private groupsOf(epoch: number): Group[] {
    if (this.epoch !== epoch) {
      this.groups = tokenBudgetGroups(
        this.lengths,
        this.options.tokensPerBatch,
        MULTIPLE,
        deriveSeed(this.options.seed, `data-order/${epoch}`),
      );
      this.epoch = epoch;
    }
    return this.groups;
  }
}
