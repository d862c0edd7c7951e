/**
 * Singular values on the host, in f64: one-sided Jacobi (Hestenes 1958; accurate, cubic with a large constant) for all of them, and
 * Lanczos bidiagonalization (Golub & Kahan 1965) for the largest few.
 */
import { transposeOf } from "./transpose.ts";
import { ShapeError } from "../errors.ts";
import { RandomStream } from "../random/stream.ts";

/** A ≈ U·diag(s)·Vᵀ with k columns; s descends. Where s is 0, one of the two vectors is zero. */
export interface Svd {
  /** [m, k], row-major. */
  readonly u: Float64Array;
  readonly s: Float64Array;
  /** [n, k], row-major. */
  readonly v: Float64Array;
}

const MAX_SWEEPS = 60;
/** Rows whose cosine is below this count as orthogonal: a few units of f64. */
const ORTHOGONAL = 2 ** -50;

/** All min(m, n) singular values of `a` [m, n], row-major. For a few hundred rows or columns. */
export function svd(a: ArrayLike<number>, m: number, n: number): Svd {
  checkSize(a, m, n);
  const wide = m <= n;
  const [k, length] = wide ? [m, n] : [n, m];
  const rows = wide ? Float64Array.from(a) : transposeOf(Float64Array.from(a), m, n);
  const turns = new Float64Array(k * k);
  for (let i = 0; i < k; i++) turns[i * k + i] = 1;
  for (let sweep = 0; sweep < MAX_SWEEPS && orthogonalize(rows, turns, k, length); sweep++);
  const norms = Float64Array.from({ length: k }, (_, i) => Math.sqrt(dot(rows, i, i, length)));
  const order = Array.from(norms, (_, i) => i).sort((i, j) => norms[j]! - norms[i]!);
  const long = new Float64Array(length * k);
  const square = new Float64Array(k * k);
  order.forEach((from, to) => {
    const inverse = norms[from]! === 0 ? 0 : 1 / norms[from]!;
    for (let i = 0; i < length; i++) long[i * k + to] = rows[from * length + i]! * inverse;
    for (let i = 0; i < k; i++) square[i * k + to] = turns[from * k + i]!;
  });
  const s = Float64Array.from(order, (i) => norms[i]!);
  return wide ? { u: square, s, v: long } : { u: long, s, v: square };
}

/** One sweep over all pairs of rows. Returns whether any pair had to be turned. */
function orthogonalize(rows: Float64Array, turns: Float64Array, k: number, length: number): boolean {
  let turned = false;
  for (let p = 0; p < k - 1; p++) {
    for (let q = p + 1; q < k; q++) {
      const [pp, qq, pq] = [dot(rows, p, p, length), dot(rows, q, q, length), dot(rows, p, q, length)];
      if (Math.abs(pq) <= ORTHOGONAL * Math.sqrt(pp * qq)) continue;
      turned = true;
      const zeta = (qq - pp) / (2 * pq);
      const tan = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
      const cos = 1 / Math.hypot(1, tan);
      turn(rows, p, q, length, cos, cos * tan);
      turn(turns, p, q, k, cos, cos * tan);
    }
  }
  return turned;
}

function dot(rows: Float64Array, p: number, q: number, length: number): number {
  let sum = 0;
  for (let i = p * length, j = q * length, end = i + length; i < end; i++, j++) sum += rows[i]! * rows[j]!;
  return sum;
}

function turn(rows: Float64Array, p: number, q: number, length: number, cos: number, sin: number): void {
  for (let i = p * length, j = q * length, end = i + length; i < end; i++, j++) {
    const [x, y] = [rows[i]!, rows[j]!];
    rows[i] = cos * x - sin * y;
    rows[j] = sin * x + cos * y;
  }
}

/**
 * The `rank` largest singular values of `a` [m, n], row-major, by Lanczos steps with full orthogonalization, until what they leave out
 * is below `tolerance` times the largest; where that takes as many steps as there are values, the result is exact. A value that
 * occurs several times may be found fewer times.
 * @param tolerance default 1e-10
 */
export function topSvd(a: ArrayLike<number>, m: number, n: number, rank: number, tolerance = 1e-10): Svd {
  checkSize(a, m, n);
  const k = Math.min(m, n);
  if (!Number.isInteger(rank) || rank < 1 || rank > k)
    throw new ShapeError(`topSvd: [${m}, ${n}] has ${k} singular values, ${rank} were asked for`);
  if (k <= 64 || rank * 4 >= k) return cut(svd(a, m, n), m, n, k, rank);
  const lanczos = new Lanczos(a instanceof Float64Array ? a : Float64Array.from(a), m, n);
  for (let target = 4 * rank + 32; ; target = Math.ceil(target * 1.4)) {
    lanczos.advance(Math.min(target, k));
    const steps = lanczos.steps;
    const small = svd(lanczos.bidiagonal(), steps, steps);
    const left =
      lanczos.beta * Math.max(...Array.from({ length: rank }, (_, i) => Math.abs(small.u[(steps - 1) * steps + i]!)));
    if (left > tolerance * small.s[0]! && steps < k) continue;
    return {
      u: combine(lanczos.lefts, small.u, m, steps, rank),
      s: small.s.slice(0, rank),
      v: combine(lanczos.rights, small.v, n, steps, rank),
    };
  }
}

/** A·V = U·B with B upper bidiagonal (Golub & Kahan 1965); U and V are kept as rows. */
class Lanczos {
  readonly lefts: Float64Array[] = [];
  readonly rights: Float64Array[] = [];
  readonly #alphas: number[] = [];
  readonly #betas: number[] = [];
  readonly #a: Float64Array;
  readonly #m: number;
  readonly #n: number;
  readonly #random: RandomStream = new RandomStream(0, "svd");
  #next: Float64Array;
  /** Length of what the last step left over. */
  beta = 0;

  constructor(a: Float64Array, m: number, n: number) {
    this.#a = a;
    this.#m = m;
    this.#n = n;
    this.#next = this.#fresh(n, this.rights);
  }

  get steps(): number {
    return this.#alphas.length;
  }

  advance(steps: number): void {
    const [m, n, a] = [this.#m, this.#n, this.#a];
    while (this.steps < steps) {
      const right = this.#next;
      const left = new Float64Array(m);
      for (let i = 0; i < m; i++) left[i] = rowDot(a, i * n, right);
      if (this.steps > 0) this.#betas.push(this.beta);
      this.rights.push(right);
      const [alpha, u] = this.#normal(left, this.lefts);
      this.#alphas.push(alpha);
      this.lefts.push(u);
      const rest = new Float64Array(n);
      for (let i = 0; i < m; i++) addRow(rest, a, i * n, u[i]!);
      [this.beta, this.#next] = this.rights.length < n ? this.#normal(rest, this.rights) : [0, right];
    }
  }

  bidiagonal(): Float64Array {
    const k = this.steps;
    const out = new Float64Array(k * k);
    this.#alphas.forEach((x, i) => {
      out[i * k + i] = x;
    });
    this.#betas.forEach((x, i) => {
      out[i * k + i + 1] = x;
    });
    return out;
  }

  /** The part of x that is new, as length and direction; any direction where nothing is. */
  #normal(x: Float64Array, basis: readonly Float64Array[]): [number, Float64Array] {
    const before = Math.sqrt(rowDot(x, 0, x));
    removeAll(x, basis);
    const length = Math.sqrt(rowDot(x, 0, x));
    if (length <= 1e-13 * before || length === 0)
      return [0, basis.length < x.length ? this.#fresh(x.length, basis) : x];
    for (let i = 0; i < x.length; i++) x[i]! /= length;
    return [length, x];
  }

  #fresh(length: number, basis: readonly Float64Array[]): Float64Array {
    const x = new Float64Array(length);
    this.#random.fillNormal(x, 0, 1);
    removeAll(x, basis);
    const norm = Math.sqrt(rowDot(x, 0, x));
    return x.map((v) => v / norm);
  }
}

/** Twice is enough (Giraud et al. 2005). */
function removeAll(x: Float64Array, basis: readonly Float64Array[]): void {
  for (let pass = 0; pass < 2; pass++) for (const b of basis) addRow(x, b, 0, -rowDot(b, 0, x));
}

/** Four sums side by side keep the adder busy. */
function rowDot(a: Float64Array, at: number, x: Float64Array): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  const whole = x.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    s0 += a[at + i]! * x[i]!;
    s1 += a[at + i + 1]! * x[i + 1]!;
    s2 += a[at + i + 2]! * x[i + 2]!;
    s3 += a[at + i + 3]! * x[i + 3]!;
  }
  for (let i = whole; i < x.length; i++) s0 += a[at + i]! * x[i]!;
  return s0 + s1 + (s2 + s3);
}

function addRow(out: Float64Array, a: Float64Array, at: number, factor: number): void {
  for (let i = 0; i < out.length; i++) out[i]! += factor * a[at + i]!;
}

/** Columns 0 … rank − 1 of basisᵀ·w, for `steps` basis vectors as rows and w [steps, steps]. */
function combine(
  basis: readonly Float64Array[],
  w: Float64Array,
  length: number,
  steps: number,
  rank: number,
): Float64Array {
  const out = new Float64Array(length * rank);
  basis.forEach((vector, d) => {
    for (let i = 0; i < length; i++)
      for (let j = 0; j < rank; j++) out[i * rank + j]! += vector[i]! * w[d * steps + j]!;
  });
  return out;
}

function checkSize(a: ArrayLike<number>, m: number, n: number): void {
  if (a.length !== m * n) throw new ShapeError(`svd: [${m}, ${n}] needs ${m * n} elements, got ${a.length}`);
}

function cut({ u, s, v }: Svd, m: number, n: number, k: number, rank: number): Svd {
  const columns = (x: Float64Array, rows: number): Float64Array =>
    Float64Array.from({ length: rows * rank }, (_, i) => x[Math.floor(i / rank) * k + (i % rank)]!);
  return { u: columns(u, m), s: s.slice(0, rank), v: columns(v, n) };
}
