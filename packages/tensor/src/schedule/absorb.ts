/**
 * Kernels with several results. When a kernel reads a stored node at every point it computes, it may as well compute that node
 * and write it out for the others: AdamW's moments with the update, a residual sum with the layer norm that follows.
 *
 *   before                                              after
 *   M   m′ = 0.9 · m + g      reads m g,  writes m′     MW   m′ = 0.9 · m + g
 *   W   w′ = w − 0.1 · m′     reads w m′, writes w′          w′ = w − 0.1 · m′     reads m g w, writes m′ w′
 *
 *   If m′ were no result and only W read it, it would be computed in passing and written nowhere.
 */
import type { ScheduleNode } from "./graph.ts";
import { KernelLinks } from "./links.ts";
import { lowerLoop, type KernelDraft } from "./lower.ts";

export interface AbsorbOptions {
  /** Whether a node must be written whoever reads it. */
  readonly isResult: (node: ScheduleNode) => boolean;
  /** Whether a node must stay in a kernel of its own. */
  readonly isAside: (node: ScheduleNode) => boolean;
  /** Most distinct buffers that a kernel may touch. */
  readonly maxArguments: number;
}

export function absorb(
  drafts: readonly KernelDraft[],
  stored: ReadonlySet<ScheduleNode>,
  { isResult, isAside, maxArguments }: AbsorbOptions,
): KernelDraft[] {
  const links = new KernelLinks(drafts);
  for (let i = drafts.length - 1; i >= 0; i--) {
    let consumer = drafts[i]!;
    if (consumer.kind !== "loop" || !links.alive.has(consumer)) continue;
    for (let progress = true; progress;) {
      progress = false;
      for (const node of [...consumer.reads].sort((a, b) => b.id - a.id)) {
        const producer = links.writerOf(node);
        if (producer === undefined || producer === consumer || producer.kind !== "loop") continue;
        if (
          producer.writes.length !== 1 ||
          node.size < 2 ||
          producer.root !== node ||
          isAside(node) ||
          links.isAwaited(node)
        )
          continue;
        if (links.feeds(node, consumer)) continue;
        // nobody else wants it: computed in passing, it need not be stored at all
        const keep = isResult(node) || links.readersOf(node).size > 1;
        const merged = tryMerge(consumer, producer, keep, stored, maxArguments);
        if (merged === undefined) continue;
        links.replace([consumer, producer], merged);
        consumer = merged;
        progress = true;
        break;
      }
    }
  }
  return [...links.alive];
}

function tryMerge(
  consumer: KernelDraft,
  producer: KernelDraft,
  keep: boolean,
  stored: ReadonlySet<ScheduleNode>,
  maxArguments: number,
): KernelDraft | undefined {
  const inside = new Set(consumer.writes);
  inside.delete(consumer.root);
  if (keep) inside.add(producer.root);
  const memory = new Set([...consumer.reads, ...producer.reads]);
  const computed = new Set([...inside, ...(consumer.inlined ?? []), producer.root]);
  const merged = lowerLoop(consumer.root, {
    stored: (n) => (stored.has(n) || memory.has(n)) && !computed.has(n),
    absorbed: inside,
  });
  const once = new Set(merged.writes);
  const complete =
    merged.refused.size === 0 &&
    once.size === merged.writes.length &&
    once.size === inside.size + 1 &&
    merged.coversAll;
  if (!complete || new Set([...merged.reads, ...merged.writes]).size > maxArguments) return undefined;
  return { ...merged, inlined: new Set([...(consumer.inlined ?? []), ...(keep ? [] : [producer.root])]) };
}
