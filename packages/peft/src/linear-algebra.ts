/** Small dense decompositions on the host, in f64, for initialisers. Matrices are row-major. */

export interface Svd {
  /** [m, k] */
  readonly u: Float64Array;
  /** [k], descending. */
  readonly s: Float64Array;
  /** [k, n] */
  readonly vt: Float64Array;
}

/** Thin SVD of a [m, n], k = min(m, n), by one-sided Jacobi rotations (Demmel & Veselić 1992): accurate also for small singular values. */
export function svd(a: ArrayLike<number>, m: number, n: number): Svd {
  if (m < n) {
    const { u, s, vt } = svd(transpose(a, m, n), n, m);
    return { u: transpose(vt, m, m), s, vt: transpose(u, n, m) };
  }
  // columns of a, each contiguous, are turned until they are orthogonal; v collects the turns
  const w = transpose(a, m, n);
  const v = identity(n);
  for (let sweep = 0; sweep < 60; sweep++) {
    let turned = false;
    for (let p = 0; p < n - 1; p++) for (let q = p + 1; q < n; q++) turned = rotate(w, v, p, q, m, n) || turned;
    if (!turned) break;
  }
  const norms = Array.from({ length: n }, (_, j) => Math.hypot(...w.subarray(j * m, (j + 1) * m)));
  const order = norms.map((_, j) => j).sort((x, y) => norms[y]! - norms[x]!);
  const u = new Float64Array(m * n);
  const vt = new Float64Array(n * n);
  order.forEach((j, k) => {
    for (let i = 0; i < m; i++) u[i * n + k] = norms[j] === 0 ? 0 : w[j * m + i]! / norms[j]!;
    vt.set(v.subarray(j * n, (j + 1) * n), k * n);
  });
  return { u, s: Float64Array.from(order, (j) => norms[j]!), vt };
}

function rotate(w: Float64Array, v: Float64Array, p: number, q: number, m: number, n: number): boolean {
  let [alpha, beta, gamma] = [0, 0, 0];
  for (let i = 0; i < m; i++) {
    const [x, y] = [w[p * m + i]!, w[q * m + i]!];
    alpha += x * x;
    beta += y * y;
    gamma += x * y;
  }
  if (Math.abs(gamma) <= 1e-15 * Math.sqrt(alpha * beta)) return false;
  const zeta = (beta - alpha) / (2 * gamma);
  const t = Math.sign(zeta || 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
  const c = 1 / Math.hypot(1, t);
  for (const [x, length] of [[w, m], [v, n]] as const) {
    for (let i = 0; i < length; i++) {
      const [a, b] = [x[p * length + i]!, x[q * length + i]!];
      x[p * length + i] = c * (a - t * b);
      x[q * length + i] = c * (b + t * a);
    }
  }
  return true;
}

/** Thin QR of a [m, n] with m ≥ n by modified Gram–Schmidt, twice, so that Q is orthogonal to rounding. R has a non-negative diagonal. */
export function qr(a: ArrayLike<number>, m: number, n: number): { q: Float64Array; r: Float64Array } {
  const q = transpose(a, m, n);
  const r = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    const column = q.subarray(j * m, (j + 1) * m);
    for (let pass = 0; pass < 2; pass++) {
      for (let k = 0; k < j; k++) {
        const other = q.subarray(k * m, (k + 1) * m);
        const dot = column.reduce((s, x, i) => s + x * other[i]!, 0);
        r[k * n + j]! += dot;
        for (let i = 0; i < m; i++) column[i]! -= dot * other[i]!;
      }
    }
    const norm = Math.hypot(...column);
    r[j * n + j] = norm;
    if (norm > 0) for (let i = 0; i < m; i++) column[i]! /= norm;
  }
  return { q: transpose(q, n, m), r };
}

export function transpose(a: ArrayLike<number>, rows: number, cols: number): Float64Array {
  const out = new Float64Array(rows * cols);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) out[j * rows + i] = a[i * cols + j]!;
  return out;
}

function identity(n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) out[i * n + i] = 1;
  return out;
}
