/**
 * Polynomial coefficients of the vector math functions, lowest degree first. Each is a minimax fit (Remez exchange in 40-digit
 * arithmetic) with the weight that turns its error into a relative error of the function; the bound reached stands beside it.
 */

export const LOG2_E = 1.4426950408889634;
/** ln 2 in two parts; the high one has 9 significant bits, so n·LN2_HI is exact for every exponent n of an f32. */
export const LN2_HI = 0.693359375;
export const LN2_LO = -0.00021219444005469057;

/** (eʳ − 1 − r) / r² on |r| ≤ 0.35; error of eʳ 3.4e-9. */
export const EXP: readonly number[] = [
  0.500000010096, 0.166665128933, 0.0416661873593, 0.00836959801736, 0.00139517127529,
];

/** (ln(1+f) − f + f²/2) / f³ on √½ − 1 ≤ f ≤ √2 − 1; error of ln(1+f) 5.8e-9. */
export const LOG: readonly number[] = [
  0.333333317085, -0.25000821015, 0.200012267686, -0.166233577927, 0.142017602385, -0.131601808791, 0.127615643292,
  -0.0763448624599,
];

/** (tanh x / x − 1) / x² in x² for |x| ≤ 0.65; error 6.8e-9. */
export const TANH: readonly number[] = [
  -0.333332598472, 0.133308303301, -0.0536880221354, 0.0204694172311, -0.00551516127096,
];

/** erf x / x − 1 in x² for |x| ≤ 1; error 1.2e-9. */
export const ERF: readonly number[] = [
  0.128379165727, -0.376126258247, 0.112835851512, -0.0268538119903, 0.00518832772938, -0.000801019365851,
  7.85386063158e-5,
];

/** −ln(erfc a) / a for 1 ≤ a ≤ 4; error of erf 3.9e-10. */
export const ERFC: readonly number[] = [
  1.12869433782, 0.634969527478, 0.106530870958, -0.0240100730198, 0.00375747875261, -0.000350592474327,
  1.39624847041e-5,
];

/** (sin r / r − 1) / r² in r² for |r| ≤ π/4; error 4.1e-9. */
export const SIN: readonly number[] = [-0.166666538674, 0.00833211328098, -0.000195087739244];

/** (cos r − 1 + r²/2) / r⁴ in r² for |r| ≤ π/4; error 1.1e-10. */
export const COS: readonly number[] = [0.0416666456592, -0.00138873063609, 2.44312419062e-5];

/** (a + 3)·e^(a²/2)·Φ(−a) in (a − 3)/(a + 3) for 0 ≤ a ≤ 13.5, to where Φ(−a) leaves the range of f32; error 4.2e-8 of Φ(−a), relative. */
export const NORMAL_CDF: readonly number[] = [
  0.729083670203, -0.509332243492, 0.230019287, -0.0472569045301, -0.0104796621782, 0.00692789758149, 0.00107712054426,
  -0.000909030267602, -0.000270633794258,
];

/** Φ(−a) is below the smallest normal f32 from a = 12.97 on, and its exponential is from 13.22 on. */
export const NORMAL_CDF_END = 13.2;
