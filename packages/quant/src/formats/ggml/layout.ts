/**
 * A form of ggml's blocks (llama.cpp's files, GGUF): so many elements of one row in so many bytes, some of which are f16 scales. The device
 * has the scales as f16 and the other bytes as they are. Source of all layouts: ggml/src/ggml-common.h and the `gguf` package's quants.py,
 * whose order of operations is kept, so that every value has its bits.
 */
import type { Tensor } from "@lowrank/tensor";

export interface BlockLayout {
  /** As GGUF calls it: "Q4_0". */
  readonly name: string;
  /** Elements of a block. */
  readonly elements: number;
  /** Bytes of a block in a file. */
  readonly bytes: number;
  /** Where the f16 numbers of a block begin. */
  readonly halves: readonly number[];
  /**
   * @param codes f32 [rows, blocks, n]: the bytes that are no halves, in their order
   * @param halves f32 [rows, blocks, 1], one for each of `halves`
   * @returns f32 [rows, blocks, …], `elements` in all of each block, in order
   */
  value(codes: Tensor, halves: readonly Tensor[]): Tensor;
  /** The same of one block on the host: `codes` from `at`, into `out` from `to`. */
  decode(codes: Uint8Array, at: number, halves: readonly number[], out: Float32Array, to: number): void;
  /** A block of the numbers from `at` on, into `out` from `to`, where the form is written here too. Finite numbers are given. */
  encode?(values: Float32Array, at: number, out: Uint8Array, to: number): void;
}
