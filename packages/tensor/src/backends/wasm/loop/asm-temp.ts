// temporary
const O: Record<string, number[]> = {};
const def = (base: number, names: string): void => names.split(" ").forEach((n, i) => { if (n !== "_") O[n] = [base + i]; });
def(0x28, "i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u");
def(0x36, "i32.store _ f32.store f64.store i32.store8 i32.store16");
def(0x45, "i32.eqz i32.eq i32.ne i32.lt_s i32.lt_u i32.gt_s i32.gt_u i32.le_s i32.le_u i32.ge_s i32.ge_u");
def(0x5b, "f32.eq f32.ne f32.lt f32.gt f32.le f32.ge");
def(0x6a, "i32.add i32.sub i32.mul i32.div_s i32.div_u i32.rem_s i32.rem_u i32.and i32.or i32.xor i32.shl i32.shr_s i32.shr_u i32.rotl i32.rotr");
def(0x8b, "f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt f32.add f32.sub f32.mul f32.div f32.min f32.max f32.copysign");
def(0xb2, "f32.convert_i32_s f32.convert_i32_u"); def(0xbc, "i32.reinterpret_f32");
def(0x1b, "select"); def(0x0f, "return");
const sd = (base: number, names: string): void => names.split(" ").forEach((n, i) => {
  if (n === "_") return; const x = base + i; const b: number[] = []; let y = x; do { b.push((y & 127) | (y > 127 ? 128 : 0)); y >>= 7; } while (y); O[n] = [0xfd, ...b];
});
sd(0, "v128.load _ _ v128.load16x4_s v128.load16x4_u"); sd(11, "v128.store v128.const i8x16.shuffle");
sd(0x11, "i32x4.splat _ f32x4.splat f64x2.splat");
sd(0x1b, "i32x4.extract_lane i32x4.replace_lane"); sd(0x1f, "f32x4.extract_lane f32x4.replace_lane");
sd(0x37, "i32x4.eq i32x4.ne i32x4.lt_s i32x4.lt_u i32x4.gt_s i32x4.gt_u i32x4.le_s i32x4.le_u i32x4.ge_s i32x4.ge_u f32x4.eq f32x4.ne f32x4.lt f32x4.gt f32x4.le f32x4.ge");
sd(0x4d, "v128.not v128.and v128.andnot v128.or v128.xor v128.bitselect v128.any_true v128.load8_lane v128.load16_lane v128.load32_lane v128.load64_lane v128.store8_lane v128.store16_lane v128.store32_lane v128.store64_lane v128.load32_zero v128.load64_zero f32x4.demote_f64x2_zero f64x2.promote_low_f32x4");
sd(0x66, "i8x16.narrow_i16x8_u f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest"); sd(0x86, "i16x8.narrow_i32x4_u"); sd(0x89, "i16x8.extend_low_i8x16_u");
sd(0x94, "f64x2.nearest"); sd(0xa0, "i32x4.abs i32x4.neg _ i32x4.all_true"); sd(0xa9, "i32x4.extend_low_i16x8_u _ i32x4.shl i32x4.shr_s i32x4.shr_u i32x4.add"); sd(0xb1, "i32x4.sub"); sd(0xb5, "i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u");
sd(0xe0, "f32x4.abs f32x4.neg _ f32x4.sqrt f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin f32x4.pmax"); sd(0xf0, "f64x2.add f64x2.sub f64x2.mul f64x2.div");
sd(0xf8, "i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u i32x4.trunc_sat_f64x2_s_zero");
sd(0x105, "f32x4.relaxed_madd"); sd(7, "v128.load8_splat v128.load16_splat v128.load32_splat v128.load64_splat");
O["i32.trunc_sat_f32_s"] = [0xfc, 0]; O["i32.trunc_sat_f32_u"] = [0xfc, 1]; O["i32.load16_u"] = [0x2f];
export type WT = "i32" | "f32" | "v128";
const T: Record<string, number> = { i32: 0x7f, f32: 0x7d, v128: 0x7b };
const uleb = (x: number): number[] => { const b: number[] = []; x >>>= 0; do { let y = x & 127; x >>>= 7; if (x) y |= 128; b.push(y); } while (x); return b; };
const sleb = (x: number): number[] => { const b: number[] = []; for (;;) { const y = x & 127; x >>= 7; if ((x === 0 && !(y & 64)) || (x === -1 && (y & 64))) { b.push(y); return b; } b.push(y | 128); } };
const vec = (xs: number[][]): number[] => [...uleb(xs.length), ...xs.flat()];
export class Fn {
  bytes: number[] = []; locals: WT[] = []; params: WT[]; results: WT[]; index: number; name: string | undefined;
  constructor(index: number, params: WT[], results: WT[], name?: string) { this.index = index; this.params = params; this.results = results; this.name = name; }
  local(t: WT): number { this.locals.push(t); return this.params.length + this.locals.length - 1; }
  raw(...b: number[]): void { for (const x of b) this.bytes.push(x); }
  op(name: string, ...imm: number[]): void { const o = O[name]; if (!o) throw new Error("no opcode " + name); this.raw(...o, ...imm); }
  mem(name: string, align: number, offset: number, ...imm: number[]): void { this.op(name, ...uleb(align), ...uleb(offset), ...imm); }
  get(l: number): void { this.raw(0x20, ...uleb(l)); } set(l: number): void { this.raw(0x21, ...uleb(l)); } tee(l: number): void { this.raw(0x22, ...uleb(l)); }
  i32(x: number): void { this.raw(0x41, ...sleb(x | 0)); }
  f32(x: number): void { this.raw(0x43, ...new Uint8Array(new Float32Array([x]).buffer)); }
  v128(b: Uint8Array): void { this.op("v128.const", ...b); }
  call(f: Fn): void { this.raw(0x10, ...uleb(f.index)); }
}
export class ModuleBuilder {
  fns: Fn[] = [];
  helpers = new Map<string, Fn>();
  shared: boolean = false;
  func(name: string | undefined, params: WT[], results: WT[]): Fn { const f = new Fn(this.fns.length, params, results, name); this.fns.push(f); return f; }
  build(): Uint8Array {
    const sec = (id: number, body: number[]): number[] => [id, ...uleb(body.length), ...body];
    const str = (s: string): number[] => [...uleb(s.length), ...new TextEncoder().encode(s)];
    const out = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
    const push = (b: number[]): void => { for (const x of b) out.push(x); };
    push(sec(1, vec(this.fns.map((f) => [0x60, ...vec(f.params.map((t) => [T[t]!])), ...vec(f.results.map((t) => [T[t]!]))]))));
    push(sec(2, [1, ...str("env"), ...str("memory"), 2, ...(this.shared ? [3, 1, ...uleb(65536)] : [0, 1])]));
    push(sec(3, vec(this.fns.map((_, i) => uleb(i)))));
    push(sec(7, vec(this.fns.filter((f) => f.name).map((f) => [...str(f.name!), 0, ...uleb(f.index)]))));
    push(sec(10, vec(this.fns.map((f) => { const b = [...vec(f.locals.map((t) => [1, T[t]!])), ...f.bytes, 0x0b]; return [...uleb(b.length), ...b]; }))));
    return new Uint8Array(out);
  }
}
declare class TextEncoder { encode(s: string): Uint8Array }
