/**
 * Opcode bytes by text-format name, for what the generators use. Runs of consecutive opcodes are given by their first number;
 * `_` skips one. Source: WebAssembly core specification 2.0, appendix "Index of Instructions"; relaxed SIMD proposal.
 */

function run(first: number, names: string, encode: (code: number) => number[]): [string, number[]][] {
  return names.split(" ").flatMap((name, i): [string, number[]][] => (name === "_" ? [] : [[name, encode(first + i)]]));
}

/** Unsigned LEB128. */
export function uleb(value: number): number[] {
  const out: number[] = [];
  let rest = value >>> 0;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    out.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return out;
}

/** Signed LEB128 of an i32. */
export function sleb(value: number): number[] {
  const out: number[] = [];
  for (let rest = value | 0; ;) {
    const low = rest & 0x7f;
    rest >>= 7;
    if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) return [...out, low];
    out.push(low | 0x80);
  }
}

const plain = (first: number, names: string): [string, number[]][] => run(first, names, (code) => [code]);
const simd = (first: number, names: string): [string, number[]][] => run(first, names, (code) => [0xfd, ...uleb(code)]);
const misc = (first: number, names: string): [string, number[]][] => run(first, names, (code) => [0xfc, ...uleb(code)]);

export const OPCODES: ReadonlyMap<string, readonly number[]> = new Map([
  ...plain(0x0f, "return"),
  ...plain(0x1b, "select"),
  ...plain(0x28, "i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u"),
  ...plain(0x36, "i32.store _ f32.store f64.store i32.store8 i32.store16"),
  ...plain(0x45, "i32.eqz i32.eq i32.ne i32.lt_s i32.lt_u i32.gt_s i32.gt_u i32.le_s i32.le_u i32.ge_s i32.ge_u"),
  ...plain(0x5b, "f32.eq f32.ne f32.lt f32.gt f32.le f32.ge"),
  ...plain(
    0x6a,
    "i32.add i32.sub i32.mul i32.div_s i32.div_u i32.rem_s i32.rem_u i32.and i32.or i32.xor i32.shl i32.shr_s i32.shr_u i32.rotl i32.rotr",
  ),
  ...plain(
    0x8b,
    "f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt f32.add f32.sub f32.mul f32.div f32.min f32.max f32.copysign",
  ),
  ...plain(0xb2, "f32.convert_i32_s f32.convert_i32_u"),
  ...plain(0xbc, "i32.reinterpret_f32"),
  ...misc(0, "i32.trunc_sat_f32_s i32.trunc_sat_f32_u"),
  ...simd(0x00, "v128.load v128.load8x8_s _ v128.load16x4_s v128.load16x4_u"),
  ...simd(
    0x07,
    "v128.load8_splat v128.load16_splat v128.load32_splat v128.load64_splat v128.store v128.const i8x16.shuffle",
  ),
  ...simd(0x11, "i32x4.splat _ f32x4.splat f64x2.splat"),
  ...simd(0x1b, "i32x4.extract_lane i32x4.replace_lane"),
  ...simd(0x1f, "f32x4.extract_lane f32x4.replace_lane"),
  ...simd(0x23, "i8x16.eq"),
  ...simd(
    0x37,
    "i32x4.eq i32x4.ne i32x4.lt_s i32x4.lt_u i32x4.gt_s i32x4.gt_u i32x4.le_s i32x4.le_u i32x4.ge_s i32x4.ge_u f32x4.eq f32x4.ne f32x4.lt f32x4.gt f32x4.le f32x4.ge",
  ),
  ...simd(0x4d, "v128.not v128.and v128.andnot v128.or v128.xor v128.bitselect v128.any_true"),
  ...simd(
    0x54,
    "v128.load8_lane v128.load16_lane v128.load32_lane v128.load64_lane v128.store8_lane v128.store16_lane v128.store32_lane v128.store64_lane",
  ),
  ...simd(0x5c, "v128.load32_zero v128.load64_zero f32x4.demote_f64x2_zero f64x2.promote_low_f32x4"),
  ...simd(0x66, "i8x16.narrow_i16x8_u f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest"),
  ...simd(0x71, "i8x16.sub"),
  ...simd(
    0x86,
    "i16x8.narrow_i32x4_u i16x8.extend_low_i8x16_s i16x8.extend_high_i8x16_s i16x8.extend_low_i8x16_u i16x8.extend_high_i8x16_u i16x8.shl _ i16x8.shr_u",
  ),
  ...simd(0x94, "f64x2.nearest"),
  ...simd(0xa0, "i32x4.abs i32x4.neg _ i32x4.all_true"),
  ...simd(
    0xa7,
    "i32x4.extend_low_i16x8_s i32x4.extend_high_i16x8_s i32x4.extend_low_i16x8_u _ i32x4.shl i32x4.shr_s i32x4.shr_u i32x4.add",
  ),
  ...simd(0xb1, "i32x4.sub"),
  ...simd(0xb5, "i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u"),
  ...simd(
    0xe0,
    "f32x4.abs f32x4.neg _ f32x4.sqrt f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin f32x4.pmax",
  ),
  ...simd(0xf0, "f64x2.add f64x2.sub f64x2.mul f64x2.div"),
  ...simd(
    0xf8,
    "i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u i32x4.trunc_sat_f64x2_s_zero",
  ),
  ...simd(0x105, "f32x4.relaxed_madd"),
]);
