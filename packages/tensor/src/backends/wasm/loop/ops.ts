/** One IR operation as WebAssembly, on four lanes or on one. Functions without a scalar instruction run on a splat, so both forms give the same bits. */
import { invariant } from "../../../errors.ts";
import type { BinaryOp, UnaryOp, ValueType } from "../../../ir/kernel.ts";
import type { Code } from "./code.ts";
import type { Push } from "./push.ts";
import { narrowBf16, narrowF16, widenBf16, widenF16 } from "./half.ts";
import { mathFunctions } from "./math.ts";

/** A value of `type` on all lanes; bools become masks. */
export function splat(c: Code, type: ValueType, x: Push): Push {
  if (type === "f32") return c.op("f32x4.splat", x);
  return c.op("i32x4.splat", type === "bool" ? c.op("i32.sub", c.i32(0), x) : x);
}

/** Lane `lane` of a vector as a scalar. */
export function lane(c: Code, type: ValueType, x: Push, at: number): Push {
  if (type === "f32") return c.lane("f32x4.extract_lane", x, at);
  const bits = c.lane("i32x4.extract_lane", x, at);
  return type === "bool" ? c.op("i32.and", bits, c.i32(1)) : bits;
}

export function constant(c: Code, type: ValueType, value: number, vector: boolean): Push {
  if (type === "f32") return vector ? c.f4const(value) : c.f32(value);
  const truth = vector ? -1 : 1;
  const bits = type === "bool" ? (value === 0 ? 0 : truth) : value | 0;
  return vector ? c.i4const(bits) : c.i32(bits);
}

/** Runs a vector function on one value. */
function onSplat(c: Code, x: Push, f: (x: Push) => Push): Push {
  return c.lane("f32x4.extract_lane", f(c.let4(c.op("f32x4.splat", x))), 0);
}

/** Functions of floats that are one instruction, scalar and vector alike, under their own names. */
const INSTRUCTIONS: ReadonlySet<string> = new Set(["sqrt", "floor"]);

export function unary(c: Code, op: UnaryOp | "expBelow0", type: ValueType, x: Push, vector: boolean): Push {
  const written = mathFunctions[op];
  if (written !== undefined) return vector ? c.math(op, written, x) : onSplat(c, x, (v) => c.math(op, written, v));
  const f = vector ? "f32x4" : "f32";
  const integer = type !== "f32";
  switch (op) {
    case "neg":
      if (!integer) return c.op(`${f}.neg`, x);
      return vector ? c.i4("neg", x) : c.op("i32.sub", c.i32(0), x);
    case "abs": {
      if (!integer) return c.op(`${f}.abs`, x);
      if (type === "u32") return x;
      if (vector) return c.i4("abs", x);
      const value = c.let("i32", x);
      return c.select(c.op("i32.sub", c.i32(0), value), value, c.op("i32.lt_s", value, c.i32(0)));
    }
    case "recip":
      return c.op(`${f}.div`, constant(c, "f32", 1, vector), x);
    case "rsqrt":
      return c.op(`${f}.div`, constant(c, "f32", 1, vector), c.op(`${f}.sqrt`, x));
    case "not":
      return vector ? c.v("not", x) : c.op("i32.eqz", x);
    case "isfinite":
      return vector
        ? c.i4("ne", c.v("and", x, c.i4const(0x7f800000)), c.i4const(0x7f800000))
        : c.op("i32.ne", c.op("i32.and", c.op("i32.reinterpret_f32", x), c.i32(0x7f800000)), c.i32(0x7f800000));
    case "isnan": {
      const value = c.let(vector ? "v128" : "f32", x);
      return c.op(`${f}.ne`, value, value);
    }
    default:
      invariant(INSTRUCTIONS.has(op), `no code for ${op}`);
      return c.op(`${f}.${op}`, x);
  }
}

interface Lanes {
  readonly vector: boolean;
  /** The scalar amount when all lanes shift alike. */
  readonly shift?: Push | undefined;
}

/** `type` is that of the operands. */
export function binary(c: Code, op: BinaryOp, type: ValueType, a: Push, b: Push, { vector, shift }: Lanes): Push {
  if (type === "f32") return binaryFloat(c, op, a, b, vector);
  const simple = vector ? vectorInteger(op, type) : scalarInteger(op, type);
  if (simple !== undefined) return c.op(simple, a, b);
  if (vector) {
    if ((op === "shl" || op === "shr") && shift !== undefined)
      return c.op(`i32x4.${op === "shl" ? "shl" : type === "u32" ? "shr_u" : "shr_s"}`, a, shift);
    return lanewise(c, type, a, b, (x, y) => binary(c, op, type, x, y, { vector: false }));
  }
  const x = c.let("i32", a);
  const y = c.let("i32", b);
  switch (op) {
    case "max":
      return c.select(x, y, c.op(type === "i32" ? "i32.gt_s" : "i32.gt_u", x, y));
    case "min":
      return c.select(x, y, c.op(type === "i32" ? "i32.lt_s" : "i32.lt_u", x, y));
    case "div":
      return safeDivision(c, type, "div", x, y);
    case "mod":
      return safeDivision(c, type, "rem", x, y);
    default:
      invariant(false, `no code for ${op} of ${type}`);
  }
}

function binaryFloat(c: Code, op: BinaryOp, a: Push, b: Push, vector: boolean): Push {
  const f = vector ? "f32x4" : "f32";
  switch (op) {
    case "add":
    case "sub":
    case "mul":
    case "div":
    case "max":
    case "min":
    case "lt":
    case "le":
    case "eq":
    case "ne":
      return c.op(`${f}.${op}`, a, b);
    case "mod": {
      const x = c.let(vector ? "v128" : "f32", a);
      const y = c.let(vector ? "v128" : "f32", b);
      return c.op(`${f}.sub`, x, c.op(`${f}.mul`, y, c.op(`${f}.trunc`, c.op(`${f}.div`, x, y))));
    }
    default:
      invariant(false, `no code for ${op} of f32`);
  }
}

const bitwise = new Set<BinaryOp>(["and", "or", "xor"]);

function scalarInteger(op: BinaryOp, type: ValueType): string | undefined {
  const sign = type === "i32" ? "s" : "u";
  if (bitwise.has(op) || ["add", "sub", "mul", "eq", "ne", "shl"].includes(op)) return `i32.${op}`;
  if (op === "lt" || op === "le" || op === "shr") return `i32.${op}_${sign}`;
  if (type === "bool" && (op === "max" || op === "min")) return op === "max" ? "i32.or" : "i32.and";
  return undefined;
}

function vectorInteger(op: BinaryOp, type: ValueType): string | undefined {
  if (bitwise.has(op)) return `v128.${op}`;
  if (op === "eq" || op === "ne") return `i32x4.${op}`;
  if (type === "bool") {
    // Masks: true is −1, so the order is reversed.
    const masks: Partial<Record<BinaryOp, string>> = {
      max: "v128.or",
      min: "v128.and",
      lt: "i32x4.gt_s",
      le: "i32x4.ge_s",
    };
    return masks[op];
  }
  if (op === "add" || op === "sub" || op === "mul") return `i32x4.${op}`;
  if (op === "max" || op === "min" || op === "lt" || op === "le") return `i32x4.${op}_${type === "i32" ? "s" : "u"}`;
  return undefined;
}

/** x / 0 and x mod 0 are 0; −2³¹ / −1 wraps. WebAssembly traps on them. */
function safeDivision(c: Code, type: ValueType, op: "div" | "rem", x: Push, y: Push): Push {
  const sign = type === "i32" ? "s" : "u";
  const out = c.local("i32");
  c.if(
    y,
    () => {
      if (op === "rem" || type === "u32") c.set(out, c.op(`i32.${op}_${sign}`, x, y));
      else
        c.if(
          c.op("i32.eq", y, c.i32(-1)),
          () => c.set(out, c.op("i32.sub", c.i32(0), x)),
          () => c.set(out, c.op("i32.div_s", x, y)),
        );
    },
    () => c.set(out, c.i32(0)),
  );
  return c.get(out);
}

function lanewise(c: Code, type: ValueType, a: Push, b: Push, f: (x: Push, y: Push) => Push): Push {
  const x = c.let4(a);
  const y = c.let4(b);
  let out: Push = c.i4const(0);
  for (let at = 0; at < 4; at++) {
    const value = c.let("i32", f(lane(c, type, x, at), lane(c, type, y, at)));
    out = c.let4(c.replaceLane("i32x4.replace_lane", out, at, value));
  }
  return out;
}

export function cast(c: Code, from: ValueType, to: ValueType, x: Push, vector: boolean): Push {
  if (from === to || (from === "i32" && to === "u32") || (from === "u32" && to === "i32")) return x;
  const sign = (type: ValueType): string => (type === "i32" ? "s" : "u");
  if (to === "bool") {
    if (from === "f32") return vector ? c.f4("ne", x, c.f4const(0)) : c.op("f32.ne", x, c.f32(0));
    return vector ? c.i4("ne", x, c.i4const(0)) : c.op("i32.ne", x, c.i32(0));
  }
  if (to === "f32") {
    if (from === "bool") return vector ? c.v("and", x, c.f4const(1)) : c.op("f32.convert_i32_u", x);
    return c.op(vector ? `f32x4.convert_i32x4_${sign(from)}` : `f32.convert_i32_${sign(from)}`, x);
  }
  if (from === "bool") return vector ? c.v("and", x, c.i4const(1)) : x;
  return c.op(vector ? `i32x4.trunc_sat_f32x4_${sign(to)}` : `i32.trunc_sat_f32_${sign(to)}`, x);
}

export function roundTo(c: Code, to: "f16" | "bf16", x: Push, vector: boolean): Push {
  const round = (v: Push): Push => (to === "f16" ? widenF16(c, narrowF16(c, v)) : widenBf16(c, narrowBf16(c, v)));
  return vector ? round(x) : onSplat(c, x, round);
}
