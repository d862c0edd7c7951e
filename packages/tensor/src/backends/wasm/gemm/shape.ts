/** What the blocked product needs to know about its operands, and how it cuts the work. All numbers are known when code is made. */
import { bytesOf } from "../../../dtype.ts";
import { accumulators, bodyFacts } from "../../../ir/facts.ts";
import type { GemmKernel, Operand, Product } from "../../../ir/kernel.ts";
import { runOf } from "./slope.ts";

/**
 * Register tiles, rows × columns, with the fraction of the multiply-add peak their inner loop reaches in V8 (measured, see
 * benchmarks/NOTES.md). 3×12 needs 13 of the sixteen vector registers; larger tiles spill, and unrolling over k makes V8 move
 * accumulators about.
 */
const TILES: readonly Tile[] = [
  { rows: 3, columns: 12, speed: 0.98 },
  { rows: 4, columns: 8, speed: 0.91 },
  { rows: 2, columns: 16, speed: 0.92 },
  { rows: 8, columns: 4, speed: 0.5 },
];

export interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly speed: number;
}

/** The tile that wastes least on this product: columns are padded to whole panels, left-over rows run in a narrower tile. */
export function chooseTile(m: number, n: number, tiles: readonly Tile[] = TILES): Tile {
  const time = ({ rows, columns, speed }: Tile): number => {
    const padded = Math.ceil(n / columns) * columns;
    const rest = m % rows;
    // with fewer rows the loads of B are spread over fewer multiply-adds
    return (padded * (m - rest)) / speed + (rest === 0 ? 0 : (padded * rows) / speed);
  };
  return tiles.reduce((best, tile) => (time(tile) < time(best) ? tile : best));
}

/** Columns of the accumulator block that the epilogue walks through row by row. */
const BLOCK_COLUMNS = 256;
/** A piece of the rows of A that a thread keeps at hand while panels of B pass: half of a usual second-level cache. */
const A_BLOCK_BYTES = 192 * 1024;
const MAX_ROWS = 72;
/** A batch entry's B that is packed by the thread that uses it. */
const LOCAL_B_BYTES = 128 * 1024;
/** Panels of a computed B that a thread holds while all rows of A pass. */
const UNIT_B_BYTES = 512 * 1024;
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
  return {
    arg: instr.arg,
    offset: index.offset * bytes,
    batch: strides.slice(0, -2),
    row: strides[strides.length - 2]!,
    col: strides[strides.length - 1]!,
  };
}

/** Longest piece of k: a panel of B beyond it streams from the second-level cache once per row of tiles. */
const MAX_K_PIECE = 1024;
/** The same for skinny products: rows of B that stay at hand while tiles walk along them. */
const SKINNY_K_PIECE = 32;

/** k in equal pieces of at most `most`. */
function kPiece(k: number, most: number): number {
  return Math.ceil(k / Math.ceil(k / most));
}

/** Results this narrow, or this flat, use each element of the large operand so seldom that packing it would cost more than the product. */
const SKINNY = 16;
/** Columns of their accumulator block: the longer the rows of B that are read at once, the better they stream. */
const SKINNY_COLUMNS = 1024;

/**
 * Whether the kernel should be computed the other way round so that its large operand can be read where it is: as A where it runs along
 * k, as B where it runs across.
 */
export function betterTurned(kernel: GemmKernel): boolean {
  const {
    m,
    n,
    products: [only],
  } = kernel;
  if (kernel.products.length > 1) return false;
  if (n <= SKINNY && m > SKINNY) {
    const a = directOperand(only!.a, kernel);
    return a !== undefined && a.row === 4 && a.col !== 4 && m % 4 === 0;
  }
  const b = m <= SKINNY && n > SKINNY ? directOperand(only!.b, kernel) : undefined;
  return b !== undefined && b.row === 4 && b.col !== 4;
}

/** How a kernel is cut; the same for all of its products. */
export interface Blocking {
  readonly tile: Tile;
  readonly batches: number;
  /** Rows of a block of A; whole tiles. */
  readonly rows: number;
  readonly rowBlocks: number;
  /** Panels of a tile's columns, in all and in one work unit. */
  readonly panels: number;
  readonly unitPanels: number;
  readonly columnUnits: number;
  /** Panels whose results are gathered before the epilogue runs over them. */
  readonly blockPanels: number;
  /**
   * Who packs B: a phase of its own, all of it, for all; each batch entry's unit for itself; each unit the few panels it is at,
   * so that a B that has to be computed never exists as a whole; each unit piece by piece of k, walking along the rows of B; or nobody.
   */
  readonly packB: "first" | "batch" | "unit" | "piece" | "never";
}

/** What the blocked code does with the operands of one product. */
export interface ProductShape {
  readonly k: number;
  /** Undefined where the operand is computed while packing. */
  readonly a: DirectOperand | undefined;
  readonly b: DirectOperand | undefined;
  /** Whether A is copied into tile order first; rows that run along k are read where they are. */
  readonly packA: boolean;
  /** Whether all batch entries use the same B. */
  readonly sameB: boolean;
  readonly kPiece: number;
  /** Whether rows of B run across and a flat result makes it worthwhile to walk along them. */
  readonly walked: boolean;
}

export function productShape(product: Product, kernel: GemmKernel): ProductShape {
  const { k, a, b } = product;
  const [left, right] = [directOperand(a, kernel), directOperand(b, kernel)];
  const sameB = kernel.batch.every(
    (size, d) => size === 1 || (right === undefined ? !dependsOn(b, d) : right.batch[d] === 0),
  );
  const flat = kernel.m <= SKINNY;
  const walked =
    inPlace(right, kernel) ||
    (flat && kernel.products.length === 1 && right === undefined && !runOf(kernel, product, "b").runsAlongK);
  return {
    k,
    a: left,
    b: right,
    packA: left?.col !== 4 && !(flat && left?.row === 4),
    sameB,
    kPiece: kPiece(k, walked ? SKINNY_K_PIECE : MAX_K_PIECE),
    walked,
  };
}

/** Whether B is read where it is: rows that run across, whole tiles of them, under a flat result. */
function inPlace(b: DirectOperand | undefined, { m, n, products }: GemmKernel): boolean {
  return products.length === 1 && m <= SKINNY && n % 4 === 0 && b?.col === 4 && (b.row > 0 || products[0]!.k === 1);
}

export function chooseBlocking(kernel: GemmKernel, shapes: readonly ProductShape[]): Blocking {
  const { m, n } = kernel;
  const batches = kernel.batch.reduce((x, y) => x * y, 1);
  // the longest product decides; adapters beside it follow
  const main = shapes.reduce((longest, shape) => (shape.k > longest.k ? shape : longest));
  // an A that is computed across its rows fills whole vectors of rows
  const acrossRows = kernel.products.some((p, i) => shapes[i]!.a === undefined && !runOf(kernel, p, "a").runsAlongK);
  const never = main.walked && main.b !== undefined;
  const tile = chooseTile(
    m,
    n,
    TILES.filter((t) => (!acrossRows || t.rows % 4 === 0) && (!never || n % t.columns === 0)),
  );
  const panels = Math.ceil(n / tile.columns);
  const panelBytes = shapes.reduce((sum, { k }) => sum + tile.columns * k * 4, 0);
  const sameB = shapes.every((s) => s.sameB);
  const packB = ((): Blocking["packB"] => {
    if (never) return "never";
    if (main.walked) return "piece";
    if (!sameB && panels * panelBytes <= LOCAL_B_BYTES) return "batch";
    return main.b === undefined && batches * panels >= MIN_UNITS ? "unit" : "first";
  })();
  const whole = (rows: number): number => Math.max(1, Math.ceil(rows / tile.rows)) * tile.rows;
  const tall = Math.min(
    MAX_ROWS - (MAX_ROWS % tile.rows),
    whole(Math.floor(A_BLOCK_BYTES / (4 * main.kPiece))),
    whole(m),
  );
  // smaller blocks where whole ones would leave threads without work; who packs B for itself takes all rows
  const wanted = Math.ceil(MIN_UNITS / batches);
  const rows = packB === "first" ? Math.min(tall, whole(Math.ceil(m / wanted))) : tall;
  const rowBlocks = packB === "first" ? Math.ceil(m / rows) : 1;
  const columnUnits =
    packB === "batch" ? 1 : Math.min(panels, Math.max(1, Math.ceil(MIN_UNITS / (batches * rowBlocks))));
  const unitPanels = Math.ceil(panels / columnUnits);
  const fitting = packB === "unit" ? Math.max(1, Math.floor(UNIT_B_BYTES / panelBytes)) : Infinity;
  const columns = main.walked ? SKINNY_COLUMNS : BLOCK_COLUMNS / accumulators(kernel);
  return {
    tile,
    batches,
    rows,
    rowBlocks,
    panels,
    unitPanels,
    columnUnits: Math.ceil(panels / unitPanels),
    blockPanels: Math.min(unitPanels, Math.max(1, Math.floor(columns / tile.columns)), fitting),
    packB,
  };
}

function dependsOn(operand: Operand, dim: number): boolean {
  const rank = operand.body.reduce(
    (most, i) =>
      i.op === "load" ? Math.max(most, i.index.strides.length) : i.op === "coord" ? Math.max(most, i.dim + 1) : most,
    dim + 1,
  );
  return (bodyFacts(operand.body, rank, rank).dims[operand.value]! & (1 << dim)) !== 0;
}
