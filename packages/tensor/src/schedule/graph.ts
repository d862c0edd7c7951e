/**
 * The scheduler's copy of a program: equal expressions are one node, constants are folded, aliases are gone, long full
 * reductions are cut in two so that threads can share them.
 *
 *   program                          schedule graph
 *   a = x + y                        a = x + y
 *   b = x + y                        c = a · a              b is a, and so is b · 1
 *   c = a · (b · 1)
 *   d = 2 · (1 + 2)                  d = 6                  a constant of d's shape
 *   s = sum(x), x [2²⁰]              r = reshape x [128, 8192], p = sum(r, 1), t = sum(p, 0), s = reshape t
 */
import { dtypes, type DType } from "../dtype.ts";
import type { Leaf, Node } from "../graph/node.ts";
import type { Assignment, Program } from "../graph/program.ts";
import type { Cell } from "../graph/cell.ts";
import type { Target } from "../ir/target.ts";
import { keyOf } from "../key.ts";
import { roundTo } from "../memory-form.ts";
import type { Attrs, Lowering, Primitive } from "../primitives/primitive.ts";
import { sameShape, sizeOf } from "../shape.ts";
import type { Template } from "../ir/template.ts";
import { takeComposites, type TakenComposite } from "./composites.ts";

/** Output number `output` of a composite that a template computes. Outputs of one have the same `group`. */
export interface CompositeLowering {
  readonly class: "composite";
  readonly taken: TakenComposite;
  readonly output: number;
  readonly group: string;
}

export type ScheduleLowering = Lowering | CompositeLowering;

export interface ScheduleNode {
  readonly id: number;
  readonly primitive: Primitive;
  readonly lowering: ScheduleLowering;
  readonly inputs: readonly ScheduleNode[];
  readonly attrs: Attrs;
  readonly shape: readonly number[];
  readonly size: number;
  readonly dtype: DType;
  readonly leaf: Leaf | undefined;
  /** The graph node that a leaf was. */
  readonly origin: Node;
  /** The value when every element is the same known number. */
  readonly constant: number | undefined;
  readonly users: ScheduleNode[];
  readonly scope: string;
  /** Nodes that must have been computed before this one is (recomputation barriers). */
  readonly after: ScheduleNode | undefined;
}

export interface ScheduleGraph {
  readonly nodes: readonly ScheduleNode[];
  readonly outputs: readonly ScheduleNode[];
  readonly assignments: readonly { readonly cell: Cell; readonly value: ScheduleNode }[];
}

export interface GraphOptions {
  readonly target: Target;
  readonly templates: readonly Template[];
  /** Off: every node stays, and no template is asked. */
  readonly simplify: boolean;
}

export function buildScheduleGraph(program: Program, { target, templates, simplify }: GraphOptions): ScheduleGraph {
  const known = new Map<string, ScheduleNode>();
  const nodes: ScheduleNode[] = [];
  const mapped = new Map<Node, ScheduleNode>();

  function intern(node: Omit<ScheduleNode, "id" | "users" | "size">, key: string): ScheduleNode {
    const before = known.get(key);
    if (before !== undefined) return before;
    const made: ScheduleNode = { ...node, id: nodes.length, users: [], size: sizeOf(node.shape) };
    nodes.push(made);
    known.set(key, made);
    for (const input of new Set(node.inputs)) input.users.push(made);
    if (node.after !== undefined) node.after.users.push(made);
    return made;
  }

  function derive(
    primitive: Primitive,
    inputs: readonly ScheduleNode[],
    attrs: Attrs,
    shape: readonly number[],
    dtype: DType,
    origin: Node,
  ): ScheduleNode {
    const lowering = primitive.lowering;
    const constant = foldConstant(primitive, inputs, attrs, shape, dtype);
    const key =
      constant !== undefined
        ? `const ${keyOf(constant)} ${dtype} ${shape.join(",")}`
        : `${primitive.name} ${inputs.map((i) => i.id).join(",")} ${keyOf(attrs)} ${shape.join(",")} ${dtype}`;
    return intern(
      {
        primitive,
        lowering,
        inputs: constant !== undefined ? [] : inputs,
        attrs,
        shape,
        dtype,
        leaf: undefined,
        origin,
        constant,
        scope: origin.scope,
        after: undefined,
      },
      key,
    );
  }

  function twoStage(node: Node, input: ScheduleNode): ScheduleNode | undefined {
    if (
      node.primitive.lowering.class !== "reduce" ||
      sizeOf(node.shape) !== 1 ||
      input.size < target.splitReductionFrom
    )
      return undefined;
    const parts = largestDivisor(input.size, target.reductionParts);
    if (parts < 2) return undefined;
    const rows = derive(reshapeLike, [input], {}, [parts, input.size / parts], node.dtype, node);
    const partial = derive(node.primitive, [rows], { dims: [1] }, [parts, 1], node.dtype, node);
    const total = derive(node.primitive, [partial], { dims: [0] }, [1, 1], node.dtype, node);
    return derive(reshapeLike, [total], {}, node.shape, node.dtype, node);
  }

  /** Host values may differ from run to run where they are equal now; what lives on the device is itself. */
  const leafKey = (leaf: Leaf): string => {
    if (leaf.kind === "cell") return `cell ${program.cells.indexOf(leaf.cell)}`;
    return leaf.kind === "constant" ? `constant ${program.constants.indexOf(leaf.constant)}` : `leaf ${nodes.length}`;
  };

  const taking = simplify ? takeComposites(program, templates, target) : undefined;
  for (const node of program.nodes)
    if (taking === undefined || taking.needed.has(node)) mapped.set(node, convert(node));

  /** An output of a composite. Its inputs are what phases find in memory, each by itself: what comes twice is copied. */
  function whole(node: Node, taken: TakenComposite): ScheduleNode {
    const { name, inputs, outputs, attrs } = taken.composite;
    const from: ScheduleNode[] = [];
    inputs.forEach((input, i) => {
      const x = mapped.get(input)!;
      from.push(from.includes(x) ? copyOf(x, i) : x);
    });
    const group = `composite ${name} ${from.map((i) => i.id).join(",")} ${keyOf(attrs)}`;
    const output = outputs.indexOf(node);
    return intern(
      {
        ...plain(node),
        primitive: { ...node.primitive, name },
        lowering: { class: "composite", taken, output, group },
        inputs: from,
      },
      `${group} ${output} ${node.shape.join(",")} ${node.dtype}`,
    );
  }

  function copyOf(x: ScheduleNode, place: number, primitive = copyPrimitive, whole = ""): ScheduleNode {
    return intern(
      {
        ...plain(x.origin),
        primitive,
        lowering: primitive.lowering,
        inputs: [x],
        shape: x.shape,
        dtype: x.dtype,
      },
      `${primitive.name} ${x.id} ${place} ${whole}`,
    );
  }

  function convert(node: Node): ScheduleNode {
    const taken = taking?.taken.get(node);
    if (taken !== undefined) return whole(node, taken);
    if (node.leaf !== undefined) {
      const key = leafKey(node.leaf);
      return intern(
        {
          primitive: node.primitive,
          lowering: { class: "leaf" },
          inputs: [],
          attrs: {},
          shape: node.shape,
          dtype: node.dtype,
          leaf: node.leaf,
          origin: node,
          constant: undefined,
          scope: node.scope,
          after: undefined,
        },
        `${key} ${node.shape.join(",")}`,
      );
    }
    const inputs = node.inputs.map((n) => (simplify ? beforeReshapes(node, mapped.get(n)!) : mapped.get(n)!));
    const { lowering } = node.primitive;
    if (lowering.class === "assemble") {
      const parts = inputs.map((x, i) => copyOf(x, i, partPrimitive, `${node.id}`));
      return derive(node.primitive, parts, node.attrs, node.shape, node.dtype, node);
    }
    if (lowering.class === "view" && lowering.view === "alias") {
      const after = inputs[1];
      if (after === undefined) return inputs[0]!;
      return intern(
        {
          primitive: node.primitive,
          lowering,
          inputs: [inputs[0]!],
          attrs: node.attrs,
          shape: node.shape,
          dtype: node.dtype,
          leaf: undefined,
          origin: node,
          constant: undefined,
          scope: node.scope,
          after,
        },
        `barrier ${node.id}`,
      );
    }
    if (simplify) {
      const same = identityOf(node, inputs) ?? twoStage(node, inputs[0]!);
      if (same !== undefined) return same;
    }
    return derive(node.primitive, inputs, node.attrs, node.shape, node.dtype, node);
  }

  const assignments = program.assignments.map(({ cell, value }: Assignment) => ({ cell, value: mapped.get(value)! }));
  return { nodes, outputs: program.outputs.map((n) => mapped.get(n)!), assignments };
}

/** What a node brings along, whatever computes it. */
function plain(node: Node): Omit<ScheduleNode, "id" | "users" | "size" | "primitive" | "lowering" | "inputs"> {
  const { shape, dtype, scope } = node;
  return { attrs: {}, shape, dtype, leaf: undefined, origin: node, constant: undefined, scope, after: undefined };
}

export const copyPrimitive: Primitive = {
  name: "copy",
  lowering: { class: "view", view: "alias" },
  cost: 0,
  reference: ([x]) => x!.data,
};

/** What lies in a whole that is assembled. */
const partPrimitive: Primitive = { ...copyPrimitive, name: "part" };

export function isPart(node: ScheduleNode): boolean {
  return node.primitive === partPrimitive;
}

const reshapeLike: Primitive = {
  name: "reshape",
  lowering: { class: "view", view: "reshape" },
  cost: 0,
  reference: ([x]) => x!.data,
};

/** What a reshape of reshapes is a reshape of: only the last shape matters. */
function beforeReshapes(node: Node, input: ScheduleNode): ScheduleNode {
  let at = input;
  if (isReshape(node.primitive.lowering))
    while (at.leaf === undefined && at.constant === undefined && isReshape(at.lowering)) at = at.inputs[0]!;
  return at;
}

export function isReshape(lowering: ScheduleLowering): boolean {
  return lowering.class === "view" && lowering.view === "reshape";
}

/** x·1, x/1 and reshapes to the same shape are x. */
function identityOf(node: Node, inputs: readonly ScheduleNode[]): ScheduleNode | undefined {
  const { lowering } = node.primitive;
  const [a, b] = inputs;
  if (isReshape(lowering) && sameShape(a!.shape, node.shape)) return a;
  if (lowering.class === "binary") {
    if ((lowering.op === "mul" || lowering.op === "div") && b!.constant === 1 && a!.dtype === node.dtype) return a;
    if (lowering.op === "mul" && a!.constant === 1) return b;
  }
  return undefined;
}

function foldConstant(
  primitive: Primitive,
  inputs: readonly ScheduleNode[],
  attrs: Attrs,
  shape: readonly number[],
  dtype: DType,
): number | undefined {
  const { lowering } = primitive;
  if (lowering.class === "constant") return roundTo(dtype, Float64Array.of(attrs["value"] as number))[0];
  if (inputs.length === 0 || inputs.some((i) => i.constant === undefined)) return undefined;
  if (lowering.class === "view") return lowering.view === "pad" ? undefined : inputs[0]!.constant;
  if (
    lowering.class !== "unary" &&
    lowering.class !== "binary" &&
    lowering.class !== "select" &&
    lowering.class !== "cast"
  )
    return undefined;
  if (sizeOf(shape) === 0 || dtypes[dtype].kind === undefined) return undefined;
  return roundTo(
    dtype,
    primitive.reference(
      inputs.map((i) => ({ shape: [], data: Float64Array.of(i.constant!) })),
      attrs,
      [],
    ),
  )[0];
}

function largestDivisor(n: number, limit: number): number {
  for (let d = Math.min(limit, n); d > 1; d--) if (n % d === 0) return d;
  return 1;
}
