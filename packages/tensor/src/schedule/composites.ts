/**
 * Which composites the target's templates take, or the template that a composite brings, decided before anything else is: what only a taken one needed inside is then not scheduled.
 *
 *     q, k, v → [scores → weights] → out          weights is wanted by nobody else: q, k, v → attention → out
 *     q, k, v → [scores → weights] → out, grad    the gradient reads weights: both, weights by the body
 */
import { invariant } from "../errors.ts";
import type { Composite, Node } from "../graph/node.ts";
import type { Program } from "../graph/program.ts";
import { answerOf } from "../ir/answer.ts";
import type { Target } from "../ir/target.ts";
import type { CompositeCall, Phases, Template } from "../ir/template.ts";
import { sizeOf } from "../shape.ts";

export interface TakenComposite {
  readonly composite: Composite;
  readonly phases: Phases;
  /** Name of the template that took it. */
  readonly by: string;
}

export interface Taking {
  /** By each of its outputs. */
  readonly taken: ReadonlyMap<Node, TakenComposite>;
  /** Nodes that the results still need. */
  readonly needed: ReadonlySet<Node>;
}

/** Undefined where none is taken. */
export function takeComposites(program: Program, templates: readonly Template[], target: Target): Taking | undefined {
  const { nodes } = program;
  const mayBeTaken = ({ template }: Composite): boolean => templates.length > 0 || template !== undefined;
  if (!nodes.some(({ composites }) => composites?.some(mayBeTaken))) return undefined;
  const places = new Map(nodes.map((node, i) => [node, i]));
  const roots = [...program.outputs, ...program.assignments.map((a) => a.value)];
  const users = usersOf(nodes);
  const needed = new Set<Node>(roots);
  const taken = new Map<Node, TakenComposite>();
  const refused = new Set<Composite>();

  const offer = (composite: Composite): TakenComposite | undefined => {
    const body = bodyOf(composite, places);
    if (body === undefined) return undefined;
    const outputs = new Set(composite.outputs);
    const escapes = [...body].some(
      (node) => !outputs.has(node) && (needed.has(node) || users.get(node)!.some((user) => !body.has(user))),
    );
    const call: CompositeCall = {
      kind: "composite",
      name: composite.name,
      attrs: composite.attrs,
      inputs: composite.inputs,
      outputs: composite.outputs,
      escapes,
    };
    const { template: own } = composite;
    const answer = answerOf(own === undefined ? templates : [...templates, own], call, target);
    return answer && { composite, phases: answer.phases, by: answer.template.name };
  };

  // users before inputs, and the outermost composite first: what is inside of a taken one is not asked about unless somebody needs it
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (!needed.has(node) || node.leaf !== undefined) continue;
    for (const composite of [...(node.composites ?? [])].reverse()) {
      if (taken.has(node)) break;
      const found = refused.has(composite) ? undefined : offer(composite);
      if (found === undefined) refused.add(composite);
      else for (const output of composite.outputs) taken.set(output, found);
    }
    for (const input of taken.get(node)?.composite.inputs ?? node.inputs) needed.add(input);
  }
  return taken.size === 0 ? undefined : { taken, needed };
}

function usersOf(nodes: readonly Node[]): ReadonlyMap<Node, readonly Node[]> {
  const users = new Map<Node, Node[]>(nodes.map((node) => [node, []]));
  for (const node of nodes) if (node.leaf === undefined) for (const input of node.inputs) users.get(input)!.push(node);
  return users;
}

/**
 * The nodes from its inputs, which are not among them, to its outputs. Undefined where it cannot be taken: a tensor of it is empty, it was
 * partly computed before, or it does not say all that it is made of.
 */
function bodyOf({ inputs, outputs }: Composite, places: ReadonlyMap<Node, number>): Set<Node> | undefined {
  if ([...inputs, ...outputs].some((node) => sizeOf(node.shape) === 0)) return undefined;
  const present = outputs.filter((node) => places.has(node));
  const first = Math.min(...present.map((node) => places.get(node)!));
  if (inputs.some((node) => (places.get(node) ?? Infinity) >= first)) return undefined;
  const ends = new Set(inputs);
  const body = new Set<Node>();
  const stack = [...present];
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (body.has(node) || ends.has(node)) continue;
    // constants that the host made for the op are part of what its name says
    if (node.leaf !== undefined && (node.leaf.kind !== "constant" || outputs.includes(node))) return undefined;
    invariant(places.has(node), "a composite reaches beyond its program");
    body.add(node);
    if (node.leaf === undefined) stack.push(...node.inputs);
  }
  return body;
}
