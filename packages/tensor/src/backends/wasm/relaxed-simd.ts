/** Relaxed SIMD: a fused multiply-add per lane. Standard since 2024; on Node 20 it hides behind a V8 flag that works until the first module is compiled. */
import { builtin, wasmApi } from "./platform.ts";

/** A module whose one function is (v128, v128, v128) → f32x4.relaxed_madd. */
const PROBE = Uint8Array.of(
  0,
  0x61,
  0x73,
  0x6d,
  1,
  0,
  0,
  0,
  1,
  8,
  1,
  0x60,
  3,
  0x7b,
  0x7b,
  0x7b,
  1,
  0x7b,
  3,
  2,
  1,
  0,
  10,
  13,
  1,
  11,
  0,
  0x20,
  0,
  0x20,
  1,
  0x20,
  2,
  0xfd,
  0x85,
  0x02,
  0x0b,
);

export function enableRelaxedSimd(): boolean {
  const api = wasmApi();
  if (api.validate(PROBE)) return true;
  builtin<{ setFlagsFromString(flags: string): void }>("node:v8")?.setFlagsFromString(
    "--experimental-wasm-relaxed-simd",
  );
  return api.validate(PROBE);
}
