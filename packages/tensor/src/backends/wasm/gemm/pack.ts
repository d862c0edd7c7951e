/**
 * Packing: `lanes` neighbouring rows of A (or columns of B) side by side for every k, so that the tile loop reads memory in order.
 * Destination: k-major, `lanes` f32 per k, zeros beyond the matrix.
 */
import type { Address, AddressLocal } from "../address.ts";
import type { Code } from "../loop/code.ts";
import type { Push } from "../loop/push.ts";

export interface PackSource {
  /** Byte strides from lane to lane and from k to k. */
  readonly lane: number;
  readonly k: number;
}

export interface PanelCopy {
  readonly from: Address;
  readonly to: Address;
  readonly lanes: number;
  readonly k: number;
  /** The panel's first row or column, and how many there are in the matrix. */
  readonly first: Push;
  readonly size: number;
}

/** A panel under way: where it is read and written now. */
interface Job {
  readonly c: Code;
  readonly source: PackSource;
  readonly src: AddressLocal;
  readonly dst: AddressLocal;
  readonly lanes: number;
  readonly k: number;
}

/** Packs one panel. */
export function packPanel(c: Code, source: PackSource, { from, to, lanes, k, first, size }: PanelCopy): void {
  const job: Job = { c, source, src: c.at.keep(from), dst: c.at.keep(to), lanes, k };
  const full = (): void => {
    for (let g = 0; g < lanes; g += 4) {
      const width = Math.min(4, lanes - g);
      if (width < 4) packScalars(job, g, width, 0);
      else if (source.k === 4 && k >= 4) packTransposed(job, g);
      else if (source.lane === 4) packRows(job, g);
      else packScalars(job, g, 4, 0);
    }
  };
  if (size % lanes === 0) return full();
  c.if(c.op("i32.le_s", c.op("i32.add", first, c.i32(lanes)), c.i32(size)), full, () => packEdge(job, size % lanes));
}

function at(c: Code, base: AddressLocal, offset: number): Address {
  return c.at.moved(c.at.get(base), offset);
}

/** Lanes are contiguous in memory: one vector per k. */
function packRows({ c, source, src, dst, lanes, k }: Job, group: number): void {
  const p = c.at.keep(at(c, src, group * source.lane));
  const q = c.at.keep(at(c, dst, group * 4));
  eachK(c, k, 4, (count) => {
    for (let i = 0; i < count; i++)
      c.store(
        "v128.store",
        c.at.get(q),
        i * lanes * 4,
        c.load("v128.load", i === 0 ? c.at.get(p) : at(c, p, i * source.k), 0),
      );
    c.at.set(p, at(c, p, count * source.k));
    c.at.set(q, at(c, q, count * lanes * 4));
  });
}

/** k is contiguous in memory: four rows of four are transposed in registers. */
function packTransposed(job: Job, group: number): void {
  const { c, source, src, dst, lanes, k } = job;
  const p = c.at.keep(at(c, src, group * source.lane));
  const q = c.at.keep(at(c, dst, group * 4));
  const whole = Math.floor(k / 4);
  const step = c.local("i32");
  c.for(step, c.i32(0), c.i32(whole), 1, () => {
    const r = [0, 1, 2, 3].map((i) => c.let4(c.load("v128.load", at(c, p, i * source.lane), 0)));
    const [lowA, highA] = [
      c.let4(c.shuffle(r[0]!, r[1]!, [0, 4, 1, 5])),
      c.let4(c.shuffle(r[0]!, r[1]!, [2, 6, 3, 7])),
    ];
    const [lowB, highB] = [
      c.let4(c.shuffle(r[2]!, r[3]!, [0, 4, 1, 5])),
      c.let4(c.shuffle(r[2]!, r[3]!, [2, 6, 3, 7])),
    ];
    const out = [
      c.shuffle(lowA, lowB, [0, 1, 4, 5]),
      c.shuffle(lowA, lowB, [2, 3, 6, 7]),
      c.shuffle(highA, highB, [0, 1, 4, 5]),
      c.shuffle(highA, highB, [2, 3, 6, 7]),
    ];
    out.forEach((v, i) => c.store("v128.store", c.at.get(q), i * lanes * 4, v));
    c.at.set(p, at(c, p, 16));
    c.at.set(q, at(c, q, lanes * 16));
  });
  if (k % 4 !== 0) packScalars(job, group, 4, whole * 4);
}

/** Anything else, element by element. */
function packScalars({ c, source, src, dst, lanes, k }: Job, group: number, width: number, fromK: number): void {
  const p = c.at.keep(at(c, src, group * source.lane + fromK * source.k));
  const q = c.at.keep(at(c, dst, group * 4 + fromK * lanes * 4));
  eachK(c, k - fromK, 1, () => {
    for (let l = 0; l < width; l++)
      c.store("f32.store", c.at.get(q), l * 4, c.load("f32.load", at(c, p, l * source.lane), 0));
    c.at.set(p, at(c, p, source.k));
    c.at.set(q, at(c, q, lanes * 4));
  });
}

/** The last panel: `real` lanes exist, the rest is zero. */
function packEdge({ c, source, src, dst, lanes, k }: Job, real: number): void {
  const p = c.at.keep(c.at.get(src));
  const q = c.at.keep(c.at.get(dst));
  eachK(c, k, 1, () => {
    for (let l = 0; l < lanes; l++)
      c.store("f32.store", c.at.get(q), l * 4, l < real ? c.load("f32.load", at(c, p, l * source.lane), 0) : c.f32(0));
    c.at.set(p, at(c, p, source.k));
    c.at.set(q, at(c, q, lanes * 4));
  });
}

function eachK(c: Code, k: number, unroll: number, body: (count: number) => void): void {
  const i = c.local("i32");
  const rounds = Math.floor(k / unroll);
  if (rounds > 0) c.for(i, c.i32(0), c.i32(rounds), 1, () => body(unroll));
  for (let rest = 0; rest < k % unroll; rest++) body(1);
}
