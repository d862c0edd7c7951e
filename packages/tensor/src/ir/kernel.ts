/**
 * The kernel IR: what a device is asked to run. Scalar expressions over a static index space, in SSA form.
 * Printers (WebAssembly, WGSL) read this and nothing else; they never see graph nodes or op names.
 *
 * Three kernels cover everything: a loop nest with reductions along its inner dimensions (elementwise work, softmax,
 * layer norm, cross entropy, gathers), a matrix product with expression prologues and an epilogue, and scatter-add.
 */
import type { DType } from "../dtype.ts";
import type { UnaryOp } from "../primitives/scalar.ts";
import type { RandomWidth } from "../random/threefry.ts";

/**
 * What lives in a register. f16/bf16 are memory formats: a load widens to f32, a store rounds to nearest even.
 * u8 memory is `u32` in a register; bool memory (one byte, 0 or 1) is `bool`.
 */
export type ValueType = "f32" | "i32" | "u32" | "bool";

/** What holds a dtype in a register. */
export function valueTypeOf(dtype: DType): ValueType {
  switch (dtype) {
    case "f64":
    case "f32":
    case "f16":
    case "bf16":
      return "f32";
    case "i32":
      return "i32";
    case "u32":
    case "u8":
      return "u32";
    case "bool":
      return "bool";
  }
}

/** An SSA value: its position in `body`. */
export type ValueId = number;

export type { UnaryOp };

/** Comparisons give `bool`; `and`/`or`/`xor` take bool or integers; `shl`/`shr` take integers. `max`/`min` propagate NaN. */
export type BinaryOp =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "max"
  | "min"
  | "mod"
  | "lt"
  | "le"
  | "eq"
  | "ne"
  | "and"
  | "or"
  | "xor"
  | "shl"
  | "shr";

/** 0 ≤ offset + Σ strides[d]·coord[d] + Σ dynamic.stride·value < size. */
export interface Guard {
  readonly offset: number;
  readonly strides: readonly number[];
  readonly dynamic?: readonly DynamicTerm[];
  readonly size: number;
}

export interface DynamicTerm {
  /** An i32 or u32 value. */
  readonly value: ValueId;
  readonly stride: number;
}

/** Where in an argument, in elements: offset + Σ strides[d]·coord[d] + Σ dynamic. `strides` has one entry per iteration dimension. */
export interface Index {
  readonly offset: number;
  readonly strides: readonly number[];
  readonly dynamic?: readonly DynamicTerm[];
  /** If any guard fails the load touches no memory and yields `fill` (default 0). Stores have no guards. */
  readonly guards?: readonly Guard[];
  readonly fill?: number;
}

export type Instr =
  | { readonly op: "const"; readonly type: ValueType; readonly value: number }
  | { readonly op: "coord"; readonly type: "i32"; readonly dim: number }
  | { readonly op: "inbounds"; readonly type: "bool"; readonly guards: readonly Guard[] }
  | { readonly op: "load"; readonly type: ValueType; readonly arg: number; readonly index: Index }
  | { readonly op: UnaryOp; readonly type: ValueType; readonly a: ValueId }
  | { readonly op: BinaryOp; readonly type: ValueType; readonly a: ValueId; readonly b: ValueId }
  | {
      readonly op: "select";
      readonly type: ValueType;
      readonly cond: ValueId;
      readonly a: ValueId;
      readonly b: ValueId;
    }
  /** Conversion between register types. f32 → int truncates and saturates; → bool is `≠ 0`. */
  | { readonly op: "cast"; readonly type: ValueType; readonly a: ValueId }
  /** Rounds an f32 to the nearest f16 or bf16 value and widens it again. */
  | { readonly op: "round"; readonly type: "f32"; readonly to: "f16" | "bf16"; readonly a: ValueId }
  /** Random bits of element `index` of row `row` under key (k0, k1), as `elementBits` (32) and `elementHalf` (16) in random/threefry.ts have them; all u32. */
  | {
      readonly op: "random";
      readonly type: "u32";
      readonly bits: RandomWidth;
      readonly k0: ValueId;
      readonly k1: ValueId;
      readonly index: ValueId;
      readonly row: ValueId;
    }
  /** Reduction of `a` over the inner dimensions; the result is the same for the whole row. An f32 result that is zero is +0 (WGSL promises no sign). */
  | { readonly op: "reduce"; readonly type: ValueType; readonly combine: "sum" | "max"; readonly a: ValueId }
  /** GEMM epilogues only: accumulator `index` at this coordinate. */
  | { readonly op: "acc"; readonly type: "f32"; readonly index: number };

export interface Arg {
  readonly dtype: DType;
  readonly access: "read" | "write" | "readwrite";
  /** Elements the kernel may touch. */
  readonly size: number;
}

export interface Store {
  readonly arg: number;
  readonly index: Index;
  readonly value: ValueId;
}

/**
 * for each point of `outer`: evaluate `body`, reducing over `inner` where a `reduce` asks for it; then store.
 * A store whose value depends on an inner coordinate (directly or through loads) or whose index has a non-zero inner
 * stride is written once per element, every other one once per row.
 * An argument may be read and written in place only at the same index.
 */
export interface LoopKernel {
  readonly kind: "loop";
  readonly label: string;
  readonly args: readonly Arg[];
  readonly outer: readonly number[];
  readonly inner: readonly number[];
  /** Strides and `coord` count the outer dimensions first, then the inner ones. */
  readonly body: readonly Instr[];
  readonly stores: readonly Store[];
}

/**
 * Products of the same height and width, each added to one of the accumulators in f32; then the epilogue, which may read all of them, and its
 * stores. One product is the usual case; a base weight and the adapter on it are two.
 */
export interface GemmKernel {
  readonly kind: "gemm";
  readonly label: string;
  readonly args: readonly Arg[];
  readonly batch: readonly number[];
  readonly m: number;
  readonly n: number;
  readonly products: readonly Product[];
  /** Coordinates [...batch, m, n]. */
  readonly epilogue: readonly Instr[];
  readonly stores: readonly Store[];
}

/** Σ_k a(batch, m, k) · b(batch, k, n). */
export interface Product {
  readonly k: number;
  /** Coordinates [...batch, m, k]. */
  readonly a: Operand;
  /** Coordinates [...batch, k, n]. */
  readonly b: Operand;
  /** The accumulator it is added to; accumulators are numbered from 0 without gaps. */
  readonly acc: number;
}

/** An expression that yields one f32 operand element; usually a single load. */
export interface Operand {
  readonly body: readonly Instr[];
  readonly value: ValueId;
}

/** out[r, c] = Σ over i with ids(i) = r of src(i, c); out is dense f32 [rows, cols]. Ids outside [0, rows) are dropped. */
export interface ScatterKernel {
  readonly kind: "scatter";
  readonly label: string;
  readonly args: readonly Arg[];
  readonly rows: number;
  readonly cols: number;
  readonly count: number;
  /** Coordinate [i]; an i32 or u32 value. */
  readonly ids: Operand;
  /** Coordinates [i, c]. */
  readonly src: Operand;
  /** Argument that receives the result, contiguous. */
  readonly out: number;
}

/** What a template answers with where the three kinds cannot say it. Only the backend whose template it is can run it. */
export interface NativeKernel {
  readonly kind: "native";
  readonly label: string;
  readonly args: readonly Arg[];
  /** Equal keys and arguments mean equal code. */
  readonly key: string;
  /** Whatever the backend's code generator takes: `WgslKernel` on webgpu, `WasmEmitter` on wasm. */
  readonly code: unknown;
  /** Operations of the matrix products in it (`plan/flops.ts`). Default: 0. */
  readonly flops?: number;
}

export type Kernel = LoopKernel | GemmKernel | ScatterKernel | NativeKernel;
