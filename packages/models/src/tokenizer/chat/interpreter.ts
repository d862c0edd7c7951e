/**
 * The interpreter of `@huggingface/jinja`, with Python's rules between values, all of Jinja's filters and tests that chat templates use, and an
 * end: its statements, scopes and calls are the package's, what an expression is worth is decided here.
 */
import { Environment, Interpreter } from "@huggingface/jinja";
import { GLOBALS, WORDS } from "./globals.ts";
import { filtered, tested } from "./list-filters.ts";
import { limited, spend, spendList, spendText } from "./limits.ts";
import { operated } from "./operators.ts";
import { pythonText } from "./python-text.ts";
import { methodOf } from "./string-methods.ts";
import { IS, IS_NOT, WITH } from "./tokens.ts";
import { ITEMS, PRINTED, VALUE, type Node } from "./tree.ts";
import {
  callable,
  flag,
  given,
  isList,
  isMap,
  isNumber,
  isText,
  isUndefined,
  itemsOf,
  list,
  map,
  numberOf,
  text,
  truth,
  typeName,
  UNDEFINED,
  type Arguments,
  type Value,
} from "./values.ts";

/** What we use of the package's classes, whose declarations TypeScript does not resolve. */
interface Scope {
  readonly variables: Map<string, Value>;
  readonly parent?: Scope;
}
interface Evaluator {
  run(tree: unknown): Value;
  evaluate(node: Node | undefined, scope: Scope): Value;
}
const Scope = Environment as unknown as new (parent?: Scope) => Scope;
const Base = Interpreter as unknown as new (scope: Scope) => Evaluator;

class PythonInterpreter extends Base {
  override evaluate(node: Node | undefined, scope: Scope): Value {
    spend(1);
    const of = (key: string): Value => this.evaluate(node![key] as Node | undefined, scope);
    switch (node?.type) {
      case VALUE:
        return node["value"] as Value;
      case PRINTED:
        return text(pythonText(of("value")));
      case ITEMS: {
        const items = itemsOf(of("operand"));
        // the loop unpacks lists alone
        return list(node["unpacks"] === true ? items.map((item) => (isList(item) ? list(item.value) : item)) : items);
      }
      case "BinaryExpression": {
        const { value: operator } = node["operator"] as { value: string };
        const left = of("left");
        if (operator === "and") return truth(left) ? of("right") : left;
        if (operator === "or") return truth(left) ? left : of("right");
        return operated(operator, left, of("right"));
      }
      case "UnaryExpression": {
        const { value: operator } = node["operator"] as { value: string };
        if (operator === "not") return flag(!truth(of("argument")));
        break;
      }
      case "FilterExpression":
        return this.#filtered(of("operand"), node["filter"] as Node, scope);
      case "FilterStatement":
        return this.#filtered(this.#block(node["body"], scope), node["filter"] as Node, scope);
      case "TestExpression":
        return flag(tested((node["test"] as Node)["value"] as string, of("operand")) !== node["negate"]);
      case "MemberExpression":
        return this.#member(node, scope);
      case "ObjectLiteral": {
        const entries = [...(node["value"] as Map<Node, Node>)];
        return map(new Map(entries.map(([k, v]) => [keyOf(this.evaluate(k, scope)), this.evaluate(v, scope)])));
      }
      case "For":
        if ((node["loopvar"] as Node)["value"] === WITH) return this.#block(node["body"], new Scope(scope));
        break;
      case "StringLiteral":
        spendText((node["value"] as string).length);
        break;
      case "Identifier":
        return lookedUp(node["value"] as string, scope);
      default:
    }
    return super.evaluate(node, scope);
  }

  #block(body: unknown, scope: Scope): Value {
    return this.evaluate({ type: "Program", body }, scope);
  }

  #filtered(operand: Value, filter: Node, scope: Scope): Value {
    const call = filter.type === "CallExpression";
    const name = (call ? (filter["callee"] as Node) : filter)["value"] as string;
    const args = this.#arguments(call ? (filter["args"] as Node[]) : [], scope);
    if (isText(operand)) spendText(operand.value.length);
    for (const [prefix, wanted] of [
      [IS_NOT, false],
      [IS, true],
    ] as const)
      if (name.startsWith(prefix)) return flag(tested(name.slice(prefix.length), operand, args.places[0]) === wanted);
    return filtered(name, operand, args);
  }

  #arguments(nodes: readonly Node[], scope: Scope): Arguments {
    const places: Value[] = [];
    const names = new Map<string, Value>();
    for (const node of nodes) {
      if (node.type === "KeywordArgumentExpression")
        names.set((node["key"] as Node)["value"] as string, this.evaluate(node["value"] as Node, scope));
      else if (node.type === "SpreadExpression")
        places.push(...itemsOf(this.evaluate(node["argument"] as Node, scope)));
      else if (node.type === "KeywordSpreadExpression") throw new Error("** is not built in the arguments of a filter");
      else places.push(this.evaluate(node, scope));
    }
    return { places, names };
  }

  #member(node: Node, scope: Scope): Value {
    const object = this.evaluate(node["object"] as Node, scope);
    const property = node["property"] as Node;
    if (isUndefined(object)) throw new Error(`${named(node["object"] as Node)} is undefined`);
    if (property.type === "SliceExpression") {
      if (!isList(object) && !isText(object)) throw new Error(`'${typeName(object)}' object cannot be sliced`);
      if (isList(object)) spendList(object.value.length);
      else spendText(object.value.length);
      return super.evaluate({ ...node, object: { type: VALUE, value: object } }, scope);
    }
    if (node["computed"] !== true && property.type === "Identifier")
      return memberOf(object, property["value"] as string);
    const key = property.type === "IntegerLiteral" ? given(property["value"]) : this.evaluate(property, scope);
    return itemAt(object, key);
  }
}

/** The package throws and catches an error for each name that it does not find, which takes longer than all else. */
function lookedUp(name: string, scope: Scope): Value {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.parent) {
    const found = at.variables.get(name);
    if (found !== undefined) return found;
  }
  return UNDEFINED;
}

const named = (node: Node): string =>
  node.type === "Identifier"
    ? `'${node["value"] as string}'`
    : node.type === "MemberExpression" && typeof (node["property"] as Node)["value"] === "string"
      ? `'${(node["property"] as Node)["value"] as string}'`
      : "a value";

const keyOf = (key: Value): unknown => {
  if (isText(key) || isNumber(key)) return key.value;
  throw new Error(`a ${typeName(key)} cannot be a key of a dict here`);
};

/** `x.name`: a method first, as in Python, then what a map or a namespace holds. */
function memberOf(object: Value, name: string): Value {
  const method = methodOf(object, name);
  if (method !== undefined) return method;
  if (!(object.value instanceof Map)) return UNDEFINED;
  const entries = object.value as ReadonlyMap<unknown, Value>;
  // a loop is a map to the package, and knows all but this
  const place = entries.get("index0");
  if (name === "cycle" && place !== undefined && entries.has("revindex0"))
    return callable(({ places }) => places[numberOf(place) % places.length] ?? UNDEFINED);
  return entries.get(name) ?? UNDEFINED;
}

/** `x[key]`: what a map holds, or the item at a place, from the end where it is negative; then what `x.key` is. */
function itemAt(object: Value, key: Value): Value {
  if (isMap(object)) {
    const found = object.value.get(key.value);
    if (found !== undefined) return found;
  }
  if (isNumber(key) && isList(object)) return object.value.at(numberOf(key)) ?? UNDEFINED;
  if (isNumber(key) && isText(object)) {
    spendText(object.value.length);
    const character = [...object.value].at(numberOf(key));
    return character === undefined ? UNDEFINED : text(character);
  }
  return isText(key) ? memberOf(object, key.value) : UNDEFINED;
}

/**
 * The text that a prepared tree prints with these variables, which are of so many characters.
 * @throws where it refuses them, or does not end
 */
export function interpret(tree: unknown, variables: Readonly<Record<string, unknown>>, characters: number): string {
  const scope = new Scope();
  for (const [name, value] of Object.entries(GLOBALS)) scope.variables.set(name, value);
  for (const [name, value] of Object.entries(variables)) scope.variables.set(name, given(value));
  for (const [name, value] of Object.entries(WORDS)) scope.variables.set(name, value);
  return limited(characters, () => pythonText(new PythonInterpreter(scope).run(tree)));
}
