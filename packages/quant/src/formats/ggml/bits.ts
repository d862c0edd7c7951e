/**
 * Bits of bytes, with arithmetic of whole numbers in f32, which is exact below 2^24. Products do this while they pack a weight, so it is
 * made of what packing takes: sums, products, `floor`, views; no choices, and no constants but small tables.
 */
import { ops, type Tensor } from "@lowrank/tensor";

/** x mod m, for m a power of two and x ≥ 0. */
export function modulo(x: Tensor, m: number): Tensor {
  return ops.sub(x, ops.mul(ops.floor(ops.mul(x, 1 / m)), m));
}

/** ⌊x / 2^k⌋ for each of `shifts`, along dimension `dim`, where x has size 1. */
export function shiftedBy(x: Tensor, shifts: readonly number[], dim: number): Tensor {
  const shape = x.shape.map((_, d) => (d === dim ? shifts.length : 1));
  return ops.floor(
    ops.mul(
      x,
      x.device.constant(
        Float32Array.from(shifts, (k) => 2 ** -k),
        shape,
        "f32",
      ),
    ),
  );
}

/** x (0 … 255) as the two's complement of eight bits. */
export function signed(x: Tensor): Tensor {
  return ops.sub(x, ops.mul(ops.floor(ops.mul(x, 1 / 128)), 256));
}

/** Bytes [from, to) of each block; x [rows, blocks, bytes]. */
export function bytesAt(x: Tensor, from: number, to: number): Tensor {
  return ops.slice(x, 2, from, to);
}

/** x [rows, blocks, …] with the rest of its dimensions as given. */
export function inBlocks(x: Tensor, ...rest: readonly number[]): Tensor {
  return ops.reshape(x, [x.shape[0]!, x.shape[1]!, ...rest]);
}
