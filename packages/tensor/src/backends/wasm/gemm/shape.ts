/** What the blocked product needs to know about its operands, and how it cuts the work. All numbers are known when code is made. */
import { bytesOf } from "../../../dtype.ts";
import type { GemmKernel, Operand } from "../../../ir/kernel.ts";

/** Rows and columns of a register tile. 4×8 f32 fills eight of the sixteen vector registers V8 has; larger tiles spill. */
export const MR = 4;
export const NR = 8;
/** Columns of the accumulator block that the epilogue walks through row by row. */
const BLOCK_COLUMNS = 256;
/** Packed rows of A that a thread keeps at hand: half of a usual second-level cache. */
const A_BLOCK_BYTES = 192 * 1024;
const MAX_ROWS = 64;
/** A batch entry's B that is packed by the thread that uses it. */
const LOCAL_B_BYTES = 128 * 1024;
/** Work units a large product is cut into at least, so that threads share it evenly. */
const MIN_UNITS = 8;

/** An operand that is one f32 load with fixed strides, in bytes. */
export interface DirectOperand {
  readonly arg: number;
  readonly offset: number;
  readonly batch: readonly number[];
  readonly row: number;
  readonly col: number;
}

export function directOperand(operand: Operand, kernel: GemmKernel): DirectOperand | undefined {
  const instr = operand.body[operand.value];
  if (instr?.op !== "load" || kernel.args[instr.arg]!.dtype !== "f32") return undefined;
  const { index } = instr;
  if (index.dynamic !== undefined || (index.guards ?? []).length > 0) return undefined;
  const bytes = bytesOf("f32");
  const strides = index.strides.map((s) => s * bytes);
  return { arg: instr.arg, offset: index.offset * bytes, batch: strides.slice(0, -2), row: strides[strides.length - 2]!, col: strides[strides.length - 1]! };
}

export interface Blocking {
  readonly batches: number;
  /** Rows of a block of A; a multiple of MR unless m is smaller. */
  readonly rows: number;
  readonly rowBlocks: number;
  /** Panels of NR columns, in all and in one work unit. */
  readonly panels: number;
  readonly unitPanels: number;
  readonly columnUnits: number;
  /** Panels whose results are gathered before the epilogue runs over them. */
  readonly blockPanels: number;
  /** Whether each unit packs its own B; otherwise a first phase packs all of it. */
  readonly localB: boolean;
  /** Packed copies of B in shared scratch: 1 when all batch entries use the same. */
  readonly sharedBs: number;
}

export function chooseBlocking(kernel: GemmKernel, b: DirectOperand): Blocking {
  const { m, n, k } = kernel;
  const batches = kernel.batch.reduce((x, y) => x * y, 1);
  const panels = Math.ceil(n / NR);
  const sameB = kernel.batch.every((size, d) => size === 1 || b.batch[d] === 0);
  const localB = !sameB && panels * NR * k * 4 <= LOCAL_B_BYTES;
  const fits = Math.max(MR, Math.floor(A_BLOCK_BYTES / (4 * Math.max(k, 1)) / MR) * MR);
  const tall = Math.min(MAX_ROWS, fits, Math.ceil(m / MR) * MR);
  // smaller blocks where whole ones would leave threads without work; a batch entry that packs its own B stays in one piece
  const wanted = Math.ceil(MIN_UNITS / batches);
  const rows = localB ? tall : Math.max(MR, Math.min(tall, Math.ceil(m / wanted / MR) * MR));
  const rowBlocks = localB ? 1 : Math.ceil(m / rows);
  const columnUnits = localB ? 1 : Math.min(panels, Math.max(1, Math.ceil(MIN_UNITS / (batches * rowBlocks))));
  const unitPanels = Math.ceil(panels / columnUnits);
  return {
    batches, rows, rowBlocks, panels, unitPanels, columnUnits: Math.ceil(panels / unitPanels),
    blockPanels: Math.min(unitPanels, BLOCK_COLUMNS / NR), localB, sharedBs: localB ? 0 : sameB ? 1 : batches,
  };
}
