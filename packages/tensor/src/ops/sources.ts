/** Where values come from without an input tensor: constants, coordinates, random bits, leaves; and the two ways to change them, cast and where. */
import { isFloat, promote, type DType } from "../dtype.ts";
import { ShapeError } from "../errors.ts";
import { checkDType } from "../host-values.ts";
import { elementBits, elementHalf, type RandomWidth } from "../random/threefry.ts";
import { broadcastShapes, resolveDim, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { OpRecord, Primitive } from "./record.ts";
import type { Operand, RandomKey } from "./toolbox.ts";

export const leafPrimitive: Primitive = {
  name: "leaf",
  lowering: { class: "leaf" },
  cost: 0,
  reference: () => new Float64Array(0),
};

export const constantPrimitive: Primitive = {
  name: "constant",
  lowering: { class: "constant" },
  cost: 0,
  reference: (_inputs, attrs) => Float64Array.of(attrs["value"] as number),
};

export const iotaPrimitive: Primitive = {
  name: "iota",
  lowering: { class: "iota" },
  cost: 0,
  reference: (_inputs, _attrs, shape) => Float64Array.from({ length: shape[0]! }, (_, i) => i),
};
/** 0, 1, … along dimension `dim` of something shaped like `x`, i32, broadcastable against it. */
export const iota: OpRecord<[like: Tensor, dim: number]> = {
  name: "iota",
  doc: "0, 1, … along one dimension of x, shaped to broadcast against it, i32",
  tolerance: "exact",
  differentiable: false,
  sample: (g) => [g.tensor(g.shape({ minRank: 1 })), -1],
  call: (t, like, dim) => {
    const d = resolveDim("iota", dim, like.rank);
    const n = like.shape[d]!;
    const line = t.make.source(iotaPrimitive, like.device, {}, [n], "i32");
    return t.reshape(
      line,
      like.shape.map((s, i) => (i === d ? s : 1)),
    );
  },
};

const randomPrimitive: Primitive = {
  name: "randomBits",
  lowering: { class: "random" },
  cost: 40,
  reference: ([words], attrs, shape) => {
    const site = attrs["site"] as number;
    const key: [number, number] = [words!.data[0]!, words!.data[1]!];
    const draw = attrs["bits"] === 16 ? elementHalf : elementBits;
    return Float64Array.from({ length: sizeOf(shape) }, (_, i) => draw(key, i, site));
  },
};
export const randomBits: OpRecord<[shape: readonly number[], key: RandomKey, bits?: RandomWidth]> = {
  name: "randomBits",
  doc: "32 (default) or 16 random bits as u32: words of Threefry-2x32-20, or halves of them, under key `words` at counters of (linear index, site); the same on every device",
  tolerance: "exact",
  differentiable: false,
  sample: (g) => [
    g.shape(),
    { words: { ...g.ints([2], 0, 1_000_000), dtype: "u32" }, site: g.integer(0, 1000) },
    g.pick([16, 32] as const),
  ],
  call: (t, shape, key, bits = 32) => t.make.node(randomPrimitive, [key.words], { site: key.site, bits }, shape, "u32"),
};

const castPrimitive: Primitive = {
  name: "cast",
  lowering: { class: "cast" },
  cost: 1,
  reference: ([x], attrs) => {
    if (attrs["to"] === "bool") return x!.data.map((v) => (v === 0 ? 0 : 1));
    if (isFloat(attrs["to"] as DType)) return x!.data;
    const [low, high] =
      attrs["to"] === "i32" ? [-2147483648, 2147483647] : attrs["to"] === "u32" ? [0, 4294967295] : [0, 255];
    return x!.data.map((v) => (Number.isNaN(v) ? 0 : Math.min(Math.max(Math.trunc(v), low), high)));
  },
  vjp: (t, g, { inputs }) => [isFloat(inputs[0]!.dtype) ? t.cast(g, inputs[0]!.dtype) : undefined],
};
export const cast: OpRecord<[x: Tensor, dtype: DType]> = {
  name: "cast",
  doc: "x in another dtype: floats round to nearest even, float → int truncates and saturates, → bool is ≠ 0",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => [
    g.tensor(g.shape(), { min: -100, max: 100, gap: 1e-2, avoid: [-2, -1, 0, 1, 2] }),
    g.pick(["f32", "i32", "bool"] as const),
  ],
  call: (t, x, dtype) => {
    checkDType("cast", dtype);
    return x.dtype === dtype ? x : t.make.node(castPrimitive, [x], { to: dtype }, x.shape, dtype);
  },
};

const wherePrimitive: Primitive = {
  name: "where",
  lowering: { class: "select" },
  cost: 1,
  reference: ([c, a, b]) => a!.data.map((v, i) => (c!.data[i] !== 0 ? v : b!.data[i]!)),
  vjp: (t, g, { inputs }) => {
    const zero = t.make.scalar(0, g);
    return [undefined, t.where(inputs[0]!, g, zero), t.where(inputs[0]!, zero, g)];
  },
};
export const where: OpRecord<[condition: Tensor, a: Operand, b: Operand]> = {
  name: "where",
  doc: "a where the bool condition holds, else b; a value that is not chosen is never looked at, not even NaN",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape();
    return [g.bools(g.broadcastable(shape)), g.tensor(shape), g.tensor(g.broadcastable(shape))];
  },
  call: (t, condition, left, right) => {
    if (condition.dtype !== "bool")
      throw new ShapeError(`where: the condition must be bool, got ${condition.dtype}; compare it with something`);
    const like = typeof left !== "number" ? left : typeof right !== "number" ? right : undefined;
    const a = t.make.operand("where", left, like ?? condition, like?.dtype ?? condition.device.defaultFloat);
    const b = t.make.operand("where", right, a);
    const dtype = promote(a.dtype, b.dtype);
    const shape = broadcastShapes("where", condition.shape, a.shape, b.shape);
    return t.make.node(
      wherePrimitive,
      [t.expand(condition, shape), t.expand(t.cast(a, dtype), shape), t.expand(t.cast(b, dtype), shape)],
      {},
      shape,
      dtype,
    );
  },
};
