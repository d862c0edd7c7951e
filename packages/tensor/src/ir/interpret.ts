/**
 * The kernel IR's meaning in plain loops: one point at a time, no vectors, no fusion of passes. Tests hold the printers
 * against it and the `interpreter` device runs on it; it is slow on purpose.
 */
import type { DType, TypedArray } from "../dtype.ts";
import { invariant } from "../errors.ts";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "../math/half.ts";
import { scalarFunctions } from "../primitives/scalar.ts";
import { elementBits, elementHalf } from "../random/threefry.ts";
import { bodyFacts, storesElements } from "./facts.ts";
import type {
  Arg,
  BinaryOp,
  GemmKernel,
  Guard,
  Index,
  Instr,
  Kernel,
  LoopKernel,
  Operand,
  ScatterKernel,
  Store,
  UnaryOp,
  ValueType,
} from "./kernel.ts";

export interface InterpretOptions {
  /** `f64` (default) keeps every intermediate in double precision; `f32` rounds after each instruction, as a device does. */
  readonly precision?: "f64" | "f32";
}

/** Runs `kernel` on `buffers` (one per argument, in memory form). Sums accumulate in double precision either way. */
export function interpretKernel(kernel: Kernel, buffers: readonly TypedArray[], options: InterpretOptions = {}): void {
  const machine: Machine = { args: kernel.args, buffers, round: options.precision === "f32" ? Math.fround : (x) => x };
  if (kernel.kind === "loop") interpretLoop(kernel, machine);
  else if (kernel.kind === "gemm") interpretGemm(kernel, machine);
  else if (kernel.kind === "scatter") interpretScatter(kernel, machine);
  else invariant(false, `${kernel.label} is a kernel of a backend's own, which only that backend can run`);
}

interface Machine {
  readonly args: readonly Arg[];
  readonly buffers: readonly TypedArray[];
  readonly round: (x: number) => number;
}

interface Point {
  readonly coords: readonly number[];
  /** Results of the reductions known so far. */
  readonly reduced?: ReadonlyMap<number, number>;
  /** Accumulators of a product. */
  readonly acc?: readonly number[];
}

function interpretLoop(kernel: LoopKernel, machine: Machine): void {
  const { body, outer, inner, stores } = kernel;
  const facts = bodyFacts(body, outer.length, outer.length + inner.length);
  const perElement = stores.filter((s) => storesElements(s, facts, outer.length));
  const perRow = stores.filter((s) => !storesElements(s, facts, outer.length));
  const noInner = inner.map(() => 0);
  forEachPoint(outer, (row) => {
    const reduced = new Map<number, number>();
    body.forEach((instr, id) => {
      if (instr.op !== "reduce") return;
      let total = instr.combine === "sum" ? 0 : lowest(instr.type);
      forEachPoint(inner, (at) => {
        const x = evaluate(body, id, machine, { coords: [...row, ...at], reduced })[instr.a]!;
        total = instr.combine === "sum" ? total + x : Math.max(total, x);
      });
      // + 0: a maximum that is zero is +0, whatever the signs of the zeros it is over and whichever came first.
      reduced.set(id, toType(instr.type, total + 0, machine.round));
    });
    const rowValues = perRow.map((s) => readStore(s, body, machine, { coords: [...row, ...noInner], reduced }));
    if (perElement.length > 0) {
      forEachPoint(inner, (at) => {
        const values = perElement.map((s) => readStore(s, body, machine, { coords: [...row, ...at], reduced }));
        for (const write of values) write();
      });
    }
    for (const write of rowValues) write();
  });
}

function interpretGemm(kernel: GemmKernel, machine: Machine): void {
  forEachPoint([...kernel.batch, kernel.m, kernel.n], (at) => {
    const batch = at.slice(0, -2);
    const [m, n] = at.slice(-2) as [number, number];
    const sums: number[] = [];
    for (const { k: length, a, b, acc } of kernel.products) {
      let sum = 0;
      for (let k = 0; k < length; k++)
        sum += operandValue(a, machine, [...batch, m, k]) * operandValue(b, machine, [...batch, k, n]);
      sums[acc] = (sums[acc] ?? 0) + sum;
    }
    const writes = kernel.stores.map((s) =>
      readStore(s, kernel.epilogue, machine, { coords: at, acc: sums.map(machine.round) }),
    );
    for (const write of writes) write();
  });
}

function interpretScatter(kernel: ScatterKernel, machine: Machine): void {
  const { rows, cols, count } = kernel;
  const out = new Float64Array(rows * cols);
  for (let i = 0; i < count; i++) {
    const id = operandValue(kernel.ids, machine, [i]);
    if (id < 0 || id >= rows) continue;
    for (let c = 0; c < cols; c++) out[id * cols + c]! += operandValue(kernel.src, machine, [i, c]);
  }
  for (let i = 0; i < out.length; i++) machine.buffers[kernel.out]![i] = out[i]!;
}

function operandValue(operand: Operand, machine: Machine, coords: readonly number[]): number {
  return evaluate(operand.body, operand.value + 1, machine, { coords })[operand.value]!;
}

/** Evaluates a store's value and place now; the returned function writes it. */
function readStore(store: Store, body: readonly Instr[], machine: Machine, point: Point): () => void {
  const values = evaluate(body, body.length, machine, point);
  const at = offsetOf(store.index, point.coords, values);
  const { dtype, size } = machine.args[store.arg]!;
  invariant(at >= 0 && at < size, `store outside argument ${store.arg}: ${at} of ${size}`);
  return () => {
    machine.buffers[store.arg]![at] = toMemory(dtype, values[store.value]!);
  };
}

function forEachPoint(shape: readonly number[], visit: (at: number[]) => void): void {
  const total = shape.reduce((a, b) => a * b, 1);
  for (let flat = 0; flat < total; flat++) {
    const at: number[] = [];
    for (let d = shape.length - 1, rest = flat; d >= 0; d--) {
      at[d] = rest % shape[d]!;
      rest = Math.floor(rest / shape[d]!);
    }
    visit(at);
  }
}

/** Values of body[0, end) at a point. A `reduce` that is not known yet, and what depends on it, is NaN. */
function evaluate(body: readonly Instr[], end: number, machine: Machine, point: Point): number[] {
  const values: number[] = [];
  for (let id = 0; id < end; id++) values.push(evaluateOne(body[id]!, id, body, values, machine, point));
  return values;
}

function evaluateOne(
  instr: Instr,
  id: number,
  body: readonly Instr[],
  values: number[],
  machine: Machine,
  point: Point,
): number {
  const { round } = machine;
  switch (instr.op) {
    case "const":
      return toType(instr.type, instr.value, Math.fround);
    case "coord":
      return point.coords[instr.dim]!;
    case "acc":
      return point.acc![instr.index]!;
    case "reduce":
      return point.reduced?.get(id) ?? NaN;
    case "inbounds":
      return instr.guards.every((g) => holds(g, point.coords, values)) ? 1 : 0;
    case "load": {
      const { index } = instr;
      if (index.guards !== undefined && !index.guards.every((g) => holds(g, point.coords, values)))
        return toType(instr.type, index.fill ?? 0, Math.fround);
      const at = offsetOf(index, point.coords, values);
      // Bodies are evaluated whole, so a load that no store needs at this point may lie outside; it must not matter.
      return fromMemory(machine.args[instr.arg]!.dtype, machine.buffers[instr.arg]![at] ?? NaN);
    }
    case "select":
      return values[instr.cond] ? values[instr.a]! : values[instr.b]!;
    case "cast":
      return convert(body[instr.a]!.type, instr.type, values[instr.a]!, round);
    case "round": {
      const x = values[instr.a]!;
      return fromMemory(instr.to, toMemory(instr.to, x));
    }
    case "random":
      return (instr.bits === 16 ? elementHalf : elementBits)(
        [values[instr.k0]!, values[instr.k1]!],
        values[instr.index]!,
        values[instr.row]!,
      );
    default: {
      const from = body[instr.a]!.type;
      const x =
        "b" in instr
          ? binary(instr.op, from, values[instr.a]!, values[instr.b]!, round)
          : unary(instr.op, values[instr.a]!, round);
      return toType(instr.type, x, round);
    }
  }
}

function offsetOf(index: Index | Guard, coords: readonly number[], values: readonly number[]): number {
  let at = index.offset;
  index.strides.forEach((stride, d) => {
    at += stride * coords[d]!;
  });
  for (const term of index.dynamic ?? []) at += term.stride * values[term.value]!;
  return at;
}

function holds(guard: Guard, coords: readonly number[], values: readonly number[]): boolean {
  const at = offsetOf(guard, coords, values);
  return at >= 0 && at < guard.size;
}

function lowest(type: ValueType): number {
  return type === "f32" ? -Infinity : type === "i32" ? -(2 ** 31) : 0;
}

/** The value as `type` holds it: floats rounded, integers wrapped. */
function toType(type: ValueType, x: number, round: (x: number) => number): number {
  switch (type) {
    case "f32":
      return round(x);
    case "bool":
      return x !== 0 ? 1 : 0;
    case "i32":
      return x | 0;
    case "u32":
      return x >>> 0;
  }
}

/** f32 → integer truncates and saturates, NaN gives 0; integers wrap; → bool is `≠ 0`. */
function convert(from: ValueType, to: ValueType, x: number, round: (x: number) => number): number {
  if (from !== "f32" || to === "f32" || to === "bool") return toType(to, x, round);
  const [lo, hi] = to === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  return Number.isNaN(x) ? 0 : Math.min(hi, Math.max(lo, Math.trunc(x)));
}

/** The definition, but for the root of `rsqrt`, which a device rounds before it divides. */
function unary(op: UnaryOp, x: number, round: (x: number) => number): number {
  return op === "rsqrt" ? 1 / round(Math.sqrt(x)) : scalarFunctions[op].f(x);
}

function binary(op: BinaryOp, type: ValueType, a: number, b: number, round: (x: number) => number): number {
  const integer = type === "i32" || type === "u32";
  switch (op) {
    case "add":
      return a + b;
    case "sub":
      return a - b;
    case "mul":
      return integer ? Math.imul(a, b) : a * b;
    case "div":
      return integer ? (b === 0 ? 0 : Math.trunc(a / b)) : a / b;
    case "mod":
      return integer ? (b === 0 ? 0 : a % b) : a - round(b * Math.trunc(round(a / b)));
    case "max":
      return Math.max(a, b);
    case "min":
      return Math.min(a, b);
    case "lt":
      return a < b ? 1 : 0;
    case "le":
      return a <= b ? 1 : 0;
    case "eq":
      return a === b ? 1 : 0;
    case "ne":
      return a !== b ? 1 : 0;
    case "and":
      return a & b;
    case "or":
      return a | b;
    case "xor":
      return a ^ b;
    case "shl":
      return a << (b & 31);
    case "shr":
      return type === "u32" ? a >>> (b & 31) : a >> (b & 31);
  }
}

function fromMemory(dtype: DType, bits: number): number {
  switch (dtype) {
    case "f16":
      return f16ToF32(Uint16Array.of(bits))[0]!;
    case "bf16":
      return bf16ToF32(Uint16Array.of(bits))[0]!;
    case "bool":
      return bits ? 1 : 0;
    default:
      return bits;
  }
}

function toMemory(dtype: DType, x: number): number {
  switch (dtype) {
    case "f16":
      return f32ToF16(Float32Array.of(x))[0]!;
    case "bf16":
      return f32ToBf16(Float32Array.of(x))[0]!;
    default:
      return x;
  }
}
