/**
 * Scalar expressions as WGSL. Every value becomes a `let`, because operations on literals alone are evaluated by the compiler,
 * which refuses results that overflow or are not numbers.
 */
import { invariant } from "../../../errors.ts";
import type { BinaryOp, DynamicTerm, Guard, Instr, Operand, UnaryOp, ValueId, ValueType } from "../../../ir/kernel.ts";
import { operands, reachable } from "../../../ir/facts.ts";
import { literal } from "./prelude.ts";
import type { WgslModule } from "./module.ts";

/** WGSL names of values and coordinates that are known at some place in the code. */
export interface Scope {
  readonly values: Map<ValueId, string>;
  readonly coords: readonly string[];
}

/** What loads, offsets and guards share: offset + Σ strides·coords + Σ dynamic. */
interface Place {
  readonly offset: number;
  readonly strides: readonly number[];
  readonly dynamic?: readonly DynamicTerm[];
}

/** An i32 expression. */
export function printPlace(place: Place, body: readonly Instr[], scope: Scope): string {
  const terms: string[] = [];
  const add = (stride: number, name: string): void => {
    if (stride !== 0) terms.push(stride === 1 ? name : `${name} * ${stride}`);
  };
  place.strides.forEach((stride, d) => add(stride, scope.coords[d]!));
  for (const { value, stride } of place.dynamic ?? []) {
    const name = nameOf(scope, value);
    add(stride, body[value]!.type === "i32" ? name : `i32(${name})`);
  }
  if (place.offset !== 0 || terms.length === 0) terms.push(String(place.offset));
  return terms.join(" + ");
}

function printGuards(guards: readonly Guard[], body: readonly Instr[], scope: Scope): string {
  return (
    guards
      .map((guard) => {
        const at = printPlace(guard, body, scope);
        return `((${at}) >= 0 && (${at}) < ${guard.size})`;
      })
      .join(" && ") || "true"
  );
}

/** Lines that compute body value `id` under the name `prefix + id`, and the scope's knowledge of it. Its operands must be known. */
export function printValue(
  module: WgslModule,
  body: readonly Instr[],
  id: ValueId,
  scope: Scope,
  prefix: string,
): string[] {
  const instr = body[id]!;
  const name = `${prefix}${id}`;
  scope.values.set(id, name);
  if (instr.op === "load" && instr.index.guards !== undefined) {
    const value = module.load(instr.arg, `${name}_at`);
    return [
      `var ${name}: ${instr.type} = ${printConstant(module, instr.type, instr.index.fill ?? 0)};`,
      `if (${printGuards(instr.index.guards, body, scope)}) { let ${name}_at = ${printPlace(instr.index, body, scope)}; ${name} = ${value}; }`,
    ];
  }
  if (instr.op === "load")
    return [
      `let ${name}_at = ${printPlace(instr.index, body, scope)};`,
      `let ${name} = ${module.load(instr.arg, `${name}_at`)};`,
    ];
  return [`let ${name}: ${instr.type} = ${printInstr(module, body, instr, scope)};`];
}

function printInstr(module: WgslModule, body: readonly Instr[], instr: Instr, scope: Scope): string {
  const name = (id: ValueId): string => nameOf(scope, id);
  switch (instr.op) {
    case "const":
      return printConstant(module, instr.type, instr.value);
    case "coord":
      return scope.coords[instr.dim]!;
    case "inbounds":
      return printGuards(instr.guards, body, scope);
    case "select":
      return `select(${name(instr.b)}, ${name(instr.a)}, ${name(instr.cond)})`;
    case "cast":
      return printCast(module, body[instr.a]!.type, instr.type, name(instr.a));
    case "round":
      return instr.to === "f16"
        ? `${module.use("widen_f16")}(${module.use("narrow_f16")}(${name(instr.a)}))`
        : `${module.use("widen_bf16")}(${module.use("narrow_bf16")}(${name(instr.a)}))`;
    case "random":
      return `${module.use(instr.bits === 16 ? "element_half" : "element_bits")}(${[instr.k0, instr.k1, instr.index, instr.row].map((k) => printCast(module, body[k]!.type, "u32", name(k))).join(", ")})`;
    case "load":
    case "reduce":
    case "acc":
      return invariantNever(instr.op);
    default: {
      const type = body[instr.a]!.type;
      return "b" in instr
        ? printBinary(module, instr.op, type, name(instr.a), name(instr.b))
        : printUnary(module, instr.op, type, name(instr.a));
    }
  }
}

function invariantNever(op: string): never {
  invariant(false, `${op} has no expression of its own`);
}

function nameOf(scope: Scope, id: ValueId): string {
  const name = scope.values.get(id);
  invariant(name !== undefined, `value ${id} is used before it is known`);
  return name;
}

export function printConstant(module: WgslModule, type: ValueType, value: number): string {
  switch (type) {
    case "bool":
      return value !== 0 ? "true" : "false";
    case "i32":
      return `i32(${value | 0})`;
    case "u32":
      return `${value >>> 0}u`;
    case "f32": {
      const x = Math.fround(value);
      if (Number.isFinite(x) && !Object.is(x, -0)) return literal(x);
      const infinity = x > 0 ? "0x7f800000u" : "0xff800000u";
      const unspeakable = x === 0 ? "0x80000000u" : infinity;
      const bits = Number.isNaN(x) ? "0x7fc00000u" : unspeakable;
      return `bitcast<f32>(${bits} | ${module.use("opaque_zero")})`;
    }
  }
}

function printCast(module: WgslModule, from: ValueType, to: ValueType, x: string): string {
  if (from === to) return x;
  if (to === "bool") return `(${x} != ${from}(0))`;
  if (from === "bool") return `select(${to}(0), ${to}(1), ${x})`;
  if (from === "f32") return to === "i32" ? `${module.use("to_i32")}(${x})` : `${module.use("to_u32")}(${x})`;
  return `${to}(${x})`;
}

function printUnary(module: WgslModule, op: UnaryOp, type: ValueType, x: string): string {
  switch (op) {
    case "neg":
      return type === "u32" ? `(0u - ${x})` : `-${x}`;
    case "rsqrt":
      return `1.0f / sqrt(${x})`;
    case "recip":
      return `1.0f / ${x}`;
    case "floor":
      return type === "f32" ? `floor(${x})` : x;
    case "not":
      return `!${x}`;
    case "isnan":
      return `${module.use("is_nan")}(${x})`;
    case "normalCdf":
      return `${module.use("normal_cdf")}(${x})`;
    case "isfinite":
      return `${module.use("is_finite")}(${x})`;
    default:
      return `${module.function(op)}(${x})`;
  }
}

const INFIX: Readonly<Partial<Record<BinaryOp, string>>> = {
  add: "+",
  sub: "-",
  mul: "*",
  lt: "<",
  le: "<=",
  eq: "==",
  ne: "!=",
  and: "&",
  or: "|",
  xor: "^",
};

function printBinary(module: WgslModule, op: BinaryOp, type: ValueType, a: string, b: string): string {
  if (type === "bool") return printBoolean(op, a, b);
  switch (op) {
    case "div":
      return type === "f32" ? `${a} / ${b}` : `select(${a} / ${b}, ${type}(0), ${b} == ${type}(0))`;
    case "mod":
      return type === "f32"
        ? `${a} - ${b} * trunc(${a} / ${b})`
        : `select(${a} % ${b}, ${type}(0), ${b} == ${type}(0))`;
    case "max":
      return type === "f32" ? `${module.use("nan_max")}(${a}, ${b})` : `max(${a}, ${b})`;
    case "min":
      return type === "f32" ? `${module.use("nan_min")}(${a}, ${b})` : `min(${a}, ${b})`;
    case "shl":
      return `${a} << (u32(${b}) & 31u)`;
    case "shr":
      return `${a} >> (u32(${b}) & 31u)`;
    default:
      return `${a} ${INFIX[op]!} ${b}`;
  }
}

/** false < true, and arithmetic on them saturates at true. */
function printBoolean(op: BinaryOp, a: string, b: string): string {
  switch (op) {
    case "and":
    case "min":
    case "mul":
      return `${a} & ${b}`;
    case "or":
    case "max":
    case "add":
      return `${a} | ${b}`;
    case "xor":
    case "ne":
    case "sub":
      return `${a} != ${b}`;
    case "eq":
      return `${a} == ${b}`;
    case "lt":
      return `!${a} & ${b}`;
    case "le":
      return `!${a} | ${b}`;
    default:
      return invariantNever(`${op} on bool`);
  }
}

/** The values that `roots` need and `scope` does not know yet, in order; reductions and accumulators must be known already. */
export function printNeeded(
  module: WgslModule,
  body: readonly Instr[],
  roots: Iterable<ValueId>,
  scope: Scope,
  prefix: string,
): string[] {
  const needed = new Set<ValueId>();
  const visit = (id: ValueId): void => {
    if (scope.values.has(id) || needed.has(id)) return;
    operands(body[id]!).forEach(visit);
    needed.add(id);
  };
  for (const root of roots) visit(root);
  return [...needed].flatMap((id) => printValue(module, body, id, scope, prefix));
}

/** `fn name(c0: i32, …) -> type`: an operand at its coordinates. */
export function printOperand(
  module: WgslModule,
  name: string,
  operand: Operand,
  rank: number,
  type: ValueType,
): string {
  const coords = Array.from({ length: rank }, (_, d) => `c${d}`);
  const scope: Scope = { values: new Map(), coords };
  const live = reachable(operand.body, [operand.value]);
  const lines = operand.body.flatMap((_, id) => (live[id] ? printValue(module, operand.body, id, scope, "v") : []));
  const result = printCast(module, operand.body[operand.value]!.type, type, scope.values.get(operand.value)!);
  return `fn ${name}(${coords.map((c) => `${c}: i32`).join(", ")}) -> ${type} {\n${lines.map((l) => `  ${l}\n`).join("")}  return ${result};\n}\n`;
}
