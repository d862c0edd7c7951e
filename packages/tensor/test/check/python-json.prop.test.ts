/** JSON for Python: it reads back as the same value, and is spelt as Python spells it. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { pythonFloat, pythonJson } from "../../src/check/index.ts";

/** Numbers JSON can hold, without −0, which JSON.parse keeps and Python's int does not. */
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((x) => !Object.is(x, -0));
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.string({ unit: "binary" }),
    number,
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value")),
    fc.dictionary(fc.string(), tie("value")),
  ),
}));

it("reads back as what was written, however it is laid out", () => {
  fc.assert(
    fc.property(value, fc.option(fc.nat({ max: 4 }), { nil: undefined }), fc.boolean(), (v, indent, sortKeys) => {
      const text = pythonJson(v, {
        ...(indent === undefined ? {} : { indent }),
        sortKeys,
        floats: new Set(["a", "b"]),
      });
      expect(text).toMatch(/^[ -~\n]*$/);
      expect(JSON.parse(text)).toEqual(v);
    }),
  );
});

it("spells numbers by the key they stand under, in lists too", () => {
  expect(
    pythonJson(
      { threshold: 6, size: 6, nested: { threshold: [1, 2.5] }, rate: 1e-5, big: 2 ** 70 },
      { floats: new Set(["threshold"]) },
    ),
  ).toBe(
    '{"threshold": 6.0, "size": 6, "nested": {"threshold": [1.0, 2.5]}, "rate": 1e-05, "big": 1180591620717411303424}',
  );
});

it("lays out as json.dumps with indent and sort_keys does", () => {
  expect(
    pythonJson(
      { b: [], a: { 10: "é", 2: "x\u007f" }, c: [1, [2]], d: {}, gone: undefined },
      { indent: 2, sortKeys: true },
    ),
  ).toBe(
    '{\n  "a": {\n    "2": "x\\u007f",\n    "10": "\\u00e9"\n  },\n  "b": [],\n  "c": [\n    1,\n    [\n      2\n    ]\n  ],\n  "d": {}\n}',
  );
});

it("writes floats as repr does", () => {
  expect([6, -0, 0.1, 1e-4, 9.9e-5, 1e16, 123456789012345680, 1e-12, 1.5e300].map(pythonFloat)).toEqual([
    "6.0",
    "-0.0",
    "0.1",
    "0.0001",
    "9.9e-05",
    "1e+16",
    "1.2345678901234568e+17",
    "1e-12",
    "1.5e+300",
  ]);
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (x) => {
      expect(Number(pythonFloat(x))).toBe(x);
    }),
  );
});

it("refuses numbers that JSON cannot hold, by key", () => {
  expect(() => pythonJson({ a: { rate: NaN } })).toThrow('"rate" is NaN, which JSON cannot hold');
});
