/** Rotary position embedding (Su et al. 2021), half-rotate layout: tables made once for all layers. */
import { LowrankError, ops, type Tensor } from "@lowrank/tensor";

export interface RotaryTables {
  /** Broadcastable to [batch, heads, length, d]. */
  readonly cos: Tensor;
  readonly sin: Tensor;
}

export interface RotaryOptions {
  readonly theta: number;
  /** Width of a head. */
  readonly width: number;
  readonly maxPositions: number;
}

/** Angle of element i at position p is p·θ^(−2(i mod d/2)/d). Without positionIds [batch, length] positions are 0, 1, …. */
export function rotaryTables(
  like: Tensor,
  positionIds: Tensor | undefined,
  { theta, width, maxPositions }: RotaryOptions,
): RotaryTables {
  if (width % 2 !== 0) throw new LowrankError("ConfigError", `rotary positions need heads of even width, got ${width}`);
  const [batch, length] = like.shape as [number, number];
  const rows = positionIds === undefined ? length : maxPositions;
  const half = width / 2;
  const frequencies = Float64Array.from({ length: half }, (_, i) => 1 / theta ** ((2 * i) / width));
  const table = (f: (angle: number) => number): Tensor => {
    const values = Float64Array.from({ length: rows * width }, (_, i) =>
      f(Math.floor(i / width) * frequencies[i % half]!),
    );
    const all = ops.cast(ops.make.host(like.device, values, [rows, width], like.device.defaultFloat), like.dtype);
    return positionIds === undefined ? all : ops.reshape(ops.gatherRows(all, positionIds), [batch, 1, length, width]);
  };
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

/** x [batch, heads, length, d]. */
export function rotate(x: Tensor, { cos, sin }: RotaryTables): Tensor {
  const d = x.shape[x.rank - 1]!;
  const turned = ops.concat([ops.neg(ops.slice(x, -1, d / 2, d)), ops.slice(x, -1, 0, d / 2)], -1);
  return ops.add(ops.mul(x, cos), ops.mul(turned, sin));
}
