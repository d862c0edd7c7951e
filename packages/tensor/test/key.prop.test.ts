/** Keys against deep equality: equal keys if and only if `Object.is` finds the same numbers, strings and absences at the same places. */
import { fc, test } from "@fast-check/vitest";
import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import { keyOf } from "../src/key.ts";

const number = fc.constantFrom(0, -0, 1, -1, 0.1, Number.NaN, Infinity, -Infinity, 1e21, 2 ** 53);
const text = fc.constantFrom("", "a", "NaN", "0", '"', "a,b", "},{", "\\", "ü");
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    number,
    text,
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.record({ op: tie("value"), a: tie("value"), b: tie("value") }, { requiredKeys: ["op"] }),
  ),
}));

test.prop([value, value])("are equal where values are", (a, b) => {
  expect(keyOf(structuredClone(a))).toBe(keyOf(a));
  // most draws differ somewhere; what differs in one place only is drawn below
  expect(keyOf(a) === keyOf(b)).toBe(isDeepStrictEqual(a, b));
});

test.prop([value, number, number])("tell numbers apart as Object.is does", (around, a, b) => {
  expect(keyOf([around, { a }]) === keyOf([around, { a: b }])).toBe(Object.is(a, b));
});

test.prop([value])("do not see what is undefined", (a) => {
  expect(keyOf({ a, b: undefined })).toBe(keyOf({ a }));
});
