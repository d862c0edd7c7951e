/** Functions of one number: the ends through the definition, then the units that an implementation may be off. */
import type { ScalarShape } from "@lowrank/tensor/records";
import { CIRCULAR_FLOOR, CIRCULAR_RANGE, promiseOf, unitsOf } from "./arithmetic.ts";
import { claimNothing, isPoint, makeEnds, ulp, unclaimed, type Ends } from "./enclosure.ts";
import type { Rule, Site } from "./site.ts";

/** Ends of f over [low, high], as if f were computed exactly. Functions outside of their domain give NaN, which claims nothing. */
const IMAGES: Readonly<Record<ScalarShape, (site: Site, f: (x: Float64Array) => Float64Array) => Ends>> = {
  increasing: ({ inputs: [x] }, f) => ({ low: f(x!.low), high: f(x!.high) }),
  decreasing: ({ inputs: [x] }, f) => ({ low: f(x!.high), high: f(x!.low) }),
  // |f′| ≤ 1
  circular: ({ inputs: [x], value }) => ({
    low: value.map((v, i) => (isPoint(x!, i) ? v : v - (x!.high[i]! - x!.low[i]!))),
    high: value.map((v, i) => (isPoint(x!, i) ? v : v + (x!.high[i]! - x!.low[i]!))),
  }),
  magnitude: ({ inputs: [x] }) => ({
    low: x!.low.map((l, i) => (l <= 0 && x!.high[i]! >= 0 ? 0 : Math.min(Math.abs(l), Math.abs(x!.high[i]!)))),
    high: x!.low.map((l, i) => Math.max(Math.abs(l), Math.abs(x!.high[i]!))),
  }),
  // falls on either side of its pole; an interval that touches the pole may give either infinity
  inverse: ({ inputs: [x] }, f) => {
    const ends = { low: f(x!.high), high: f(x!.low) };
    x!.low.forEach((l, i) => {
      if (l <= 0 && x!.high[i]! >= 0 && !isPoint(x!, i)) claimNothing(ends, i);
    });
    return ends;
  },
  finite: ({ inputs: [x], value }) => ({
    low: value.map((v, i) => (Number.isFinite(x!.low[i]) && Number.isFinite(x!.high[i]) ? v : isPoint(x!, i) ? v : 0)),
    high: value.map((v, i) => (isPoint(x!, i) || !unclaimed(x!, i) ? v : 1)),
  }),
  nan: ({ inputs: [x], value }) => ({
    low: value.map((v, i) => (unclaimed(x!, i) ? 0 : v)),
    high: value.map((v, i) => (unclaimed(x!, i) ? 1 : v)),
  }),
};

export const unaryRule: Rule = (site) => {
  const { node, inputs, arithmetic } = site;
  const x = inputs[0]!;
  const { lowering } = node.primitive;
  const op = (lowering as Extract<typeof lowering, { class: "unary" }>).op;
  const { shape, limits: [least, most] = [-Infinity, Infinity] } = promiseOf(op);
  const image = IMAGES[shape](site, (data) =>
    node.primitive.reference([{ shape: x.shape, data }], node.attrs, node.shape),
  );
  if (node.dtype === "bool") return image;
  const units = unitsOf(op, arithmetic);
  const floor = shape === "circular" ? CIRCULAR_FLOOR[arithmetic] : 0;
  const ends = makeEnds(image.low.length);
  for (let i = 0; i < image.low.length; i++) {
    let [l, h] = [image.low[i]!, image.high[i]!];
    if (shape === "circular" && Math.max(Math.abs(x.low[i]!), Math.abs(x.high[i]!)) > CIRCULAR_RANGE[arithmetic])
      [l, h] = [-1, 1];
    // zero is a value that implementations hit: e^−∞, ln 1, sin 0
    if (l !== 0) l -= units * ulp(Math.max(Math.abs(l), floor));
    if (h !== 0) h += units * ulp(Math.max(Math.abs(h), floor));
    ends.low[i] = Math.max(l, least);
    ends.high[i] = Math.min(h, most);
    if (unclaimed(x, i)) claimNothing(ends, i);
  }
  return ends;
};
