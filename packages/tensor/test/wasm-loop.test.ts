import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DType, TypedArray } from "../src/dtype.ts";
import { interpretKernel } from "../src/ir/interpret.ts";
import type {
  Arg,
  Guard,
  Index,
  Instr,
  LoopKernel,
  ScatterKernel,
  Store,
  ValueId,
  ValueType,
} from "../src/ir/kernel.ts";
import { array, compileKernel } from "./wasm-run.ts";

type Load = Extract<Instr, { op: "load" }>;

const registers: Record<Exclude<DType, "f64">, ValueType> = {
  f32: "f32",
  f16: "f32",
  bf16: "f32",
  i32: "i32",
  u32: "u32",
  u8: "u32",
  bool: "bool",
};
const memoryTypes = Object.keys(registers) as Exclude<DType, "f64">[];

/** Smallest and largest value of offset + Σ strides·coord over `shape`. */
function reach(strides: readonly number[], shape: readonly number[]): { low: number; high: number } {
  let low = 0;
  let high = 0;
  strides.forEach((s, d) => {
    const far = s * Math.max(0, shape[d]! - 1);
    low += Math.min(0, far);
    high += Math.max(0, far);
  });
  return { low, high };
}

/** Builds random but valid kernels out of a stream of small numbers. */
class Builder {
  readonly body: Instr[] = [];
  readonly args: Arg[] = [];
  readonly buffers: TypedArray[] = [];
  readonly stores: Store[] = [];
  readonly shape: number[];
  readonly outer: number[];
  readonly inner: number[];
  readonly #choices: readonly number[];
  #next = 0;

  constructor(outer: number[], inner: number[], choices: readonly number[]) {
    this.outer = outer;
    this.inner = inner;
    this.shape = [...outer, ...inner];
    this.#choices = choices;
  }

  pick(n: number): number {
    return this.#choices[this.#next++ % this.#choices.length]! % n;
  }

  push(instr: Instr): ValueId {
    return this.body.push(instr) - 1;
  }

  ofType(type: ValueType): ValueId {
    const found = this.body.flatMap((instr, v) => (instr.type === type ? [v] : []));
    if (found.length === 0)
      return this.push({ op: "const", type, value: type === "bool" ? this.pick(2) : this.pick(5) });
    return found[this.pick(found.length)]!;
  }

  strides(): number[] {
    const kind = this.pick(4);
    if (kind === 0) return this.shape.map(() => [0, 1, 2, -1, 3][this.pick(5)]!);
    // Row-major over a random subset of the dimensions; a transposed order now and then.
    const order = this.shape.map((_, d) => d);
    if (kind === 1) order.reverse();
    const strides = this.shape.map(() => 0);
    let step = 1;
    for (const d of order.reverse()) {
      if (this.pick(4) === 0) continue;
      strides[d] = step;
      step *= Math.max(1, this.shape[d]!);
    }
    return strides;
  }

  /** An argument that holds everything `strides` reaches, filled with small numbers of its type. */
  arg(
    dtype: Exclude<DType, "f64">,
    strides: readonly number[],
    access: Arg["access"],
    slack = 0,
  ): { arg: number; offset: number } {
    const { low, high } = reach(strides, this.shape);
    const size = high - low + 1 + slack;
    const data = array(dtype, size);
    for (let i = 0; i < size; i++) {
      const x = this.pick(17);
      // f16 2.0 is 0x4000 and bf16 2.0 is 0x4000: patterns around it are ordinary numbers in both.
      data[i] =
        dtype === "bool"
          ? x % 2
          : dtype === "f16" || dtype === "bf16"
            ? 0x3f80 + x * 16 + (x % 3 === 0 ? 0x8000 : 0)
            : dtype === "f32"
              ? x === 7
                ? -0
                : (x - 8) / 4
              : dtype === "i32"
                ? x - 8
                : x;
    }
    this.args.push({ dtype, access, size });
    this.buffers.push(data);
    return { arg: this.args.length - 1, offset: -low };
  }

  guard(): Guard {
    const d = this.pick(this.shape.length);
    const strides = this.shape.map((_, i) => (i === d ? [1, 1, 2, -1][this.pick(4)]! : 0));
    return {
      offset: this.pick(5) - 2 + (strides[d]! < 0 ? this.shape[d]! : 0),
      strides,
      size: 1 + this.pick(this.shape[d]! + 3),
    };
  }

  load(): ValueId {
    const dtype = memoryTypes[this.pick(memoryTypes.length)]!;
    const strides = this.strides();
    const type = registers[dtype];
    const dynamic = this.pick(4) === 0;
    if (dynamic) {
      // Index value mod 4 reaches 3 rows of `step` elements further than the affine part.
      const step = 1 + this.pick(3);
      const u = this.push({
        op: "cast",
        type: "u32",
        a: this.ofType(["i32", "u32", "bool"][this.pick(3)] as ValueType),
      });
      const four = this.push({ op: "const", type: "u32", value: 4 });
      const value = this.push({ op: "mod", type: "u32", a: u, b: four });
      const { arg, offset } = this.arg(dtype, strides, "read", 3 * step);
      return this.push({ op: "load", type, arg, index: { offset, strides, dynamic: [{ value, stride: step }] } });
    }
    const { arg, offset } = this.arg(dtype, strides, "read");
    const index: Index = { offset, strides };
    if (this.shape.length > 0 && this.pick(3) === 0) {
      // Padding: the load moves with one dimension and is guarded to the argument.
      const d = this.pick(this.shape.length);
      const shift = this.pick(7) - 3;
      const shifted = { offset: offset + shift, strides };
      const guards: Guard[] = [{ ...shifted, size: this.args[arg]!.size }];
      if (this.pick(2) === 0)
        guards.push({
          offset: 0,
          strides: this.shape.map((_, i) => (i === d ? 1 : 0)),
          size: this.pick(this.shape[d]! + 2),
        });
      return this.push({
        op: "load",
        type,
        arg,
        index: { ...shifted, guards, fill: type === "bool" ? 1 : this.pick(3) },
      } satisfies Load);
    }
    return this.push({ op: "load", type, arg, index });
  }

  step(): void {
    const number = (): ValueType => (["f32", "f32", "i32", "u32"] as const)[this.pick(4)]!;
    switch (this.pick(11)) {
      case 0:
      case 1:
        this.load();
        return;
      case 2: {
        const type = number();
        const op = (["add", "sub", "mul", "max", "min", "div", "mod"] as const)[this.pick(7)]!;
        this.push({ op, type, a: this.ofType(type), b: this.ofType(type) });
        return;
      }
      case 3: {
        const type = number();
        this.push({
          op: (["lt", "le", "eq", "ne"] as const)[this.pick(4)]!,
          type: "bool",
          a: this.ofType(type),
          b: this.ofType(type),
        });
        return;
      }
      case 4: {
        const type = (["bool", "i32", "u32"] as const)[this.pick(3)]!;
        const shifts = type === "bool" ? [] : (["shl", "shr"] as const);
        const ops = ["and", "or", "xor", ...shifts] as const;
        this.push({ op: ops[this.pick(ops.length)]!, type, a: this.ofType(type), b: this.ofType(type) });
        return;
      }
      case 5: {
        const type = (["f32", "i32", "u32", "bool"] as const)[this.pick(4)]!;
        this.push({ op: "select", type, cond: this.ofType("bool"), a: this.ofType(type), b: this.ofType(type) });
        return;
      }
      case 6: {
        const types = ["f32", "i32", "u32", "bool"] as const;
        this.push({ op: "cast", type: types[this.pick(4)]!, a: this.ofType(types[this.pick(4)]!) });
        return;
      }
      case 7: {
        const f = this.ofType("f32");
        const ops = ["neg", "abs", "sqrt", "recip", "floor", "isfinite"] as const;
        const op = ops[this.pick(6)]!;
        if (this.pick(4) === 0) this.push({ op: "round", type: "f32", to: this.pick(2) ? "f16" : "bf16", a: f });
        else this.push({ op, type: op === "isfinite" ? "bool" : "f32", a: f });
        return;
      }
      case 8:
        this.reduce();
        return;
      case 9: {
        // Half of the time elements in row-major order, where calls are shared.
        const ordered = this.pick(2) === 0;
        const index = ordered ? this.push({ op: "cast", type: "u32", a: this.position() }) : this.ofType("u32");
        const word = (): ValueId =>
          ordered ? this.push({ op: "const", type: "u32", value: this.pick(9) }) : this.ofType("u32");
        this.push({
          op: "random",
          type: "u32",
          bits: this.pick(2) ? 16 : 32,
          k0: word(),
          k1: word(),
          index,
          row: word(),
        });
        return;
      }
      default:
        if (this.shape.length === 0) return;
        if (this.pick(2) === 0) this.push({ op: "coord", type: "i32", dim: this.pick(this.shape.length) });
        else this.push({ op: "inbounds", type: "bool", guards: [this.guard(), this.guard()] });
    }
  }

  /** The element's place in row-major order, a little moved now and then. */
  position(): ValueId {
    let sum = this.push({ op: "const", type: "i32", value: [0, 0, 16, 8, 5][this.pick(5)]! });
    let step = 1;
    for (const d of this.shape.map((_, i) => i).reverse()) {
      const [coord, by] = [
        this.push({ op: "coord", type: "i32", dim: d }),
        this.push({ op: "const", type: "i32", value: step }),
      ];
      sum = this.push({ op: "add", type: "i32", a: sum, b: this.push({ op: "mul", type: "i32", a: coord, b: by }) });
      step *= this.shape[d]!;
    }
    return sum;
  }

  reduce(): void {
    const type = (["f32", "f32", "i32", "u32", "bool"] as const)[this.pick(5)]!;
    const combine = type === "bool" ? "max" : (["sum", "max"] as const)[this.pick(2)]!;
    let a = this.ofType(type);
    if (type === "f32" && combine === "sum") {
      // Small whole numbers: sums are exact, so any order gives the same bits.
      const low = this.push({ op: "const", type, value: -64 });
      const high = this.push({ op: "const", type, value: 64 });
      a = this.push({ op: "max", type, a, b: low });
      a = this.push({ op: "min", type, a, b: high });
      a = this.push({ op: "floor", type, a });
    }
    this.push({ op: "reduce", type, combine, a });
  }

  /** Stores a value once per element or once per row, each to a place of its own. */
  store(value: ValueId, perElement: boolean): void {
    const type = this.body[value]!.type;
    const candidates = memoryTypes.filter((d) => registers[d] === type);
    const dtype = candidates[this.pick(candidates.length)]!;
    const order = (perElement ? this.shape : this.outer).map((_, d) => d);
    if (this.pick(3) === 0) order.reverse();
    const strides = this.shape.map(() => 0);
    let step = 1 + (this.pick(4) === 0 ? 1 : 0);
    for (const d of order.reverse()) {
      strides[d] = step;
      step *= Math.max(1, this.shape[d]!);
    }
    if (this.pick(4) === 0 && order.length > 0) strides[order[0]!]! *= -1;
    const { arg, offset } = this.arg(dtype, strides, "write");
    this.stores.push({ arg, index: { offset, strides }, value });
  }

  kernel(): LoopKernel {
    return {
      kind: "loop",
      label: "random",
      args: this.args,
      outer: this.outer,
      inner: this.inner,
      body: this.body,
      stores: this.stores,
    };
  }
}

function dependsOnInner(kernel: LoopKernel, value: ValueId): boolean {
  const deps = kernel.body.map(() => false);
  const rank = kernel.outer.length;
  const moves = (at: Index | Guard): boolean =>
    at.strides.slice(rank).some((s) => s !== 0) || (at.dynamic ?? []).some((t) => deps[t.value]!);
  kernel.body.forEach((instr, v) => {
    if (instr.op === "coord") deps[v] = instr.dim >= rank;
    else if (instr.op === "load") deps[v] = moves(instr.index) || (instr.index.guards ?? []).some(moves);
    else if (instr.op === "inbounds") deps[v] = instr.guards.some(moves);
    else if (instr.op !== "const" && instr.op !== "reduce")
      deps[v] = Object.entries(instr).some(
        ([key, x]) => ["a", "b", "cond", "k0", "k1", "index", "site"].includes(key) && deps[x as number]!,
      );
  });
  return deps[value]!;
}

function build(
  outer: number[],
  inner: number[],
  choices: number[],
  steps: number,
): { kernel: LoopKernel; buffers: TypedArray[] } {
  const builder = new Builder(outer, inner, choices);
  builder.load();
  for (let i = 0; i < steps; i++) builder.step();
  const draft = builder.kernel();
  for (let i = 0; i < 3; i++) {
    const value = builder.pick(builder.body.length);
    builder.store(value, dependsOnInner(draft, value));
  }
  return { kernel: builder.kernel(), buffers: builder.buffers };
}

const size = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 9 }) },
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.integer({ min: 10, max: 70 }) },
);
const randomKernel = fc
  .record({
    outer: fc.array(size, { maxLength: 2 }),
    inner: fc.array(size, { maxLength: 2 }),
    choices: fc.array(fc.nat(10_000), { minLength: 40, maxLength: 80 }),
    steps: fc.integer({ min: 1, max: 12 }),
  })
  .map(({ outer, inner, choices, steps }) => build(outer, inner, choices, steps));

describe("random loop kernels", () => {
  it("agree bit by bit with the interpreter, however the work is cut", () => {
    fc.assert(
      fc.property(
        randomKernel,
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 }),
        ({ kernel, buffers }, cuts) => {
          const expected = buffers.map((b) => b.slice());
          interpretKernel(kernel, expected, { precision: "f32" });
          const actual = compileKernel(kernel).run(buffers, cuts);
          kernel.args.forEach((arg, i) =>
            expect(plain(actual[i]!, arg.dtype), `argument ${i} (${arg.dtype})`).toEqual(
              plain(expected[i]!, arg.dtype),
            ),
          );
        },
      ),
      { numRuns: 1500 },
    );
  });
});

describe("maxima", () => {
  it("of zeros are +0, wherever the zeros of either sign lie", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 70 }),
        fc.boolean(),
        fc.array(fc.constantFrom(0, -0, -1), { minLength: 350, maxLength: 350 }),
        (rows, cols, across, values) => {
          const data = Float32Array.from(values.slice(0, rows * cols));
          const kernel: LoopKernel = {
            kind: "loop",
            label: "random",
            outer: [rows],
            inner: [cols],
            args: [
              { dtype: "f32", access: "read", size: data.length },
              { dtype: "f32", access: "write", size: rows },
            ],
            body: [
              { op: "load", type: "f32", arg: 0, index: { offset: 0, strides: across ? [1, rows] : [cols, 1] } },
              { op: "reduce", type: "f32", combine: "max", a: 0 },
            ],
            stores: [{ arg: 1, index: { offset: 0, strides: [1, 0] }, value: 1 }],
          };
          const expected = Array.from({ length: rows }, (_, r) => {
            const row = Array.from({ length: cols }, (_, k) => data[across ? k * rows + r : r * cols + k]!);
            return row.every((x) => x === -1) ? -1 : 0;
          });
          const interpreted = [data, new Float32Array(rows)];
          interpretKernel(kernel, interpreted, { precision: "f32" });
          expect(Array.from(interpreted[1]!)).toEqual(expected);
          expect(Array.from(compileKernel(kernel).run([data, new Float32Array(rows)])[1]!)).toEqual(expected);
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Numbers to compare: NaN patterns of the 16-bit formats become one. */
function plain(data: TypedArray, dtype: DType): number[] {
  return Array.from(data, (x) =>
    dtype === "f16" && (x & 0x7fff) > 0x7c00 ? NaN : dtype === "bf16" && (x & 0x7fff) > 0x7f80 ? NaN : x,
  );
}

describe("scatter-add", () => {
  const sizes = fc.record({
    rows: fc.integer({ min: 1, max: 300 }),
    cols: fc.integer({ min: 1, max: 200 }),
    count: fc.integer({ min: 0, max: 300 }),
    dtype: fc.constantFrom<DType>("i32", "u32"),
    half: fc.boolean(),
  });

  it("agrees with the interpreter, drops ids outside the rows and does not depend on the cut", () => {
    fc.assert(
      fc.property(
        sizes,
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 }),
        ({ rows, cols, count, dtype, half }, cuts) => {
          const ids = array(dtype, count);
          const src = array(half ? "f16" : "f32", count * cols);
          for (let i = 0; i < count; i++) ids[i] = ((i * 7919) % (rows + 4)) - 2;
          for (let i = 0; i < src.length; i++) src[i] = half ? 0x3c00 + ((i * 31) % 7) * 512 : ((i * 31) % 33) - 16;
          const kernel: ScatterKernel = {
            kind: "scatter",
            label: "random",
            rows,
            cols,
            count,
            out: 2,
            args: [
              { dtype, access: "read", size: count },
              { dtype: half ? "f16" : "f32", access: "read", size: src.length },
              { dtype: "f32", access: "write", size: rows * cols },
            ],
            ids: {
              body: [{ op: "load", type: dtype === "i32" ? "i32" : "u32", arg: 0, index: { offset: 0, strides: [1] } }],
              value: 0,
            },
            src: { body: [{ op: "load", type: "f32", arg: 1, index: { offset: 0, strides: [cols, 1] } }], value: 0 },
          };
          const buffers = [ids, src, array("f32", rows * cols)];
          const expected = buffers.map((b) => b.slice());
          interpretKernel(kernel, expected);
          expect(Array.from(compileKernel(kernel).run(buffers, cuts)[2]!)).toEqual(Array.from(expected[2]!));
        },
      ),
      { numRuns: 200 },
    );
  });
});
