/** Kernels of the backward pass. */
import type { GemmKernel, LoopKernel, Operand, ValueId } from "../../ir/kernel.ts";
import { Body } from "../body.ts";
import type { Form } from "./form.ts";
import {
  Args,
  dropped,
  gemm,
  layout,
  operand,
  queriesByKeys,
  queryRow,
  store,
  tileArg,
  visible,
  type Strides,
  type TileSize,
} from "./parts.ts";

/** e^(q·kᵀ·scale − peak)·inverse, 0 where it may not be seen. Arguments: q, k, peak, inverse, tile, then place, first, own place. */
export function weights(form: Form, size: TileSize): GemmKernel {
  const args = new Args();
  const body = new Body();
  const product = queriesByKeys(form, size, args);
  const [peak, inverse] = [queryRow(form, size, args, body), queryRow(form, size, args, body)];
  const tile = tileArg(form, size, args, "write");
  const score = body.binary("mul", body.sum(), body.constant(form.scale));
  let value = body.binary("mul", body.unary("exp", body.binary("sub", score, peak)), inverse);
  const seen = size.masked ? visible(body, args, form, size) : undefined;
  if (seen !== undefined) value = body.select(seen, value, body.constant(0));
  return gemm("weights", form, {
    size: [size.rows, size.columns],
    args,
    product,
    body,
    stored: store(tile.arg, tile.strides, value),
  });
}

/** Weights after dropout, beside those before it. Arguments: tile, result, words, key places, query places. */
export function dropTile(form: Form, size: TileSize): LoopKernel {
  const args = new Args();
  const body = new Body();
  const tile = tileArg(form, size, args, "read");
  const result = tileArg(form, size, args, "write");
  const value = dropped(form, size, args, body, body.load(tile.arg, tile.strides));
  return {
    kind: "loop",
    label: "dropout",
    args: args.list,
    outer: [...layout(form).groups, size.rows, size.columns],
    inner: [],
    body: body.code,
    stores: [store(result.arg, result.strides, value)],
  };
}

/** Σ g ⊙ out of each row: what softmax's gradient subtracts. Arguments: g, out, result. */
export function along(form: Form): LoopKernel {
  const { batch, heads, group, queries, valueWidth: width } = form;
  const rows = batch * heads * group * queries;
  const args = new Args();
  const body = new Body();
  const [g, out] = [args.add([rows, width], [width, 1]), args.add([rows, width], [width, 1])];
  const product = body.binary("mul", body.load(g, [width, 1]), body.load(out, [width, 1]));
  const result = args.add([rows], [1], "write");
  return {
    kind: "loop",
    label: "along",
    args: args.list,
    outer: [rows],
    inner: [width],
    body: body.code,
    stores: [store(result, [1, 0], body.reduce("sum", product))],
  };
}

/** Scores' gradient in place of the weights: w ⊙ (g·vᵀ − along)·scale. Arguments: g, v, along, tile; with dropout its weights. */
export function scoreGradient(form: Form, size: TileSize): GemmKernel {
  const { groups, ofQueries, ofKeys } = layout(form);
  const { valueWidth: width } = form;
  const args = new Args();
  const body = new Body();
  const gradient = [...ofQueries(width), width, 1];
  const v = [...ofKeys(width), 1, width];
  const product = {
    k: width,
    a: operand(args.add([...groups, size.rows, width], gradient), gradient),
    b: operand(args.add([...groups, width, size.columns], v), v),
    acc: 0,
  };
  const row = queryRow(form, size, args, body);
  const tile = tileArg(form, size, args, "readwrite");
  const weight = body.load(tile.arg, tile.strides);
  let value: ValueId;
  if (form.p > 0) {
    const left = tileArg(form, size, args, "read");
    const kept = body.binary("mul", body.load(left.arg, left.strides), body.sum());
    value = body.binary("sub", kept, body.binary("mul", weight, row));
  } else value = body.binary("mul", weight, body.binary("sub", body.sum(), row));
  const scaled = body.binary("mul", value, body.constant(form.scale));
  return gemm("scores'", form, {
    size: [size.rows, size.columns],
    args,
    product,
    body,
    stored: store(tile.arg, tile.strides, scaled),
  });
}

/** dq + tile·k. Arguments: tile, k, dq. */
export function queryGradient(form: Form, size: TileSize): GemmKernel {
  const { groups, ofQueries, ofKeys } = layout(form);
  const { width } = form;
  const args = new Args();
  const body = new Body();
  const tile = tileArg(form, size, args, "read");
  const k = [...ofKeys(width), width, 1];
  const key = args.add([...groups, size.columns, width], k);
  const strides = [...ofQueries(width), width, 1];
  const result = args.add([...groups, size.rows, width], strides, "readwrite");
  const sum = body.binary("add", body.load(result, strides), body.sum());
  const product = { k: size.columns, a: operand(tile.arg, tile.strides), b: operand(key, k), acc: 0 };
  return gemm("queries'", form, { size: [size.rows, width], args, product, body, stored: store(result, strides, sum) });
}

/** What keys or values get: result + tileᵀ·x, over all heads of queries that share them. Arguments: tile, x of queries, result. */
export function keyGradient(form: Form, size: TileSize, width: number): GemmKernel {
  const { ofQueries, ofKeys, ofTile } = layout(form);
  const { batch, heads, group } = form;
  const args = new Args();
  const body = new Body();
  const tile = tileArg(form, size, args, "read");
  const [tileSteps, xSteps, resultSteps] = [ofTile(size), ofQueries(width), ofKeys(width)];
  const x = args.add([batch, heads, group, size.rows, width], [...xSteps, width, 1]);
  const strides = [resultSteps[0]!, resultSteps[1]!, width, 1];
  const result = args.add([batch, heads, size.columns, width], strides, "readwrite");
  const at = (arg: number, steps: Strides, g: number, inner: Strides): Operand => ({
    body: [
      { op: "load", type: "f32", arg, index: { offset: g * steps[2]!, strides: [steps[0]!, steps[1]!, ...inner] } },
    ],
    value: 0,
  });
  const products = Array.from({ length: group }, (_, g) => ({
    k: size.rows,
    a: at(tile.arg, tileSteps, g, [1, size.columns]),
    b: at(x, xSteps, g, [width, 1]),
    acc: 0,
  }));
  const sum = body.binary("add", body.load(result, strides), body.sum());
  return {
    kind: "gemm",
    label: "keys'",
    args: args.list,
    batch: [batch, heads],
    m: size.columns,
    n: width,
    products,
    epilogue: body.code,
    stores: [store(result, strides, sum)],
  };
}
