/** Functions of two numbers. */
import { isFloat } from "@lowrank/tensor";
import { DIVISION, REASSOCIATES, type BinaryOp } from "./arithmetic.ts";
import { claimNothing, isPoint, makeEnds, ulp, UNIT, unclaimed, type Enclosure } from "./enclosure.ts";
import type { Rule } from "./site.ts";

type Pair = readonly [number, number];
/** Ends of the result from those of the operands. */
type Image = (al: number, ah: number, bl: number, bh: number) => Pair;

const BOTH: Pair = [0, 1];
const NEITHER: Pair = [-Infinity, Infinity];

/** The extremes of a function that is monotone in each operand lie at corners; NaN in one of them (0·∞, ∞/∞) claims nothing. */
function corners(f: (a: number, b: number) => number): Image {
  return (al, ah, bl, bh) => {
    const [p, q, r, s] = [f(al, bl), f(al, bh), f(ah, bl), f(ah, bh)];
    return [Math.min(p, q, r, s), Math.max(p, q, r, s)];
  };
}
const product = corners((a, b) => a * b);
const quotient = corners((a, b) => a / b);

const IMAGES: Readonly<Partial<Record<BinaryOp, Image>>> = {
  add: (al, ah, bl, bh) => [al + bl, ah + bh],
  sub: (al, ah, bl, bh) => [al - bh, ah - bl],
  mul: product,
  // what may be zero may have either sign
  div: (al, ah, bl, bh) => (bl <= 0 && bh >= 0 ? NEITHER : quotient(al, ah, bl, bh)),
  max: (al, ah, bl, bh) => [Math.max(al, bl), Math.max(ah, bh)],
  min: (al, ah, bl, bh) => [Math.min(al, bl), Math.min(ah, bh)],
  lt: (al, ah, bl, bh) => (ah < bl ? [1, 1] : al >= bh ? [0, 0] : BOTH),
  le: (al, ah, bl, bh) => (ah <= bl ? [1, 1] : al > bh ? [0, 0] : BOTH),
  eq: (al, ah, bl, bh) => (ah < bl || al > bh ? [0, 0] : BOTH),
  ne: (al, ah, bl, bh) => (ah < bl || al > bh ? [1, 1] : BOTH),
  and: (al, ah, bl, bh) => [Math.min(al, bl), Math.min(ah, bh)],
  or: (al, ah, bl, bh) => [Math.max(al, bl), Math.max(ah, bh)],
};

const magnitude = (x: Enclosure, i: number): number => Math.max(Math.abs(x.low[i]!), Math.abs(x.high[i]!));

/** Integers wrap: an end beyond their range says nothing. */
function fitsInteger([l, h]: Pair): Pair {
  return l < -(2 ** 31) || h >= 2 ** 32 ? NEITHER : [l, h];
}

export const binaryRule: Rule = ({ node, inputs, value, arithmetic }) => {
  const [a, b] = inputs as [Enclosure, Enclosure];
  const { lowering } = node.primitive;
  const op = (lowering as Extract<typeof lowering, { class: "binary" }>).op;
  const image = IMAGES[op] ?? (() => NEITHER);
  const square = op === "mul" && node.inputs[0] === node.inputs[1];
  const units = op === "div" ? DIVISION[arithmetic] : 0;
  const moved = REASSOCIATES[arithmetic] && isFloat(node.dtype) && (op === "mul" || op === "add" || op === "sub");
  const ends = makeEnds(value.length);
  for (let i = 0; i < value.length; i++) {
    // of known operands the reference knows the result, before it is rounded to f32
    let pair: Pair;
    if (isPoint(a, i) && isPoint(b, i)) pair = [value[i]!, value[i]!];
    else {
      pair = image(a.low[i]!, a.high[i]!, b.low[i]!, b.high[i]!);
      if (square && a.low[i]! < 0 && a.high[i]! > 0) pair = [0, pair[1]];
      if (!isFloat(node.dtype)) pair = fitsInteger(pair);
      if (node.dtype !== "bool" && (unclaimed(a, i) || unclaimed(b, i))) pair = NEITHER;
    }
    const sizes = op === "mul" ? Math.max(Math.abs(pair[0]), Math.abs(pair[1])) : magnitude(a, i) + magnitude(b, i);
    const off = moved && Number.isFinite(sizes) ? UNIT * sizes : 0;
    ends.low[i] = pair[0] - units * ulp(pair[0]) - off;
    ends.high[i] = pair[1] + units * ulp(pair[1]) + off;
    if (pair === NEITHER) claimNothing(ends, i);
  }
  return ends;
};
