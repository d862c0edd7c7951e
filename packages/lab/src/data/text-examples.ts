/** Texts with something to predict about each, as padded batches. */
import type { CompileInputs } from "@lowrank/tensor";
import type { Batch, BatchShape, Examples } from "./examples.ts";
import type { Group } from "./length-groups.ts";
import { padTexts, type EncodedTexts } from "./texts.ts";

/** What a batch asks for beside its texts. */
export interface Targets {
  readonly inputs: CompileInputs;
  /** Targets that count in the loss. */
  readonly counted: number;
}

/** @param members places of the batch's texts @param shape its rows, filling included, and its positions */
export type MakeTargets = (members: Group, shape: { readonly rows: number; readonly length: number }) => Targets;

export class TextExamples implements Examples {
  readonly lengths: Int32Array;
  /** Texts that lost tokens to the limit. */
  readonly cut: number;
  readonly #texts: EncodedTexts;
  readonly #padId: number;
  readonly #targets: MakeTargets;

  constructor(texts: EncodedTexts, padId: number, targets: MakeTargets) {
    this.lengths = texts.lengths;
    this.cut = texts.cut;
    this.#texts = texts;
    this.#padId = padId;
    this.#targets = targets;
  }

  get count(): number {
    return this.lengths.length;
  }

  batch(members: Group, shape: BatchShape): Batch {
    const { rows } = shape;
    const { length, inputs } = padTexts(this.#texts, members, shape, this.#padId);
    const targets = this.#targets(members, { rows, length });
    return { rows, length, members, counted: targets.counted, inputs: { ...inputs, ...targets.inputs } };
  }
}
