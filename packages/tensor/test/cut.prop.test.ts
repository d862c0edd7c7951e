/** Operands whose coordinate is cut by bits against the same operands with the coordinate whole: equal values everywhere, and fewer of them that move with the run. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { cutByBits, cutInto, runDim, type CutOperand } from "../src/backends/wasm/gemm/cut.ts";
import type { Instr, Operand } from "../src/ir/kernel.ts";

const SIZES = [5, 96, 7] as const;
const DIM = 1;
/** A load gives its place, so that values tell addresses apart. */
function evaluate({ body, value }: Operand, coords: readonly number[]): number {
  const values: number[] = [];
  for (const instr of body) {
    const at = (v: number): number => values[v]!;
    switch (instr.op) {
      case "const":
        values.push(instr.value);
        break;
      case "coord":
        values.push(coords[instr.dim]!);
        break;
      case "load": {
        const { offset, strides, dynamic = [], guards = [], fill = 0 } = instr.index;
        const place = (p: { offset: number; strides: readonly number[]; dynamic?: typeof dynamic }): number =>
          p.offset +
          p.strides.reduce((sum, s, d) => sum + s * coords[d]!, 0) +
          (p.dynamic ?? []).reduce((sum, t) => sum + t.stride * at(t.value), 0);
        const inside = guards.every((g) => place(g) >= 0 && place(g) < g.size);
        values.push(inside ? place({ offset, strides, dynamic }) : fill);
        break;
      }
      case "cast":
        values.push(at(instr.a));
        break;
      case "add":
        values.push(at(instr.a) + at(instr.b));
        break;
      case "mul":
        values.push(at(instr.a) * at(instr.b));
        break;
      case "shr":
        values.push(at(instr.a) >>> at(instr.b));
        break;
      case "and":
        values.push(at(instr.a) & at(instr.b));
        break;
      default:
        throw new Error(instr.op);
    }
  }
  return values[value]!;
}

/** Bodies as formats make them: positions, bits of them, bits of what is loaded, and loads at all of these. */
const bodies: fc.Arbitrary<Operand> = fc
  .array(
    fc.record({
      kind: fc.constantFrom("shr", "and", "shr", "and", "add", "scale", "load", "guarded", "cast"),
      from: fc.nat(),
      other: fc.nat(),
      by: fc.integer({ min: 1, max: 7 }),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .chain((steps) => fc.tuple(fc.constant(steps), fc.constantFrom(1, 3, 96, 128), fc.nat({ max: 64 })))
  .map(([steps, pitch, start]) => {
    const body: Instr[] = [];
    const emit = (instr: Instr): number => body.push(instr) - 1;
    const constant = (value: number): number => emit({ op: "const", type: "i32", value });
    const k = emit({ op: "coord", type: "i32", dim: DIM });
    const line = emit({ op: "mul", type: "i32", a: emit({ op: "coord", type: "i32", dim: 2 }), b: constant(pitch) });
    const sum = emit({ op: "add", type: "i32", a: k, b: line });
    const whole = [k, sum, emit({ op: "add", type: "i32", a: sum, b: constant(start) })];
    for (const { kind, from, other, by } of steps) {
      const [a, b] = [whole[from % whole.length]!, whole[other % whole.length]!];
      if (kind === "shr") whole.push(emit({ op: "shr", type: "i32", a, b: constant(by) }));
      else if (kind === "and") whole.push(emit({ op: "and", type: "i32", a, b: constant(2 ** by - 1) }));
      else if (kind === "add") whole.push(emit({ op: "add", type: "i32", a, b }));
      else if (kind === "scale") whole.push(emit({ op: "mul", type: "i32", a, b: constant(by) }));
      else if (kind === "cast") whole.push(emit({ op: "cast", type: "u32", a }));
      else {
        const dynamic = [
          { value: a, stride: by },
          { value: b, stride: 1 },
        ];
        const guards = [{ offset: -3, strides: [0, 1, 0], dynamic: [{ value: b, stride: 2 }], size: 50 }];
        const index = {
          offset: by,
          strides: [100, by, 1],
          dynamic,
          ...(kind === "guarded" ? { guards, fill: 9 } : {}),
        };
        whole.push(emit({ op: "load", type: "u32", arg: 0, index }));
      }
    }
    // the sums stay below 2^31, where wrapping begins
    const kept = emit({ op: "and", type: "i32", a: whole.at(-1)!, b: constant(0xffff) });
    return { body, value: emit({ op: "add", type: "i32", a: kept, b: whole.at(-2)! }) };
  });

function expectSame(operand: Operand, cut: CutOperand): void {
  const { pieces, weights } = cut;
  expect(pieces.reduce((a, b) => a * b)).toBe(SIZES[DIM]);
  for (let k = 0; k < SIZES[DIM]; k++)
    for (const line of [0, 1, 6]) {
      const at = pieces.map((size, i) => Math.floor(k / weights[i]!) % size);
      expect(evaluate(cut, [2, at[0]!, line, ...at.slice(1)])).toBe(evaluate(operand, [2, k, line]));
    }
}

it("have the values that they had", () => {
  fc.assert(
    fc.property(bodies, (operand) => {
      expectSame(operand, cutByBits(operand, SIZES, DIM));
      expectSame(operand, cutInto(operand, SIZES, DIM, [32, 16, 8, 1]));
    }),
    { numRuns: 400 },
  );
});

it("a block's scale and a part's bits do not move with the run that is left", () => {
  const body: Instr[] = [
    { op: "coord", type: "i32", dim: 1 },
    { op: "const", type: "i32", value: 5 },
    { op: "shr", type: "i32", a: 0, b: 1 },
    { op: "load", type: "f32", arg: 0, index: { offset: 0, strides: [0, 0, 3], dynamic: [{ value: 2, stride: 1 }] } },
    { op: "const", type: "i32", value: 15 },
    { op: "and", type: "i32", a: 0, b: 4 },
    { op: "load", type: "f32", arg: 1, index: { offset: 4, strides: [0, 0, 9], dynamic: [{ value: 5, stride: 1 }] } },
    { op: "mul", type: "f32", a: 3, b: 6 },
  ];
  const cut = cutByBits({ body, value: 7 }, SIZES, 1);
  expect([cut.pieces, cut.weights, runDim(cut, 3, 1)]).toEqual([[3, 2, 16], [32, 16, 1], 4]);
  expect(cut.body).toEqual([
    { op: "load", type: "f32", arg: 0, index: { offset: 0, strides: [0, 1, 3, 0, 0] } },
    { op: "load", type: "f32", arg: 1, index: { offset: 4, strides: [0, 0, 9, 0, 1] } },
    { op: "mul", type: "f32", a: 0, b: 1 },
  ]);
});

it("what takes no bits, or too few, stays as it is", () => {
  const bits = (by: number): Operand => ({
    body: [
      { op: "coord", type: "i32", dim: 1 },
      { op: "const", type: "i32", value: by },
      { op: "shr", type: "i32", a: 0, b: 1 },
    ],
    value: 2,
  });
  for (const by of [1, 2, 6, 7]) {
    const operand = bits(by);
    expect(cutByBits(operand, SIZES, 1)).toEqual({ ...operand, pieces: [96], weights: [1] });
  }
});
