/** The end of a product: rows of the accumulator blocks, vector by vector, through the epilogue to where they are stored. */
import type { GemmKernel } from "../../../ir/kernel.ts";
import type { Address } from "../address.ts";
import type { Code } from "../loop/code.ts";
import type { Local, Push } from "../loop/push.ts";
import { ExpressionEmitter, type Scope } from "../loop/expression.ts";

/** Where the accumulators of a block of rows and panels are. */
export interface AccumulatorBlocks {
  readonly base: Address;
  /** Bytes of one block; accumulator i begins at i times it. */
  readonly bytes: number;
  /** Bytes from row to row. */
  readonly pitch: number;
  readonly panelColumns: number;
}

export interface Results {
  /** To be emitted where the batch coordinates have been set. */
  enterBatch(): void;
  write(firstRow: Local, endRow: Push, panelBlock: Local, endPanel: Push): void;
}

export function results(
  c: Code,
  kernel: GemmKernel,
  batchCoords: readonly Local[],
  { base, bytes, pitch, panelColumns }: AccumulatorBlocks,
): Results {
  const { n, stores, epilogue, args } = kernel;
  const [row, column, pointer] = [c.local("i32"), c.local("i32"), c.at.local()];
  const emitter = new ExpressionEmitter(c, {
    body: epilogue,
    args,
    argLocals: c.args,
    coords: [...batchCoords, row, column],
    depth: [...batchCoords.map(() => 1), 2, 3],
    laneDim: batchCoords.length + 1,
    acc: (scope, index, copy) =>
      c.load(scope.lanes === 4 ? "v128.load" : "f32.load", c.at.get(pointer), index * bytes + copy * 16),
  });
  const live = epilogue.map(() => true);
  const root = emitter.scope(undefined, 0);
  emitter.enter(root, live, stores);
  let entry: Scope;
  return {
    enterBatch() {
      entry = emitter.scope(root, 1);
      emitter.enter(entry, live, stores);
    },
    write(firstRow, endRow, panelBlock, endPanel) {
      const firstColumn = c.let("i32", c.op("i32.mul", c.get(panelBlock), c.i32(panelColumns)));
      const endColumn = c.let("i32", c.minimum(c.op("i32.mul", endPanel, c.i32(panelColumns)), c.i32(n)));
      c.for(row, c.get(firstRow), endRow, 1, () => {
        const line = emitter.scope(entry, 2);
        emitter.enter(line, live, stores);
        c.at.set(pointer, c.at.plus(base, c.at.times(c.op("i32.sub", c.get(row), c.get(firstRow)), pitch)));
        c.set(column, firstColumn);
        for (const [lanes, copies] of [
          [4, 2],
          [4, 1],
          [1, 1],
        ] as const) {
          const step = lanes * copies;
          const last = step === 1 ? endColumn : c.let("i32", c.op("i32.sub", endColumn, c.i32(step - 1)));
          const cell = emitter.scope(line, 3, lanes, copies);
          c.loop(column, last, step, () => {
            emitter.enter(cell, live, stores);
            for (let u = 0; u < copies; u++) for (const store of stores) emitter.store(cell, store, u);
            c.at.advance(pointer, step * 4);
          });
        }
      });
    },
  };
}
