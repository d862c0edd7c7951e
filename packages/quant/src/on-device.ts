/**
 * Four-bit quantization as ops, for weights that are on a device already. The same f32 operations in the same order as the host's,
 * so the same bytes; scales of scales stay with the host, because a mean depends on the order of its sum.
 */
import { NumericsError, ops, ShapeError, type Parameter, type Tensor } from "@lowrank/tensor";
import { checkBlockSize, LEAST } from "./blockwise.ts";
import { fourBitOptions, storedScales, type FourBitState } from "./state.ts";
import type { FourBitOptions } from "./options.ts";
import { ascending, midpoints, type FourBitType } from "./tables.ts";

export interface BlockTensors {
  /** u8 [⌈n/2⌉]. */
  readonly codes: Tensor;
  /** f32 [⌈n/blockSize⌉]; NaN or infinite where a block is not finite. */
  readonly absmax: Tensor;
}

/** @param x any float tensor of n > 0 elements; read in row-major order as f32 */
export function quantizeBlocksOnDevice(x: Tensor, type: FourBitType, blockSize = 64): BlockTensors {
  checkBlockSize(blockSize);
  const n = x.size;
  if (n === 0)
    throw new ShapeError("quantizeBlocksOnDevice: there is nothing to quantize in a tensor without elements");
  const flat = ops.cast(ops.reshape(x, [n]), "f32");
  const whole = n - (n % blockSize);
  const parts: BlockTensors[] = [];
  if (whole > 0) parts.push(quantizeRows(ops.reshape(ops.slice(flat, 0, 0, whole), [-1, blockSize]), type, "multiply"));
  if (whole < n) {
    const rest = n - whole;
    // an odd length is filled up with the code of zero, which is what a zero gets
    parts.push(
      quantizeRows(
        ops.pad(ops.reshape(ops.slice(flat, 0, whole, n), [1, rest]), [
          [0, 0],
          [0, rest % 2],
        ]),
        type,
        "divide",
      ),
    );
  }
  const joined = (tensors: readonly Tensor[]): Tensor => (tensors.length === 1 ? tensors[0]! : ops.concat(tensors, 0));
  return { codes: joined(parts.map((p) => p.codes)), absmax: joined(parts.map((p) => p.absmax)) };
}

/** Blocks as rows [count, size], size even. A partial block is divided by its scale, a whole one multiplied by the rounded reciprocal. */
function quantizeRows(rows: Tensor, type: FourBitType, how: "multiply" | "divide"): BlockTensors {
  const [count, size] = rows.shape as [number, number];
  const absmax = ops.amax(ops.abs(rows), [1], true);
  const clamped = ops.maximum(absmax, LEAST);
  const scaled = how === "divide" ? ops.div(rows, clamped) : ops.mul(rows, ops.div(1, clamped));
  const pairs = ops.reshape(codesOf(scaled, type), [(count * size) / 2, 2]);
  const half = (i: number): Tensor => ops.reshape(ops.slice(pairs, 1, i, i + 1), [-1]);
  return { codes: ops.cast(ops.add(ops.mul(half(0), 16), half(1)), "u8"), absmax: ops.reshape(absmax, [count]) };
}

/** i32 codes: each threshold that x is above replaces the choice of those before it. */
function codesOf(x: Tensor, type: FourBitType): Tensor {
  const [thresholds, order] = [midpoints[type], ascending[type]];
  let code = x.device.full(x.shape, order[0]!, "i32");
  for (const [k, threshold] of thresholds.entries()) code = ops.where(ops.lt(threshold, x), order[k + 1]!, code);
  return code;
}

/** What was found on the device: codes in a parameter of their own, scales read back. */
export interface CodesOnDevice {
  readonly codes: Parameter;
  readonly absmax: Float32Array;
}

/** @throws NumericsError naming `name` and the first element that is not finite */
export async function findCodes(x: Tensor, type: FourBitType, blockSize: number, name: string): Promise<CodesOnDevice> {
  const { device } = x;
  const found = quantizeBlocksOnDevice(x, type, blockSize);
  const codes = device.parameter(new Uint8Array(found.codes.size), found.codes.shape, "u8");
  const scales = device.parameter(new Float32Array(found.absmax.size), found.absmax.shape, "f32");
  codes.assign(found.codes);
  scales.assign(found.absmax);
  await device.realize();
  const absmax = (await scales.data()) as Float32Array;
  scales.dispose();
  const bad = absmax.findIndex((s) => !Number.isFinite(s));
  if (bad < 0) return { codes, absmax };
  codes.dispose();
  const block = await device.readFloats(
    ops.slice(ops.reshape(x, [-1]), 0, bad * blockSize, Math.min(x.size, (bad + 1) * blockSize)),
  );
  const at = block.findIndex((v) => !Number.isFinite(v));
  throw new NumericsError(
    `${name}: element ${bad * blockSize + at} is ${block[at]}; only finite weights can be quantized`,
  );
}

/** As `quantizeFourBit`, with the search for codes on the device `x` is on; codes and scales are read back. */
export async function quantizeFourBitOnDevice(
  x: Tensor,
  options: FourBitOptions = {},
  name = "tensor",
  sourceDType = "float32",
): Promise<FourBitState> {
  const { type, blockSize, doubleQuantization } = fourBitOptions("quantizeFourBitOnDevice", options);
  const { codes, absmax } = await findCodes(x, type, blockSize, name);
  const bytes = (await codes.data()) as Uint8Array;
  codes.dispose();
  return {
    type,
    blockSize,
    shape: x.shape,
    codes: bytes,
    scales: storedScales(absmax, doubleQuantization, name, sourceDType),
    sourceDType,
  };
}
