/** The linear matcher against Python's re, as recorded, and against JavaScript's engine where the two languages agree. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pattern } from "../../src/check/index.ts";
import { LowrankError } from "../../src/index.ts";

const golden = JSON.parse(readFileSync(join(import.meta.dirname, "python-re.json"), "utf8")) as {
  made_by: string;
  cases: [string, [string, boolean | null][]][];
};

describe(golden.made_by, () => {
  it("matches what re.fullmatch matches, and refuses what it refuses", () => {
    let errors = 0;
    for (const [source, rows] of golden.cases) {
      if (rows.some(([, want]) => want === null)) {
        expect(() => pattern(source, "test"), source).toThrow(LowrankError);
        errors++;
        continue;
      }
      const machine = pattern(source, "test");
      for (const [text, want] of rows)
        expect({ source, text, matches: machine.fullMatch(text) }).toEqual({ source, text, matches: want });
    }
    expect(errors).toBeGreaterThan(15);
    expect(golden.cases.length).toBeGreaterThan(500);
  });
});

const leaf = fc.constantFrom("a", "b", ".", "\\.", "\\d", "\\w", "[ab]", "[^a]", "[a-c]", "ab", "");
const { tree } = fc.letrec<{ tree: string }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, depthSize: "medium" },
    leaf,
    fc.tuple(tie("tree"), tie("tree")).map(([a, b]) => a + b),
    fc.tuple(tie("tree"), tie("tree")).map(([a, b]) => `(?:${a}|${b})`),
    fc
      .tuple(tie("tree"), fc.constantFrom("*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?", "??", "{1,2}?"))
      .map(([a, q]) => `(${a})${q}`),
  ),
}));
const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "1", "."), maxLength: 8 });

it("matches what JavaScript's engine matches on the common subset", () => {
  fc.assert(
    fc.property(tree, text, (source, subject) => {
      expect(pattern(source, "test").fullMatch(subject)).toBe(new RegExp(`^(?:${source})$`, "u").test(subject));
    }),
    { numRuns: 500 },
  );
});

it("finds the match that a backtracking engine finds first", () => {
  // where a group can match nothing the engines leave the loop at different places
  const solid = fc
    .tuple(
      fc.constantFrom("a", "[ab]", "\\d", "ab", "(?:a|ab)", "(?:ab|a)", "."),
      fc.constantFrom("", "*", "+", "?", "*?", "+?", "{1,2}", "{2,}?"),
    )
    .map(([part, times]) => (times === "" ? part : `(?:${part})${times}`));
  fc.assert(
    fc.property(
      fc.array(
        fc.array(solid, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("")),
        { minLength: 1, maxLength: 3 },
      ),
      text,
      fc.nat({ max: 3 }),
      (ways, subject, from) => {
        fc.pre(from <= subject.length);
        const engine = new RegExp(ways.join("|"), "gu");
        engine.lastIndex = from;
        const want = engine.exec(subject);
        expect(pattern(ways.join("|"), "test").find(subject, from)).toEqual(
          want === null ? undefined : { start: want.index, end: want.index + want[0].length },
        );
      },
    ),
    { numRuns: 500 },
  );
});

it("takes linear time where a backtracking engine takes exponential time", () => {
  const started = performance.now();
  expect(pattern("(a|a|[a-z._0-9]+)+$X", "test").fullMatch("a".repeat(2000))).toBe(false);
  expect(pattern("(x+x+)+y", "test").fullMatch("x".repeat(2000))).toBe(false);
  // 2^2000 steps would outlast the machine; thirty thousand take milliseconds
  expect(performance.now() - started).toBeLessThan(2000);
});

it.each([
  ["(?=a)b", "look-ahead"],
  ["(?!a)b", "look-ahead"],
  ["(?<=a)b", "look-behind"],
  ["(?<!a)b", "look-behind"],
  ["(a)\\1", "a back-reference"],
  ["(?P<x>a)(?P=x)", "a back-reference"],
  ["a*+b", "possessive"],
  ["(?>a)b", "an atomic group"],
  ["(?s)a", "flag"],
  ["(a)?(?(1)b|c)", "a conditional"],
  ["a{1000000}", "comes to more than 16384 steps"],
  ["((a{100}){100}){100}", "comes to more than"],
  ["((((){1000}){1000}){1000}){1000}", "comes to more than"],
  ["a(", 'lacks a ")"'],
])("refuses %s by name", (source, named) => {
  const started = performance.now();
  expect(() => pattern(source, 'adapter_config.json: "target_modules"')).toThrow(named);
  expect(() => pattern(source, 'adapter_config.json: "target_modules"')).toThrow(
    'adapter_config.json: "target_modules": ',
  );
  expect(performance.now() - started).toBeLessThan(1000);
});

it("refuses groups in groups in groups before they overflow the stack", () => {
  expect(() => pattern("(".repeat(50_000), "test")).toThrow("more than 200 groups");
});

it("knows properties where they are asked for", () => {
  expect(pattern("\\p{L}+[\\p{Nd}\\P{L}]?", "test", { properties: true }).fullMatch("aé4")).toBe(true);
  expect(() => pattern("\\p{L}", "test")).toThrow("an escape \\p, which is not known");
  expect(() => pattern("\\p{Nonsense}", "test", { properties: true })).toThrow("an unknown property");
});
