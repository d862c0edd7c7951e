/** Arithmetic on addresses in emitted code, on both sides of 2 GiB and at the end of memory. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { ADDRESS_SPACE, wordAt, type Address } from "../src/backends/wasm/address.ts";
import { ModuleBuilder } from "../src/backends/wasm/asm/index.ts";
import { Code } from "../src/backends/wasm/loop/code.ts";

/** A function of two addresses, of which it stores one; what it stored. */
function evaluate(build: (c: Code, a: Address, b: Address) => Address): (a: number, b: number) => number {
  const module = new ModuleBuilder();
  const c = Code.kernel(module, "f", 2);
  const [a, b] = c.args.map((local) => c.at.get(local)) as [Address, Address];
  c.store("i32.store", c.at.bytes(0), 0, build(c, a, b).push);
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.toBytes() as BufferSource), {
    env: { memory },
  });
  return (x, y) => {
    (exports["f"] as (...args: number[]) => void)(0, 1, 0, 0, x, y);
    return new Uint32Array(memory.buffer)[0]!;
  };
}

const address = fc.oneof(
  fc.integer({ min: 0, max: ADDRESS_SPACE - 1 }),
  fc.integer({ min: 2 ** 31 - 8, max: 2 ** 31 + 8 }),
  fc.integer({ min: ADDRESS_SPACE - 8, max: ADDRESS_SPACE - 1 }),
);

it("sums, differences, products and minima are those of unsigned numbers", () => {
  const plus = evaluate((c, a, b) => c.at.plus(a, b));
  const minus = evaluate((c, a, b) => c.at.minus(a, b));
  const minimum = evaluate((c, a, b) => c.at.minimum(a, b));
  const below = evaluate((c, a, b) => c.at.index(c.at.below(a, b)));
  const rows = [1, 12, 64, 4100].map((stride) => ({
    stride,
    times: evaluate((c, a) => c.at.times(a.push, stride)),
    scaled: evaluate((c, a) => c.at.scaled(a.push, stride)),
  }));
  fc.assert(
    fc.property(address, address, (x, y) => {
      expect(plus(x, y)).toBe((x + y) % ADDRESS_SPACE);
      expect(minus(x, y)).toBe((x - y + ADDRESS_SPACE) % ADDRESS_SPACE);
      expect(minimum(x, y)).toBe(Math.min(x, y));
      expect(below(x, y)).toBe(x < y ? 1 : 0);
      for (const { stride, times, scaled } of rows) {
        expect(times(x, 0)).toBe((x * stride) % ADDRESS_SPACE);
        expect(scaled(x, 0)).toBe((x * stride) % ADDRESS_SPACE);
      }
    }),
  );
});

it("a walk takes as many steps as there are, also across 2 GiB and to the end of memory", () => {
  const steps = evaluate((c, a, b) => {
    const [at, count] = [c.at.keep(a), c.at.keep(c.at.bytes(0))];
    c.at.walk(at, b, 48, () => c.at.advance(count, 1));
    return c.at.get(count);
  });
  fc.assert(
    fc.property(address, fc.integer({ min: 0, max: 50 }), (from, count) => {
      expect(steps(from, (from + 48 * count) % ADDRESS_SPACE)).toBe(count);
    }),
  );
  expect(steps(ADDRESS_SPACE - 480, 0)).toBe(10);
});

it("the word at an address is its quarter, wherever it is", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 30 - 1 }), (word) => {
      expect(wordAt(4 * word)).toBe(word);
    }),
  );
});
