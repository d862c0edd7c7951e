/**
 * Decides what is stored and what is fused. A node is stored when a result, when it is a product or a scatter, when kernels that
 * share it would have to repeat real work, or when a kernel that wanted to compute it in passing refused. Kernels are lowered
 * optimistically; every refusal adds to the stored set and the schedule is made again, which ends because the set only grows.
 *
 *   x [4, 8] ─ m = max(x, 1) ─ e = exp(x − m) ─ s = sum(e, 1) ─ e / s ─ c = sum(e / s, 0), the result
 *
 *   round   stored       what happens
 *   1       c            the kernel of c sums columns: m and s, which run along rows, are refused
 *   2       c m s        two kernels want e, and exp is too dear to be repeated
 *   3       c m s e      nothing is refused; e / s is computed in passing
 *   absorb               one kernel x → e, s with m on its way, and one e, s → c
 */
import { invariant } from "../errors.ts";
import type { Cell } from "../graph/cell.ts";
import type { Node } from "../graph/node.ts";
import type { Program } from "../graph/program.ts";
import type { Target } from "../ir/target.ts";
import type { Template } from "../ir/template.ts";
import { absorb } from "./absorb.ts";
import { buildScheduleGraph, copyPrimitive, type ScheduleNode, type ScheduleGraph } from "./graph.ts";
import { findChains } from "./chains.ts";
import { lowerAssemble } from "./lower-assemble.ts";
import { lowerComposite } from "./lower-composite.ts";
import { lowerGemm } from "./lower-gemm.ts";
import { lowerLoop, lowerScatter, lowerUpdate, type KernelDraft } from "./lower.ts";
import { placeOperand } from "./operands.ts";
import { LoweredKernels } from "./lowered.ts";
import { orderKernels } from "./order.ts";
import { cutsOf } from "./tallest.ts";

export interface ScheduleOptions {
  /** Off: every operation is a kernel of its own. */
  readonly fusion: boolean;
  readonly target: Target;
  /** The backend's own ways to compute composites and kernels; none are asked where fusion is off. */
  readonly templates: readonly Template[];
}

export interface Schedule {
  readonly kernels: readonly KernelDraft[];
  /** Where a stored node lives: a parameter's cell, the n-th output, or (absent) the arena. */
  readonly homes: ReadonlyMap<ScheduleNode, Cell | number>;
  readonly leaves: readonly ScheduleNode[];
}

/** Far more rounds than refusals and detours of any graph need. */
const MAX_ROUNDS = 1000;

interface Roots {
  readonly homes: Map<ScheduleNode, Cell | number>;
  readonly roots: ScheduleNode[];
}

export function schedule(program: Program, options: ScheduleOptions): Schedule {
  const { target } = options;
  const graph = buildScheduleGraph(program, { target, templates: options.templates, simplify: options.fusion });
  const { homes, roots } = claimRoots(graph);
  const live = reachable(roots);
  const stored = new Set<ScheduleNode>(roots);
  const packed = new Set<ScheduleNode>();
  for (const node of live) {
    if (node.leaf !== undefined || node.constant !== undefined) continue;
    const isView = node.lowering.class === "view";
    if (node.lowering.class === "scatter" || (!options.fusion && !isView)) stored.add(node);
    if (node.lowering.class === "composite" || node.lowering.class === "assemble")
      for (const x of [node, ...node.inputs]) if (x.leaf === undefined) stored.add(x);
    if (node.lowering.class === "matmul") node.inputs.forEach((x) => placeOperand(x, { stored, packed }, target));
  }
  /** Results that must be computed aside and copied: merging the two again would bring the hazard back. */
  const aside = new Set<ScheduleNode>();
  const lowered = new LoweredKernels();
  for (let round = 0; ; round++) {
    invariant(round < MAX_ROUNDS, "the scheduler goes round in circles");
    const plan = attempt(live, { stored, packed, homes }, options, lowered);
    const before = stored.size;
    for (const draft of plan.drafts) for (const node of draft.refused) if (node !== draft.root) stored.add(node);
    for (const node of plan.shared) stored.add(node);
    // all cuts of a graph at once, and not one a round
    if (plan.drafts.some((draft) => draft.tooTall)) for (const node of cutsOf(live, stored)) stored.add(node);
    if (stored.size === before)
      for (const draft of plan.drafts)
        if (
          draft.kind !== "composite" &&
          draft.kind !== "assemble" &&
          draft.reads.size + draft.writes.length > target.maxArguments
        )
          stored.add(cutPoint(draft, stored));
    if (stored.size !== before) continue;
    const merged = options.fusion
      ? absorb(plan.drafts, stored, {
          isResult: (n) => homes.has(n),
          isAside: (n) => aside.has(n),
          maxArguments: target.maxArguments,
        })
      : plan.drafts;
    const hazard = homesThatMustMove(merged, homes);
    if (hazard.length > 0) {
      for (const node of hazard) detour(node, homes, live, stored, aside);
      continue;
    }
    const kernels = orderKernels(merged, homes);
    if (!Array.isArray(kernels)) {
      detour(kernels.conflict, homes, live, stored, aside);
      continue;
    }
    return { kernels, homes, leaves: live.filter((n) => n.leaf !== undefined) };
  }
}

/** Gives every result a node of its own to be written by: leaves, constants and nodes wanted twice get a copy. */
function claimRoots(graph: ScheduleGraph): Roots {
  const homes = new Map<ScheduleNode, Cell | number>();
  const roots: ScheduleNode[] = [];
  const claim = (node: ScheduleNode, home: Cell | number): void => {
    const elsewhere = node.leaf !== undefined || node.constant !== undefined || node.lowering.class === "assemble";
    const root = elsewhere || homes.has(node) ? copyOf(node) : node;
    homes.set(root, home);
    roots.push(root);
  };
  graph.assignments.forEach(({ cell, value }) => claim(value, cell));
  graph.outputs.forEach((node, i) => claim(node, i));
  return { homes, roots };
}

let copies = 0;

function copyOf(node: ScheduleNode): ScheduleNode {
  const copy: ScheduleNode = {
    id: 1e9 + copies++,
    primitive: copyPrimitive,
    lowering: copyPrimitive.lowering,
    inputs: [node],
    attrs: {},
    shape: node.shape,
    size: node.size,
    dtype: node.dtype,
    leaf: undefined,
    origin: node.origin as Node,
    constant: undefined,
    users: [],
    scope: node.scope,
    after: undefined,
  };
  node.users.push(copy);
  return copy;
}

/** Computes into the arena first and copies at the end, where writing in place would disturb a reader. */
function detour(
  node: ScheduleNode,
  homes: Map<ScheduleNode, Cell | number>,
  live: ScheduleNode[],
  stored: Set<ScheduleNode>,
  aside: Set<ScheduleNode>,
): void {
  aside.add(node);
  const copy = copyOf(node);
  homes.set(copy, homes.get(node)!);
  homes.delete(node);
  live.push(copy);
  stored.add(copy);
}

/** Nodes that the roots need, inputs first. */
function reachable(roots: readonly ScheduleNode[]): ScheduleNode[] {
  const seen = new Set<ScheduleNode>();
  const stack = [...roots];
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push(...node.inputs, ...(node.after === undefined ? [] : [node.after]));
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** Whether what it writes goes where what it changes already is. */
function updatesInPlace(node: ScheduleNode, homes: Placed["homes"]): boolean {
  if (node.lowering.class !== "update") return false;
  const { leaf } = node.inputs[0]!;
  return leaf?.kind === "cell" && leaf.cell === homes.get(node);
}

interface Placed {
  readonly stored: ReadonlySet<ScheduleNode>;
  readonly packed: ReadonlySet<ScheduleNode>;
  readonly homes: ReadonlyMap<ScheduleNode, Cell | number>;
}

interface Attempt {
  readonly drafts: KernelDraft[];
  readonly shared: Set<ScheduleNode>;
}

function attempt(
  live: readonly ScheduleNode[],
  { stored, packed, homes }: Placed,
  options: ScheduleOptions,
  lowered: LoweredKernels,
): Attempt {
  const inLive = new Set(live);
  const { target } = options;
  const chains = findChains(live, { stored, packed, isLive: (n) => inLive.has(n), target });
  const kernelOf = new Map<ScheduleNode, Set<ScheduleNode>>();
  const shared = new Set<ScheduleNode>();
  const owner = new Map<ScheduleNode, ScheduleNode>();
  const results = new Set<ScheduleNode>();
  for (const chain of chains.values()) {
    for (const node of [...chain.products.flatMap((p) => [p.matmul, ...p.chain]), ...chain.beyond])
      owner.set(node, chain.results[0]!);
    for (const node of chain.results) results.add(node);
  }
  const isRoot = (n: ScheduleNode): boolean => stored.has(n) || results.has(n);
  // users before inputs: which kernels would compute each node
  for (let i = live.length - 1; i >= 0; i--) {
    const node = live[i]!;
    if (node.leaf !== undefined || node.constant !== undefined) continue;
    const within = new Set<ScheduleNode>();
    const own = owner.get(node);
    if (own !== undefined) within.add(own);
    else if (isRoot(node)) within.add(node);
    else for (const user of node.users) if (inLive.has(user)) for (const k of kernelOf.get(user) ?? []) within.add(k);
    kernelOf.set(node, within);
    if (within.size > 1 && !isRoot(node) && !packed.has(node) && !worthRepeating(node, target)) {
      shared.add(node);
      kernelOf.set(node, new Set([node]));
    }
  }
  const isStored = (n: ScheduleNode): boolean => isRoot(n) || shared.has(n);
  const drafts: KernelDraft[] = [];
  for (const node of live) {
    if (node.size === 0 || node.leaf !== undefined) continue;
    const chain = chains.get(node);
    if (chain !== undefined)
      drafts.push(lowered.get(node, isStored, (context) => lowerGemm(chain, context, target), chain));
    else if (owner.has(node)) continue;
    else if (node.lowering.class === "composite") {
      const { group } = node.lowering;
      const wanted = live.filter((n) => n.lowering.class === "composite" && n.lowering.group === group);
      if (wanted[0] === node) drafts.push(lowerComposite(wanted));
    } else if (node.lowering.class === "assemble") drafts.push(lowerAssemble(node));
    else if (node.lowering.class === "scatter")
      drafts.push(lowered.get(node, isStored, (context) => lowerScatter(node, context)));
    else if (updatesInPlace(node, homes))
      drafts.push(lowered.get(node, isStored, (context) => lowerUpdate(node, context), "in place"));
    else if (isStored(node)) drafts.push(lowered.get(node, isStored, (context) => lowerLoop(node, context)));
  }
  return { drafts, shared: options.fusion ? shared : new Set([...shared].filter((n) => n.lowering.class !== "view")) };
}

/** Cheap enough to compute in every kernel that wants it: one real input, one arithmetic operation, no wider result to read back. */
function worthRepeating(node: ScheduleNode, { repeatCost }: Target): boolean {
  const { lowering } = node;
  if (lowering.class === "view" || lowering.class === "iota" || lowering.class === "constant") return true;
  if (
    lowering.class !== "unary" &&
    lowering.class !== "binary" &&
    lowering.class !== "cast" &&
    lowering.class !== "select"
  )
    return false;
  const real = node.inputs.filter((x) => x.constant === undefined && !isScalarView(x));
  if (real.length > 1 || node.primitive.cost > repeatCost) return false;
  const [input] = real;
  // a narrow result of something that would have to be stored anyway (a dropout mask) is the better thing to store
  return (
    input === undefined || !(node.dtype === "bool" && input.leaf === undefined && input.lowering.class === "random")
  );
}

/** A single stored number seen through views: every kernel can read it for nothing. */
function isScalarView(node: ScheduleNode): boolean {
  let at = node;
  while (at.leaf === undefined && at.constant === undefined && at.lowering.class === "view") at = at.inputs[0]!;
  return at.size === 1 && at.leaf !== undefined;
}

/** Where to cut a kernel that touches too many buffers: the computed node whose own reads are the most that still fit. */
function cutPoint(draft: KernelDraft, stored: ReadonlySet<ScheduleNode>): ScheduleNode {
  const budget = Math.max(2, Math.ceil(draft.reads.size / 2));
  let best: { node: ScheduleNode; reads: number } | undefined;
  const cache = new Map<ScheduleNode, Set<ScheduleNode>>();
  const readsOf = (node: ScheduleNode): Set<ScheduleNode> => {
    const known = cache.get(node);
    if (known !== undefined) return known;
    const reads = new Set<ScheduleNode>();
    cache.set(node, reads);
    for (const input of node.inputs) {
      if (draft.reads.has(input)) reads.add(input);
      else for (const r of readsOf(input)) reads.add(r);
    }
    if (
      node !== draft.root &&
      !stored.has(node) &&
      node.lowering.class !== "view" &&
      reads.size >= 2 &&
      reads.size <= budget &&
      (best === undefined || reads.size > best.reads)
    )
      best = { node, reads: reads.size };
    return reads;
  };
  readsOf(draft.root);
  return best?.node ?? draft.root.inputs[0]!;
}

/** Parameters written by a kernel that also reads their old values elsewhere than where it writes. */
function homesThatMustMove(
  drafts: readonly KernelDraft[],
  homes: ReadonlyMap<ScheduleNode, Cell | number>,
): ScheduleNode[] {
  const out: ScheduleNode[] = [];
  for (const draft of drafts) {
    for (const node of draft.writes) {
      const home = homes.get(node);
      if (typeof home !== "object") continue;
      for (const read of draft.reads) {
        if (read.leaf?.kind === "cell" && read.leaf.cell === home && !draft.readsOnlyAt(read, node)) out.push(node);
      }
    }
  }
  return out;
}
