/**
 * One root seed per run, one independent stream per purpose. A stream depends on the root seed and its label only, never
 * on the configuration: data order, initial values and dropout are the same for every configuration that is run with the
 * same seed, which is what makes runs *paired*.
 */
import { RandomStream } from "@lowrank/tensor";

/** 32-bit seed for things that take a number: the first word of the stream `label` under `root`. */
export function deriveSeed(root: number, label: string): number {
  return new RandomStream(root, label).words()[0];
}

/** 0 … count − 1 in the stream's order. */
export function permutation(count: number, stream: RandomStream): number[] {
  return stream.shuffle(Array.from({ length: count }, (_, i) => i));
}
