/**
 * Rotary positions whose base follows the longest text of a batch, padding counted (`rope_type` dynamic). Lengths are part of what is
 * captured, so without positions the tables of a length are constants; where positions are given, the longest one is known to the
 * device only, which computes base, angles, cosines and sines itself. Unlike transformers, nothing remembers longer texts seen before.
 */
import { ops, type Device, type Tensor } from "@lowrank/tensor";
import { frequencies, type RopeScaling } from "./rope-scaling.ts";
import { requireEvenWidth, type RotaryAngles, type RotaryTables } from "./rotary.ts";

export interface DynamicRotaryOptions {
  readonly theta: number;
  /** Width of a head. */
  readonly width: number;
  readonly scaling: RopeScaling & { readonly kind: "dynamic" };
}

export class DynamicRotary implements RotaryAngles {
  readonly maxPositions: number = Infinity;
  readonly #options: DynamicRotaryOptions;
  /** The last length's; those of programs that were captured are held by them. */
  readonly #onDevice = new WeakMap<Device, { readonly length: number; readonly tables: RotaryTables }>();

  constructor(options: DynamicRotaryOptions) {
    requireEvenWidth(options.width);
    this.#options = options;
  }

  tables(like: Tensor, positionIds: Tensor | undefined): RotaryTables {
    if (positionIds !== undefined) return this.#computed(like, positionIds);
    const { cos, sin } = this.#constants(like.device, like.shape[1]!);
    return { cos: ops.cast(cos, like.dtype), sin: ops.cast(sin, like.dtype) };
  }

  #constants(device: Device, length: number): RotaryTables {
    const known = this.#onDevice.get(device);
    if (known?.length === length) return known.tables;
    const { theta, width, scaling } = this.#options;
    const turns = frequencies(theta, width, scaling, length);
    const constant = (f: (angle: number) => number): Tensor =>
      device.constant(
        Float64Array.from({ length: length * width }, (_, i) => f(Math.floor(i / width) * turns[i % (width / 2)]!)),
        [length, width],
        device.defaultFloat,
      );
    const tables = { cos: constant(Math.cos), sin: constant(Math.sin) };
    this.#onDevice.set(device, { length, tables });
    return tables;
  }

  /** The angles of the first base times growth^(−2i/(d − 2)), which is what a base times growth^(d/(d − 2)) comes to. */
  #computed(like: Tensor, positionIds: Tensor): RotaryTables {
    const { theta, width, scaling } = this.#options;
    const [batch, length] = like.shape as [number, number];
    const { device } = like;
    const at = ops.checkIndices(positionIds, { size: Infinity, op: "rotary", name: "position" });
    const float = (x: Tensor): Tensor => ops.cast(x, device.defaultFloat);
    const longest = ops.maximum(ops.add(ops.amax(float(ops.reshape(at, [batch * length])), 0), 1), scaling.positions);
    const growth = ops.sub(ops.mul(longest, scaling.factor / scaling.positions), scaling.factor - 1);
    const each = (f: (pair: number) => number): Tensor =>
      device.constant(
        Float64Array.from({ length: width }, (_, i) => f(i % (width / 2))),
        [width],
        device.defaultFloat,
      );
    const first = frequencies(theta, width, scaling, scaling.positions);
    const slower = ops.exp(
      ops.mul(
        each((i) => (-2 * i) / (width - 2)),
        ops.log(growth),
      ),
    );
    const angles = ops.mul(
      ops.reshape(float(at), [batch, 1, length, 1]),
      ops.mul(
        each((i) => first[i]!),
        slower,
      ),
    );
    return { cos: ops.cast(ops.cos(angles), like.dtype), sin: ops.cast(ops.sin(angles), like.dtype) };
  }
}
