/**
 * The error function in f64, within 1 ulp, and its complement. Four ranges, each a rational approximation; the constants are those of
 * FreeBSD's msun (s_erf.c, Sun Microsystems 1993).
 */

/** erf(1) rounded to f32, so that 1 − ERX is exact. */
const ERX = 8.45062911510467529297e-1;
// |x| < 0.84375: erf(x) = x + x·P(x²)/Q(x²)
const P0 = [
  1.28379167095512558561e-1, -3.2504210724700149937e-1, -2.84817495755985104766e-2, -5.77027029648944159157e-3,
  -2.37630166566501626084e-5,
];
const Q0 = [
  1, 3.97917223959155352819e-1, 6.50222499887672944485e-2, 5.08130628187576562776e-3, 1.32494738004321644526e-4,
  -3.9602282787753681232e-6,
];
// |x| < 1.25: erf(x) = ERX + P(|x| − 1)/Q(|x| − 1)
const P1 = [
  -2.36211856075265944077e-3, 4.14856118683748331666e-1, -3.72207876035701323847e-1, 3.18346619901161753674e-1,
  -1.10894694282396677476e-1, 3.54783043256182359371e-2, -2.166375594868790843e-3,
];
const Q1 = [
  1, 1.06420880400844228286e-1, 5.40397917702171048937e-1, 7.18286544141962662868e-2, 1.26171219808761642112e-1,
  1.36370839120290507362e-2, 1.1984499846799107417e-2,
];
// |x| < 1/0.35: erfc(x) = e^(−x² − 0.5625 + R(1/x²)/S(1/x²))/x
const R2 = [
  -9.86494403484714822705e-3, -6.93858572707181764372e-1, -1.05586262253232909814e1, -6.23753324503260060396e1,
  -1.62396669462573470355e2, -1.84605092906711035994e2, -8.12874355063065934246e1, -9.81432934416914548592,
];
const S2 = [
  1, 1.96512716674392571292e1, 1.376577541435190426e2, 4.34565877475229228821e2, 6.45387271733267880336e2,
  4.29008140027567833386e2, 1.08635005541779435134e2, 6.57024977031928170135, -6.04244152148580987438e-2,
];
// beyond
const R3 = [
  -9.86494292470009928597e-3, -7.99283237680523006574e-1, -1.77579549177547519889e1, -1.60636384855821916062e2,
  -6.37566443368389627722e2, -1.02509513161107724954e3, -4.83519191608651397019e2,
];
const S3 = [
  1, 3.03380607434824582924e1, 3.25792512996573918826e2, 1.53672958608443695994e3, 3.19985821950859553908e3,
  2.55305040643316442583e3, 4.74528541206955367215e2, -2.24409524465858183362e1,
];

function polynomial(coefficients: readonly number[], x: number): number {
  let y = 0;
  for (let i = coefficients.length - 1; i >= 0; i--) y = y * x + coefficients[i]!;
  return y;
}

/** erfc(a) for a ≥ 1.25. a² is split so that e^(−a²) keeps its low bits. */
function tail(a: number): number {
  const s = 1 / (a * a);
  const ratio = a < 1 / 0.35 ? polynomial(R2, s) / polynomial(S2, s) : polynomial(R3, s) / polynomial(S3, s);
  const z = Math.fround(a);
  return (Math.exp(-z * z - 0.5625) * Math.exp((z - a) * (z + a) + ratio)) / a;
}

/** 2/√π ∫₀ˣ e^(−t²) dt; erf(±∞) = ±1, NaN for NaN. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return NaN;
  if (a < 0.84375) return x + x * (polynomial(P0, x * x) / polynomial(Q0, x * x));
  const sign = Math.sign(x);
  if (a < 1.25) return sign * (ERX + polynomial(P1, a - 1) / polynomial(Q1, a - 1));
  return a >= 6 ? sign : sign * (1 - tail(a));
}

/** 1 − erf(x) without the cancellation: small values keep all their digits. */
export function erfc(x: number): number {
  if (!(x >= 0.84375)) return 1 - erf(x);
  if (x < 1.25) return 1 - ERX - polynomial(P1, x - 1) / polynomial(Q1, x - 1);
  return x >= 28 ? 0 : tail(x);
}

/** Φ(x) = erfc(−x/√2)/2, the standard normal distribution function. */
export function normalCdf(x: number): number {
  return 0.5 * erfc(-x * Math.SQRT1_2);
}
