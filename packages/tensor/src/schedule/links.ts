/**
 * Who writes and who reads what, while kernels are being merged. Every kernel has a level above those of all it depends on, so
 * that most questions of dependence are answered without a search.
 */
import type { ScheduleNode } from "./graph.ts";
import type { KernelDraft } from "./lower.ts";

export class KernelLinks {
  readonly alive: Set<KernelDraft>;
  readonly #writer = new Map<ScheduleNode, KernelDraft>();
  readonly #readers = new Map<ScheduleNode, Set<KernelDraft>>();
  /** Kernels that wait for a node without reading it: recomputations. */
  readonly #waiters = new Map<ScheduleNode, Set<KernelDraft>>();
  readonly #level = new Map<KernelDraft, number>();

  constructor(drafts: readonly KernelDraft[]) {
    this.alive = new Set(drafts);
    for (const draft of drafts) for (const node of draft.writes) this.#writer.set(node, draft);
    for (const draft of drafts) this.#link(draft);
    for (const draft of drafts) this.#place(draft);
  }

  writerOf(node: ScheduleNode): KernelDraft | undefined {
    return this.#writer.get(node);
  }
  readersOf(node: ScheduleNode): ReadonlySet<KernelDraft> {
    return this.#readers.get(node) ?? NOBODY;
  }

  /** What a recomputation waits for stays in the kernel that makes it first: in a later one it might come too late. */
  isAwaited(node: ScheduleNode): boolean {
    return this.#waiters.has(node);
  }

  /** Whether another reader of `node` comes before `consumer`: to compute `node` in `consumer` would then make a circle. */
  feeds(node: ScheduleNode, consumer: KernelDraft): boolean {
    const others = new Set([...this.readersOf(node)].filter((d) => d !== consumer));
    if (others.size === 0) return false;
    const lowest = Math.min(...[...others].map((d) => this.#level.get(d)!));
    const seen = new Set<KernelDraft>();
    const stack = [consumer];
    while (stack.length > 0) {
      for (const from of this.#precursors(stack.pop()!)) {
        if (others.has(from)) return true;
        if (seen.has(from) || this.#level.get(from)! <= lowest) continue;
        seen.add(from);
        stack.push(from);
      }
    }
    return false;
  }

  replace(old: readonly KernelDraft[], merged: KernelDraft): void {
    for (const draft of old) {
      this.alive.delete(draft);
      for (const node of draft.writes) this.#writer.delete(node);
      for (const node of draft.reads) this.#readers.get(node)?.delete(draft);
      for (const node of this.#awaitedBy(draft)) this.#waiters.get(node)?.delete(draft);
    }
    this.alive.add(merged);
    for (const node of merged.writes) this.#writer.set(node, merged);
    this.#link(merged);
    this.#level.set(merged, 0);
    this.#raise(merged);
  }

  #link(draft: KernelDraft): void {
    for (const node of draft.reads) put(this.#readers, node, draft);
    for (const node of this.#awaitedBy(draft)) put(this.#waiters, node, draft);
  }

  /** Gives `draft` its first level, after everything it depends on: raising one after another would lift whole graphs again and again. */
  #place(draft: KernelDraft): void {
    const stack = [draft];
    while (stack.length > 0) {
      const at = stack[stack.length - 1]!;
      const before = [...this.#precursors(at)];
      const waiting = before.filter((d) => !this.#level.has(d));
      if (waiting.length > 0) {
        stack.push(...waiting);
        continue;
      }
      stack.pop();
      this.#level.set(
        at,
        before.reduce((level, d) => Math.max(level, this.#level.get(d)! + 1), 0),
      );
    }
  }

  /** Lifts `draft` above what it depends on, and with it all that depends on it. */
  #raise(draft: KernelDraft): void {
    const stack = [draft];
    while (stack.length > 0) {
      const at = stack.pop()!;
      let level = this.#level.get(at)!;
      for (const from of this.#precursors(at)) level = Math.max(level, this.#level.get(from)! + 1);
      this.#level.set(at, level);
      for (const node of at.writes) {
        for (const next of [...this.readersOf(node), ...(this.#waiters.get(node) ?? NOBODY)]) {
          if (next !== at && this.#level.get(next)! <= level) {
            this.#level.set(next, level + 1);
            stack.push(next);
          }
        }
      }
    }
  }

  /** Kernels that must have run before this one: those it reads from and those a recomputation waits for. */
  *#precursors(draft: KernelDraft): Generator<KernelDraft> {
    for (const node of [...draft.reads, ...this.#awaitedBy(draft)]) {
      const from = this.#writer.get(node);
      if (from !== undefined && from !== draft) yield from;
    }
  }

  /** Written nodes that must be there before a recomputation starts. */
  #awaitedBy(draft: KernelDraft): Iterable<ScheduleNode> {
    return writtenBelow(draft.waits, this.#writer);
  }
}

/** What must have been written where these nodes are to be known: themselves, or else what they are made of. */
export function* writtenBelow(
  nodes: ReadonlySet<ScheduleNode>,
  writer: ReadonlyMap<ScheduleNode, unknown>,
): Generator<ScheduleNode> {
  const seen = new Set(nodes);
  const pending = [...nodes];
  while (pending.length > 0) {
    const node = pending.pop()!;
    if (writer.has(node)) yield node;
    else if (node.leaf === undefined) {
      for (const input of node.inputs) {
        if (seen.has(input)) continue;
        seen.add(input);
        pending.push(input);
      }
    }
  }
}

const NOBODY: ReadonlySet<KernelDraft> = new Set();

function put(map: Map<ScheduleNode, Set<KernelDraft>>, node: ScheduleNode, draft: KernelDraft): void {
  const set = map.get(node);
  if (set === undefined) map.set(node, new Set([draft]));
  else set.add(draft);
}
