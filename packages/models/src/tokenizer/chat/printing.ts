/** A parsed template in which everything that is printed goes through one function, so that it is printed as Python does. */

interface Node {
  type: string;
  [key: string]: unknown;
}

/** The name of the function in the template; it takes a list of one value, which keeps the value's type. */
export const PRINT = "__print";

const identifier = (value: string): Node => ({ type: "Identifier", value });
const printed = (value: unknown): Node => ({
  type: "CallExpression",
  callee: identifier(PRINT),
  args: [{ type: "ArrayLiteral", value: [value] }],
});

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

/** Changes the tree. What stands in a body and is no statement is printed; so are both sides of `~`. */
export function printThrough(tree: unknown): void {
  if (Array.isArray(tree)) return tree.forEach(printThrough);
  if (tree instanceof Map) {
    for (const [key, value] of tree) [key, value].forEach(printThrough);
    return;
  }
  if (typeof tree !== "object" || tree === null) return;
  const node = tree as Node;
  for (const value of Object.values(node)) printThrough(value);
  for (const part of ["body", "alternate", "defaultBlock"]) {
    const body = node[part];
    if (Array.isArray(body))
      node[part] = (body as Node[]).map((item) => (STATEMENTS.has(item.type) ? item : printed(item)));
  }
  if (node.type === "BinaryExpression" && (node["operator"] as Node)["value"] === "~")
    [node["left"], node["right"]] = [printed(node["left"]), printed(node["right"])];
  if (node.type !== "FilterExpression") return;
  const filter = nameOf(node["filter"] as Node);
  if (OF_TEXT.has(filter)) node["operand"] = printed(node["operand"]);
  else if (filter === "string") {
    const operand = node["operand"];
    for (const key of Object.keys(node)) delete node[key];
    Object.assign(node, printed(operand));
  }
}

/** Filters that take whatever they get for the text that it is printed as. */
const OF_TEXT = new Set(["trim", "upper", "lower", "title", "capitalize", "replace", "indent"]);
const nameOf = (filter: Node): string =>
  (filter.type === "CallExpression" ? (filter["callee"] as Node) : filter)["value"] as string;
