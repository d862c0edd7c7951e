/**
 * Makes one kernel of products and of the elementwise nodes between them and what is stored.
 *
 *   y = tanh(x · wᵀ + b)                              gemm kernel, m 32, n 16, one product of k 64
 *     left operand, x [32, 64] at (i, k)                a: v0 = load x[64·i + k]
 *     right operand, wᵀ of w [16, 64] at (k, j)         b: v0 = load w[k + 64·j]
 *     chain: add, tanh at (i, j)                        epilogue: v0 = acc 0, v1 = load b[j], v2 = add v0 v1, v3 = tanh v2
 *                                                       store y[16·i + j] = v3
 */
import { accumulators } from "../ir/facts.ts";
import type { GemmKernel, Operand, ValueId } from "../ir/kernel.ts";
import { turned } from "../ir/swap.ts";
import type { Target } from "../ir/target.ts";
import { shareAccumulators } from "./accumulate.ts";
import { KernelBuilder } from "./builder.ts";
import type { DraftStore } from "./draft.ts";
import { joins, rootOf, unitsOf, type GemmChain } from "./chains.ts";
import { ArgList, Finisher, formsOf, mergeDims } from "./finish.ts";
import type { ScheduleNode } from "./graph.ts";
import { linearize, unitForm, type LinearForm } from "./linear-form.ts";
import { fixedOptions, labelOf, readsOf, type KernelDraft, type LowerContext } from "./lower.ts";

interface Side {
  readonly builder: KernelBuilder;
  readonly value: ValueId;
}
interface ProductDraft {
  readonly k: number;
  readonly a: Side;
  readonly b: Side;
}

export function lowerGemm(
  { products, results, beyond, factors, coords, cutAfter }: GemmChain,
  context: LowerContext,
  { maxAccumulators }: Target,
): KernelDraft {
  const { matmul } = products.at(-1)!;
  const root = results[0]!;
  const batch = matmul.shape.slice(0, -2);
  const [m, n] = matmul.shape.slice(-2) as [number, number];
  const drafts = products.map((p) => draftProduct(p.matmul, context));

  const index = new Map(products.map((p, i) => [p.matmul, i]));
  const epilogue = new KernelBuilder(factors.flat(), {
    ...fixedOptions(context),
    absorbed: new Set(results),
    accumulators: { index, at: linearize(unitsOf(factors), matmul.shape) },
  });
  const stores = results.map((target): DraftStore => ({
    target,
    index: linearize(coords, target.shape),
    value: epilogue.value(target, coords, [], true),
  }));
  const label = labelOfChain([...products.flatMap((p) => p.chain), ...beyond], root, products.length);
  const builders = [...drafts.flatMap(({ a, b }) => [a.builder, b.builder]), epilogue];
  const finish = (homeOf: (node: ScheduleNode) => unknown): { kernel: GemmKernel; args: readonly ScheduleNode[] } => {
    const args = new ArgList(homeOf);
    // batch dimensions merge only if all parts agree; m and n stay apart, and what a view cut them into comes together again
    const rank = batch.length;
    const forms = formsOf(epilogue.body, stores);
    const lead = mergeDims(
      batch.map((_, d) => d),
      batch,
      [...drafts.flatMap(({ a, b }) => [...formsOf(a.builder.body, []), ...formsOf(b.builder.body, [])]), ...forms],
      () => false,
    ).groups;
    const sizesOf = (groups: readonly (readonly number[])[], sizes: readonly number[]): number[] =>
      groups.map((g) => g.reduce((s, d) => s * sizes[d]!, 1));
    const operand = ({ builder, value: v }: Side): Operand => {
      const groups = [...lead, [rank], [rank + 1]];
      const { body, at } = new Finisher({ groups, sizes: sizesOf(groups, builder.sizes) }, args).body(builder.body);
      return { body, value: at(v) };
    };
    const made = drafts.map(({ k, a, b }, acc) => ({ k, a: operand(a), b: operand(b), acc }));
    const tall = factors.slice(0, -1).flat().length;
    const groups = [...lead, range(rank, tall), range(tall, epilogue.sizes.length)];
    const finisher = new Finisher({ groups, sizes: sizesOf(groups, epilogue.sizes) }, args);
    const { body, at } = finisher.body(epilogue.body);
    const kernelStores = stores.map((s) => finisher.store(s, at));
    const kernel: GemmKernel = {
      kind: "gemm",
      label,
      args: args.specs(),
      batch: sizesOf(lead, batch),
      m,
      n,
      products: made,
      epilogue: body,
      stores: kernelStores,
    };
    return { kernel: orient(shareAccumulators(kernel)), args: args.nodes };
  };

  const refused = new Set(builders.flatMap((b) => [...b.refused]));
  if (cutAfter !== undefined && !formsOf(epilogue.body, stores).every((f) => joins(f, factors))) refused.add(cutAfter);
  else if (products.length > 1 && refused.size === 0 && accumulators(finish((node) => node).kernel) > maxAccumulators)
    refused.add(rootOf(products[0]!));
  return {
    root,
    product: products.map(({ matmul }) => matmul).reduce((a, b) => (b.origin.id > a.origin.id ? b : a)),
    kind: "gemm",
    label,
    writes: results,
    reads: readsOf(...builders),
    readsOnlyAt: () => false,
    refused,
    tooTall: builders.some((b) => b.tooTall),
    waits: new Set(builders.flatMap((b) => [...b.waits])),
    coversAll: true,
    finish: (homeOf) => [{ ...finish(homeOf), label }],
  };
}

function draftProduct(matmul: ScheduleNode, context: LowerContext): ProductDraft {
  const [left, right] = matmul.inputs as [ScheduleNode, ScheduleNode];
  const batch = matmul.shape.slice(0, -2);
  const [m, n] = matmul.shape.slice(-2) as [number, number];
  const k = left.shape[left.shape.length - 1]!;
  const side = (node: ScheduleNode, rows: number, columns: number): Side => {
    const builder = new KernelBuilder([...batch, rows, columns], { ...fixedOptions(context), byBits: true });
    return {
      builder,
      value: builder.value(
        node,
        node.shape.map((_, d): LinearForm => unitForm(d)),
      ),
    };
  };
  return { k, a: side(left, m, k), b: side(right, k, n) };
}

/** `bert.encoder.layer.0.intermediate 2 matmul+add`: operations in the order in which they are met. */
function labelOfChain(chain: readonly ScheduleNode[], root: ScheduleNode, count: number): string {
  if (chain.length === 0) return labelOf(root);
  const names = [...new Set(chain.filter((c) => c.lowering.class !== "view").map((c) => c.primitive.name))];
  return `${root.scope === "" ? "" : `${root.scope} `}${count === 1 ? "" : `${count} `}matmul+${names.join("+") || "view"}`;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** A product that is stored column by column is computed the other way round, so that stores run along memory. */
function orient(kernel: GemmKernel): GemmKernel {
  const [sm, sn] = kernel.stores[0]!.index.strides.slice(-2) as [number, number];
  return sm === 1 && sn !== 1 && kernel.n > 1 ? turned(kernel) : kernel;
}
