/**
 * Symbolic gradients. The graph is the tape: `grad` walks it from the loss towards `wrt` and builds gradient nodes, which are
 * ordinary nodes, so gradients of gradients need nothing more. Nothing is built for inputs that do not lead to `wrt`.
 */
import { currentPrecision, withPrecision } from "./precision.ts";
import { isFloat } from "./dtype.ts";
import { DTypeError, ShapeError } from "./errors.ts";
import { gradientRule } from "./gradients.ts";
import { atScope, withScope, type Node } from "./graph/node.ts";
import { topological } from "./graph/program.ts";
import { add } from "./ops/binary.ts";
import { customVjp, makeNode, scalar } from "./ops/make.ts";
import { barrier, expand } from "./ops/views.ts";
import { Parameter } from "./parameter.ts";
import type { Primitive } from "./primitives/primitive.ts";
import { formatShape, sameShape } from "./shape.ts";
import { Tensor } from "./tensor.ts";

/** What a gradient flows to: a custom rule's inputs instead of the primitives behind it. A value that was read keeps its history; `detach` drops it. */
function gradientInputs(node: Node): readonly Node[] {
  return node.vjp?.inputs ?? (gradientRule(node.primitive) === undefined ? [] : node.inputs);
}

function byTable(node: Node, g: Tensor): readonly (Tensor | undefined)[] {
  return gradientRule(node.primitive)!(g, {
    inputs: node.inputs.map((n) => new Tensor(n, g.device)),
    output: new Tensor(node, g.device),
    attrs: node.attrs,
  });
}

/**
 * d loss / d w for each w, with the shape and dtype of w; zeros where the loss does not depend on it.
 * @param loss scalar ([]) tensor
 * @param seed gradient of whatever comes after; default 1
 */
export function grad(loss: Tensor, wrt: readonly (Tensor | Parameter)[], seed?: Tensor): Tensor[] {
  if (seed === undefined && loss.size !== 1)
    throw new ShapeError(
      `grad: the loss must be a scalar, got ${formatShape(loss.shape)}; reduce it, or pass the gradient of what follows`,
    );
  if (!isFloat(loss.dtype)) throw new DTypeError(`grad: the loss must be a float, got ${loss.dtype}`);
  const targets = wrt.map((w) => (w instanceof Parameter ? w.value : w));
  // the forward pass has chosen the dtypes; a policy in force here, where it was made or elsewhere, has no say in them
  return withPrecision(undefined, () => gradients(loss, targets, seed, gradientInputs));
}

/** @param inputsOf what a node's gradient flows to; nowhere behind a node that has none */
function gradients(
  loss: Tensor,
  targets: readonly Tensor[],
  seed: Tensor | undefined,
  inputsOf: (node: Node) => readonly Node[],
): Tensor[] {
  const device = loss.device;
  const order = topological([loss.node], inputsOf);
  const leads = new Set<Node>(targets.map((w) => w.node));
  for (const node of order) if (inputsOf(node).some((input) => leads.has(input))) leads.add(node);

  const found = new Map<Node, Tensor>();
  found.set(loss.node, seed ?? expand(scalar(1, loss), loss.shape));
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i]!;
    const g = found.get(node);
    if (g === undefined || !leads.has(node)) continue;
    const inputs = inputsOf(node);
    const wanted = inputs.map((input) => leads.has(input));
    if (!wanted.includes(true)) continue;
    const parts = inGradientOf(node, () =>
      node.vjp === undefined
        ? byTable(node, g)
        : node.vjp.rule(g.node, wanted).map((part) => part && new Tensor(part, device)),
    );
    inputs.forEach((input, k) => {
      const part = parts[k];
      if (part === undefined || !wanted[k] || !isFloat(input.dtype)) return;
      const shaped = sameShape(part.shape, input.shape) ? part : expand(part, input.shape);
      const before = found.get(input);
      found.set(input, before === undefined ? shaped : add(before, shaped));
    });
  }
  return targets.map((w) => found.get(w.node) ?? expand(scalar(0, w), w.shape));
}

/** Nodes of gradients say whose they are. Those of gradients' gradients say no more: names would double with every checkpoint in another. */
function inGradientOf<T>({ scope }: Node, body: () => T): T {
  if (/(^|\.)grad(\(|$)/.test(scope)) return atScope(scope, body);
  return withScope(scope === "" ? "grad" : `grad(${scope})`, body);
}

/** The loss together with its gradients. */
export function valueAndGrad(loss: Tensor, wrt: readonly (Tensor | Parameter)[]): { loss: Tensor; grads: Tensor[] } {
  return { loss, grads: grad(loss, wrt) };
}

/**
 * Runs `body` without keeping its intermediates for the backward pass: they are computed again from `inputs` when their gradient
 * is known. Parameters that `body` closes over get their gradients as usual. `body` is called again by `grad` and must build the
 * same values then, random sites included (see nn's `Block`). Chen et al. 2016, "Training deep nets with sublinear memory cost".
 */
export function checkpoint(body: (...inputs: Tensor[]) => Tensor, inputs: readonly Tensor[]): Tensor {
  const result = body(...inputs);
  const output = makeNode(identity, [result], {}, result.shape, result.dtype);
  const closedOver = storedLeaves(result, inputs);
  // where `grad` is called, the forward pass's policy is no longer in force
  const policy = currentPrecision();
  return customVjp(output, [...inputs, ...closedOver], (g) => {
    const again = inputs.map((x) => (isFloat(x.dtype) ? barrier(x, g) : x));
    // what lies behind the inputs has gradients of its own: a weight that is used there too must not get them twice
    const borders = new Set(again.map((x) => x.node));
    return gradients(
      withPrecision(policy, () => body(...again)),
      [...again, ...closedOver],
      g,
      (node) => (borders.has(node) ? [] : gradientInputs(node)),
    );
  });
}

/** Float leaves in device memory that `result` is made of, apart from what it takes from `inputs`. */
function storedLeaves(result: Tensor, inputs: readonly Tensor[]): Tensor[] {
  const borders = new Set(inputs.map((x) => x.node));
  const nodes = topological([result.node], (n) => (borders.has(n) ? [] : n.inputs));
  return nodes
    .filter((n) => !borders.has(n) && n.leaf?.kind === "cell" && isFloat(n.dtype))
    .map((n) => new Tensor(n, result.device));
}

const identity: Primitive = {
  name: "identity",
  lowering: { class: "view", view: "alias" },
  cost: 0,
  reference: ([x]) => x!.data,
};
