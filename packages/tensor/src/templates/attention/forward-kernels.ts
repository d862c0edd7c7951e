/** Kernels of the forward pass, and those that make what both passes begin with. */
import type { GemmKernel, LoopKernel } from "../../ir/kernel.ts";
import { Body } from "../body.ts";
import type { Form } from "./form.ts";
import {
  Args,
  dropped,
  gemm,
  layout,
  operand,
  queriesByKeys,
  store,
  tileArg,
  visible,
  type TileSize,
} from "./parts.ts";

/** The lowest finite f32: what rows that see nothing have as their maximum. */
export const LOWEST: number = -(2 - 2 ** -23) * 2 ** 127;

/** q·kᵀ·scale, −∞ where it may not be seen. Arguments: q, k, tile, then place, first, own place. */
export function scores(form: Form, size: TileSize): GemmKernel {
  const args = new Args();
  const body = new Body();
  const product = queriesByKeys(form, size, args);
  const tile = tileArg(form, size, args, "write");
  let value = body.binary("mul", body.sum(), body.constant(form.scale));
  const seen = size.masked ? visible(body, args, form, size) : undefined;
  if (seen !== undefined) value = body.select(seen, value, body.constant(-Infinity));
  return gemm("scores", form, {
    size: [size.rows, size.columns],
    args,
    product,
    body,
    stored: store(tile.arg, tile.strides, value),
  });
}

/**
 * A row of scores to weights not yet divided by their sum, under a maximum and a sum that grow from tile to tile (Milakov & Gimelshein 2018):
 * what was summed so far shrinks by e^(old maximum − new). Arguments: tile, peak, sum, shrink; with dropout words, key places, query places.
 */
export function rowOfTile(form: Form, size: TileSize): LoopKernel {
  const args = new Args();
  const body = new Body();
  const { groups, ofQueries, ofRows } = layout(form);
  const tile = tileArg(form, size, args, "readwrite");
  const [rows, whole] = [
    [...groups, size.rows],
    [...ofQueries(1), 1],
  ];
  const [peak, sum] = [args.add(rows, whole, "readwrite"), args.add(rows, whole, "readwrite")];
  const own = [...ofRows(size.rows), 1];
  const shrink = args.add(rows, own, "write");
  const x = body.load(tile.arg, tile.strides);
  const before = body.load(peak, [...whole, 0]);
  const now = body.binary("max", before, body.reduce("max", x));
  const e = body.unary("exp", body.binary("sub", x, now));
  const less = body.unary("exp", body.binary("sub", before, now));
  const total = body.binary("add", body.binary("mul", body.load(sum, [...whole, 0]), less), body.reduce("sum", e));
  const kept = form.p > 0 ? dropped(form, size, args, body, e) : e;
  return {
    kind: "loop",
    label: "softmax",
    args: args.list,
    outer: rows,
    inner: [size.columns],
    body: body.code,
    stores: [
      store(tile.arg, tile.strides, kept),
      store(peak, [...whole, 0], now),
      store(sum, [...whole, 0], total),
      store(shrink, [...own, 0], less),
    ],
  };
}

/** out·shrink + tile·v. Arguments: tile, v, shrink, out. */
export function mix(form: Form, size: TileSize): GemmKernel {
  const { groups, ofQueries, ofKeys, ofRows } = layout(form);
  const { valueWidth: width } = form;
  const args = new Args();
  const body = new Body();
  const tile = tileArg(form, size, args, "read");
  const v = [...ofKeys(width), width, 1];
  const value = args.add([...groups, size.columns, width], v);
  const own = [...ofRows(size.rows), 1];
  const shrink = body.load(args.add([...groups, size.rows], own), [...own, 0]);
  const strides = [...ofQueries(width), width, 1];
  const out = args.add([...groups, size.rows, width], strides, "readwrite");
  const sum = body.binary("add", body.binary("mul", body.load(out, strides), shrink), body.sum());
  const product = { k: size.columns, a: operand(tile.arg, tile.strides), b: operand(value, v), acc: 0 };
  return gemm("mix", form, { size: [size.rows, width], args, product, body, stored: store(out, strides, sum) });
}

/** out divided by each row's sum. Arguments: out, sum, inverse. */
export function divide(form: Form): LoopKernel {
  const { batch, heads, group, queries, valueWidth: width } = form;
  const rows = batch * heads * group * queries;
  const args = new Args();
  const body = new Body();
  const out = args.add([rows, width], [width, 1], "readwrite");
  const total = body.load(args.add([rows], [1]), [1, 0]);
  const inverse = args.add([rows], [1], "write");
  const zero = body.constant(0);
  const r = body.select(body.binary("eq", total, zero, "bool"), zero, body.unary("recip", total));
  return {
    kind: "loop",
    label: "divide",
    args: args.list,
    outer: [rows],
    inner: [width],
    body: body.code,
    stores: [store(out, [width, 1], body.binary("mul", body.load(out, [width, 1]), r)), store(inverse, [1, 0], r)],
  };
}

export function fill(size: number, value: number): LoopKernel {
  return {
    kind: "loop",
    label: "fill",
    args: [{ dtype: "f32", access: "write", size }],
    outer: [size],
    inner: [],
    body: [{ op: "const", type: "f32", value }],
    stores: [store(0, [1], 0)],
  };
}

/** 0, 1, …. */
export function count(size: number, from: number): LoopKernel {
  const body = new Body();
  const value = body.binary("add", body.coord(0), body.constant(from, "i32"), "i32");
  return {
    kind: "loop",
    label: "places",
    args: [{ dtype: "i32", access: "write", size }],
    outer: [size],
    inner: [],
    body: body.code,
    stores: [store(0, [1], value)],
  };
}
