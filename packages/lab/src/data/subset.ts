/** Some examples of a set as a set of their own. */
import type { Batch, BatchShape, Examples } from "./examples.ts";
import type { Group } from "./length-groups.ts";

export class Subset implements Examples {
  readonly lengths: Int32Array;
  readonly #all: Examples;
  readonly #places: Int32Array;

  /** @param places in the whole set; members of batches are places in this one */
  constructor(all: Examples, places: Int32Array) {
    this.#all = all;
    this.#places = places;
    this.lengths = places.map((place) => all.lengths[place]!);
  }

  get count(): number {
    return this.#places.length;
  }

  batch(members: Group, shape: BatchShape, seed: number): Batch {
    const batch = this.#all.batch(
      members.map((member) => this.#places[member]!),
      shape,
      seed,
    );
    return { ...batch, members };
  }
}
