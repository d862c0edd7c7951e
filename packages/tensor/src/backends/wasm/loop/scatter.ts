/**
 * ScatterKernel → two phases. The first fills the output with zeros and brings the ids into scratch; the second adds source rows to
 * output rows, each unit owning a rectangle of the output (rows × columns) and walking the ids in order. No two units write the same
 * element and every element sums in the order of i, so there are no atomics and the bits do not depend on the threads.
 */
import { invariant } from "../../../errors.ts";
import { reachable } from "../../../ir/facts.ts";
import type { ScatterKernel } from "../../../ir/kernel.ts";
import type { KernelCode, Phase } from "../kernel-code.ts";
import type { ModuleBuilder } from "../asm/index.ts";
import { Code, type CodeOptions } from "./code.ts";
import type { Push } from "./push.ts";
import { ExpressionEmitter } from "./expression.ts";
import { chunkLengths, emitLanes } from "./lanes.ts";
import { instrWeight } from "./weight.ts";

/** Bytes one unit fills. */
const FILL_BYTES = 256 * 1024;
/** Ids one unit evaluates. */
const ID_BLOCK = 4096;
/** Columns a unit takes at least: four cache lines. Column cuts come first, since ids are skewed (padding tokens) and columns are not. */
const LEAST_COLUMNS = 64;
/** Elements of work (filled or added) that deserve a unit of their own. */
const UNIT_ELEMENTS = 32 * 1024;
const MOST_UNITS = 64;

interface Grid {
  readonly rowBlock: number;
  readonly colBlock: number;
  readonly rowBlocks: number;
  readonly colBlocks: number;
}

function cutGrid({ rows, cols, count }: ScatterKernel): Grid {
  const wanted = Math.min(MOST_UNITS, Math.ceil((count * cols) / UNIT_ELEMENTS));
  const colBlock = Math.max(LEAST_COLUMNS, Math.ceil(cols / wanted / 16) * 16);
  const colBlocks = Math.max(1, Math.ceil(cols / colBlock));
  // Every row block walks all ids: keep that walk below a third of the additions.
  const rowBlocksWanted = Math.min(
    Math.ceil(wanted / colBlocks),
    Math.floor(1 + 0.15 * Math.min(cols, colBlock)),
    Math.max(rows, 1),
  );
  const rowBlock = Math.max(1, Math.ceil(rows / Math.max(1, rowBlocksWanted)));
  return { rowBlock, colBlock, colBlocks, rowBlocks: Math.ceil(rows / rowBlock) };
}

/** Emits functions `<exportPrefix>_fill` and `<exportPrefix>_add`. Ids pass through shared scratch, 4 bytes each. */
export function emitScatter(
  kernel: ScatterKernel,
  module: ModuleBuilder,
  exportPrefix: string,
  options: CodeOptions = {},
): KernelCode {
  invariant(kernel.args[kernel.out]!.dtype === "f32", "scatter sums into f32");
  const fill = emitFill(kernel, Code.kernel(module, `${exportPrefix}_fill`, kernel.args.length, options));
  const add = emitAdd(kernel, Code.kernel(module, `${exportPrefix}_add`, kernel.args.length, options));
  return {
    phases: [
      { exportName: `${exportPrefix}_fill`, ...fill },
      { exportName: `${exportPrefix}_add`, ...add },
    ],
    sharedScratch: Math.ceil((kernel.count * 4) / 64) * 64,
    threadScratch: 0,
  };
}

/** Units [0, f) fill FILL_BYTES each, the others evaluate ID_BLOCK ids each. */
function emitFill(kernel: ScatterKernel, c: Code): Omit<Phase, "exportName"> {
  const bytes = kernel.rows * kernel.cols * 4;
  const fills = Math.ceil(bytes / FILL_BYTES);
  const idUnits = Math.ceil(kernel.count / ID_BLOCK);
  const { body, value } = kernel.ids;
  invariant(["i32", "u32"].includes(body[value]!.type), "scatter ids are integers");
  const i = c.local("i32");
  const expr = new ExpressionEmitter(c, {
    body,
    args: kernel.args,
    argLocals: c.args,
    coords: [i],
    depth: [1],
    laneDim: -1,
  });
  const needed = reachable(body, [value]);
  c.if(c.op("i32.ge_s", c.begin, c.finish), () => c.return());
  const root = expr.scope(undefined, 0);
  expr.enter(root, needed);
  const unit = c.local("i32");
  c.for(unit, c.begin, c.finish, 1, () => {
    c.if(
      c.op("i32.lt_u", c.get(unit), c.i32(fills)),
      () => {
        const start = c.at.let(c.at.times(c.get(unit), FILL_BYTES));
        const length = c.at.minimum(c.at.bytes(FILL_BYTES), c.at.minus(c.at.bytes(bytes), start));
        c.fill(c.at.plus(c.at.get(c.args[kernel.out]!), start), c.i32(0), length);
      },
      () => {
        const start = c.let("i32", c.op("i32.mul", c.op("i32.sub", c.get(unit), c.i32(fills)), c.i32(ID_BLOCK)));
        const end = c.let("i32", c.minimum(c.op("i32.add", start, c.i32(ID_BLOCK)), c.i32(kernel.count)));
        c.for(i, start, end, 1, () => {
          const scope = expr.scope(root, 1);
          expr.enter(scope, needed);
          c.store("i32.store", c.at.plus(c.shared, c.at.scaled(c.get(i), 4)), 0, expr.value(scope, value));
        });
      },
    );
  });
  return { units: fills + idUnits, cost: bytes * 0.05 + kernel.count };
}

function emitAdd(kernel: ScatterKernel, c: Code): Omit<Phase, "exportName"> {
  const { rows, cols, count, out } = kernel;
  const { rowBlock, colBlock, rowBlocks, colBlocks } = cutGrid(kernel);
  const { body, value } = kernel.src;
  const type = body[value]!.type;
  invariant(type === "f32", "scatter sums f32 sources");
  const i = c.local("i32");
  const column = c.local("i32");
  const expr = new ExpressionEmitter(c, {
    body,
    args: kernel.args,
    argLocals: c.args,
    coords: [i, column],
    depth: [1, 2],
    laneDim: 1,
  });
  const needed = reachable(body, [value]);
  c.if(c.op("i32.ge_s", c.begin, c.finish), () => c.return());
  const root = expr.scope(undefined, 0);
  expr.enter(root, needed);
  const unit = c.local("i32");
  c.for(unit, c.begin, c.finish, 1, () => {
    // Column blocks vary fastest: neighbours in unit order read the same source rows.
    const rowUnit = colBlocks === 1 ? c.get(unit) : c.let("i32", c.op("i32.div_u", c.get(unit), c.i32(colBlocks)));
    const firstRow = c.let("i32", c.op("i32.mul", rowUnit, c.i32(rowBlock)));
    const rowCount = c.let("i32", c.minimum(c.i32(rowBlock), c.op("i32.sub", c.i32(rows), firstRow)));
    const firstColumn = c.let(
      "i32",
      c.op("i32.mul", c.op("i32.sub", c.get(unit), c.op("i32.mul", rowUnit, c.i32(colBlocks))), c.i32(colBlock)),
    );
    const endColumn = c.let("i32", c.minimum(c.op("i32.add", firstColumn, c.i32(colBlock)), c.i32(cols)));
    c.for(i, c.i32(0), c.i32(count), 1, () => {
      const id = c.let("i32", c.load("i32.load", c.at.plus(c.shared, c.at.scaled(c.get(i), 4)), 0));
      c.if(c.op("i32.lt_u", c.op("i32.sub", id, firstRow), rowCount), () => {
        const row = expr.scope(root, 1);
        expr.enter(row, needed);
        const target = c.at.let(c.at.plus(c.at.get(c.args[out]!), c.at.times(id, cols * 4)));
        emitLanes(
          c,
          column,
          { from: firstColumn, to: endColumn, lengths: chunkLengths(cols, colBlock) },
          [4],
          (lanes, copies) => {
            const scope = expr.scope(row, 2, lanes, copies);
            expr.enter(scope, needed);
            const at = c.at.let(c.at.plus(target, c.at.scaled(c.get(column), 4)));
            const [load, store, add] =
              lanes === 4 ? ["v128.load", "v128.store", "f32x4.add"] : ["f32.load", "f32.store", "f32.add"];
            for (let u = 0; u < copies; u++) {
              const x: Push = lanes === 4 ? expr.vector(scope, value, u) : expr.value(scope, value);
              c.store(store!, at, 16 * u, c.op(add!, c.load(load!, at, 16 * u), x));
            }
          },
        );
      });
    });
  });
  const weight = 0.3 + body.reduce((sum, instr, v) => (needed[v] ? sum + instrWeight(instr, kernel.args) : sum), 0);
  return {
    units: count === 0 || cols === 0 ? 0 : rowBlocks * colBlocks,
    cost: count * (cols * weight + rowBlocks * colBlocks),
  };
}
