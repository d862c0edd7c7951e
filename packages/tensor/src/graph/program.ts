/** A program: the part of the graph that a set of results needs, in topological order, with its leaves listed. */
import { LowrankError } from "../errors.ts";
import type { Cell } from "./cell.ts";
import type { Constant } from "./constant.ts";
import { indexChecks, type IndexCheck } from "./index-checks.ts";
import type { Node } from "./node.ts";
import type { Storage } from "./storage.ts";

export interface Assignment {
  readonly cell: Cell;
  readonly value: Node;
}

export interface Program {
  /** Inputs before users. */
  readonly nodes: readonly Node[];
  readonly outputs: readonly Node[];
  readonly assignments: readonly Assignment[];
  /** Leaves whose values are copied in at every run: host data, live values, compiled inputs. */
  readonly hostLeaves: readonly Node[];
  /** Persistent storage that is read or written, each once. */
  readonly cells: readonly Cell[];
  /** Constants that are read, each once. */
  readonly constants: readonly Constant[];
  /** Ranges that host values must keep to, looked at before every run. */
  readonly indexChecks: readonly IndexCheck[];
}

/**
 * @param replayed whether it reads what parameters hold when it runs, as replays do, rather than what its tensors were built from
 * @throws StaleError, DisposedError
 */
export function buildProgram(outputs: readonly Node[], assignments: readonly Assignment[], replayed = false): Program {
  const nodes = topological([...outputs, ...assignments.map((a) => a.value)]);
  const hostLeaves: Node[] = [];
  const cells = new Set<Cell>();
  const constants = new Set<Constant>();
  for (const node of nodes) {
    const leaf = node.leaf;
    if (leaf === undefined) continue;
    if (leaf.kind === "cell") {
      checkVersion(node, leaf.cell, replayed ? leaf.cell.version : leaf.version);
      cells.add(leaf.cell);
    } else if (leaf.kind === "constant") {
      constants.add(leaf.constant);
    } else {
      hostLeaves.push(node);
    }
  }
  for (const { cell } of assignments) cells.add(cell);
  return {
    nodes,
    outputs,
    assignments,
    hostLeaves,
    cells: [...cells],
    constants: [...constants],
    indexChecks: indexChecks(nodes, hostLeaves),
  };
}

/** What a run binds: the storage of the program's cells, in order, then of its constants, which are copied to the device where they are not yet. */
export function storagesOf({ cells, constants }: Program): Storage[] {
  return [...cells, ...constants].map((x) => x.storage);
}

/**
 * Checks, when a program's turn has come, that the steps which its tensors were built on have happened.
 * @throws StaleError
 */
export function builtOn({ nodes }: Program): () => void {
  // as they are now: a node that is computed meanwhile becomes a leaf
  const reads = nodes.flatMap((node) => (node.leaf?.kind === "cell" ? [{ node, ...node.leaf }] : []));
  return () => {
    for (const { node, cell, version } of reads) if (!cell.knows(version)) throw stale(node);
  };
}

function checkVersion(node: Node, cell: Cell, version: number): void {
  if (cell.disposed)
    throw new LowrankError("DisposedError", `tensor [${node.shape.join(", ")}] was disposed before it was read`);
  if (cell.version !== version) throw stale(node);
}

function stale({ shape }: Node): LowrankError {
  return new LowrankError(
    "StaleError",
    `a tensor built from a parameter [${shape.join(", ")}] was read after the parameter was updated in place; realize it before the update, or build it again where the step failed that it was built on`,
  );
}

/** Depth-first, iterative: graphs of a training step are deeper than the call stack. Realized nodes count as leaves. */
export function topological(roots: readonly Node[], inputsOf: (node: Node) => readonly Node[] = graphInputs): Node[] {
  const order: Node[] = [];
  const state = new Map<Node, "open" | "done">();
  const stack: Node[] = [];
  for (const root of roots) {
    stack.push(root);
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!;
      const seen = state.get(node);
      if (seen === "done") {
        stack.pop();
      } else if (seen === "open") {
        stack.pop();
        state.set(node, "done");
        order.push(node);
      } else {
        state.set(node, "open");
        const inputs = inputsOf(node);
        for (let i = inputs.length - 1; i >= 0; i--) {
          const input = inputs[i]!;
          if (!state.has(input)) stack.push(input);
        }
      }
    }
  }
  return order;
}

function graphInputs(node: Node): readonly Node[] {
  return node.leaf === undefined ? node.inputs : [];
}
