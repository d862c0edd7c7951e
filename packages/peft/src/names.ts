/** How names and patterns of a configuration match module paths: PEFT's rules, and what is said of those that match nothing. */
import { endsAtDot } from "@lowrank/nn";
import { LowrankError, quote } from "@lowrank/tensor";
import { nearestName, pattern } from "@lowrank/tensor/check";

/** Whether a path is meant. */
export type Matcher = (path: string) => boolean;

/** A list matches names or dotted suffixes; a string is a regular expression for the whole path. */
export function matcherOf(rule: readonly string[] | string, label: string, key: string): Matcher {
  if (typeof rule !== "string") return (path) => rule.some((name) => endsAtDot(path, name));
  const expression = pattern(rule, `${label}: ${key}`);
  return (path) => expression.fullMatch(path);
}

/** The rank_pattern rule: the first key that, as a regular expression, matches the path's end at a dot. */
export function patternKeys(
  patterns: Readonly<Record<string, number>>,
  what: string,
): { first: (path: string) => string | undefined; matches: (key: string, path: string) => boolean } {
  const expressions = new Map(
    Object.keys(patterns).map((key) => [key, pattern(`(.*\\.)?(${key})$`, `${what} ${quote(key)}`)]),
  );
  const matches = (key: string, path: string): boolean => expressions.get(key)!.fullMatch(path);
  return { matches, first: (path) => [...expressions.keys()].find((key) => matches(key, path)) };
}

/** Modules that are copied whole, and everything in them, take no adapter. */
export function savedMatcher(modulesToSave: readonly string[]): Matcher {
  const expressions = modulesToSave.map((name) =>
    pattern(`(^|.*\\.)${name}($|\\..*)`, `modules_to_save ${quote(name)}`),
  );
  return (path) => expressions.some((expression) => expression.fullMatch(path));
}

/** The number of the layer a path lies in, as PEFT finds it. */
export function layerNumbers(layersPattern: readonly string[] | undefined): (path: string) => number | undefined {
  const expressions = layersPattern?.map((name) => pattern(`(?:^|.*?\\.)${name}`, `layers_pattern ${quote(name)}`));
  return (path) => {
    const parts = path.split(".");
    // a number with a name before it and one behind it; without a pattern two names stand before it
    const places = parts.flatMap((part, i) => (/^\d+$/.test(part) && i > 0 && i < parts.length - 1 ? [i] : []));
    const found =
      expressions === undefined
        ? places.find((i) => i > 1)
        : expressions
            .map((e) => places.find((i) => e.fullMatch(parts.slice(0, i).join("."))))
            .find((i) => i !== undefined);
    return found === undefined ? undefined : Number(parts[found]);
  };
}

/** Longest list of known names in a message. */
const LISTED = 8;

/** Names that matched nothing: the first is an error, or all become warnings. */
export class Unmatched {
  readonly warnings: string[] = [];
  readonly #label: string;
  readonly #strict: boolean;

  /** @param label the method's, for messages */
  constructor(label: string, onUnmatched: "error" | "warn") {
    this.#label = label;
    this.#strict = onUnmatched === "error";
  }

  /** @param paths what the name could have matched */
  name(key: string, name: string, paths: readonly string[], what = "matches nothing"): void {
    const depth = name.split(".").length;
    const known = [...new Set(paths.map((path) => path.split(".").slice(-depth).join(".")))];
    const near = nearestName(name, known);
    const rest = known.length > LISTED ? `, … (${known.length} in all)` : "";
    this.say(
      `${key} ${quote(name)} ${what}${near === undefined ? `; there are ${known.slice(0, LISTED).join(", ")}${rest}` : `; did you mean "${near}"?`}`,
    );
  }

  say(what: string): void {
    if (this.#strict) throw new LowrankError("PatternError", `${this.#label}: ${what}`);
    this.warnings.push(what);
  }
}
