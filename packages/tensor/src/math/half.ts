/** f16 (IEEE binary16) and bf16 as raw bits in a Uint16Array: exact widening, narrowing with round to nearest even. */

const word = new Uint32Array(1);
const real = new Float32Array(word.buffer);

/** f16 bits → f32 bits. Subnormals are renormalized by arithmetic: fraction · 2⁻²⁴ is exact in f32. */
function widen(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

let table: Float32Array | undefined;

export function f16ToF32(bits: Uint16Array): Float32Array {
  table ??= Float32Array.from({ length: 65536 }, (_, i) => widen(i));
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = table[bits[i]!]!;
  return out;
}

function narrow(value: number): number {
  real[0] = value;
  const bits = word[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((bits >>> 13) & 0x1ff);
  // 65520 and more round to infinity
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // below 2⁻¹⁴: adding 0.5 puts the f16 unit 2⁻²⁴ at the last bit of an f32, whose adder rounds to even
    real[0] = Math.abs(real[0]) + 0.5;
    return sign | (word[0]! - 0x3f000000);
  }
  // rebias the exponent (127 → 15), then round to even at bit 13
  const odd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x38000000 + 0xfff + odd) >>> 13);
}

export function f32ToF16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = narrow(values[i]!);
  return out;
}

/** bf16 is the upper half of an f32. */
export function bf16ToF32(bits: Uint16Array): Float32Array {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i]! << 16;
  return new Float32Array(out.buffer);
}

export function f32ToBf16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const bits = words[i]!;
    const isNaN = (bits & 0x7fffffff) > 0x7f800000;
    out[i] = isNaN ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
  return out;
}
