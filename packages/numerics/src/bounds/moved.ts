/** What moves, chooses or makes values: nothing is computed, so errors only travel. */
import { isFloat, type DType } from "@lowrank/tensor";
import { claimNothing, exactly, isPoint, makeEnds, unclaimed, type Enclosure } from "./enclosure.ts";
import type { Rule } from "./site.ts";

/** Known to the host, to the last bit of the reference. */
export const givenRule: Rule = ({ value }) => exactly(value);

export const viewRule: Rule = ({ node, inputs }) => {
  const x = inputs[0]!;
  const move = (data: Float64Array): Float64Array =>
    node.primitive.reference([{ shape: x.shape, data }], node.attrs, node.shape).slice();
  return { low: move(x.low), high: move(x.high) };
};

export const castRule: Rule = ({ node, inputs, value }) => {
  const x = inputs[0]!;
  const to = node.attrs["to"] as DType;
  if (isFloat(to)) return { low: x.low.slice(), high: x.high.slice() };
  const cast = (data: Float64Array): Float64Array =>
    node.primitive.reference([{ shape: x.shape, data }], node.attrs, node.shape).slice();
  // → int truncates and saturates, which is monotone; → bool is ≠ 0, which is not
  if (to !== "bool") return { low: cast(x.low), high: cast(x.high) };
  const ends = makeEnds(value.length);
  for (let i = 0; i < value.length; i++) {
    const known = isPoint(x, i);
    ends.low[i] = known ? value[i]! : x.low[i]! > 0 || x.high[i]! < 0 ? 1 : 0;
    ends.high[i] = known ? value[i]! : 1;
  }
  return ends;
};

/** Where the condition is in doubt the result is either; what is not chosen is never looked at. */
export const selectRule: Rule = ({ inputs }) => {
  const [condition, a, b] = inputs as [Enclosure, Enclosure, Enclosure];
  const ends = makeEnds(condition.value.length);
  for (let i = 0; i < condition.value.length; i++) {
    const [mayA, mayB] = [condition.high[i] !== 0, condition.low[i] === 0];
    if (mayA && mayB) {
      ends.low[i] = Math.min(a.low[i]!, b.low[i]!);
      ends.high[i] = Math.max(a.high[i]!, b.high[i]!);
      const doubt = unclaimed(a, i) || unclaimed(b, i) || Number.isNaN(ends.low[i]) || Number.isNaN(ends.high[i]);
      if (doubt) claimNothing(ends, i);
    } else {
      const chosen = mayA ? a : b;
      ends.low[i] = chosen.low[i]!;
      ends.high[i] = chosen.high[i]!;
    }
  }
  return ends;
};

/** Of known ids; an id in doubt may pick any row. */
export const gatherRule: Rule = ({ node, inputs, value }) => {
  const [table, ids] = inputs as [Enclosure, Enclosure];
  const move = (data: Float64Array): Float64Array =>
    node.primitive.reference(
      [
        { shape: table.shape, data },
        { shape: ids.shape, data: ids.value },
      ],
      node.attrs,
      node.shape,
    );
  const ends = { low: move(table.low), high: move(table.high) };
  const width = ids.value.length === 0 ? 0 : value.length / ids.value.length;
  for (let i = 0; i < value.length; i++) if (!isPoint(ids, Math.floor(i / width))) claimNothing(ends, i);
  return ends;
};

/** At a known position; at one in doubt any element may be the block's. */
export const updateRule: Rule = ({ node, inputs, value }) => {
  const [x, block, at] = inputs as [Enclosure, Enclosure, Enclosure];
  const put = (data: Float64Array, piece: Float64Array): Float64Array =>
    node.primitive.reference(
      [
        { shape: x.shape, data },
        { shape: block.shape, data: piece },
        { shape: at.shape, data: at.value },
      ],
      node.attrs,
      node.shape,
    );
  const ends = { low: put(x.low, block.low), high: put(x.high, block.high) };
  if (!isPoint(at, 0)) value.forEach((_, i) => claimNothing(ends, i));
  return ends;
};

/** Ends as the values lie. */
export const assembleRule: Rule = ({ node, inputs }) => {
  const move = (of: (x: Enclosure) => Float64Array): Float64Array =>
    node.primitive.reference(
      inputs.map((x) => ({ shape: x.shape, data: of(x) })),
      node.attrs,
      node.shape,
    );
  return { low: move((x) => x.low), high: move((x) => x.high) };
};

/** One product of two numbers that are known; scales in doubt stretch it. */
export const dequantizeRule: Rule = ({ node, inputs, value }) => {
  const [codes, scales, table] = inputs as [Enclosure, Enclosure, Enclosure];
  const at = (s: Float64Array, t: Float64Array): Float64Array =>
    node.primitive.reference(
      [
        { shape: codes.shape, data: codes.value },
        { shape: scales.shape, data: s },
        { shape: table.shape, data: t },
      ],
      node.attrs,
      node.shape,
    );
  const all = [scales.low, scales.high].flatMap((s) => [table.low, table.high].map((t) => at(s, t)));
  return {
    low: value.map((_, i) => Math.min(...all.map((x) => x[i]!))),
    high: value.map((_, i) => Math.max(...all.map((x) => x[i]!))),
  };
};

/** Bits of a key that is known. */
export const randomRule: Rule = ({ inputs, value }) => {
  const ends = { low: value.slice(), high: value.slice() };
  const key = inputs[0]!;
  if (!key.value.every((_, i) => isPoint(key, i))) value.forEach((_, i) => claimNothing(ends, i));
  return ends;
};
