/**
 * GemmKernel → packed, register-blocked code in the manner of Goto & van de Geijn: B in panels as wide as a register tile, A in
 * blocks of rows that stay in cache, a tile of accumulators in registers over the whole of k. k is never split, so a result's bits depend on
 * nothing but the operands. Results gather in a block of scratch over which the epilogue runs row by row.
 */
import type { GemmKernel } from "../../../ir/kernel.ts";
import type { KernelCode, Phase } from "../kernel-code.ts";
import type { ModuleBuilder } from "../asm/index.ts";
import { Code, type Local, type Push } from "../loop/code.ts";
import { ExpressionEmitter } from "../loop/expression.ts";
import { emitLoop } from "../loop/loop.ts";
import { gemmAsLoop } from "./as-loop.ts";
import { packPanel } from "./pack.ts";
import { chooseBlocking, directOperand, type Blocking, type DirectOperand } from "./shape.ts";

export interface GemmOptions {
  /** Relaxed SIMD's multiply-add; otherwise multiply and add. */
  readonly fma: boolean;
}

/** Products smaller than this are not worth packing. */
const SMALL = 256;
/** Nanoseconds per multiply-add and per packed or stored element on a usual core, for the cost estimate. */
const COST_MADD = 0.03;
const COST_ELEMENT = 0.6;

export function emitGemm(kernel: GemmKernel, module: ModuleBuilder, prefix: string, options: GemmOptions): KernelCode {
  const a = directOperand(kernel.a, kernel);
  const b = directOperand(kernel.b, kernel);
  const { m, n, k } = kernel;
  if (a === undefined || b === undefined || k === 0 || m * n * k < SMALL) return emitLoop(gemmAsLoop(kernel), module, prefix);
  const blocking = chooseBlocking(kernel, a, b);
  const emitter = new GemmEmitter(kernel, a, b, blocking, module, options);
  const phases: Phase[] = [];
  if (!blocking.localB) {
    const units = blocking.panels * blocking.sharedBs;
    phases.push({ exportName: `${prefix}b`, units, cost: units * blocking.tile.columns * k * COST_ELEMENT });
    emitter.packB(`${prefix}b`);
  }
  const units = blocking.batches * blocking.rowBlocks * blocking.columnUnits;
  phases.push({ exportName: prefix, units, cost: blocking.batches * (m * n * k * COST_MADD + (m * k + m * n) * COST_ELEMENT) });
  emitter.multiply(prefix);
  return { phases, sharedScratch: emitter.sharedBytes, threadScratch: emitter.threadBytes };
}

class GemmEmitter {
  readonly #kernel: GemmKernel;
  readonly #a: DirectOperand;
  readonly #b: DirectOperand;
  readonly #cut: Blocking;
  readonly #module: ModuleBuilder;
  readonly #fma: boolean;
  readonly #panelA: number;
  readonly #panelB: number;

  constructor(kernel: GemmKernel, a: DirectOperand, b: DirectOperand, cut: Blocking, module: ModuleBuilder, options: GemmOptions) {
    this.#kernel = kernel;
    this.#a = a;
    this.#b = b;
    this.#cut = cut;
    this.#module = module;
    this.#fma = options.fma;
    this.#panelA = kernel.k * cut.tile.rows * 4;
    this.#panelB = kernel.k * cut.tile.columns * 4;
  }

  get sharedBytes(): number { return this.#cut.sharedBs * this.#cut.panels * this.#panelB; }
  get #blockA(): number { return this.#cut.packA ? round64(Math.ceil(this.#cut.rows / this.#cut.tile.rows) * this.#panelA) : 0; }
  get #blockC(): number { return this.#cut.rows * this.#pitchC; }
  /** Bytes from row to row of the accumulator block. */
  get #pitchC(): number { return this.#cut.blockPanels * this.#cut.tile.columns * 4; }
  get threadBytes(): number { return this.#blockA + round64(this.#blockC) + (this.#cut.localB ? this.#cut.panels * this.#panelB : 0); }

  packB(name: string): void {
    const c = Code.kernel(this.#module, name, this.#kernel.args.length);
    const { panels, sharedBs } = this.#cut;
    const unit = c.local("i32");
    c.for(unit, c.begin, c.get(1), 1, () => {
      const batch = sharedBs === 1 ? c.i32(0) : c.let("i32", c.op("i32.div_u", c.get(unit), c.i32(panels)));
      const panel = sharedBs === 1 ? c.get(unit) : c.let("i32", c.op("i32.rem_u", c.get(unit), c.i32(panels)));
      const coords = sharedBs === 1 ? [] : this.#decode(c, batch);
      const base = this.#address(c, this.#b, coords);
      this.#packPanelB(c, base, panel, c.op("i32.add", c.shared, c.op("i32.mul", c.get(unit), c.i32(this.#panelB))));
    });

  }

  #packPanelB(c: Code, base: Push, panel: Push, to: Push): void {
    const first = c.let("i32", c.op("i32.mul", panel, c.i32(this.#cut.tile.columns)));
    const from = c.op("i32.add", base, c.op("i32.mul", first, c.i32(this.#b.col)));
    packPanel(c, { lane: this.#b.col, k: this.#b.row }, from, to, this.#cut.tile.columns, this.#kernel.k, first, this.#kernel.n);
  }

  multiply(name: string): void {
    const c = Code.kernel(this.#module, name, this.#kernel.args.length);
    const { m, n } = this.#kernel;
    const { rows, rowBlocks, panels, unitPanels, columnUnits, blockPanels, localB, sharedBs } = this.#cut;
    const rank = this.#kernel.batch.length;
    const batchCoords = this.#kernel.batch.map(() => c.local("i32"));
    const [row, column] = [c.local("i32"), c.local("i32")];
    const blockC = c.let("i32", c.op("i32.add", c.thread, c.i32(this.#blockA)));
    const [firstRow, firstColumn] = [c.local("i32"), c.local("i32")];
    const epilogue = new ExpressionEmitter(c, {
      body: this.#kernel.epilogue, args: this.#kernel.args, argLocals: c.args, coords: [...batchCoords, row, column],
      depth: [...batchCoords.map(() => 1), 2, 3], laneDim: rank + 1,
      acc: (scope, copy) => c.load(scope.lanes === 4 ? "v128.load" : "f32.load", c.get(accPointer), copy * 16),
    });
    const accPointer = c.local("i32");
    const live = this.#kernel.epilogue.map(() => true);
    const { stores } = this.#kernel;
    const root = epilogue.scope(undefined, 0);
    epilogue.enter(root, live, stores);

    const unit = c.local("i32");
    c.for(unit, c.begin, c.get(1), 1, () => {
      const perBatch = rowBlocks * columnUnits;
      const batch = c.let("i32", c.op("i32.div_u", c.get(unit), c.i32(perBatch)));
      const within = c.let("i32", c.op("i32.rem_u", c.get(unit), c.i32(perBatch)));
      const rowBlock = c.let("i32", c.op("i32.div_u", within, c.i32(columnUnits)));
      const columnUnit = c.let("i32", c.op("i32.rem_u", within, c.i32(columnUnits)));
      this.#decode(c, batch).forEach((x, d) => c.set(batchCoords[d]!, x));
      const coords = batchCoords.map((x) => c.get(x));
      const entry = epilogue.scope(root, 1);
      epilogue.enter(entry, live, stores);

      const packedB = localB ? c.let("i32", c.op("i32.add", blockC, c.i32(round64(this.#blockC))))
        : c.let("i32", sharedBs === 1 ? c.shared : c.op("i32.add", c.shared, c.op("i32.mul", batch, c.i32(panels * this.#panelB))));
      if (localB) {
        const base = c.let("i32", this.#address(c, this.#b, coords));
        const panel = c.local("i32");
        c.for(panel, c.i32(0), c.i32(panels), 1, () => this.#packPanelB(c, base, c.get(panel), c.op("i32.add", packedB, c.op("i32.mul", c.get(panel), c.i32(this.#panelB)))));
      }
      const baseA = c.let("i32", this.#address(c, this.#a, coords));
      const firstPanel = c.let("i32", c.op("i32.mul", columnUnit, c.i32(unitPanels)));
      const lastPanel = c.let("i32", c.minimum(c.op("i32.add", firstPanel, c.i32(unitPanels)), c.i32(panels)));
      const block = (from: Push): void => {
        c.set(firstRow, from);
        const endRow = c.let("i32", c.minimum(c.op("i32.add", c.get(firstRow), c.i32(rows)), c.i32(m)));
        if (this.#cut.packA) this.#packBlockA(c, baseA, firstRow, endRow);
        const panelBlock = c.local("i32");
        c.for(panelBlock, firstPanel, lastPanel, blockPanels, () => {
          const endPanel = c.let("i32", c.minimum(c.op("i32.add", c.get(panelBlock), c.i32(blockPanels)), lastPanel));
          this.#tiles(c, baseA, packedB, blockC, panelBlock, endPanel, firstRow, endRow);
          c.set(firstColumn, c.op("i32.mul", c.get(panelBlock), c.i32(this.#cut.tile.columns)));
          const endColumn = c.let("i32", c.minimum(c.op("i32.mul", endPanel, c.i32(this.#cut.tile.columns)), c.i32(n)));
          c.for(row, c.get(firstRow), endRow, 1, () => {
            const line = epilogue.scope(entry, 2);
            epilogue.enter(line, live, stores);
            c.set(accPointer, c.op("i32.add", blockC, c.op("i32.mul", c.op("i32.sub", c.get(row), c.get(firstRow)), c.i32(this.#pitchC))));
            c.set(column, c.get(firstColumn));
            for (const [lanes, copies] of [[4, 2], [4, 1], [1, 1]] as const) {
              const step = lanes * copies;
              const last = step === 1 ? endColumn : c.let("i32", c.op("i32.sub", endColumn, c.i32(step - 1)));
              const cell = epilogue.scope(line, 3, lanes, copies);
              c.loop(column, last, step, () => {
                epilogue.enter(cell, live, stores);
                for (let u = 0; u < copies; u++) for (const store of stores) epilogue.store(cell, store, u);
                c.set(accPointer, c.op("i32.add", c.get(accPointer), c.i32(step * 4)));
              });
            }
          });
        });
      };
      if (!localB) {
        block(c.op("i32.mul", rowBlock, c.i32(rows)));
      } else {
        const start = c.local("i32");
        c.for(start, c.i32(0), c.i32(m), rows, () => block(c.get(start)));
      }
    });

  }

  #packBlockA(c: Code, base: Push, firstRow: Local, endRow: Push): void {
    const { tile } = this.#cut;
    const from = c.local("i32");
    const to = c.keep("i32", c.thread);
    c.for(from, c.get(firstRow), endRow, tile.rows, () => {
      packPanel(c, { lane: this.#a.row, k: this.#a.col }, c.op("i32.add", base, c.op("i32.mul", c.get(from), c.i32(this.#a.row))), c.get(to), tile.rows, this.#kernel.k, c.get(from), this.#kernel.m);
      c.set(to, c.op("i32.add", c.get(to), c.i32(this.#panelA)));
    });
  }

  /** All tiles of a block: each panel of B meets every row of A while it is in the first-level cache. */
  #tiles(c: Code, baseA: Push, packedB: Push, blockC: Push, panelBlock: Local, endPanel: Push, firstRow: Local, endRow: Push): void {
    const { tile, packA } = this.#cut;
    const panel = c.local("i32");
    const line = c.keep("i32", blockC);
    const step = packA ? this.#panelA : tile.rows * this.#a.row;
    const start = packA ? c.thread : c.let("i32", c.op("i32.add", baseA, c.op("i32.mul", c.get(firstRow), c.i32(this.#a.row))));
    const rest = this.#kernel.m % tile.rows;
    c.for(panel, c.get(panelBlock), endPanel, 1, () => {
      const pb = c.let("i32", c.op("i32.add", packedB, c.op("i32.mul", c.get(panel), c.i32(this.#panelB))));
      const pa = c.keep("i32", start);
      const out = c.keep("i32", c.get(line));
      const row = c.keep("i32", c.get(firstRow));
      const lastWhole = c.let("i32", c.op("i32.sub", endRow, c.i32(tile.rows - 1)));
      c.loop(row, lastWhole, tile.rows, () => {
        this.#tile(c, c.get(pa), pb, c.get(out), tile.rows);
        c.set(pa, c.op("i32.add", c.get(pa), c.i32(step)));
        c.set(out, c.op("i32.add", c.get(out), c.i32(tile.rows * this.#pitchC)));
      });
      if (rest !== 0) c.if(c.op("i32.lt_s", c.get(row), endRow), () => this.#tile(c, c.get(pa), pb, c.get(out), rest));
      c.set(line, c.op("i32.add", c.get(line), c.i32(tile.columns * 4)));
    });
  }

  /** One tile of `rows` rows, left in the accumulator block. */
  #tile(c: Code, firstA: Push, firstB: Push, out: Push, rows: number): void {
    const { tile, packA } = this.#cut;
    const vectors = tile.columns / 4;
    const acc = Array.from({ length: rows * vectors }, () => c.keep("v128", c.f4const(0)));
    const [pa, pb] = [c.keep("i32", firstA), c.keep("i32", firstB)];
    const [rowStep, kStep] = packA ? [4, tile.rows * 4] : [this.#a.row, this.#a.col];
    const end = c.let("i32", c.op("i32.add", c.get(pb), c.i32(this.#panelB)));
    // one k at a time: unrolled, V8 keeps two sets of accumulators and copies between them
    c.loop(pb, end, tile.columns * 4, () => {
      const b = Array.from({ length: vectors }, (_, v) => c.let4(c.load("v128.load", c.get(pb), v * 16)));
      for (let r = 0; r < rows; r++) {
        const x = c.let4(this.#splat(c, pa, r * rowStep));
        b.forEach((y, v) => c.set(acc[r * vectors + v]!, this.#madd(c, x, y, c.get(acc[r * vectors + v]!))));
      }
      c.set(pa, c.op("i32.add", c.get(pa), c.i32(kStep)));
    });
    for (let r = 0; r < rows; r++) {
      for (let v = 0; v < vectors; v++) c.store("v128.store", out, r * this.#pitchC + v * 16, c.get(acc[r * vectors + v]!));
    }
  }

  /** Rows of A lie a fixed distance apart, so one pointer serves them all; constant offsets cannot be negative. */
  #splat(c: Code, pointer: Local, offset: number): Push {
    return offset >= 0 ? c.load("v128.load32_splat", c.get(pointer), offset) : c.load("v128.load32_splat", c.op("i32.add", c.get(pointer), c.i32(offset)), 0);
  }

  #madd(c: Code, x: Push, y: Push, sum: Push): Push {
    return this.#fma ? c.f4("relaxed_madd", x, y, sum) : c.f4("add", sum, c.f4("mul", x, y));
  }

  #decode(c: Code, batch: Push): Push[] {
    const sizes = this.#kernel.batch;
    let rest = batch;
    const out: Push[] = new Array<Push>(sizes.length);
    for (let d = sizes.length - 1; d >= 0; d--) {
      out[d] = d === 0 ? rest : c.let("i32", c.op("i32.rem_u", rest, c.i32(sizes[d]!)));
      if (d > 0) rest = c.let("i32", c.op("i32.div_u", rest, c.i32(sizes[d]!)));
    }
    return out;
  }

  #address(c: Code, operand: DirectOperand, coords: readonly Push[]): Push {
    let at: Push = c.get(c.args[operand.arg]!);
    if (operand.offset !== 0) at = c.op("i32.add", at, c.i32(operand.offset));
    coords.forEach((x, d) => {
      if (operand.batch[d] !== 0) at = c.op("i32.add", at, c.op("i32.mul", x, c.i32(operand.batch[d]!)));
    });
    return at;
  }
}

function round64(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}
