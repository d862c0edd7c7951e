import { describe, expect, it } from "vitest";
import { parseJson } from "../../src/check/json.ts";

describe("JSON from outside", () => {
  // a call takes some 120,000 arguments: what is as wide as Gemma's vocabulary must not become one
  it("may be as wide as a vocabulary, and is looked through all the same", () => {
    const words = Array.from({ length: 262_144 }, (_, i) => `"\\u2581${i}": ${i}`).join(", ");
    expect(Object.keys(parseJson(`{ "vocab": { ${words} } }`, "wide.json") as object)).toEqual(["vocab"]);
    expect(() => parseJson(`{ "vocab": { ${words}, "__proto__": {} } }`, "wide.json")).toThrow(
      /wide\.json: "__proto__"/,
    );
  });
});
