/**
 * One row times a weight in ggml's blocks, as generation has it at every token. Such a product is as fast as the weight is read and decoded: sixteen elements
 * come apart as bytes, and slopes are applied to sums, where the loop over decoded elements (`gemm/as-loop.ts`) works on four and applies them to each.
 *
 *   y[n] = Σ over parts of slope · Σ q·x         or, with offsets,   Σ (slope · q + offset)·x
 */
import type { Arg } from "../../../ir/kernel.ts";
import type { CompositeCall, Template } from "../../../ir/template.ts";
import type { WasmEmitter } from "../emit.ts";
import { Code } from "../loop/code.ts";
import { widenF16 } from "../loop/half.ts";
import type { Local, Push } from "../loop/push.ts";
import { BLOCK_FORMS, type BlockForm, type OpenBlock } from "./forms.ts";

/** Rows of the weight that are worked on together: x is read once for them, and their results are a vector. */
const ROWS = 4;
/** Nanoseconds an element on a usual core, for the cost estimate. */
const COST = 0.2;
const LANES = [0, 1, 2, 3] as const;

interface Sizes {
  readonly inputs: number;
  readonly outputs: number;
  readonly bias: boolean;
}

export const blockRow: Template = {
  name: "row by blocks",
  // it answers with code of wasm
  requires: ["simd"],
  match(subject) {
    if (subject.kind !== "composite" || subject.name !== "dequantizedLinear" || subject.escapes) return undefined;
    const { attrs, inputs } = subject;
    const form = Object.hasOwn(BLOCK_FORMS, String(attrs["format"])) ? BLOCK_FORMS[String(attrs["format"])] : undefined;
    const [x] = inputs;
    const [columns, outputs] = [x!.shape.at(-1)!, attrs["outputs"] as number];
    if (form === undefined || sizeOf(x!.shape) !== columns || outputs % ROWS !== 0 || !isFloat(subject))
      return undefined;
    const sizes: Sizes = { inputs: columns, outputs, bias: attrs["bias"] === true };
    const args: Arg[] = [...inputs, ...subject.outputs].map(({ dtype, shape }, i) => ({
      dtype,
      access: i < inputs.length ? "read" : "write",
      size: sizeOf(shape),
    }));
    const label = `row · ${String(attrs["format"])}`;
    const key = `block row ${String(attrs["format"])} ${columns} ${outputs} ${sizes.bias}`;
    const kernel = {
      kind: "native",
      label,
      key,
      args,
      code: emitter(form, sizes),
      flops: 2 * columns * outputs,
    } as const;
    return { phases: [{ kernel, args: [...args.keys()] }] };
  },
};

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Whether everything but the weight is f32. */
function isFloat({ attrs, inputs, outputs }: CompositeCall): boolean {
  const [x, , , bias] = inputs;
  return (
    [x, ...(bias === undefined ? [] : [bias]), ...outputs].every((t) => t!.dtype === "f32") && attrs["dtype"] === "f32"
  );
}

function emitter(form: BlockForm, sizes: Sizes): WasmEmitter {
  return (module, prefix, features) => {
    const { inputs, outputs } = sizes;
    const c = Code.kernel(module, prefix, sizes.bias ? 5 : 4, features);
    emit(c, form, sizes);
    const phase = { exportName: prefix, units: outputs / ROWS, cost: inputs * outputs * COST };
    return { phases: [phase], sharedScratch: 0, threadScratch: 0 };
  };
}

function emit(c: Code, form: BlockForm, { inputs, outputs, bias }: Sizes): void {
  const [x, codes, halves] = [c.args[0]!, c.args[1]!, c.args[2]!];
  const blocks = inputs / form.elements;
  const [rowBytes, rowHalves] = [blocks * form.bytes, blocks * form.halves * 2];
  const touched = c.local("i32");
  const [unit, accumulators] = [c.local("i32"), LANES.map(() => c.local("v128"))];
  c.for(unit, c.begin, c.finish, 1, () => {
    const at = c.at.keep(c.at.plus(c.at.get(codes), c.at.times(c.get(unit), ROWS * rowBytes)));
    const half = c.at.keep(c.at.plus(c.at.get(halves), c.at.times(c.get(unit), ROWS * rowHalves)));
    const following = c.minimum(c.op("i32.add", c.get(unit), c.i32(1)), c.i32(outputs / ROWS - 1));
    const ahead = c.at.keep(c.at.plus(c.at.get(codes), c.at.times(following, ROWS * rowBytes)));
    const from = c.at.keep(c.at.get(x));
    const end = c.at.let(c.at.plus(c.at.get(x), c.at.bytes(inputs * 4)));
    for (const acc of accumulators) c.set(acc, c.f4const(0));
    c.at.walk(from, end, form.elements * 4, () => {
      const numbers = Array.from({ length: form.halves }, (_, i) => {
        let four = c.i4const(0);
        for (const row of LANES)
          four = c.loadLane("v128.load16_lane", c.at.get(half), row * rowHalves + 2 * i, 2 * row, four);
        return c.let4(widenF16(c, four));
      });
      const open = (row: number): OpenBlock =>
        form.open(c, {
          base: c.at.get(at),
          offset: row * rowBytes,
          halves: numbers.map((four) => c.let4(c.shuffle(four, four, [row, row, row, row]))),
        });
      const parts = (rows: readonly OpenBlock[], accs: readonly Local[]): void => {
        for (let part = 0; part < form.elements / form.part; part++) addPart(c, form, part, rows, from.address, accs);
      };
      // rows of long blocks one after another: slopes of four would not stay in registers
      if (form.elements === 32) parts(LANES.map(open), accumulators);
      else for (const row of LANES) parts([open(row)], [accumulators[row]!]);
      // the next rows on their way, line by line: what is read here jumps from row to row
      for (let line = 0; line < ROWS * form.bytes; line += 64)
        c.set(touched, c.load("i32.load8_u", c.at.get(ahead), line));
      c.at.advance(ahead, ROWS * form.bytes);
      c.at.advance(at, form.bytes);
      c.at.advance(half, form.halves * 2);
    });
    let sums = sumOfLanes(
      c,
      accumulators.map((acc) => c.get(acc)),
    );
    const place = c.at.scaled(c.get(unit), ROWS * 4);
    if (bias) sums = c.f4("add", sums, c.load("v128.load", c.at.plus(c.at.get(c.args[3]!), place), 0));
    c.store("v128.store", c.at.plus(c.at.get(c.args[bias ? 4 : 3]!), place), 0, sums);
  });
}

/** Adds what one part of each row's block gives. */
function addPart(
  c: Code,
  form: BlockForm,
  part: number,
  rows: readonly OpenBlock[],
  from: Local,
  accumulators: readonly Local[],
): void {
  const sums: (Local | undefined)[] = rows.map(() => undefined);
  const factors = rows.map((row) => ({
    slope: c.let4(row.slope(part)),
    offset: row.offset === undefined ? undefined : c.let4(row.offset(part)),
  }));
  for (let i = (part * form.part) / 8; i < ((part + 1) * form.part) / 8; i++) {
    const xs = [0, 1].map((quarter) => c.let4(c.load("v128.load", { push: c.get(from) }, 32 * i + 16 * quarter)));
    for (const [r, row] of rows.entries()) {
      const shorts = c.let4(row.shorts(i));
      const { slope, offset } = factors[r]!;
      for (const [quarter, half] of (["low", "high"] as const).entries()) {
        const q: Push = c.f4("convert_i32x4_s", c.op(`i32x4.extend_${half}_i16x8_s`, shorts));
        if (offset !== undefined) {
          const acc = accumulators[r]!;
          // rounded as a decoded weight is, so not by one multiply-add
          const weight = c.f4("add", c.f4("mul", q, slope), offset);
          c.set(acc, c.madd(weight, xs[quarter]!, c.get(acc)));
        } else if (sums[r] === undefined) sums[r] = c.keep("v128", c.f4("mul", q, xs[quarter]!));
        else c.set(sums[r], c.madd(q, xs[quarter]!, c.get(sums[r])));
      }
    }
  }
  for (const [r, sum] of sums.entries()) {
    const acc = accumulators[r]!;
    if (sum !== undefined) c.set(acc, c.madd(c.get(sum), factors[r]!.slope, c.get(acc)));
  }
}

/** The sum of each vector's lanes, one after another. */
function sumOfLanes(c: Code, [a, b, d, e]: readonly Push[]): Push {
  const pair = (x: Push, y: Push): Push =>
    c.let4(c.f4("add", c.shuffle(x, y, [0, 4, 1, 5]), c.shuffle(x, y, [2, 6, 3, 7])));
  const [first, second] = [pair(a!, b!), pair(d!, e!)];
  return c.f4("add", c.shuffle(first, second, [0, 1, 4, 5]), c.shuffle(first, second, [2, 3, 6, 7]));
}
