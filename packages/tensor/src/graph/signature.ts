/** The structure of a program as a string: equal strings mean that one plan serves both. */
import { keyOf } from "../key.ts";
import type { Node } from "./node.ts";
import type { Program } from "./program.ts";

export function signatureOf(program: Program): string {
  const ids = new Map<Node, number>();
  const cells = new Map(program.cells.map((cell, i) => [cell, i]));
  const constants = new Map(program.constants.map((constant, i) => [constant, i]));
  const lines: string[] = [];
  const composites = (node: Node): string =>
    (node.composites ?? [])
      .map(({ name, inputs, outputs, attrs }) => {
        const from = inputs.map((n) => ids.get(n) ?? "-").join(",");
        return ` ${outputs.indexOf(node)} of ${name}(${from})${keyOf(attrs)}`;
      })
      .join("");
  program.nodes.forEach((node, i) => {
    ids.set(node, i);
    const leaf = node.leaf;
    const leafName = (): string => {
      if (leaf?.kind === "cell") return `cell${cells.get(leaf.cell)}`;
      return leaf?.kind === "constant" ? `constant${constants.get(leaf.constant)}` : "host";
    };
    const what =
      leaf !== undefined
        ? leafName()
        : `${node.primitive.name}(${node.inputs.map((n) => ids.get(n)).join(",")})${keyOf(node.attrs)}${composites(node)}`;
    lines.push(`${what}:${node.dtype}[${node.shape.join(",")}]`);
  });
  lines.push(`out ${program.outputs.map((n) => ids.get(n)).join(",")}`);
  lines.push(`set ${program.assignments.map(({ cell, value }) => `${cells.get(cell)}=${ids.get(value)}`).join(",")}`);
  return lines.join("\n");
}
