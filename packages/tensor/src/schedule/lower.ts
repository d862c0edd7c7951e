/**
 * Makes one kernel out of a root node and everything that can be computed with it.
 *
 *   y = x / sum(x, 1), x [4, 8]                       loop kernel, outer [4], inner [8]
 *     y at (i, j), stored densely                       v0 = load x[8·i + j]
 *       x at (i, j)                                     v1 = reduce sum v0
 *       sum at i: it runs over j, which becomes         v2 = div v0 v1
 *       the inner dimension                             store y[8·i + j] = v2
 */
import { InvariantError } from "../errors.ts";
import { valueTypeOf, type Kernel, type LoopKernel, type ScatterKernel, type ValueId } from "../ir/kernel.ts";
import { KernelBuilder } from "./builder.ts";
import { SplitSignal, type BuilderOptions, type DraftStore } from "./draft.ts";
import { ArgList, Finisher, formsOf, mergeDims } from "./finish.ts";
import type { ScheduleNode } from "./graph.ts";
import {
  addForms,
  delinearize,
  factorForm,
  linearize,
  sameForm,
  stride,
  unitForm,
  ZERO,
  type LinearForm,
} from "./linear-form.ts";

/** A kernel before its buffers are known. */
export interface KernelDraft {
  readonly root: ScheduleNode;
  /** Of products: the last of them, behind which the root may have been built much later. */
  readonly product?: ScheduleNode;
  readonly kind: Kernel["kind"] | "composite" | "update" | "assemble";
  /** Every node it writes: the root and what it absorbed. */
  readonly writes: readonly ScheduleNode[];
  /** Every stored node it reads. */
  readonly reads: ReadonlySet<ScheduleNode>;
  /** Where each read happens, to tell whether writing in place is safe. */
  readonly readsOnlyAt: (source: ScheduleNode, sameAs: ScheduleNode) => boolean;
  readonly refused: ReadonlySet<ScheduleNode>;
  /** Whether it refused something because too much stood on it. */
  readonly tooTall: boolean;
  /** Nodes that must have been computed before it starts. */
  readonly waits: ReadonlySet<ScheduleNode>;
  /** Whether every store writes each element of its node exactly once. */
  readonly coversAll: boolean;
  readonly label: string;
  /** Stored nodes that merging made unnecessary to store. */
  readonly inlined?: ReadonlySet<ScheduleNode>;
  /** The kernels that it becomes, in order: one, but for what a template computes in several phases. */
  finish(homeOf: (node: ScheduleNode) => unknown): readonly FinishedKernel[];
}

/** Memory of one draft's kernels, in which they hand results to each other. */
export interface Scratch {
  readonly bytes: number;
}

export interface FinishedKernel {
  readonly kernel: Kernel;
  /** What its arguments are. */
  readonly args: readonly (ScheduleNode | Scratch)[];
  /** Byte at which each of them begins. Default 0. */
  readonly from?: readonly number[];
  /** For profiles and errors. */
  readonly label: string;
}

export interface LowerContext {
  readonly stored: (node: ScheduleNode) => boolean;
  readonly absorbed: ReadonlySet<ScheduleNode>;
}

const MAX_SPLITS = 24;

export function lowerLoop(root: ScheduleNode, context: LowerContext): KernelDraft {
  return lowerOver(root.shape, root, context, (builder, coords) => {
    const value = builder.value(root, coords, [], true);
    const stores = [{ target: root, index: linearize(coords, root.shape), value }, ...builder.extraStores];
    return finishLoop(root, builder, stores, "loop");
  });
}

/**
 * An update that is assigned to the parameter it begins with: only the block is written, at its place, and the rest of the parameter is not
 * touched. A block that does not fit is not written: its elements are what the parameter has at the nearest place where it would.
 *
 *   x.update(block [2, 4], at), x [9, 4]        loop kernel over the block [2, 4]
 *                                                 v0 = load at, v1 = min(max(v0, 0), 7)
 *                                                 v2 = v0 = v1 ? load block[4·i + j] : load x[4·i + j + 4·v1]
 *                                                 store x[4·i + j + 4·v1] = v2
 */
export function lowerUpdate(root: ScheduleNode, context: LowerContext): KernelDraft {
  const [x, block, at] = root.inputs as [ScheduleNode, ScheduleNode, ScheduleNode];
  const dim = root.attrs["dim"] as number;
  return lowerOver(block.shape, root, context, (builder, coords) => {
    const i32 = (op: "min" | "max", a: ValueId, b: number): ValueId =>
      builder.emit({ op, type: "i32", a, b: builder.constant("i32", b) });
    const wanted = builder.value(at, []);
    const place = i32("min", i32("max", wanted, 0), x.shape[dim]! - block.shape[dim]!);
    const moved = addForms(coords[dim]!, { offset: 0, strides: [], dynamic: [{ value: place, stride: 1 }] });
    const target = coords.with(dim, moved);
    const value = builder.emit({
      op: "select",
      type: valueTypeOf(root.dtype),
      cond: builder.emit({ op: "eq", type: "bool", a: wanted, b: place }),
      a: builder.value(block, coords),
      b: builder.value(x, target),
    });
    const index = linearize(target, root.shape);
    return finishLoop(root, builder, [{ target: root, index, value }, ...builder.extraStores], "update");
  });
}

/** A loop kernel over `shape`, made again with its dimensions cut where something in it asks for that. */
function lowerOver(
  shape: readonly number[],
  root: ScheduleNode,
  context: LowerContext,
  body: (builder: KernelBuilder, coords: readonly LinearForm[]) => KernelDraft,
): KernelDraft {
  const rootFactors = shape.map((s) => [s]);
  const innerFactors: number[][] = [];
  for (let attempt = 0; attempt < MAX_SPLITS; attempt++) {
    const sizes: number[] = [];
    const origin: { factors: number[][]; at: number; position: number }[] = [];
    const coords = rootFactors.map((factors, at) => {
      if (factors.length === 1 && factors[0] === 1) return ZERO;
      const first = sizes.length;
      sizes.push(...factors);
      factors.forEach((_, position) => origin.push({ factors: rootFactors, at, position }));
      return factorForm(first, factors);
    });
    const builder = new KernelBuilder(sizes, { ...context, mayReduce: true, maySplit: () => true, innerFactors });
    try {
      return body(builder, coords);
    } catch (signal) {
      if (!(signal instanceof SplitSignal)) throw signal;
      const { dim, factor } = signal.request;
      if (dim < origin.length) {
        const { at, position } = origin[dim]!;
        splitAt(rootFactors[at]!, position, factor);
      } else {
        splitInner(innerFactors, root, builder, dim - origin.length, factor);
      }
    }
  }
  throw new InvariantError(`${root.primitive.name} [${root.shape.join(", ")}] kept asking for smaller dimensions`);
}

/** Whether two forms lead to the same place at every point. */
function samePlace(a: LinearForm, b: LinearForm, sizes: readonly number[]): boolean {
  return sameForm(a, b, sizes) || JSON.stringify(a) === JSON.stringify(b);
}

function splitAt(factors: number[], position: number, factor: number): void {
  factors.splice(position, 1, factors[position]! / factor, factor);
}

/** Appended dimensions are numbered through all reduced dimensions; find which one `index` belongs to. */
function splitInner(
  innerFactors: number[][],
  root: ScheduleNode,
  builder: KernelBuilder,
  index: number,
  factor: number,
): void {
  const appended = builder.sizes.slice(builder.rootDims);
  if (innerFactors.length === 0) {
    innerFactors.push(...appended.map((s) => [s]));
  }
  let rest = index;
  for (const factors of innerFactors) {
    if (rest < factors.length) {
      splitAt(factors, rest, factor);
      return;
    }
    rest -= factors.length;
  }
  throw new InvariantError(`${root.primitive.name}: no inner dimension ${index}`);
}

function finishLoop(
  root: ScheduleNode,
  builder: KernelBuilder,
  stores: readonly DraftStore[],
  kind: "loop" | "update",
): KernelDraft {
  const inner = builder.inner ?? [];
  const dims = builder.sizes.map((_, d) => d).filter((d) => builder.sizes[d] !== 1);
  const order = [...dims.filter((d) => !inner.includes(d)), ...dims.filter((d) => inner.includes(d))];
  const plan = mergeDims(
    order,
    builder.sizes,
    formsOf(builder.body, stores),
    (a, b) => inner.includes(a) !== inner.includes(b),
  );
  const outerCount = plan.groups.filter((g) => !inner.includes(g[0]!)).length;
  const label = labelOf(root);
  return {
    root,
    kind,
    label,
    writes: stores.map((s) => s.target),
    reads: readsOf(builder),
    readsOnlyAt: (source, sameAs) => {
      const at = stores.find((s) => s.target === sameAs)!.index;
      return builder.body.every(
        (i) =>
          i.op !== "load" || i.source !== source || (i.guards.length === 0 && samePlace(i.index, at, builder.sizes)),
      );
    },
    refused: builder.refused,
    tooTall: builder.tooTall,
    waits: builder.waits,
    coversAll: stores.every((s) => covers(s, builder.sizes, inner)),
    finish(homeOf) {
      const args = new ArgList(homeOf);
      const finisher = new Finisher(plan, args);
      const { body, at } = finisher.body(builder.body);
      const kernelStores = stores.map((s) => finisher.store(s, at));
      const kernel: LoopKernel = {
        kind: "loop",
        label,
        args: args.specs(),
        outer: plan.sizes.slice(0, outerCount),
        inner: plan.sizes.slice(outerCount),
        body,
        stores: kernelStores,
      };
      return [{ kernel, args: args.nodes, label }];
    },
  };
}

/** The store runs over all outer dimensions and over all or none of the inner ones, densely. */
function covers({ target, index }: DraftStore, sizes: readonly number[], inner: readonly number[]): boolean {
  const used = sizes.flatMap((s, d) => (s > 1 && stride(index, d) !== 0 ? [d] : []));
  const missing = sizes.flatMap((s, d) => (s > 1 && stride(index, d) === 0 ? [d] : []));
  if (index.offset !== 0 || index.dynamic !== undefined) return false;
  if (missing.some((d) => !inner.includes(d)) || (missing.length > 0 && used.some((d) => inner.includes(d))))
    return false;
  let step = 1;
  for (const d of used.sort((a, b) => stride(index, a) - stride(index, b))) {
    if (stride(index, d) !== step) return false;
    step *= sizes[d]!;
  }
  return step === target.size;
}

export function readsOf(...builders: readonly KernelBuilder[]): Set<ScheduleNode> {
  return new Set(builders.flatMap((b) => b.body.flatMap((i) => (i.op === "load" ? [i.source] : []))));
}

export function labelOf(root: ScheduleNode): string {
  return root.scope === "" ? root.primitive.name : `${root.scope} ${root.primitive.name}`;
}

export function fixedOptions(context: LowerContext): BuilderOptions {
  return { ...context, absorbed: new Set(), mayReduce: false, maySplit: () => false, innerFactors: [] };
}

export function lowerScatter(root: ScheduleNode, context: LowerContext): KernelDraft {
  const [idNode, source] = root.inputs as [ScheduleNode, ScheduleNode];
  const rows = root.shape[0]!;
  const count = idNode.size;
  const cols = root.size / Math.max(rows, 1);
  const idBuilder = new KernelBuilder([count], fixedOptions(context));
  const idValue = pullFlat(idBuilder, idNode, unitForm(0));
  const srcBuilder = new KernelBuilder([count, cols], fixedOptions(context));
  const srcValue = pullFlat(srcBuilder, source, linearize([unitForm(0), unitForm(1)], [count, cols]));
  const label = labelOf(root);
  return {
    root,
    kind: "scatter",
    label,
    writes: [root],
    reads: readsOf(idBuilder, srcBuilder),
    readsOnlyAt: () => false,
    refused: new Set([...idBuilder.refused, ...srcBuilder.refused]),
    tooTall: idBuilder.tooTall || srcBuilder.tooTall,
    waits: new Set([...idBuilder.waits, ...srcBuilder.waits]),
    coversAll: true,
    finish(homeOf) {
      const args = new ArgList(homeOf);
      const ids = new Finisher({ groups: [[0]], sizes: [count] }, args).body(idBuilder.body);
      const src = new Finisher({ groups: [[0], [1]], sizes: [count, cols] }, args).body(srcBuilder.body);
      const out = args.add(root, "write");
      const kernel: ScatterKernel = {
        kind: "scatter",
        label,
        args: args.specs(),
        rows,
        cols,
        count,
        ids: { body: ids.body, value: ids.at(idValue) },
        src: { body: src.body, value: src.at(srcValue) },
        out,
      };
      return [{ kernel, args: args.nodes, label }];
    },
  };
}

/** The element of `node` at a row-major position, for kernels whose dimensions are fixed. */
function pullFlat(builder: KernelBuilder, node: ScheduleNode, position: LinearForm): ValueId {
  const coords = delinearize(position, node.shape, builder.sizes);
  if (coords !== undefined && !("dim" in coords)) return builder.value(node, coords);
  builder.refused.add(node);
  return builder.emit({ op: "load", type: valueTypeOf(node.dtype), source: node, index: position, guards: [] });
}
