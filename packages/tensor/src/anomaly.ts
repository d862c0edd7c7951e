/**
 * Finding the first operation that makes a non-finite value which reaches a result, before a run changes anything. A second program computes, from the same
 * host values, one flag for every node of the first; the run itself stays as it is, so it has the same bits with detection on and off.
 * It costs one more forward and backward pass, with a reduction for each operation.
 */
import { isFloat, type TypedArray } from "./dtype.ts";
import type { Engine, Planned } from "./engine.ts";
import { NumericsError } from "./errors.ts";
import { Node, type Leaf } from "./graph/node.ts";
import { buildProgram, storagesOf, topological, type Program } from "./graph/program.ts";
import { floatsOf } from "./memory-form.ts";
import { amax } from "./ops/reductions.ts";
import { cast } from "./ops/sources.ts";
import { isfinite, logicalNot } from "./ops/unary.ts";
import { withPrecision } from "./precision.ts";
import { formatShape, sizeOf } from "./shape.ts";
import { Tensor, type TensorHost } from "./tensor.ts";

interface Guard {
  readonly loss: Node | undefined;
  readonly handled: () => boolean;
}

/** Scalars that say whether a step will be kept. */
const guards = new WeakMap<Node, Guard>();

/**
 * Non-finite values are expected in a step whose bool scalar `kept` turns out false, while the loss itself is finite and `handled()` says
 * that whoever made the scalar sees to it: loss scaling, which overflows on purpose until it has found its scale.
 */
export function tolerateNonFinite(kept: Tensor, loss: Tensor | undefined, handled: () => boolean): void {
  guards.set(kept.node, { loss: loss?.node, handled });
}

interface Check {
  readonly planned: Planned;
  readonly watched: readonly Node[];
  /** What the run has when it starts: nodes that it computes may have become leaves when it is looked at. */
  readonly leaves: ReadonlyMap<Node, Leaf>;
  /** The scalar that says whether the step is kept. */
  readonly guard: Node | undefined;
}

export class AnomalyDetector {
  readonly #engine: Engine;
  readonly #device: TensorHost;
  readonly #checks = new WeakMap<Program, Check>();

  constructor(engine: Engine, device: TensorHost) {
    this.#engine = engine;
    this.#device = device;
  }

  /**
   * @param step what to call the run in the message; empty for one that updates nothing
   * @returns what looks at a run, given the values of the program's host leaves, in order: at once where the device reads at once, so that
   * nothing can come between. It throws NumericsError naming the operation, its module, the value and its place
   */
  inspection(program: Program, step: string): (values: readonly TypedArray[]) => void | Promise<void> {
    const check = this.#checkOf(program);
    return (values) => drive(this.#inspect(program, check, values, step));
  }

  *#inspect(program: Program, check: Check, values: readonly TypedArray[], step: string): Waiting<void> {
    const host = new Map(program.hostLeaves.map((node, i) => [node, values[i]!]));
    const { leaves } = check;
    for (const [node, leaf] of leaves) if (leaf.kind === "constant") host.set(node, leaf.constant.data);
    const flags = yield* this.#compute(check.planned, host);
    const set = (i: number): boolean => flags[i]!.some((v) => v !== 0);
    const flagged = new Map(check.watched.map((node, i) => [node, set(i)]));
    const bad = new Set<Node>();
    for (const node of program.nodes) if (isFloat(node.dtype) && isBad(node, leaves, bad, flagged, host)) bad.add(node);
    let roots: readonly Node[] = [...program.outputs, ...program.assignments.map((a) => a.value)];
    if (check.guard !== undefined && !set(check.watched.length)) {
      const { loss, handled } = guards.get(check.guard)!;
      if (loss !== undefined && bad.has(loss)) roots = [loss];
      else if (handled()) return;
      // the step would be thrown away, and with it everything that is wrong in it
      else roots = program.nodes;
    }
    // what a choice or a quotient swallows (a row that is masked whole) reaches no result and is no anomaly
    const reaching = spread(roots, leaves, bad);
    const made = earliest(reaching.filter((node) => isMaker(node, leaves, bad)));
    if (made !== undefined) throw yield* this.#error(made, leaves, host, step);
    // nothing was made, but a parameter would be spoilt by a value that was there before
    const spoilt = spread(
      program.assignments.map((a) => a.value),
      leaves,
      bad,
    );
    const first = earliest(spoilt.filter((node) => leaves.has(node))) ?? earliest(spoilt);
    if (first !== undefined) throw yield* this.#error(first, leaves, host, step);
  }

  *#error(node: Node, leaves: Leaves, host: ReadonlyMap<Node, TypedArray>, step: string): Waiting<NumericsError> {
    const data = floatsOf(node.dtype, host.get(node) ?? (yield* this.#valuesOf(node, host)));
    const at = data.findIndex((v) => !Number.isFinite(v));
    const { scope } = node;
    const leaf = leaves.get(node);
    const what =
      leaf === undefined
        ? `${node.primitive.name}${formatShape(node.shape)}`
        : `${leaf.kind === "cell" ? "a parameter" : leaf.kind === "input" ? `input "${leaf.name}"` : `a ${leaf.kind} value`} ${formatShape(node.shape)}`;
    const found = `${what} in ${scope || "(top level)"} ${leaf === undefined ? "made" : "holds"} the first non-finite value, ${data[at]} at element ${at}`;
    return new NumericsError(`${found}${step}`, found);
  }

  *#valuesOf(node: Node, host: ReadonlyMap<Node, TypedArray>): Waiting<TypedArray> {
    // a fresh node with the same meaning, so that probing does not mark the original as realized
    const program = buildProgram([leafOrCopy(node)], [], true);
    const [data] = yield* this.#compute(this.#engine.plan(program), host);
    return data!;
  }

  #checkOf(program: Program): Check {
    const known = this.#checks.get(program);
    if (known !== undefined) return known;
    const watched = program.nodes.filter(
      (node) =>
        isFloat(node.dtype) &&
        sizeOf(node.shape) > 0 &&
        (node.leaf === undefined
          ? !isView(node) && node.primitive.lowering.class !== "constant"
          : node.leaf.kind === "cell"),
    );
    const guard = program.nodes.find((node) => guards.has(node));
    const flags = withPrecision(undefined, () =>
      watched.map((node) => amax(cast(logicalNot(isfinite(new Tensor(node, this.#device))), "i32")).node),
    );
    const own = buildProgram([...flags, ...(guard === undefined ? [] : [leafOrCopy(guard)])], [], true);
    const leaves = new Map(
      program.nodes.flatMap((node): [Node, Leaf][] => (node.leaf === undefined ? [] : [[node, node.leaf]])),
    );
    const check = { planned: this.#engine.plan(own), watched, leaves, guard };
    this.#checks.set(program, check);
    return check;
  }

  *#compute(planned: Planned, host: ReadonlyMap<Node, TypedArray>): Waiting<TypedArray[]> {
    const { program } = planned;
    yield* wait(this.#engine.prepare(planned));
    const results = yield* wait(
      this.#engine.execute(
        planned,
        program.hostLeaves.map((node) => host.get(node)!),
        storagesOf(program),
        { ran: () => undefined },
      ),
    );
    const data: TypedArray[] = [];
    for (const [i, result] of results.entries()) {
      const { dtype, shape } = program.outputs[i]!;
      data.push(
        result.kind === "host" ? result.data : yield* wait(this.#engine.read(result.storage, dtype, sizeOf(shape))),
      );
      if (result.kind === "storage") this.#engine.release(result.storage);
    }
    return data;
  }
}

type Leaves = ReadonlyMap<Node, Leaf>;
type Waiting<T> = Generator<unknown, T, unknown>;

function* wait<T>(value: T | Promise<T>): Waiting<T> {
  return (yield value) as T;
}

/** Goes on at once for as long as nothing that `steps` waits for is a promise. */
function drive<T>(steps: Waiting<T>, given?: unknown): T | Promise<T> {
  for (let next = steps.next(given); ; next = steps.next(next.value)) {
    if (next.done === true) return next.value;
    if (next.value instanceof Promise) return next.value.then((value: unknown) => drive(steps, value));
  }
}

function isView(node: Node): boolean {
  return node.leaf === undefined && node.primitive.lowering.class === "view";
}

function leafOrCopy(node: Node): Node {
  return node.leaf === undefined
    ? new Node(node.primitive, node.inputs, node.attrs, node.shape, node.dtype)
    : new Node(node.primitive, [], node.attrs, node.shape, node.dtype, node.leaf);
}

function isBad(
  node: Node,
  leaves: Leaves,
  bad: ReadonlySet<Node>,
  flagged: ReadonlyMap<Node, boolean>,
  host: ReadonlyMap<Node, TypedArray>,
): boolean {
  const data = host.get(node);
  if (data !== undefined) return floatsOf(node.dtype, data).some((v) => !Number.isFinite(v));
  if (leaves.has(node)) return flagged.get(node) === true;
  if ("value" in node.attrs && !Number.isFinite(node.attrs["value"])) return true;
  return node.primitive.lowering.class === "view" ? bad.has(node.inputs[0]!) : flagged.get(node) === true;
}

/** Whether its value is non-finite though what it was made from is not. A mask's −∞ is meant; what the host feeds live is a schedule's number. */
function isMaker(node: Node, leaves: Leaves, bad: ReadonlySet<Node>): boolean {
  const { primitive, inputs } = node;
  const leaf = leaves.get(node);
  if (leaf !== undefined) return leaf.kind === "live";
  const kind = primitive.lowering.class;
  return kind !== "constant" && kind !== "view" && kind !== "select" && !inputs.some((input) => bad.has(input));
}

/** Bad nodes from which these got what is wrong with them, themselves included. */
function spread(roots: readonly Node[], leaves: Leaves, bad: ReadonlySet<Node>): Node[] {
  return topological(
    roots.filter((node) => bad.has(node)),
    (node) => (leaves.has(node) ? [] : node.inputs.filter((input) => bad.has(input))),
  );
}

/** In the order in which they were built. */
function earliest(nodes: readonly Node[]): Node | undefined {
  return nodes.reduce<Node | undefined>(
    (first, node) => (first === undefined || node.id < first.id ? node : first),
    undefined,
  );
}
