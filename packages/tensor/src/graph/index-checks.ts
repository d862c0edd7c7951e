/**
 * Indices that the host knows (labels, token ids) are checked before every run, replays included: one that hits nothing would otherwise
 * be a number that looks like an answer. An op states the range by a node of its own, which no device ever sees; a program follows each
 * such node through views and casts to the values it selects from, so that a label that is sliced off does not count.
 */
import { isFloat, type TypedArray } from "../dtype.ts";
import { LowrankError } from "../errors.ts";
import { floatsOf } from "../memory-form.ts";
import { checkIndices as indexCheck } from "../primitives/views.ts";
import { formatShape, sizeOf } from "../shape.ts";
import type { Node } from "./node.ts";

export interface IndexRange {
  /** Indices lie in [0, size); Infinity where only the sign matters. */
  readonly size: number;
  /** One more value that is right. */
  readonly ignore?: number;
  /** Whose index it is, for the message: `embedding`. */
  readonly op: string;
  /** What one is called: `label`. */
  readonly name: string;
  /**
   * Where `size` is that of a table which was made for the indices so far and can be longer: indices below `limit` are right. Before a compiled
   * function runs on inputs that go beyond `size`, `to` is told the size they need, and the function is captured again.
   */
  readonly grows?: { readonly limit: number; readonly to: (size: number) => void };
}

/** One operand and how its elements are found in the values of a leaf. */
export interface IndexCheck {
  readonly range: IndexRange;
  readonly scope: string;
  readonly source: Node;
  /** From the source to the operand, both excluded. */
  readonly path: readonly Node[];
  /** Where in `Program.hostLeaves` the source is; −1 where its values are part of the graph. */
  readonly leaf: number;
  /** Made at the first run. Positions in the source, or −1 − i for `constants[i]`; undefined where every element counts, in order. */
  selection?: { readonly positions: Float64Array | undefined; readonly constants: readonly number[] };
}

/** Where the operand's values come from, if the host can know them: a leaf, a constant, a coordinate. */
function follow(node: Node): { source: Node; path: Node[] } | undefined {
  const path: Node[] = [];
  for (let at = node; ; at = at.inputs[0]!) {
    const { class: kind } = at.primitive.lowering;
    if ((at.leaf !== undefined && at.leaf.kind !== "cell") || kind === "constant" || kind === "iota")
      return { source: at, path: path.reverse() };
    // a narrower cast could bring a value from outside into the range
    if (kind !== "view" && !(kind === "cast" && at.dtype === "i32")) return undefined;
    path.push(at);
  }
}

/** Whether checks will see the values of `node` at every run. A live leaf may have been read, and its values lost, before a program asks for them. */
export function knownOnHost(node: Node): boolean {
  const found = follow(node);
  return found !== undefined && found.source.leaf?.kind !== "live";
}

/** Whether its values are part of the graph. */
function fixed({ leaf }: Node): boolean {
  return leaf === undefined || leaf.kind === "host" || leaf.kind === "constant";
}

/**
 * The largest value of a tensor as far as the host can tell before anything runs: a bound where its values are part of the graph, "input" where
 * they are those of a compiled input, which every call looks at, undefined where they are computed on the device or live.
 */
export function largestIndex({ node }: { readonly node: Node }): number | "input" | undefined {
  const found = follow(node);
  if (found === undefined) return undefined;
  if (!fixed(found.source)) return found.source.leaf?.kind === "input" ? "input" : undefined;
  let largest = -Infinity;
  const look = (v: number): void => {
    largest = Math.max(largest, v);
  };
  Array.prototype.forEach.call(numbersOf(found.source, undefined), look);
  for (const { attrs } of found.path) if (typeof attrs["value"] === "number") look(attrs["value"]);
  return largest;
}

/** Whether inputs go beyond a table that can grow; it has grown then, and what was captured with it must be captured again. */
export function outgrown(checks: readonly IndexCheck[], inputs: ReadonlyMap<string, TypedArray>): boolean {
  let any = false;
  for (const check of checks) {
    const { grows, size } = check.range;
    const { leaf } = check.source;
    if (grows === undefined || leaf?.kind !== "input") continue;
    let needed = 0;
    eachIndex(check, inputs.get(leaf.name)!, (index) => {
      // whatever is wrong for good is told by `checkIndices`
      if (index < grows.limit) needed = Math.max(needed, index + 1);
    });
    if (needed <= size) continue;
    grows.to(needed);
    any = true;
  }
  return any;
}

export function indexChecks(nodes: readonly Node[], hostLeaves: readonly Node[]): IndexCheck[] {
  return nodes.flatMap((node) => {
    if (node.primitive !== indexCheck || node.leaf !== undefined) return [];
    const found = follow(node.inputs[0]!);
    const leaf = found === undefined ? -1 : hostLeaves.indexOf(found.source);
    if (found === undefined || (leaf < 0 && !fixed(found.source))) return [];
    return [{ range: node.attrs as unknown as IndexRange, scope: node.scope, ...found, leaf }];
  });
}

/** @param values of the program's host leaves, in order. @throws ValueError naming the op, the index and where it stands */
export function checkIndices(checks: readonly IndexCheck[], values: readonly TypedArray[]): void {
  for (const check of checks) {
    const { size, ignore } = check.range;
    eachIndex(check, check.leaf < 0 ? undefined : values[check.leaf]!, (value, at) => {
      if (!((value >= 0 && value < size) || value === ignore)) refuse(check, value, at);
    });
  }
}

/** @param visit gets every index, and where in the source it is, −1 − i for `constants[i]` */
function eachIndex(check: IndexCheck, data: TypedArray | undefined, visit: (index: number, at: number) => void): void {
  const numbers = numbersOf(check.source, data);
  const { positions, constants } = (check.selection ??= select(check));
  const count = positions?.length ?? numbers.length;
  for (let i = 0; i < count; i++) {
    const at = positions?.[i] ?? i;
    visit(at < 0 ? constants[-1 - at]! : numbers[at]!, at);
  }
}

function numbersOf(source: Node, value: TypedArray | undefined): ArrayLike<number> {
  const data = value ?? fixedValues(source);
  // as the cast to i32 has it
  return isFloat(source.dtype) ? floatsOf(source.dtype, data).map((v) => (Number.isNaN(v) ? 0 : Math.trunc(v))) : data;
}

function fixedValues({ leaf, primitive, attrs, shape }: Node): TypedArray {
  if (leaf?.kind === "host") return leaf.data;
  return leaf?.kind === "constant" ? leaf.constant.data : primitive.reference([], attrs, shape);
}

/** Runs the views on positions instead of values. */
function select({ source, path }: IndexCheck): NonNullable<IndexCheck["selection"]> {
  const moving = path.filter((n) => n.primitive.lowering.class === "view" && !inOrder(n));
  if (moving.length === 0) return { positions: undefined, constants: [] };
  const constants: number[] = [];
  let data = Float64Array.from({ length: sizeOf(source.shape) }, (_, i) => i);
  let shape = source.shape;
  for (const node of path) {
    if (moving.includes(node))
      data = node.primitive.reference(
        [{ shape, data }],
        "value" in node.attrs ? { ...node.attrs, value: -constants.push(node.attrs["value"] as number) } : node.attrs,
        node.shape,
      ) as Float64Array<ArrayBuffer>;
    shape = node.shape;
  }
  return { positions: data, constants };
}

function inOrder({ primitive: { lowering } }: Node): boolean {
  return lowering.class === "view" && (lowering.view === "reshape" || lowering.view === "alias");
}

function refuse({ range, scope, source }: IndexCheck, value: number, at: number): never {
  const where =
    at < 0
      ? "in padding"
      : source.shape.length === 0
        ? `in ${nameOf(source)}`
        : `${source.shape.length === 1 ? `in row ${at}` : `at ${formatShape(unravel(at, source.shape))}`} of ${nameOf(source)}`;
  const { ignore, op, name } = range;
  const size = range.grows?.limit ?? range.size;
  const bounds = size === Infinity ? "is negative" : `lies outside [0, ${size})`;
  throw new LowrankError(
    "ValueError",
    `${op}${scope === "" ? "" : ` in ${scope}`}: ${name} ${value} ${where} ${bounds}${ignore === undefined ? "" : `; ${ignore} is ignored`}`,
  );
}

function nameOf({ leaf, shape }: Node): string {
  if (leaf?.kind === "input") return `input ${JSON.stringify(leaf.name)}`;
  return `a ${leaf === undefined ? "constant" : leaf.kind} tensor ${formatShape(shape)}`;
}

function unravel(at: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  for (let d = shape.length - 1, rest = at; d >= 0; rest = Math.floor(rest / shape[d]!), d--)
    index[d] = rest % shape[d]!;
  return index;
}
