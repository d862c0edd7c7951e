/**
 * One root seed per run, one independent stream per purpose. A stream's seed depends on the root seed and the stream's
 * name only, never on the configuration: data order, initial values and dropout are the same for every configuration
 * that is run with the same seed, which is what makes runs *paired*.
 */
import { createHash } from "node:crypto";

export type Stream = "data-order" | "init" | "dropout" | "masking" | "head";

/** 32-bit seed of `stream` under `root`: the first four bytes of SHA-256("lowrank/<root>/<stream>"). */
export function deriveSeed(root: number, stream: string): number {
  return createHash("sha256").update(`lowrank/${root}/${stream}`).digest().readUInt32LE(0);
}
