/**
 * Kernels with several results. When a kernel reads a stored node at every point it computes, it may as well compute that node
 * and write it out for the others: AdamW's moments with the update, a residual sum with the layer norm that follows.
 */
import type { GNode } from "./graph.ts";
import { lowerLoop, type KernelDraft } from "./lower.ts";

export interface AbsorbOptions {
  /** Whether a node must be written whoever reads it. */
  readonly isResult: (node: GNode) => boolean;
  /** Whether a node must stay in a kernel of its own. */
  readonly isAside: (node: GNode) => boolean;
  readonly maxArgs: number;
}

export function absorb(drafts: readonly KernelDraft[], stored: ReadonlySet<GNode>, { isResult, isAside, maxArgs }: AbsorbOptions): KernelDraft[] {
  const writer = new Map<GNode, KernelDraft>();
  const readers = new Map<GNode, Set<KernelDraft>>();
  const alive = new Set(drafts);
  // without barriers a kernel depends only on nodes older than its own
  const inOrder = drafts.every((d) => d.waits.size === 0);
  for (const draft of drafts) link(draft, writer, readers);
  // what a recomputation waits for stays in the kernel that makes it first: in a later one it might come too late
  const awaited = new Set(drafts.flatMap((d) => [...awaitedBy(d, writer)]));
  for (let i = drafts.length - 1; i >= 0; i--) {
    let consumer = drafts[i]!;
    if (consumer.kind !== "loop" || !alive.has(consumer)) continue;
    for (let progress = true; progress;) {
      progress = false;
      for (const node of [...consumer.reads].sort((a, b) => b.id - a.id)) {
        const producer = writer.get(node);
        if (producer === undefined || producer === consumer || producer.kind !== "loop") continue;
        if (producer.writes.length !== 1 || node.size < 2 || producer.root !== node || isAside(node) || awaited.has(node)) continue;
        if (feeds(node, consumer, writer, readers, inOrder)) continue;
        // nobody else wants it: computed in passing, it need not be stored at all
        const keep = isResult(node) || readers.get(node)!.size > 1;
        const merged = tryMerge(consumer, producer, keep, stored, maxArgs);
        if (merged === undefined) continue;
        for (const old of [consumer, producer]) {
          alive.delete(old);
          for (const read of old.reads) readers.get(read)?.delete(old);
        }
        link(merged, writer, readers);
        alive.add(merged);
        consumer = merged;
        progress = true;
        break;
      }
    }
  }
  return [...alive];
}

function link(draft: KernelDraft, writer: Map<GNode, KernelDraft>, readers: Map<GNode, Set<KernelDraft>>): void {
  for (const node of draft.writes) writer.set(node, draft);
  for (const node of draft.reads) {
    const set = readers.get(node);
    if (set === undefined) readers.set(node, new Set([draft]));
    else set.add(draft);
  }
}

function tryMerge(consumer: KernelDraft, producer: KernelDraft, keep: boolean, stored: ReadonlySet<GNode>, maxArgs: number): KernelDraft | undefined {
  const inside = new Set(consumer.writes);
  inside.delete(consumer.root);
  if (keep) inside.add(producer.root);
  const memory = new Set([...consumer.reads, ...producer.reads]);
  const computed = new Set([...inside, ...(consumer.inlined ?? []), producer.root]);
  const merged = lowerLoop(consumer.root, { stored: (n) => (stored.has(n) || memory.has(n)) && !computed.has(n), absorbed: inside });
  const once = new Set(merged.writes);
  const complete = merged.refused.size === 0 && once.size === merged.writes.length && once.size === inside.size + 1 && merged.coversAll;
  if (!complete || new Set([...merged.reads, ...merged.writes]).size > maxArgs) return undefined;
  return { ...merged, inlined: new Set([...(consumer.inlined ?? []), ...(keep ? [] : [producer.root])]) };
}

/** Kernels that must have run before this one: those it reads from and those a recomputation waits for. */
function* precursors(draft: KernelDraft, writer: ReadonlyMap<GNode, KernelDraft>): Generator<KernelDraft> {
  for (const read of draft.reads) {
    const from = writer.get(read);
    if (from !== undefined) yield from;
  }
  for (const node of awaitedBy(draft, writer)) yield writer.get(node)!;
}

/** Written nodes that must be there before a recomputation starts. */
function* awaitedBy(draft: KernelDraft, writer: ReadonlyMap<GNode, KernelDraft>): Generator<GNode> {
  const pending = [...draft.waits];
  while (pending.length > 0) {
    const node = pending.pop()!;
    if (writer.has(node)) yield node;
    else if (node.leaf === undefined) pending.push(...node.inputs);
  }
}

/** Whether another reader of `node` comes before `consumer`: merging would then make a circle. */
function feeds(node: GNode, consumer: KernelDraft, writer: ReadonlyMap<GNode, KernelDraft>, readers: ReadonlyMap<GNode, ReadonlySet<KernelDraft>>, inOrder: boolean): boolean {
  const others = new Set([...(readers.get(node) ?? [])].filter((d) => d !== consumer));
  if (others.size === 0) return false;
  const oldest = Math.min(...[...others].map((d) => d.root.id));
  const seen = new Set<KernelDraft>();
  const stack = [consumer];
  while (stack.length > 0) {
    const draft = stack.pop()!;
    for (const from of precursors(draft, writer)) {
      // nothing older than the oldest other reader can depend on it
      if (seen.has(from) || (inOrder && from.root.id < oldest && Math.max(...from.writes.map((w) => w.id)) < oldest)) continue;
      if (others.has(from)) return true;
      seen.add(from);
      stack.push(from);
    }
  }
  return false;
}
