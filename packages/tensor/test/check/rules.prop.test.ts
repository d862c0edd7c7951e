import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { LowrankError, printable, quote } from "@lowrank/tensor";
import {
  absent,
  anyOf,
  callback,
  checkFile,
  checkOptions,
  fields,
  flag,
  having,
  listOf,
  mapOf,
  oneOf,
  optional,
  parseJson,
  probability,
  size,
  text,
  whole,
} from "@lowrank/tensor/check";

interface Options {
  rank: number;
  dropout?: number;
  names?: string[];
  mode?: "a" | "b";
  table?: Record<string, number>;
  on?: boolean | "auto";
}
const RULES = fields<Options>(
  {
    rank: size,
    dropout: optional(probability),
    names: optional(listOf(text)),
    mode: optional(oneOf("a", "b")),
    table: optional(mapOf(whole(1))),
    on: optional(anyOf<[boolean, "auto"]>(flag, oneOf("auto"))),
  },
  { spelt: { lora_r: "rank" } },
);
const refusal = (body: () => unknown): LowrankError => {
  try {
    body();
  } catch (error) {
    if (error instanceof LowrankError) return error;
    throw error;
  }
  throw new Error("was taken");
};
const check = (value: unknown): Options => checkOptions("make", RULES, value);

describe("declared shapes", () => {
  test.prop([
    fc.record(
      {
        rank: fc.integer({ min: 1, max: 2 ** 30 }),
        dropout: fc.double({ min: 0, max: 0.999, noNaN: true }),
        names: fc.array(fc.string()),
        mode: fc.constantFrom("a", "b"),
        on: fc.constantFrom(true, false, "auto"),
      },
      { requiredKeys: ["rank"] },
    ),
  ])("take what they declare, unchanged", (value) => {
    expect(check(value)).toEqual(value);
  });

  it("take a class's own fields and null prototypes for an object of keys, and no built-in container", () => {
    class Given {
      rank = 2;
      get [Symbol.toStringTag](): string {
        return "Given";
      }
    }
    expect(check(new Given())).toEqual({ rank: 2 });
    expect(
      check(
        Object.assign(Object.create(null) as object, {
          rank: 2,
          table: new (class {
            a = 1;
          })(),
        }),
      ),
    ).toEqual({ rank: 2, table: { a: 1 } });
    const containers: readonly (readonly [unknown, string])[] = [
      [new Map([["rank", 2]]), "Map"],
      [new Set(["a"]), "Set"],
      [new Date(), "Date"],
      [Promise.resolve(), "Promise"],
      [/a/, "RegExp"],
      [new WeakMap(), "WeakMap"],
      [new ArrayBuffer(2), "ArrayBuffer"],
      [new URLSearchParams("rank=2"), "URLSearchParams"],
    ];
    for (const [value, kind] of containers) {
      expect(refusal(() => check(value)).message).toBe(
        `make: must be an object with the keys rank, dropout, names, mode, table, on, got a ${kind}`,
      );
      expect(refusal(() => check({ rank: 2, table: value })).message).toBe(
        `make: "table" must be an object whose values are each a positive whole number, got a ${kind}`,
      );
    }
    expect(refusal(() => check(Object.assign(new Map(), { rank: 2 }))).message).toContain("got a Map");
  });

  test.prop([
    fc.anything({
      withNullPrototype: true,
      withBigInt: true,
      withTypedArray: true,
      withMap: true,
      withSet: true,
      withDate: true,
    }),
  ])("answer anything else with one typed line", (value) => {
    let read: Options;
    try {
      read = check(value);
    } catch (error) {
      expect(error).toBeInstanceOf(LowrankError);
      expect((error as LowrankError).message).not.toMatch(/[\n\p{Cc}]/u);
      expect((error as LowrankError).message.length).toBeLessThan(400);
      return;
    }
    expect(Number.isSafeInteger(read.rank) && read.rank > 0).toBe(true);
  });

  it("name the function, the key and what is meant", () => {
    expect(refusal(() => check({ rank: 4, lora_r: 8 })).message).toBe(
      'make: has an unknown key "lora_r"; did you mean "rank"?',
    );
    expect(refusal(() => check({ rank: 4, dropuot: 0 })).message).toBe(
      'make: has an unknown key "dropuot"; did you mean "dropout"?',
    );
    expect(refusal(() => check({})).message).toMatch(/^make: "rank" is missing; it must be a positive whole number/);
    expect(refusal(() => check({ rank: 4, names: ["a", 1] })).message).toBe('make: "names.1" must be a string, got 1');
    expect(refusal(() => check({ rank: 4, on: "yes" })).message).toBe(
      'make: "on" must be true or false, or "auto", got "yes"',
    );
    expect(refusal(() => check({ rank: 1e300 })).message).toMatch(/no memory holds it, got 1e\+300$/);
    expect(refusal(() => check([1])).kind).toBe("input");
  });

  it("look into a caller's own object for its parts, and give back that very object", () => {
    const rule = having<{ name: string; run: () => void }>("a runner", { name: text, run: callback() });
    class Runner {
      readonly name: unknown = "own";
      run(): void {}
    }
    const runner = new Runner();
    expect(checkOptions("start", rule, runner)).toBe(runner);
    expect(
      checkOptions(
        "start",
        rule,
        Object.assign(() => 1, { run: () => 2 }),
      ),
    ).toBeTypeOf("function");
    expect(() => checkOptions("start", rule, { name: "own" })).toThrow(
      'start: "run" is missing; it must be a function',
    );
    expect(() => checkOptions("start", rule, null)).toThrow("start: must be a runner, got null");
    expect(() => checkOptions("start", rule, undefined)).toThrow("start: is missing; it must be a runner");
    expect(() => checkOptions("start", rule, "own")).toThrow('start: must be a runner, got "own"');
  });
  it("keep a writer's own keys where the format allows them, and read null as absent", () => {
    const rules = fields<{ r?: number }>({ r: absent(size) }, { unknown: "keep" });
    expect(checkFile("f.json", rules, { r: null, other: 1 })).toEqual({ other: 1 });
    expect(refusal(() => checkFile("f.json", rules, { r: "8" })).code).toBe("FormatError");
  });
});

describe("json", () => {
  it("refuses what is not JSON, and keys that JavaScript takes for something else", () => {
    expect(refusal(() => parseJson("{", "f.json")).message).toMatch(/^f\.json: not valid JSON: /);
    expect(refusal(() => parseJson('{"a":[{"__proto__":{"x":1}}]}', "f.json")).message).toContain("__proto__");
    expect(refusal(() => parseJson('{"\\u005f_proto__":1}', "f.json")).message).toContain("__proto__");
    expect(parseJson('\ufeff{"a":1}', "f.json")).toEqual({ a: 1 });
  });

  test.prop([fc.json()])("reads everything else", (json) => {
    fc.pre(!json.includes("proto"));
    expect(parseJson(json, "x")).toEqual(JSON.parse(json));
  });
});

describe("messages", () => {
  test.prop([fc.string({ unit: "binary" })])("are one printable line", (text) => {
    expect(printable(text)).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e]/u);
  });

  test.prop([fc.anything({ withBigInt: true })])("quote at most 80 characters of a value", (value) => {
    expect(quote(value).length).toBeLessThanOrEqual(80);
  });
});
