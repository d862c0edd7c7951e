import type { Arithmetic, Node } from "./arithmetic.ts";
import type { Enclosure, Ends } from "./enclosure.ts";

/** A node whose inputs are enclosed. */
export interface Site {
  readonly node: Node;
  readonly inputs: readonly Enclosure[];
  /** The reference's result. */
  readonly value: Float64Array;
  readonly arithmetic: Arithmetic;
}

/** From enclosures of the inputs to the ends of the result, one for each lowering class. */
export type Rule = (site: Site) => Ends;
