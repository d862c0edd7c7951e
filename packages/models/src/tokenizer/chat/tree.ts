/** What the interpreter's parser makes of a template, changed to what it leaves out: where values are printed, and what loops go through. */

export interface Node {
  type: string;
  [key: string]: unknown;
}

/** Nodes of our own: a value that is printed, what a loop goes through, a value that is there already. */
export const PRINTED = "Printed";
export const ITEMS = "Items";
export const VALUE = "Value";

const STATEMENTS = new Set([
  "If",
  "For",
  "Set",
  "Macro",
  "Break",
  "Continue",
  "Comment",
  "CallStatement",
  "FilterStatement",
  "StringLiteral",
]);

/** Changes the tree. What stands in a body and is no statement is printed. */
export function prepareTree(tree: unknown): void {
  if (Array.isArray(tree)) return tree.forEach(prepareTree);
  if (tree instanceof Map) {
    for (const [key, value] of tree) [key, value].forEach(prepareTree);
    return;
  }
  if (typeof tree !== "object" || tree === null) return;
  const node = tree as Node;
  for (const value of Object.values(node)) prepareTree(value);
  for (const part of ["body", "alternate", "defaultBlock"]) {
    const body = node[part];
    if (Array.isArray(body))
      node[part] = (body as Node[]).map((item) => (STATEMENTS.has(item.type) ? item : { type: PRINTED, value: item }));
  }
  if (node.type !== "For") return;
  const unpacks = (node["loopvar"] as Node).type === "TupleLiteral";
  const items = (operand: unknown): Node => ({ type: ITEMS, operand, unpacks });
  const iterable = node["iterable"] as Node;
  if (iterable.type === "SelectExpression") iterable["lhs"] = items(iterable["lhs"]);
  else node["iterable"] = items(iterable);
}
