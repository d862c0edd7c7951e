/**
 * Products and what follows them: elementwise nodes that take a product's result one after another become its epilogue. Where such a chain
 * ends in a node of another product's chain (both summands of a sum are products: a base weight and its adapter, the gradients of a
 * tensor that several layers read), the two products become one kernel. Where it ends in a node that only elementwise nodes want, these
 * are computed with it.
 *
 *   x ─── matmul w ─────┐                     one kernel of two products
 *                      add ─── add ─── y        x·w: its chain is empty, it meets that of h·b at the first add
 *   h ─── matmul b ─────┘      bias             h·b, built last: its chain is add, add
 *                                               what is stored: y
 */
import type { Target } from "../ir/target.ts";
import { valueTypeOf } from "../ir/kernel.ts";
import { fanOf, type Fan } from "./fan.ts";
import { isPart, isReshape, type ScheduleNode } from "./graph.ts";
import { delinearize, factorForm, linearize, stride, ZERO, type LinearForm, type SplitRequest } from "./linear-form.ts";

/** A product and its chain. */
export interface ProductChain {
  readonly matmul: ScheduleNode;
  readonly chain: readonly ScheduleNode[];
}

/** Products of one kernel. The last one's chain ends in what is stored, or fans out to it; the others' lead into it. */
export interface GemmChain {
  readonly products: readonly ProductChain[];
  /** What is stored: the end of the last chain, or what is computed from it. */
  readonly results: readonly ScheduleNode[];
  /** Nodes computed between the end of the last chain and the results. */
  readonly beyond: readonly ScheduleNode[];
  /** The product's dimensions, cut where views of its result ask for it. */
  readonly factors: readonly (readonly number[])[];
  /** Coordinates of the stored nodes over those factors. */
  readonly coords: readonly LinearForm[];
  /** The node before the first view that asked for a cut. */
  readonly cutAfter: ScheduleNode | undefined;
}

/** Where a product's chain ends: what its kernel stores, unless it fans out, or what it hands over to another chain. */
export function rootOf({ matmul, chain }: ProductChain): ScheduleNode {
  return chain[chain.length - 1] ?? matmul;
}

interface Walk extends Omit<GemmChain, "products" | "results" | "beyond"> {
  readonly matmul: ScheduleNode;
  readonly chain: ScheduleNode[];
  readonly fan: Fan | undefined;
  /** The node of another chain that takes this one's result. */
  readonly meets: ScheduleNode | undefined;
}

export interface ChainOptions {
  readonly stored: ReadonlySet<ScheduleNode>;
  /** Nodes that products compute while they read their operands. */
  readonly packed: ReadonlySet<ScheduleNode>;
  readonly isLive: (node: ScheduleNode) => boolean;
  readonly target: Target;
}

/** Keyed by the product whose chain ends in the stored node. */
export function findChains(live: readonly ScheduleNode[], options: ChainOptions): Map<ScheduleNode, GemmChain> {
  const takenBy = new Map<ScheduleNode, Walk>();
  const walks: Walk[] = [];
  // later products first: where two meet in one sum, the one computed last takes it
  for (let i = live.length - 1; i >= 0; i--) {
    const matmul = live[i]!;
    if (matmul.lowering.class !== "matmul") continue;
    const walk = follow(matmul, options, takenBy);
    for (const node of [...walk.chain, ...(walk.fan?.nodes ?? [])]) takenBy.set(node, walk);
    walks.push(walk);
  }
  // those that were met come before those that meet them
  const groups = new Map<Walk, Walk[]>();
  const home = new Map<Walk, Walk>();
  for (const walk of walks) {
    const other = walk.meets === undefined ? undefined : takenBy.get(walk.meets);
    const end = other === undefined ? walk : home.get(other)!;
    home.set(walk, end);
    groups.set(end, [walk, ...(groups.get(end) ?? [])]);
  }
  return new Map(
    [...groups].map(([end, members]) => [
      end.matmul,
      {
        products: [...members.filter((w) => w !== end), end],
        results: end.fan?.results ?? [rootOf(end)],
        beyond: end.fan?.nodes ?? [],
        factors: end.factors,
        coords: end.coords,
        cutAfter: end.cutAfter,
      },
    ]),
  );
}

function follow(matmul: ScheduleNode, options: ChainOptions, takenBy: ReadonlyMap<ScheduleNode, Walk>): Walk {
  const { stored, packed, isLive, target } = options;
  const chain: ScheduleNode[] = [];
  let cut = matmul.shape.map((s) => [s]);
  let coords = unitsOf(cut);
  let cutAfter: ScheduleNode | undefined;
  let meets: ScheduleNode | undefined;
  for (let last = matmul; !stored.has(last);) {
    const users = last.users.filter(isLive);
    const next = users[0];
    if (
      users.length !== 1 ||
      next === undefined ||
      next.constant !== undefined ||
      next.size !== matmul.size ||
      !continuesChain(next, last)
    )
      break;
    const other = takenBy.get(next);
    if (other !== undefined) {
      if (canShare(matmul, other.matmul, target)) meets = next;
      break;
    }
    let through = throughView(next, coords, cut.flat());
    while (through !== undefined && "dim" in through && splitFactor(cut, through)) {
      cutAfter ??= last;
      coords = along(chain, cut);
      through = throughView(next, coords, cut.flat());
    }
    if (through === undefined || "dim" in through) break;
    coords = through;
    chain.push(next);
    last = next;
  }
  const last = (): ScheduleNode => chain[chain.length - 1] ?? matmul;
  // rows that are stored in pieces are not worth it
  if (meets === undefined && cutAfter !== undefined && !joins(linearize(coords, last().shape), cut)) {
    chain.length = chain.indexOf(cutAfter) + 1;
    cut = matmul.shape.map((s) => [s]);
    cutAfter = undefined;
  }
  const fan =
    meets !== undefined
      ? undefined
      : fanOf(last(), matmul, {
          target,
          stored,
          isLive,
          isTaken: (n) => takenBy.has(n) || packed.has(n),
        });
  // views at the end are free for the reader unless the result must be stored under that view
  if (meets === undefined && fan === undefined)
    while (chain.length > 0 && !stored.has(last()) && isReshape(last().lowering)) chain.pop();
  return { matmul, chain, fan, factors: cut, coords: along(chain, cut), cutAfter, meets };
}

/** Coordinates at the end of a chain. */
function along(chain: readonly ScheduleNode[], cut: readonly (readonly number[])[]): LinearForm[] {
  return chain.reduce<LinearForm[]>((at, node) => throughView(node, at, cut.flat()) as LinearForm[], unitsOf(cut));
}

/** Whether a form steps through each dimension's factors as through one dimension. */
export function joins(form: LinearForm, factors: readonly (readonly number[])[]): boolean {
  let at = 0;
  return factors.every((parts) => {
    const first = at;
    at += parts.length;
    return parts.every((size, i) => i === 0 || stride(form, first + i - 1) === stride(form, first + i) * size);
  });
}

/** Products without a batch that give results of one shape, and are not too small for company. */
function canShare(a: ScheduleNode, b: ScheduleNode, { leastSharedProduct }: Target): boolean {
  const lengths = [a, b].map((x) => x.inputs[0]!.shape.at(-1)!);
  return (
    a.shape.length === 2 &&
    b.shape.length === 2 &&
    a.shape.every((s, d) => s === b.shape[d]) &&
    Math.min(...lengths) > 0 &&
    a.size * Math.max(...lengths) >= leastSharedProduct
  );
}

/** Coordinates of a product's result over its dimensions' factors. */
export function unitsOf(factors: readonly (readonly number[])[]): LinearForm[] {
  let first = 0;
  return factors.map((parts) => {
    const at = first;
    first += parts.length;
    return parts.length === 1 && parts[0] === 1 ? ZERO : factorForm(at, parts);
  });
}

/** Cuts a factor of a product's height or width; batch dimensions stay whole. */
function splitFactor(cut: number[][], { dim, factor }: SplitRequest): boolean {
  let at = dim;
  for (const [d, parts] of cut.entries()) {
    if (at < parts.length) {
      if (d < cut.length - 2) return false;
      parts.splice(at, 1, parts[at]! / factor, factor);
      return true;
    }
    at -= parts.length;
  }
  return false;
}

function continuesChain(node: ScheduleNode, previous: ScheduleNode): boolean {
  const { lowering } = node;
  if (lowering.class === "view") return lowering.view === "permute" || lowering.view === "reshape" || isPart(node);
  if (lowering.class === "cast") return valueTypeOf(node.dtype) === "f32";
  if (lowering.class !== "unary" && lowering.class !== "binary" && lowering.class !== "select") return false;
  return valueTypeOf(node.dtype) === "f32" && node.inputs.filter((x) => x === previous).length >= 1;
}

/** Coordinates after a view that a product's result passes through on its way to memory, or the cut that would make them linear. */
function throughView(
  view: ScheduleNode,
  coords: readonly LinearForm[],
  sizes: readonly number[],
): LinearForm[] | SplitRequest | undefined {
  const { lowering } = view;
  if (lowering.class !== "view") return [...coords];
  const from = view.inputs[0]!.shape;
  if (lowering.view === "permute") return (view.attrs["dims"] as number[]).map((d) => coords[d]!);
  if (isPart(view)) return [...coords];
  return lowering.view === "reshape" ? delinearize(linearize(coords, from), view.shape, sizes) : undefined;
}
