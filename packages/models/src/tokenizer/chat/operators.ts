/** Operators between two values, as Python has them: no text is taken for a number, and nothing is added to a text but texts. */
import { spendText, spendList } from "./limits.ts";
import { formatted } from "./python-format.ts";
import { pythonText } from "./python-text.ts";
import {
  compare,
  contains,
  equal,
  flag,
  float,
  int,
  isList,
  isNumber,
  isText,
  isUndefined,
  list,
  numberOf,
  text,
  tuple,
  typeName,
  type Value,
} from "./values.ts";

export function operated(operator: string, a: Value, b: Value): Value {
  switch (operator) {
    case "==":
      return flag(equal(a, b));
    case "!=":
      return flag(!equal(a, b));
    case "<":
      return flag(compare(a, b) < 0);
    case ">":
      return flag(compare(a, b) > 0);
    case "<=":
      return flag(compare(a, b) <= 0);
    case ">=":
      return flag(compare(a, b) >= 0);
    case "in":
      return flag(contains(b, a));
    case "not in":
      return flag(!contains(b, a));
    case "~": {
      const [left, right] = [pythonText(a), pythonText(b)];
      spendText(left.length + right.length);
      return text(left + right);
    }
    default:
      return isNumber(a) && isNumber(b) ? arithmetic(operator, a, b) : sequences(operator, a, b);
  }
}

function arithmetic(operator: string, a: Value, b: Value): Value {
  const [x, y] = [numberOf(a), numberOf(b)];
  const result = numbers(operator, x, y);
  const isFloat =
    operator === "/" || a.type === "FloatValue" || b.type === "FloatValue" || (operator === "**" && y < 0);
  return isFloat ? float(result) : int(result);
}

function numbers(operator: string, x: number, y: number): number {
  if (["/", "//", "%"].includes(operator) && y === 0) throw new Error("division by zero");
  switch (operator) {
    case "+":
      return x + y;
    case "-":
      return x - y;
    case "*":
      return x * y;
    case "/":
      return x / y;
    case "//":
      return Math.floor(x / y);
    case "%":
      // the sign is the divisor's
      return x - y * Math.floor(x / y);
    case "**":
      if (!Number.isFinite(x ** y)) throw new Error(`${x} ** ${y} is no finite number`);
      return x ** y;
    default:
      throw new Error(`there is no operator ${operator}`);
  }
}

function sequences(operator: string, a: Value, b: Value): Value {
  if (operator === "+" && isText(a) && isText(b)) {
    spendText(a.value.length + b.value.length);
    return text(a.value + b.value);
  }
  if (operator === "+" && isList(a) && isList(b) && a.type === b.type) {
    spendList(a.value.length + b.value.length);
    return (a.type === "TupleValue" ? tuple : list)([...a.value, ...b.value]);
  }
  if (operator === "*" && (isNumber(a) || isNumber(b))) {
    const [sequence, times] = isNumber(a) ? [b, Math.max(0, numberOf(a))] : [a, Math.max(0, numberOf(b))];
    if (isText(sequence)) {
      spendText(sequence.value.length * times);
      return text(sequence.value.repeat(times));
    }
    if (isList(sequence)) {
      spendList(sequence.value.length * times);
      const items = Array.from({ length: times }, () => sequence.value).flat();
      return (sequence.type === "TupleValue" ? tuple : list)(items);
    }
  }
  if (operator === "%" && isText(a))
    return text(formatted(a.value, b.type === "TupleValue" ? (b.value as Value[]) : [b]));
  if (isUndefined(a) || isUndefined(b)) throw new Error(`one side of ${operator} is undefined`);
  throw new Error(`unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
}
