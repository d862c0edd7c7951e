/**
 * What kernels of a tile of attention are put together from. Tiles of the same size share them: where a tile lies is where their arguments begin, and what of
 * it a query sees is read from memory. Coordinates are [batch, heads of keys, queries' heads of one, row, column].
 */
import type { Arg, GemmKernel, Operand, Store, ValueId } from "../../ir/kernel.ts";
import { chance } from "../../random/chance.ts";
import type { Body } from "../body.ts";
import type { Form } from "./form.ts";

/** Rows and columns of a tile. */
export interface TileSize {
  readonly rows: number;
  readonly columns: number;
  readonly masked: boolean;
}

export type Access = Arg["access"];
/** Elements from one coordinate to the next, for each dimension. */
export type Strides = readonly number[];

/** Elements from the first to the last that is touched. */
function span(shape: readonly number[], strides: Strides): number {
  return shape.reduce((sum, size, d) => sum + (size - 1) * strides[d]!, 1);
}

/** How tensors lie in memory: steps along batch, heads and group. */
export interface Layout {
  readonly groups: readonly [batch: number, heads: number, group: number];
  /** [batch, heads · group, queries, width]. */
  ofQueries(width: number): Strides;
  /** [batch, heads, keys, width]. */
  ofKeys(width: number): Strides;
  /** [batch, heads · group, rows, columns], dense. */
  ofTile(size: TileSize): Strides;
  /** [batch, heads · group, rows]. */
  ofRows(rows: number): Strides;
}

export function layout({ batch, heads, group, queries, keys }: Form): Layout {
  const ofRows = (rows: number): Strides => [heads * group * rows, group * rows, rows];
  return {
    groups: [batch, heads, group],
    ofQueries: (width) => ofRows(queries * width),
    ofKeys: (width) => [heads * keys * width, keys * width, 0],
    ofTile: ({ rows, columns }) => ofRows(rows * columns),
    ofRows,
  };
}

/** Collects a kernel's arguments. */
export class Args {
  readonly list: Arg[] = [];

  add(shape: readonly number[], strides: Strides, access: Access = "read", dtype: Arg["dtype"] = "f32"): number {
    return this.list.push({ dtype, access, size: span(shape, strides) }) - 1;
  }
}

export function operand(arg: number, strides: Strides): Operand {
  return { body: [{ op: "load", type: "f32", arg, index: { offset: 0, strides } }], value: 0 };
}

export function store(arg: number, strides: Strides, value: ValueId): Store {
  return { arg, index: { offset: 0, strides }, value };
}

/** What a query may see, of the arguments that follow: last, first, place, as far as the form has them. */
export function visible(body: Body, args: Args, form: Form, { rows, columns }: TileSize): ValueId | undefined {
  const { batch, causal, window, first, place, firstStep, placeStep } = form;
  const none = [0, 0, 0];
  const key =
    causal || first || place
      ? body.load(args.add([batch, columns], [placeStep, 1], "read", "i32"), [placeStep, 0, 0, 0, 1], "i32")
      : undefined;
  if (key === undefined) return undefined;
  let seen = place ? body.binary("le", body.constant(0, "i32"), key, "bool") : undefined;
  const and = (test: ValueId): void => {
    seen = seen === undefined ? test : body.binary("and", seen, test, "bool");
  };
  if (first)
    and(
      body.binary(
        "le",
        body.load(args.add([batch, rows], [firstStep, 1], "read", "i32"), [firstStep, 0, 0, 1, 0], "i32"),
        key,
        "bool",
      ),
    );
  if (causal) {
    const own = body.load(args.add([rows], [1], "read", "i32"), [...none, 1, 0], "i32");
    and(body.binary("le", key, own, "bool"));
    if (window > 0) and(body.binary("lt", body.binary("sub", own, body.constant(window, "i32"), "i32"), key, "bool"));
  }
  return seen;
}

export function queriesByKeys(form: Form, { rows, columns }: TileSize, args: Args): GemmKernel["products"][number] {
  const { groups, ofQueries, ofKeys } = layout(form);
  const { width } = form;
  const q = [...ofQueries(width), width, 1];
  const k = [...ofKeys(width), 1, width];
  return {
    k: width,
    a: operand(args.add([...groups, rows, width], q), q),
    b: operand(args.add([...groups, width, columns], k), k),
    acc: 0,
  };
}

/** A number for each query, of [batch, heads · group, queries]. */
export function queryRow(form: Form, { rows }: TileSize, args: Args, body: Body): ValueId {
  const { groups, ofQueries } = layout(form);
  const strides = [...ofQueries(1), 1];
  return body.load(args.add([...groups, rows], strides), [...strides, 0]);
}

export function tileArg(form: Form, size: TileSize, args: Args, access: Access): { arg: number; strides: Strides } {
  const { groups, ofTile } = layout(form);
  const strides = [...ofTile(size), size.columns, 1];
  return { arg: args.add([...groups, size.rows, size.columns], strides, access), strides };
}

/** What differs between products of a tile. */
export interface ProductParts {
  readonly size: readonly [m: number, n: number];
  readonly args: Args;
  readonly product: GemmKernel["products"][number];
  readonly body: Body;
  readonly stored: Store;
}

/** A product for each head of queries. */
export function gemm(
  label: string,
  form: Form,
  { size: [m, n], args, product, body, stored }: ProductParts,
): GemmKernel {
  const { batch, heads, group } = form;
  return {
    kind: "gemm",
    label,
    args: args.list,
    batch: [batch, heads, group],
    m,
    n,
    products: [product],
    epilogue: body.code,
    stores: [stored],
  };
}

/** Places of queries lie so far apart: `attentionLayout` of random/layout.ts. */
const KEYS = 2 ** 16;

/** As `dropout` has it, at places as `attentionLayout` has them. */
export function dropped(form: Form, { rows, columns }: TileSize, args: Args, body: Body, x: ValueId): ValueId {
  const { batch, heads, group, placeStep, p } = form;
  const { bits, below, probability } = chance(p);
  const word = args.add([3], [1], "read", "u32");
  const key = args.add([batch, columns], [placeStep, 1], "read", "i32");
  const query = args.add([rows], [1], "read", "i32");
  const u32 = (a: ValueId): ValueId => body.push({ op: "cast", type: "u32", a });
  const wordAt = (i: number): ValueId => body.load(word, [0, 0, 0, 0, 0], "u32", i);
  const times = (a: ValueId, by: number): ValueId => body.binary("mul", a, body.constant(by, "u32"), "u32");
  const plus = (a: ValueId, b: ValueId): ValueId => body.binary("add", a, b, "u32");
  const [b, h, g] = [0, 1, 2].map((d) => u32(body.coord(d))) as [ValueId, ValueId, ValueId];
  const index = plus(
    times(u32(body.load(query, [0, 0, 0, 1, 0], "i32")), KEYS),
    u32(body.load(key, [placeStep, 0, 0, 0, 1], "i32")),
  );
  const row = plus(times(plus(b, wordAt(2)), heads * group), plus(times(h, group), g));
  const drawn = body.push({ op: "random", type: "u32", bits, k0: wordAt(0), k1: wordAt(1), index, row });
  const keep = body.binary("le", body.constant(below, "u32"), drawn, "bool");
  return body.select(keep, body.binary("mul", x, body.constant(1 / (1 - probability))), body.constant(0));
}
