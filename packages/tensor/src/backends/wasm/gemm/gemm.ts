/**
 * GemmKernel → packed, register-blocked code in the manner of Goto & van de Geijn: B in panels as wide as a register tile, A in
 * blocks of rows that stay in cache, a tile of accumulators in registers over a long piece of k. Pieces follow one another in the same
 * accumulators, so a result's bits depend on nothing but the operands. Results gather in a block of scratch over which the epilogue runs row by row.
 */
import type { GemmKernel } from "../../../ir/kernel.ts";
import type { KernelCode, Phase } from "../kernel-code.ts";
import type { ModuleBuilder } from "../asm/index.ts";
import { Code, type Local, type Push } from "../loop/code.ts";
import { ExpressionEmitter, type Scope } from "../loop/expression.ts";
import { emitLoop } from "../loop/loop.ts";
import { gemmAsLoop } from "./as-loop.ts";
import { computedPanels, directPanels, directStrides, STAGE_K, type Panels } from "./panels.ts";
import { chooseBlocking, directOperand, kPiece, type Blocking, type DirectOperand } from "./shape.ts";

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
  if (k === 0 || m * n * k < SMALL) return emitLoop(gemmAsLoop(kernel), module, prefix, options);
  const blocking = chooseBlocking(kernel, a, b);
  const emitter = new GemmEmitter(kernel, a, b, blocking, module, options);
  const phases: Phase[] = [];
  if (blocking.packB === "first") {
    const units = blocking.panels * blocking.sharedBs;
    phases.push({ exportName: `${prefix}b`, units, cost: units * blocking.tile.columns * k * COST_ELEMENT });
    emitter.packB(`${prefix}b`);
  }
  const units = blocking.batches * blocking.rowBlocks * blocking.columnUnits;
  phases.push({ exportName: prefix, units, cost: blocking.batches * (m * n * k * COST_MADD + (m * k + m * n) * COST_ELEMENT) });
  emitter.multiply(prefix);
  return { phases, sharedScratch: emitter.sharedBytes, threadScratch: emitter.threadBytes };
}

/** Part of k that a tile runs over at a time; `first` says whether sums begin here, and is absent where there is one piece only. */
interface KPiece { readonly from: Local; readonly first: Push | undefined; readonly bytesB: Push }

class GemmEmitter {
  readonly #kernel: GemmKernel;
  /** Undefined where the operand is computed while packing. */
  readonly #a: DirectOperand | undefined;
  readonly #b: DirectOperand | undefined;
  readonly #cut: Blocking;
  readonly #module: ModuleBuilder;
  readonly #options: GemmOptions;
  readonly #panelA: number;
  readonly #panelB: number;

  constructor(kernel: GemmKernel, a: DirectOperand | undefined, b: DirectOperand | undefined, cut: Blocking, module: ModuleBuilder, options: GemmOptions) {
    this.#kernel = kernel;
    this.#a = a;
    this.#b = b;
    this.#cut = cut;
    this.#module = module;
    this.#options = options;
    this.#panelA = kernel.k * cut.tile.rows * 4;
    this.#panelB = kernel.k * cut.tile.columns * 4;
  }

  get sharedBytes(): number { return this.#cut.sharedBs * this.#cut.panels * this.#panelB; }
  // scratch of a thread: a block of A, the accumulator block, panels of B, the stage
  get #blockA(): number { return this.#cut.packA ? round64(Math.ceil(this.#cut.rows / this.#cut.tile.rows) * this.#panelA) : 0; }
  get #blockC(): number { return round64(this.#cut.rows * this.#pitchC); }
  get #blockB(): number { return round64(this.#cut.packB === "batch" ? this.#cut.panels * this.#panelB : this.#cut.packB === "unit" ? this.#cut.blockPanels * this.#panelB : 0); }
  get #stage(): number { return this.#a === undefined || this.#b === undefined ? Math.max(this.#cut.tile.rows, this.#cut.tile.columns) * STAGE_K * 4 : 0; }
  /** Bytes from row to row of the accumulator block. */
  get #pitchC(): number { return this.#cut.blockPanels * this.#cut.tile.columns * 4; }
  get threadBytes(): number { return this.#blockA + this.#blockC + this.#blockB + this.#stage; }

  #stageAt(c: Code): () => Push {
    return () => c.op("i32.add", c.thread, c.i32(this.#blockA + this.#blockC + this.#blockB));
  }

  #panelsOf(c: Code, side: "a" | "b", batchCoords: readonly Local[]): Panels {
    const { tile } = this.#cut;
    const { m, n, k } = this.#kernel;
    const shape = side === "a" ? { lanes: tile.rows, size: m, k } : { lanes: tile.columns, size: n, k };
    const direct = side === "a" ? this.#a : this.#b;
    if (direct === undefined) return computedPanels(c, this.#kernel, this.#kernel[side], side, batchCoords, shape, this.#stageAt(c));
    return directPanels(c, () => this.#address(c, direct, batchCoords.map((x) => c.get(x))), directStrides(direct, side), shape);
  }

  packB(name: string): void {
    const c = Code.kernel(this.#module, name, this.#kernel.args.length, this.#options);
    const { panels, sharedBs, tile } = this.#cut;
    const coords = this.#kernel.batch.map(() => c.keep("i32", c.i32(0)));
    const source = this.#panelsOf(c, "b", coords);
    const [unit, first] = [c.local("i32"), c.local("i32")];
    c.for(unit, c.begin, c.get(1), 1, () => {
      const panel = sharedBs === 1 ? c.get(unit) : c.let("i32", c.op("i32.rem_u", c.get(unit), c.i32(panels)));
      if (sharedBs > 1) this.#decode(c, c.let("i32", c.op("i32.div_u", c.get(unit), c.i32(panels)))).forEach((x, d) => c.set(coords[d]!, x));
      source.enterBatch();
      c.set(first, c.op("i32.mul", panel, c.i32(tile.columns)));
      source.pack(first, c.op("i32.add", c.shared, c.op("i32.mul", c.get(unit), c.i32(this.#panelB))));
    });
  }

  multiply(name: string): void {
    const c = Code.kernel(this.#module, name, this.#kernel.args.length, this.#options);
    const { m } = this.#kernel;
    const { rows, rowBlocks, panels, unitPanels, columnUnits, blockPanels, packA, packB, sharedBs } = this.#cut;
    const batchCoords = this.#kernel.batch.map(() => c.local("i32"));
    const blockC = c.let("i32", c.op("i32.add", c.thread, c.i32(this.#blockA)));
    const sourceA = packA ? this.#panelsOf(c, "a", batchCoords) : undefined;
    const sourceB = packB === "first" ? undefined : this.#panelsOf(c, "b", batchCoords);
    const results = this.#results(c, batchCoords, blockC);

    const unit = c.local("i32");
    c.for(unit, c.begin, c.get(1), 1, () => {
      const perBatch = rowBlocks * columnUnits;
      const batch = c.let("i32", c.op("i32.div_u", c.get(unit), c.i32(perBatch)));
      const within = c.let("i32", c.op("i32.rem_u", c.get(unit), c.i32(perBatch)));
      const rowBlock = c.let("i32", c.op("i32.div_u", within, c.i32(columnUnits)));
      const columnUnit = c.let("i32", c.op("i32.rem_u", within, c.i32(columnUnits)));
      this.#decode(c, batch).forEach((x, d) => c.set(batchCoords[d]!, x));
      results.enterBatch();
      sourceA?.enterBatch();
      sourceB?.enterBatch();
      const baseA = packA ? undefined : c.let("i32", this.#address(c, this.#a!, batchCoords.map((x) => c.get(x))));
      const packedB = sourceB !== undefined ? c.let("i32", c.op("i32.add", blockC, c.i32(this.#blockC)))
        : c.let("i32", sharedBs === 1 ? c.shared : c.op("i32.add", c.shared, c.op("i32.mul", batch, c.i32(panels * this.#panelB))));
      const firstPanel = c.let("i32", c.op("i32.mul", columnUnit, c.i32(unitPanels)));
      const lastPanel = c.let("i32", c.minimum(c.op("i32.add", firstPanel, c.i32(unitPanels)), c.i32(panels)));

      const [firstRow, panelBlock] = [c.local("i32"), c.local("i32")];
      const eachRowBlock = (body: (endRow: Push) => void): void => {
        const block = (): void => {
          const endRow = c.let("i32", c.minimum(c.op("i32.add", c.get(firstRow), c.i32(rows)), c.i32(m)));
          if (sourceA !== undefined) this.#packBlockA(c, sourceA, firstRow, endRow);
          body(endRow);
        };
        if (packB !== "first") return c.for(firstRow, c.i32(0), c.i32(m), rows, block);
        c.set(firstRow, c.op("i32.mul", rowBlock, c.i32(rows)));
        block();
      };
      const eachPanelBlock = (body: (endPanel: Push) => void): void => c.for(panelBlock, firstPanel, lastPanel, blockPanels, () => {
        body(c.let("i32", c.minimum(c.op("i32.add", c.get(panelBlock), c.i32(blockPanels)), lastPanel)));
      });
      const compute = (endRow: Push, endPanel: Push, originB: Push): void => {
        this.#tiles(c, baseA, packedB, originB, blockC, panelBlock, endPanel, firstRow, endRow);
        results.write(firstRow, endRow, panelBlock, endPanel);
      };
      if (packB === "unit") {
        eachPanelBlock((endPanel) => {
          this.#packPanelsB(c, sourceB!, c.get(panelBlock), endPanel, packedB);
          eachRowBlock((endRow) => compute(endRow, endPanel, c.get(panelBlock)));
        });
      } else {
        if (sourceB !== undefined) this.#packPanelsB(c, sourceB, c.i32(0), c.i32(panels), packedB);
        eachRowBlock((endRow) => eachPanelBlock((endPanel) => compute(endRow, endPanel, c.i32(0))));
      }
    });
  }

  /** The epilogue: rows of the accumulator block, vector by vector, to where they are stored. */
  #results(c: Code, batchCoords: readonly Local[], blockC: Push): { enterBatch(): void; write(firstRow: Local, endRow: Push, panelBlock: Local, endPanel: Push): void } {
    const { n, stores } = this.#kernel;
    const [row, column, pointer] = [c.local("i32"), c.local("i32"), c.local("i32")];
    const emitter = new ExpressionEmitter(c, {
      body: this.#kernel.epilogue, args: this.#kernel.args, argLocals: c.args, coords: [...batchCoords, row, column],
      depth: [...batchCoords.map(() => 1), 2, 3], laneDim: batchCoords.length + 1,
      acc: (scope, copy) => c.load(scope.lanes === 4 ? "v128.load" : "f32.load", c.get(pointer), copy * 16),
    });
    const live = this.#kernel.epilogue.map(() => true);
    const root = emitter.scope(undefined, 0);
    emitter.enter(root, live, stores);
    let entry: Scope;
    return {
      enterBatch() {
        entry = emitter.scope(root, 1);
        emitter.enter(entry, live, stores);
      },
      write: (firstRow, endRow, panelBlock, endPanel) => {
        const firstColumn = c.let("i32", c.op("i32.mul", c.get(panelBlock), c.i32(this.#cut.tile.columns)));
        const endColumn = c.let("i32", c.minimum(c.op("i32.mul", endPanel, c.i32(this.#cut.tile.columns)), c.i32(n)));
        c.for(row, c.get(firstRow), endRow, 1, () => {
          const line = emitter.scope(entry, 2);
          emitter.enter(line, live, stores);
          c.set(pointer, c.op("i32.add", blockC, c.op("i32.mul", c.op("i32.sub", c.get(row), c.get(firstRow)), c.i32(this.#pitchC))));
          c.set(column, firstColumn);
          for (const [lanes, copies] of [[4, 2], [4, 1], [1, 1]] as const) {
            const step = lanes * copies;
            const last = step === 1 ? endColumn : c.let("i32", c.op("i32.sub", endColumn, c.i32(step - 1)));
            const cell = emitter.scope(line, 3, lanes, copies);
            c.loop(column, last, step, () => {
              emitter.enter(cell, live, stores);
              for (let u = 0; u < copies; u++) for (const store of stores) emitter.store(cell, store, u);
              c.set(pointer, c.op("i32.add", c.get(pointer), c.i32(step * 4)));
            });
          }
        });
      },
    };
  }

  #packPanelsB(c: Code, source: Panels, from: Push, end: Push, to: Push): void {
    const [panel, first] = [c.local("i32"), c.local("i32")];
    const out = c.keep("i32", to);
    c.for(panel, from, end, 1, () => {
      c.set(first, c.op("i32.mul", c.get(panel), c.i32(this.#cut.tile.columns)));
      source.pack(first, c.get(out));
      c.set(out, c.op("i32.add", c.get(out), c.i32(this.#panelB)));
    });
  }

  #packBlockA(c: Code, source: Panels, firstRow: Local, endRow: Push): void {
    const from = c.local("i32");
    const to = c.keep("i32", c.thread);
    c.for(from, c.get(firstRow), endRow, this.#cut.tile.rows, () => {
      source.pack(from, c.get(to));
      c.set(to, c.op("i32.add", c.get(to), c.i32(this.#panelA)));
    });
  }

  /** All tiles of a block: each panel of B meets every row of A while it is in the first-level cache. */
  #tiles(c: Code, baseA: Push | undefined, packedB: Push, originB: Push, blockC: Push, panelBlock: Local, endPanel: Push, firstRow: Local, endRow: Push): void {
    const { tile, packA } = this.#cut;
    const panel = c.local("i32");
    const line = c.keep("i32", blockC);
    const step = packA ? this.#panelA : tile.rows * this.#a!.row;
    const start = packA ? c.thread : c.let("i32", c.op("i32.add", baseA!, c.op("i32.mul", c.get(firstRow), c.i32(this.#a!.row))));
    const rest = this.#kernel.m % tile.rows;
    const piece = kPiece(this.#kernel.k);
    const from = c.keep("i32", c.i32(0));
    const stepA = packA ? tile.rows * 4 : this.#a!.col;
    const pieces = (body: (at: KPiece) => void): void => {
      if (piece === this.#kernel.k) return body({ from, first: undefined, bytesB: c.i32(this.#panelB) });
      c.for(from, c.i32(0), c.i32(this.#kernel.k), piece, () => {
        const length = c.minimum(c.i32(piece), c.op("i32.sub", c.i32(this.#kernel.k), c.get(from)));
        body({ from, first: c.op("i32.eqz", c.get(from)), bytesB: c.let("i32", c.op("i32.mul", length, c.i32(tile.columns * 4))) });
      });
    };
    pieces((at) => {
      const offset = (base: Push, step: number): Push => (at.first === undefined ? base : c.op("i32.add", base, c.op("i32.mul", c.get(from), c.i32(step))));
      c.set(line, blockC);
      c.for(panel, c.get(panelBlock), endPanel, 1, () => {
        const pb = c.let("i32", offset(c.op("i32.add", packedB, c.op("i32.mul", c.op("i32.sub", c.get(panel), originB), c.i32(this.#panelB))), tile.columns * 4));
        const pa = c.keep("i32", offset(start, stepA));
        const out = c.keep("i32", c.get(line));
        const row = c.keep("i32", c.get(firstRow));
        const lastWhole = c.let("i32", c.op("i32.sub", endRow, c.i32(tile.rows - 1)));
        c.loop(row, lastWhole, tile.rows, () => {
          this.#tile(c, c.get(pa), pb, c.get(out), tile.rows, at);
          c.set(pa, c.op("i32.add", c.get(pa), c.i32(step)));
          c.set(out, c.op("i32.add", c.get(out), c.i32(tile.rows * this.#pitchC)));
        });
        if (rest !== 0) c.if(c.op("i32.lt_s", c.get(row), endRow), () => this.#tile(c, c.get(pa), pb, c.get(out), rest, at));
        c.set(line, c.op("i32.add", c.get(line), c.i32(tile.columns * 4)));
      });
    });
  }

  /** One tile of `rows` rows over one piece of k, left in (or added to) the accumulator block. */
  #tile(c: Code, firstA: Push, firstB: Push, out: Push, rows: number, { first, bytesB }: KPiece): void {
    const { tile, packA } = this.#cut;
    const vectors = tile.columns / 4;
    const acc = Array.from({ length: rows * vectors }, () => c.keep("v128", c.f4const(0)));
    const place = (r: number, v: number): number => r * this.#pitchC + v * 16;
    const each = (body: (local: Local, offset: number) => void): void => acc.forEach((local, i) => body(local, place(Math.floor(i / vectors), i % vectors)));
    if (first !== undefined) c.if(first, () => {}, () => each((local, offset) => c.set(local, c.load("v128.load", out, offset))));
    const [pa, pb] = [c.keep("i32", firstA), c.keep("i32", firstB)];
    const [rowStep, kStep] = packA ? [4, tile.rows * 4] : [this.#a!.row, this.#a!.col];
    const end = c.let("i32", c.op("i32.add", c.get(pb), bytesB));
    // one k at a time: unrolled, V8 keeps two sets of accumulators and copies between them
    c.loop(pb, end, tile.columns * 4, () => {
      const b = Array.from({ length: vectors }, (_, v) => c.let4(c.load("v128.load", c.get(pb), v * 16)));
      for (let r = 0; r < rows; r++) {
        const x = c.let4(this.#splat(c, pa, r * rowStep));
        b.forEach((y, v) => c.set(acc[r * vectors + v]!, c.madd(x, y, c.get(acc[r * vectors + v]!))));
      }
      c.set(pa, c.op("i32.add", c.get(pa), c.i32(kStep)));
    });
    each((local, offset) => c.store("v128.store", out, offset, c.get(local)));
  }

  /** Rows of A lie a fixed distance apart, so one pointer serves them all; constant offsets cannot be negative. */
  #splat(c: Code, pointer: Local, offset: number): Push {
    return offset >= 0 ? c.load("v128.load32_splat", c.get(pointer), offset) : c.load("v128.load32_splat", c.op("i32.add", c.get(pointer), c.i32(offset)), 0);
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
