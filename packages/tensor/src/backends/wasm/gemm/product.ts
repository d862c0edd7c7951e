/** One product inside the blocked nest: packs its operands and runs its tiles, from nothing or on top of what the accumulators hold. */
import type { GemmKernel } from "../../../ir/kernel.ts";
import type { Address, AddressLocal } from "../address.ts";
import type { Code } from "../loop/code.ts";
import type { Local, Push } from "../loop/push.ts";
import { computedPanels, directPanels, directStrides, packEach, STAGE_K, type Panels } from "./panels.ts";
import type { Blocking, DirectOperand, ProductShape } from "./shape.ts";

/** Where a product finds its scratch, in bytes. */
export interface ProductPlace {
  /** From the start of a thread's scratch: rows of A in tile order; panels of B, unless they are shared; the stage of computed operands. */
  readonly a: number;
  readonly b: number;
  readonly stage: number;
  /** From the start of the shared scratch: all of B in tile order. */
  readonly shared: number;
}

/** The product's code within one function. */
export interface ProductCode {
  /** To be emitted where the batch coordinates have been set. */
  enterBatch(batch: Push): void;
  packA(firstRow: Local, endRow: Push): void;
  /** Panels [from, end) into the thread's scratch. */
  packB(from: Push, end: Push): void;
  /** All tiles of a block into its accumulators. */
  tiles(block: TileBlock): void;
}

/** Rows [firstRow, endRow) by panels [panelBlock, endPanel). */
export interface TileBlock {
  /** The accumulators. */
  readonly out: Address;
  /** The panel that packed B begins with. */
  readonly originB: Push;
  readonly panelBlock: Local;
  readonly endPanel: Push;
  readonly firstRow: Local;
  readonly endRow: Push;
}

/** Part of k that a tile runs over at a time; `fresh` says whether sums begin here. */
interface KPiece {
  readonly from: Local;
  readonly end: Push;
  readonly fresh: Push | boolean;
  readonly bytesB: Address;
}

/** Panels of B packed together at most, so many groups at least, and the rows of B that a group takes at a time: some tens of KiB. */
const MAX_GROUP = 8;
const MIN_GROUPS = 8;
const PACKED_ROWS = 32;

export class ProductEmitter {
  readonly #kernel: GemmKernel;
  readonly #index: number;
  readonly #shape: ProductShape;
  readonly #cut: Blocking;
  readonly #pitch: number;
  readonly #continues: boolean;
  /** Bytes of a panel of A and of B. */
  readonly panelA: number;
  readonly panelB: number;

  /** @param pitch bytes from row to row of an accumulator block */
  constructor(kernel: GemmKernel, index: number, shape: ProductShape, cut: Blocking, pitch: number) {
    this.#kernel = kernel;
    this.#index = index;
    this.#shape = shape;
    this.#cut = cut;
    this.#pitch = pitch;
    this.#continues = kernel.products.slice(0, index).some((p) => p.acc === kernel.products[index]!.acc);
    this.panelA = shape.k * cut.tile.rows * 4;
    this.panelB = shape.k * cut.tile.columns * 4;
  }

  get bytesA(): number {
    return this.#shape.packA ? Math.ceil(this.#cut.rows / this.#cut.tile.rows) * this.panelA : 0;
  }
  get bytesB(): number {
    const { packB, panels, blockPanels } = this.#cut;
    if (packB === "batch") return panels * this.panelB;
    if (packB === "unit") return blockPanels * this.panelB;
    return packB === "piece" ? blockPanels * this.#stepsB.panel : 0;
  }
  /** Bytes from k to k and from panel to panel of B as tiles read it. */
  get #stepsB(): { readonly k: number; readonly panel: number } {
    const width = this.#cut.tile.columns * 4;
    // a dimension of 1 has no stride, but its loop must end
    if (this.#cut.packB === "never") return { k: this.#shape.b!.row || width, panel: width };
    return { k: width, panel: this.#cut.packB === "piece" ? this.#shape.kPiece * width : this.panelB };
  }
  get bytesStage(): number {
    return this.#shape.a === undefined || this.#shape.b === undefined
      ? Math.max(this.#cut.tile.rows, this.#cut.tile.columns) * STAGE_K * 4
      : 0;
  }
  /** Packed copies of B in shared scratch: 1 when all batch entries use the same. */
  get sharedBs(): number {
    return this.#cut.packB !== "first" ? 0 : this.#shape.sameB ? 1 : this.#cut.batches;
  }
  get bytesShared(): number {
    return this.sharedBs * this.#cut.panels * this.panelB;
  }

  /** Panels of B that a unit of the packing phase does together. */
  get #group(): number {
    const { panels } = this.#cut;
    return Math.max(1, Math.min(MAX_GROUP, Math.floor(panels / MIN_GROUPS)));
  }
  get #groups(): number {
    return Math.ceil(this.#cut.panels / this.#group);
  }
  get packingUnits(): number {
    return this.sharedBs * this.#groups;
  }

  /** The phase that packs all of B. */
  packShared(c: Code, place: ProductPlace): void {
    const { panels, tile } = this.#cut;
    const coords = this.#kernel.batch.map(() => c.keep("i32", c.i32(0)));
    const source = this.#panels(c, "b", coords, place);
    const [unit, panel, first, from] = [c.local("i32"), c.local("i32"), c.local("i32"), c.local("i32")];
    c.for(unit, c.begin, c.get(1), 1, () => {
      const group =
        this.sharedBs === 1 ? c.get(unit) : c.let("i32", c.op("i32.rem_u", c.get(unit), c.i32(this.#groups)));
      const entry = this.sharedBs === 1 ? c.i32(0) : c.let("i32", c.op("i32.div_u", c.get(unit), c.i32(this.#groups)));
      if (this.sharedBs > 1) decodeBatch(c, this.#kernel.batch, entry).forEach((x, d) => c.set(coords[d]!, x));
      source.enterBatch();
      const start = c.let("i32", c.op("i32.mul", group, c.i32(this.#group)));
      const end = c.let("i32", c.minimum(c.op("i32.add", start, c.i32(this.#group)), c.i32(panels)));
      const packed = c.at.let(
        c.at.plus(c.at.plus(c.shared, c.at.bytes(place.shared)), c.at.times(entry, panels * this.panelB)),
      );
      const each = (body: (to: Address) => void): void =>
        c.for(panel, start, end, 1, () => {
          c.set(first, c.op("i32.mul", c.get(panel), c.i32(tile.columns)));
          body(c.at.let(c.at.plus(packed, c.at.times(c.get(panel), this.panelB))));
        });
      if (!source.across) return each((to) => source.pack(first, to));
      const { k } = this.#shape;
      const part = (start: Push, length: number): void =>
        each((to) => source.pack(first, c.at.plus(to, c.at.times(start, tile.columns * 4)), { from: start, length }));
      const whole = k - (k % PACKED_ROWS);
      c.for(from, c.i32(0), c.i32(whole), PACKED_ROWS, () => part(c.get(from), PACKED_ROWS));
      if (whole < k) part(c.i32(whole), k - whole);
    });
  }

  code(c: Code, batchCoords: readonly Local[], place: ProductPlace): ProductCode {
    const { packA, a } = this.#shape;
    const { tile, panels, packB } = this.#cut;
    const own = (offset: number): Address => c.at.plus(c.thread, c.at.bytes(offset));
    const sourceA = packA ? this.#panels(c, "a", batchCoords, place) : undefined;
    const sourceB = packB === "first" || packB === "never" ? undefined : this.#panels(c, "b", batchCoords, place);
    const [baseA, baseB] = [c.at.local(), c.at.local()];
    const columns = { step: 1, lines: tile.columns };
    return {
      enterBatch: (batch) => {
        sourceA?.enterBatch();
        sourceB?.enterBatch();
        const coords = batchCoords.map((x) => c.get(x));
        c.at.set(baseA, packA ? own(place.a) : directAddress(c, a!, coords));
        const shared = c.at.plus(c.shared, c.at.bytes(place.shared));
        if (packB === "never") c.at.set(baseB, directAddress(c, this.#shape.b!, coords));
        else
          c.at.set(
            baseB,
            packB !== "first"
              ? own(place.b)
              : this.sharedBs === 1
                ? shared
                : c.at.plus(shared, c.at.times(batch, panels * this.panelB)),
          );
      },
      packA: (firstRow, endRow) => {
        if (sourceA === undefined) return;
        const to = c.at.get(baseA);
        packEach(c, sourceA, { first: firstRow, end: endRow, step: tile.rows, lines: 1, to, bytes: this.panelA });
      },
      packB: (from, end) => {
        const panel = c.local("i32");
        c.set(panel, from);
        if (sourceB !== undefined && packB !== "piece")
          packEach(c, sourceB, { ...columns, first: panel, end, to: c.at.get(baseB), bytes: this.panelB });
      },
      tiles: (block) => {
        const { panelBlock, endPanel, firstRow } = block;
        const start = packA
          ? c.at.get(baseA)
          : c.at.let(c.at.plus(c.at.get(baseA), c.at.times(c.get(firstRow), a!.row)));
        const piecewise =
          packB !== "piece"
            ? undefined
            : (from: Push, to: Push): void =>
                packEach(
                  c,
                  sourceB!,
                  { ...columns, first: panelBlock, end: endPanel, to: c.at.get(baseB), bytes: this.#stepsB.panel },
                  { from, length: c.let("i32", c.op("i32.sub", to, from)) },
                );
        this.#tiles(c, { ...block, start, packedB: c.at.get(baseB), packPiece: piecewise });
      },
    };
  }

  #panels(c: Code, side: "a" | "b", batchCoords: readonly Local[], place: ProductPlace): Panels {
    const { tile } = this.#cut;
    const { m, n } = this.#kernel;
    const { k } = this.#shape;
    const shape = side === "a" ? { lanes: tile.rows, size: m, k } : { lanes: tile.columns, size: n, k };
    const direct = this.#shape[side];
    if (direct === undefined)
      return computedPanels(c, {
        kernel: this.#kernel,
        product: this.#kernel.products[this.#index]!,
        side,
        batchCoords,
        shape,
        stage: () => c.at.plus(c.thread, c.at.bytes(place.stage)),
      });
    return directPanels(
      c,
      () =>
        directAddress(
          c,
          direct,
          batchCoords.map((x) => c.get(x)),
        ),
      directStrides(direct, side),
      shape,
    );
  }

  /** Each panel of B meets every row of A while it is in the first-level cache. */
  #tiles(
    c: Code,
    block: TileBlock & {
      readonly start: Address;
      readonly packedB: Address;
      readonly packPiece: ((from: Push, end: Push) => void) | undefined;
    },
  ): void {
    const { start, packedB, originB, panelBlock, endPanel, firstRow, endRow, packPiece } = block;
    const { tile } = this.#cut;
    const { k, kPiece, a, packA } = this.#shape;
    const stepsB = this.#stepsB;
    const [panel, line] = [c.local("i32"), c.at.local()];
    const [step, stepA] = packA ? [this.panelA, tile.rows * 4] : [tile.rows * a!.row, a!.col];
    const rest = this.#kernel.m % tile.rows;
    this.#pieces(c, (at) => {
      const offset = (base: Address, by: number): Address =>
        kPiece === k ? base : c.at.plus(base, c.at.times(c.get(at.from), by));
      packPiece?.(c.get(at.from), at.end);
      c.at.set(line, block.out);
      c.for(panel, c.get(panelBlock), endPanel, 1, () => {
        const first = c.at.plus(packedB, c.at.times(c.op("i32.sub", c.get(panel), originB), stepsB.panel));
        const pb = c.at.let(packPiece === undefined ? offset(first, stepsB.k) : first);
        const pa = c.at.keep(offset(start, stepA));
        const out = c.at.keep(c.at.get(line));
        const row = c.keep("i32", c.get(firstRow));
        const lastWhole = c.let("i32", c.op("i32.sub", endRow, c.i32(tile.rows - 1)));
        c.loop(row, lastWhole, tile.rows, () => {
          this.#tile(c, c.at.get(pa), pb, c.at.get(out), tile.rows, at);
          c.at.advance(pa, step);
          c.at.advance(out, tile.rows * this.#pitch);
        });
        if (rest !== 0)
          c.if(c.op("i32.lt_s", c.get(row), endRow), () => this.#tile(c, c.at.get(pa), pb, c.at.get(out), rest, at));
        c.at.advance(line, tile.columns * 4);
      });
    });
  }

  #pieces(c: Code, body: (at: KPiece) => void): void {
    const { k, kPiece } = this.#shape;
    const step = this.#stepsB.k;
    const from = c.keep("i32", c.i32(0));
    if (kPiece === k) return body({ from, end: c.i32(k), fresh: !this.#continues, bytesB: c.at.times(c.i32(k), step) });
    c.for(from, c.i32(0), c.i32(k), kPiece, () => {
      const end = c.let("i32", c.minimum(c.op("i32.add", c.get(from), c.i32(kPiece)), c.i32(k)));
      body({
        from,
        end,
        fresh: !this.#continues && c.op("i32.eqz", c.get(from)),
        bytesB: c.at.let(c.at.times(c.op("i32.sub", end, c.get(from)), step)),
      });
    });
  }

  /** One tile of `rows` rows over one piece of k, left in (or added to) the accumulator block. */
  #tile(c: Code, firstA: Address, firstB: Address, out: Address, rows: number, { fresh, bytesB }: KPiece): void {
    const { tile } = this.#cut;
    const { packA, a } = this.#shape;
    const vectors = tile.columns / 4;
    const acc = Array.from({ length: rows * vectors }, () => c.keep("v128", c.f4const(0)));
    const each = (body: (local: Local, offset: number) => void): void =>
      acc.forEach((local, i) => body(local, Math.floor(i / vectors) * this.#pitch + (i % vectors) * 16));
    const load = (): void => each((local, offset) => c.set(local, c.load("v128.load", out, offset)));
    if (fresh === false) load();
    else if (fresh !== true) c.if(fresh, () => {}, load);
    const [pa, pb] = [c.at.keep(firstA), c.at.keep(firstB)];
    const [rowStep, kStep] = packA ? [4, tile.rows * 4] : [a!.row, a!.col];
    const end = c.at.let(c.at.plus(c.at.get(pb), bytesB));
    // one k at a time: unrolled, V8 keeps two sets of accumulators and copies between them
    c.at.walk(pb, end, this.#stepsB.k, () => {
      const b = Array.from({ length: vectors }, (_, v) => c.let4(c.load("v128.load", c.at.get(pb), v * 16)));
      for (let r = 0; r < rows; r++) {
        const x = c.let4(splat(c, pa, r * rowStep));
        b.forEach((y, v) => c.set(acc[r * vectors + v]!, c.madd(x, y, c.get(acc[r * vectors + v]!))));
      }
      c.at.advance(pa, kStep);
    });
    each((local, offset) => c.store("v128.store", out, offset, c.get(local)));
  }
}

/** Rows of A lie a fixed distance apart, so one pointer serves them all; constant offsets cannot be negative. */
function splat(c: Code, pointer: AddressLocal, offset: number): Push {
  return offset >= 0
    ? c.load("v128.load32_splat", c.at.get(pointer), offset)
    : c.load("v128.load32_splat", c.at.moved(c.at.get(pointer), offset), 0);
}

function directAddress(c: Code, operand: DirectOperand, coords: readonly Push[]): Address {
  let at = c.at.moved(c.at.get(c.args[operand.arg]!), operand.offset);
  coords.forEach((x, d) => {
    if (operand.batch[d] !== 0) at = c.at.plus(at, c.at.times(x, operand.batch[d]!));
  });
  return at;
}

/** Coordinates of a batch entry from its number. */
export function decodeBatch(c: Code, sizes: readonly number[], batch: Push): Push[] {
  let rest = batch;
  const out: Push[] = new Array<Push>(sizes.length);
  for (let d = sizes.length - 1; d >= 0; d--) {
    out[d] = d === 0 ? rest : c.let("i32", c.op("i32.rem_u", rest, c.i32(sizes[d]!)));
    if (d > 0) rest = c.let("i32", c.op("i32.div_u", rest, c.i32(sizes[d]!)));
  }
  return out;
}
