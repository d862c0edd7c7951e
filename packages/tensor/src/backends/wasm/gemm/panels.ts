/**
 * How panels of an operand come into tile order. A plain f32 operand is copied; anything else (a cast, dequantization, a dropout
 * mask) is computed on the way, so that the operand itself never exists in memory.
 */
import { invariant } from "../../../errors.ts";
import { reachable } from "../../../ir/facts.ts";
import type { GemmKernel, Product, ValueId } from "../../../ir/kernel.ts";
import type { Address, AddressLocal } from "../address.ts";
import type { Code } from "../loop/code.ts";
import type { Local, Push } from "../loop/push.ts";
import { ExpressionEmitter, type Scope } from "../loop/expression.ts";
import { LONGEST_PIECE, runDim } from "./cut.ts";
import { packPanel } from "./pack.ts";
import type { DirectOperand } from "./shape.ts";
import { runOf } from "./slope.ts";

export interface Panels {
  /** To be emitted where the batch coordinates have been set. */
  enterBatch(): void;
  /** Emits the packing of lines [first, first + lanes), over the whole of k or a part of it: k-major, `lanes` f32 per k, zeros beyond the matrix. */
  pack(first: Local, to: Address, part?: KRange): void;
  /** Whether neighbouring lines are neighbours in memory: several panels packed together, part by part, read whole cache lines and pages while these are at hand. */
  readonly across: boolean;
}

/** Part of k, of an operand whose lines run across memory; a plain one is copied by code made for the part's length. */
export interface KRange {
  readonly from: Push;
  readonly length: Push | number;
}

/** Rows of A or columns of B ("lines"), `lanes` of them per panel, of a matrix with `size` lines and `k` elements in each. */
export interface PanelShape {
  readonly lanes: number;
  readonly size: number;
  readonly k: number;
}

/** A panel of an operand that is computed along k is staged in pieces of at most this many elements of each line. */
export const STAGE_K: number = LONGEST_PIECE;

export function directPanels(
  c: Code,
  base: () => Address,
  strides: { readonly line: number; readonly k: number },
  shape: PanelShape,
): Panels {
  const start = c.at.local();
  const source = { lane: strides.line, k: strides.k };
  const lineAt = (first: Local): Address => c.at.plus(c.at.get(start), c.at.times(c.get(first), strides.line));
  return {
    across: strides.line === 4 && strides.k !== 4,
    enterBatch: () => c.at.set(start, base()),
    pack: (first, to, part = { from: c.i32(0), length: shape.k }) => {
      invariant(typeof part.length === "number", "copies are made for a length that is known");
      packPanel(c, source, {
        from: c.at.plus(lineAt(first), c.at.times(part.from, strides.k)),
        to,
        lanes: shape.lanes,
        k: part.length,
        first: c.get(first),
        size: shape.size,
      });
    },
  };
}

export interface ComputedOperand {
  readonly kernel: GemmKernel;
  readonly product: Product;
  readonly side: "a" | "b";
  readonly batchCoords: readonly Local[];
  readonly shape: PanelShape;
  /** Where `lanes · STAGE_K` f32 fit. */
  readonly stage: () => Address;
}

export function computedPanels(c: Code, computed: ComputedOperand): Panels {
  const { kernel, product, side, batchCoords, shape, stage } = computed;
  const rank = kernel.batch.length;
  const run = runOf(kernel, product, side);
  // panels that are no whole vectors wide are computed along k
  const along = run.runsAlongK || shape.lanes % 4 !== 0 ? "k" : "line";
  const [lineDim, kDim] = side === "a" ? [rank, rank + 1] : [rank + 1, rank];
  const { body, value } = along === "k" ? run.alongK : product[side];
  const pieces = along === "k" ? run.alongK.pieces : [shape.k];
  // lines are counted in one of the last two dimensions, k in the other and, where it is cut, in dimensions of its own
  const [line, ...k] = [c.local("i32"), ...pieces.map(() => c.local("i32"))];
  const inner = k.slice(1);
  const coords = [...batchCoords, ...(side === "a" ? [line, k[0]!] : [k[0]!, line]), ...inner];
  const depth = [...batchCoords.map(() => 1), ...(side === "a" ? [2, 3] : [3, 2]), ...inner.map((_, i) => 4 + i)];
  const emitter = new ExpressionEmitter(c, {
    body,
    args: kernel.args,
    argLocals: c.args,
    coords,
    depth,
    laneDim: along === "k" ? runDim(run.alongK, rank + 2, kDim) : lineDim,
  });
  const live = reachable(body, [value]);
  const root = emitter.scope(undefined, 0, 1, 1);
  emitter.enter(root, live);
  let entry: Scope | undefined;
  const writer = { c, emitter, live, value, line, k, pieces, shape };
  return {
    across: false,
    enterBatch() {
      entry = emitter.scope(root, 1, 1, 1);
      emitter.enter(entry, live);
    },
    pack(first, to, part) {
      invariant(along === "line" || part === undefined, "an operand computed along k is packed whole");
      if (along === "k") packAlongK(writer, entry!, first, to, stage());
      else packAlongLines(writer, entry!, first, to, part ?? { from: c.i32(0), length: shape.k });
    },
  };
}

interface Writer {
  readonly c: Code;
  readonly emitter: ExpressionEmitter;
  readonly live: readonly boolean[];
  readonly value: ValueId;
  readonly line: Local;
  /** Coordinates of the pieces that k is cut into, and how many of each there are. */
  readonly k: readonly Local[];
  readonly pieces: readonly number[];
  readonly shape: PanelShape;
}

/** Vectors run along each line: computed row by row into a stage, then transposed like any other matrix. */
function packAlongK(w: Writer, entry: Scope, first: Local, to: Address, stage: Address): void {
  const {
    c,
    pieces: [count, ...inner],
    shape: { lanes, size },
  } = w;
  const base = c.at.let(stage);
  const target = c.at.let(to);
  const elements = inner.reduce((n, piece) => n * piece, 1);
  const piece = (from: Push, length: number): void => {
    const start = c.let("i32", from);
    const end =
      size % lanes === 0
        ? c.op("i32.add", c.get(first), c.i32(lanes))
        : c.let("i32", c.minimum(c.op("i32.add", c.get(first), c.i32(lanes)), c.i32(size)));
    const out = c.at.keep(base);
    c.for(w.line, c.get(first), end, 1, () => {
      const row = w.emitter.scope(entry, 2, 1, 1);
      w.emitter.enter(row, w.live);
      const q = c.at.keep(c.at.get(out));
      alongPieces(w, row, [{ from: start, length }, ...inner.map((size) => ({ from: c.i32(0), length: size }))], q);
      c.at.advance(out, STAGE_K * 4);
    });
    const to = c.at.plus(target, c.at.times(start, elements * lanes * 4));
    packPanel(
      c,
      { lane: STAGE_K * 4, k: 4 },
      { from: base, to, lanes, k: length * elements, first: c.get(first), size },
    );
  };
  const most = STAGE_K / elements;
  const whole = count! - (count! % most);
  if (whole > 0) {
    const from = c.local("i32");
    c.for(from, c.i32(0), c.i32(whole), most, () => piece(c.get(from), most));
  }
  if (count! > whole) piece(c.i32(whole), count! - whole);
}

/** Computes a part of a line, its pieces one inside the other, and leaves it at `to` and on. */
function alongPieces(w: Writer, scope: Scope, parts: readonly KRange[], to: AddressLocal): void {
  const { c, emitter } = w;
  const [{ from, length } = { from: c.i32(0), length: 0 }, ...rest] = parts;
  invariant(typeof length === "number", "pieces are as long as code knows");
  const k = w.k[w.k.length - parts.length]!;
  if (rest.length > 0) {
    c.for(k, from, c.op("i32.add", from, c.i32(length)), 1, () => {
      const piece = emitter.scope(scope, scope.depth + 1);
      emitter.enter(piece, w.live);
      alongPieces(w, piece, rest, to);
    });
    return;
  }
  c.set(k, from);
  let done = 0;
  for (const [width, copies] of [
    [4, 2],
    [4, 1],
    [1, 1],
  ] as const) {
    const step = width * copies;
    const upTo = length - (length % step);
    if (upTo === done) continue;
    done = upTo;
    const cell = emitter.scope(scope, scope.depth + 1, width, copies, true);
    c.loop(k, c.op("i32.add", from, c.i32(upTo)), step, () => {
      emitter.enter(cell, w.live);
      for (let u = 0; u < copies; u++) {
        if (width === 4) c.store("v128.store", c.at.get(to), u * 16, emitter.vector(cell, w.value, u));
        else c.store("f32.store", c.at.get(to), 0, emitter.value(cell, w.value));
      }
      c.at.advance(to, step * 4);
    });
  }
}

/** Vectors run across the lines of the panel: exactly tile order. */
function packAlongLines(w: Writer, entry: Scope, first: Local, to: Address, { from, length }: KRange): void {
  const {
    c,
    shape: { lanes, size },
  } = w;
  const target = c.at.let(to);
  const count = typeof length === "number" ? c.i32(length) : length;
  const end = c.let("i32", c.op("i32.add", from, count));
  const full = (): void => {
    c.set(w.line, c.get(first));
    const row = w.emitter.scope(entry, 2, 4, lanes / 4);
    w.emitter.enter(row, w.live);
    const q = c.at.keep(target);
    c.for(w.k[0]!, from, end, 1, () => {
      const cell = w.emitter.scope(row, 3);
      w.emitter.enter(cell, w.live);
      for (let u = 0; u < lanes / 4; u++)
        c.store("v128.store", c.at.get(q), u * 16, w.emitter.vector(cell, w.value, u));
      c.at.advance(q, lanes * 4);
    });
  };
  const edge = (): void => {
    const real = size % lanes;
    c.fill(target, c.i32(0), c.at.times(count, lanes * 4));
    const out = c.at.keep(target);
    c.for(w.line, c.get(first), c.op("i32.add", c.get(first), c.i32(real)), 1, () => {
      const row = w.emitter.scope(entry, 2, 1, 1);
      w.emitter.enter(row, w.live);
      const q = c.at.keep(c.at.get(out));
      c.for(w.k[0]!, from, end, 1, () => {
        const cell = w.emitter.scope(row, 3);
        w.emitter.enter(cell, w.live);
        c.store("f32.store", c.at.get(q), 0, w.emitter.value(cell, w.value));
        c.at.advance(q, lanes * 4);
      });
      c.at.advance(out, 4);
    });
  };
  if (size % lanes === 0) full();
  else c.if(c.op("i32.le_s", c.op("i32.add", c.get(first), c.i32(lanes)), c.i32(size)), full, edge);
}

export function directStrides(operand: DirectOperand, side: "a" | "b"): { line: number; k: number } {
  return side === "a" ? { line: operand.row, k: operand.col } : { line: operand.col, k: operand.row };
}

/** Panels first, first + step, … below `end`, one after another to `to`, `bytes` apart; panel p begins at line p · `lines`. */
export interface PanelRun {
  readonly first: Local;
  readonly end: Push;
  readonly step: number;
  readonly lines: number;
  readonly to: Address;
  readonly bytes: number;
}

export function packEach(
  c: Code,
  source: Panels,
  { first, end, step, lines, to, bytes }: PanelRun,
  part?: KRange,
): void {
  const [at, line] = [c.local("i32"), c.local("i32")];
  const out = c.at.keep(to);
  c.for(at, c.get(first), end, step, () => {
    c.set(line, lines === 1 ? c.get(at) : c.op("i32.mul", c.get(at), c.i32(lines)));
    source.pack(line, c.at.get(out), part);
    c.at.advance(out, bytes);
  });
}
