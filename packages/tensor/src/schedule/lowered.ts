/**
 * Kernels lowered in one round of scheduling, kept for the next: a kernel comes out the same as long as the questions it asked (does this node
 * live in memory?) have the same answers and its products have the same chains. Rounds differ in a few nodes, so most kernels are lowered once.
 */
import type { GemmChain } from "./chains.ts";
import type { ScheduleNode } from "./graph.ts";
import type { KernelDraft, LowerContext } from "./lower.ts";

interface Entry {
  readonly draft: KernelDraft;
  readonly chain: string;
  readonly answers: ReadonlyMap<ScheduleNode, boolean>;
}

export class LoweredKernels {
  readonly #entries = new Map<ScheduleNode, Entry>();

  /** The kernel that `lower` makes for `root`; `chain` where it is one of products, a word where it is made in another way than usual. */
  get(
    root: ScheduleNode,
    stored: LowerContext["stored"],
    lower: (context: LowerContext) => KernelDraft,
    chain?: GemmChain | string,
  ): KernelDraft {
    const spelled = typeof chain === "object" ? spell(chain) : (chain ?? "");
    const before = this.#entries.get(root);
    if (before !== undefined && before.chain === spelled && holds(before.answers, stored)) return before.draft;
    const answers = new Map<ScheduleNode, boolean>();
    const ask = (node: ScheduleNode): boolean => {
      const answer = stored(node);
      answers.set(node, answer);
      return answer;
    };
    const draft = lower({ stored: ask, absorbed: new Set() });
    this.#entries.set(root, { draft, chain: spelled, answers });
    return draft;
  }
}

function holds(answers: ReadonlyMap<ScheduleNode, boolean>, stored: LowerContext["stored"]): boolean {
  for (const [node, answer] of answers) if (stored(node) !== answer) return false;
  return true;
}

function spell({ products, results, beyond, factors, cutAfter }: GemmChain): string {
  const ids = (nodes: readonly ScheduleNode[]): string => nodes.map((n) => n.id).join(" ");
  return `${products.map(({ matmul, chain }) => ids([matmul, ...chain])).join("+")} ${ids(beyond)} → ${ids(results)} ${JSON.stringify(factors)} ${cutAfter?.id}`;
}
