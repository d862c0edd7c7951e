/**
 * GemmKernel → packed, register-blocked code in the manner of Goto & van de Geijn: B in panels as wide as a register tile, A in
 * blocks of rows that stay in cache, a tile of accumulators in registers over a long piece of k. Pieces follow one another in the same
 * accumulators, so a result's bits depend on nothing but the operands; so do several products of one kernel. Results gather in blocks of scratch over
 * which the epilogue runs row by row.
 */
import { accumulators } from "../../../ir/facts.ts";
import type { GemmKernel, LoopKernel } from "../../../ir/kernel.ts";
import { turned } from "../../../ir/swap.ts";
import type { KernelCode, Phase } from "../kernel-code.ts";
import type { Address } from "../address.ts";
import type { ModuleBuilder } from "../asm/index.ts";
import { Code } from "../loop/code.ts";
import type { Push } from "../loop/push.ts";
import { emitLoop } from "../loop/loop.ts";
import { gemmAsLoop } from "./as-loop.ts";
import { decodeBatch, ProductEmitter, type ProductCode, type ProductPlace } from "./product.ts";
import { results } from "./results.ts";
import { runOf } from "./slope.ts";
import { betterTurned, chooseBlocking, directOperand, productShape, type Blocking } from "./shape.ts";

export interface GemmOptions {
  /** Relaxed SIMD's multiply-add; otherwise multiply and add. */
  readonly fma: boolean;
}

/** Products smaller than this are not worth packing. */
const SMALL = 256;
/** Nanoseconds per multiply-add and per packed or stored element on a usual core, for the cost estimate. */
const COST_MADD = 0.03;
const COST_ELEMENT = 0.6;

export function emitGemm(given: GemmKernel, module: ModuleBuilder, prefix: string, options: GemmOptions): KernelCode {
  const kernel = betterTurned(given) ? turned(given) : given;
  const { m, n, products } = kernel;
  const k = products.reduce((sum, p) => sum + p.k, 0);
  if (products.length === 1 && (k === 0 || m * n * k < SMALL))
    return emitLoop(gemmAsLoop(kernel), module, prefix, options);
  const row = oneRow(kernel);
  if (row !== undefined) return emitLoop(row, module, prefix, options);
  const shapes = products.map((p) => productShape(p, kernel));
  const cut = chooseBlocking(kernel, shapes);
  const pitch = cut.blockPanels * cut.tile.columns * 4;
  const emitters = shapes.map((shape, p) => new ProductEmitter(kernel, p, shape, cut, pitch));
  const scratch = layOut(kernel, cut, emitters, pitch);
  const phases: Phase[] = [];
  emitters.forEach((emitter, p) => {
    const units = emitter.packingUnits;
    if (units === 0) return;
    const exportName = `${prefix}b${p}`;
    phases.push({
      exportName,
      units,
      cost: emitter.sharedBs * cut.panels * cut.tile.columns * shapes[p]!.k * COST_ELEMENT,
    });
    emitter.packShared(Code.kernel(module, exportName, kernel.args.length, options), scratch.places[p]!);
  });
  const units = cut.batches * cut.rowBlocks * cut.columnUnits;
  phases.push({
    exportName: prefix,
    units,
    cost: cut.batches * (m * n * k * COST_MADD + (m * k + m * n) * COST_ELEMENT),
  });
  multiply(Code.kernel(module, prefix, kernel.args.length, options), kernel, cut, emitters, scratch, pitch);
  return { phases, sharedScratch: scratch.sharedBytes, threadScratch: scratch.threadBytes };
}

/** One plain row times a weight in blocks is summed where that is decoded, along k: packing it would cost more than the product. */
function oneRow(kernel: GemmKernel): LoopKernel | undefined {
  if (kernel.products.length > 1 || (kernel.m > 1 && kernel.n > 1)) return undefined;
  const flat = kernel.m === 1 ? kernel : turned(kernel);
  if (directOperand(flat.products[0]!.a, flat) === undefined) return undefined;
  const { alongK, runsAlongK } = runOf(flat, flat.products[0]!, "b");
  return runsAlongK && alongK.weights.length > 1 ? gemmAsLoop(flat, alongK.weights) : undefined;
}

interface Scratch {
  readonly places: readonly ProductPlace[];
  /** Where a thread's accumulator blocks begin, and the size of one. */
  readonly blocks: number;
  readonly blockBytes: number;
  readonly threadBytes: number;
  readonly sharedBytes: number;
}

/** Scratch of a thread: rows of A of each product, accumulator blocks, panels of B of each, a stage for all. */
function layOut(kernel: GemmKernel, cut: Blocking, emitters: readonly ProductEmitter[], pitch: number): Scratch {
  let end = 0;
  const take = (bytes: number): number => {
    const at = end;
    end += Math.ceil(bytes / 64) * 64;
    return at;
  };
  const a = emitters.map((e) => take(e.bytesA));
  const blockBytes = Math.ceil((cut.rows * pitch) / 64) * 64;
  const blocks = take(accumulators(kernel) * blockBytes);
  const b = emitters.map((e) => take(e.bytesB));
  const stage = take(Math.max(...emitters.map((e) => e.bytesStage)));
  const threadBytes = end;
  end = 0;
  const shared = emitters.map((e) => take(e.bytesShared));
  return {
    places: emitters.map((_, p) => ({ a: a[p]!, b: b[p]!, stage, shared: shared[p]! })),
    blocks,
    blockBytes,
    threadBytes,
    sharedBytes: end,
  };
}

function multiply(
  c: Code,
  kernel: GemmKernel,
  cut: Blocking,
  emitters: readonly ProductEmitter[],
  scratch: Scratch,
  pitch: number,
): void {
  const { m, batch: sizes } = kernel;
  const { rows, rowBlocks, panels, unitPanels, columnUnits, blockPanels, packB, tile } = cut;
  const batchCoords = sizes.map(() => c.local("i32"));
  const base = c.at.let(c.at.plus(c.thread, c.at.bytes(scratch.blocks)));
  const blockOf = (p: number): Address => c.at.plus(base, c.at.bytes(kernel.products[p]!.acc * scratch.blockBytes));
  const products = emitters.map((e, p) => e.code(c, batchCoords, scratch.places[p]!));
  const each = (body: (product: ProductCode, p: number) => void): void => products.forEach(body);
  const end = results(c, kernel, batchCoords, { base, bytes: scratch.blockBytes, pitch, panelColumns: tile.columns });

  const [unit, firstRow, panelBlock] = [c.local("i32"), c.local("i32"), c.local("i32")];
  c.for(unit, c.begin, c.get(1), 1, () => {
    const perBatch = rowBlocks * columnUnits;
    const batch = c.let("i32", c.op("i32.div_u", c.get(unit), c.i32(perBatch)));
    const within = c.let("i32", c.op("i32.rem_u", c.get(unit), c.i32(perBatch)));
    const rowBlock = c.let("i32", c.op("i32.div_u", within, c.i32(columnUnits)));
    const columnUnit = c.let("i32", c.op("i32.rem_u", within, c.i32(columnUnits)));
    decodeBatch(c, sizes, batch).forEach((x, d) => c.set(batchCoords[d]!, x));
    end.enterBatch();
    each((p) => p.enterBatch(batch));
    const firstPanel = c.let("i32", c.op("i32.mul", columnUnit, c.i32(unitPanels)));
    const lastPanel = c.let("i32", c.minimum(c.op("i32.add", firstPanel, c.i32(unitPanels)), c.i32(panels)));

    const eachRowBlock = (body: (endRow: Push) => void): void => {
      const block = (): void => {
        const endRow = c.let("i32", c.minimum(c.op("i32.add", c.get(firstRow), c.i32(rows)), c.i32(m)));
        each((p) => p.packA(firstRow, endRow));
        body(endRow);
      };
      if (packB !== "first") return c.for(firstRow, c.i32(0), c.i32(m), rows, block);
      c.set(firstRow, c.op("i32.mul", rowBlock, c.i32(rows)));
      block();
    };
    const eachPanelBlock = (body: (endPanel: Push) => void): void =>
      c.for(panelBlock, firstPanel, lastPanel, blockPanels, () => {
        body(c.let("i32", c.minimum(c.op("i32.add", c.get(panelBlock), c.i32(blockPanels)), lastPanel)));
      });
    const compute = (endRow: Push, endPanel: Push, originB: Push): void => {
      each((p, i) => p.tiles({ out: blockOf(i), originB, panelBlock, endPanel, firstRow, endRow }));
      end.write(firstRow, endRow, panelBlock, endPanel);
    };
    if (packB === "unit" || packB === "piece") {
      eachPanelBlock((endPanel) => {
        each((p) => p.packB(c.get(panelBlock), endPanel));
        eachRowBlock((endRow) => compute(endRow, endPanel, c.get(panelBlock)));
      });
    } else {
      if (packB === "batch") each((p) => p.packB(c.i32(0), c.i32(panels)));
      eachRowBlock((endRow) => eachPanelBlock((endPanel) => compute(endRow, endPanel, c.i32(0))));
    }
  });
}
