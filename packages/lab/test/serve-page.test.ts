/** What the page computes before it draws. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { SHADES, shadeOf, shortModule } from "../src/serve/page/heat-map.ts";
import { bytes, duration, shortNumber, since, tickWords } from "../src/serve/page/numbers.ts";
import { sorted } from "../src/serve/page/order.ts";
import { extent, nearest, smoothed, thinned, ticks, type Point } from "../src/serve/page/scale.ts";
import type { WireRun } from "../src/serve/page/wire.ts";

const finite = fc.double({ min: -1e9, max: 1e9, noNaN: true });

describe("scales", () => {
  test.prop([finite, finite, fc.integer({ min: 2, max: 8 })])(
    "ticks lie within, evenly, neither none nor many",
    (a, b, count) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      fc.pre(to - from > 1e-6 * Math.max(Math.abs(from), Math.abs(to), 1e-3));
      const found = ticks(from, to, count);
      const room = 1e-6 * (to - from);
      expect(found.every((tick) => tick >= from - room && tick <= to + room)).toBe(true);
      expect(found.length).toBeGreaterThanOrEqual(Math.floor(count / 4));
      expect(found.length).toBeLessThanOrEqual(2 * count + 1);
      const gaps = found.slice(1).map((tick, i) => tick - found[i]!);
      for (const gap of gaps) expect(Math.abs(gap - gaps[0]!)).toBeLessThan(1e-3 * gaps[0]!);
    },
  );

  it("gives the round numbers that people expect", () => {
    expect(ticks(80.6, 88.7, 4)).toEqual([82, 84, 86, 88]);
    expect(ticks(0, 1024, 5)).toEqual([0, 200, 400, 600, 800, 1000]);
    expect(ticks(0.3, 0.3, 4)).toEqual([0.3]);
  });

  test.prop([fc.array(finite, { minLength: 1, maxLength: 3000 }), fc.integer({ min: 1, max: 200 })])(
    "thinning keeps the order, the least and the most, and few",
    (values, columns) => {
      const points = values.map((value, i): Point => [i, value]);
      const kept = thinned(points, columns);
      expect(kept.length).toBeLessThanOrEqual(2 * columns > values.length ? values.length : 2 * columns);
      expect(kept.every(([x], i) => i === 0 || x > kept[i - 1]![0])).toBe(true);
      expect(kept.every(([x, y]) => values[x] === y)).toBe(true);
      expect(extent(kept.map(([, y]) => y))).toEqual(extent(values));
    },
  );

  test.prop([
    fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 1, maxLength: 300 }),
    fc.integer({ min: 1, max: 60 }),
    fc.double({ min: -1, max: 1, noNaN: true }),
  ])("smoothing keeps straight lines and is the mean of neighbours", (values, window, slope) => {
    const straight = values.map((_, i): Point => [i, slope * i]);
    for (const [x, y] of smoothed(straight, window)) expect(y).toBeCloseTo(slope * x, 9);
    const at = values.length >> 1;
    const half = Math.min(window >> 1, at, values.length - 1 - at);
    const around = values.slice(at - half, at + half + 1);
    const points = values.map((value, i): Point => [i, value]);
    expect(smoothed(points, window)[at]![1]).toBeCloseTo(around.reduce((a, b) => a + b, 0) / around.length, 9);
  });

  test.prop([
    fc.uniqueArray(fc.integer({ min: -1000, max: 1000 }), { minLength: 1 }),
    fc.integer({ min: -1200, max: 1200 }),
  ])("the nearest point is nearest", (steps, x) => {
    const points = steps.sort((a, b) => a - b).map((step): Point => [step, 0]);
    const found = Math.abs(points[nearest(points, x)]![0] - x);
    expect(found).toBe(Math.min(...steps.map((step) => Math.abs(step - x))));
  });
});

describe("the order of runs", () => {
  const run = (name: string, loss?: number, accuracy?: number): WireRun => ({
    key: name,
    store: "",
    name,
    folder: name,
    state: "finished",
    changed: 0,
    loss,
    metrics: accuracy === undefined ? {} : { accuracy },
  });
  const runs = [run("a-s10", 2, 0.5), run("a-s9", undefined, 0.9), run("b", 1)];
  const names = (key: Parameters<typeof sorted>[1], down: boolean): string[] =>
    sorted(runs, key, down).map(({ name }) => name);

  it("is by number where names hold numbers, and those without the value are last either way", () => {
    expect(names("name", false)).toEqual(["a-s9", "a-s10", "b"]);
    expect(names("name", true)).toEqual(["b", "a-s10", "a-s9"]);
    expect(names("loss", false)).toEqual(["b", "a-s10", "a-s9"]);
    expect(names("loss", true)).toEqual(["a-s10", "b", "a-s9"]);
    expect(names("metric:accuracy", true)).toEqual(["a-s9", "a-s10", "b"]);
  });
});

describe("words", () => {
  it("are short", () => {
    expect([0, 12, 0.123456, 123.456, 1e-7, 2.5e9, Number.NaN].map(shortNumber)).toEqual([
      "0",
      "12",
      "0.1235",
      "123.5",
      "1.00e-7",
      "2.50e9",
      "–",
    ]);
    expect([0.5, 2, 0.0001, 2.5e9].map(tickWords)).toEqual(["0.5", "2", "1e-4", "2.5e9"]);
    expect([0.0417, 0.25, 48.5, 104, 7300].map(duration)).toEqual([
      "41.7 ms",
      "250 ms",
      "48.5 s",
      "1 m 44 s",
      "2 h 01 m",
    ]);
    expect([0, 998, 2048, 3e8].map(bytes)).toEqual(["0 B", "998 B", "2.0 KiB", "286.1 MiB"]);
    expect(since(0, 30_000)).toBe("just now");
    expect(since(0, 7_200_000)).toBe("2 h ago");
    expect(shortModule("bert.encoder.layer.11.attention.self.query")).toBe("11 attention.self.query");
  });

  test.prop([fc.integer({ min: 0, max: 64 }), fc.integer({ min: 1, max: 64 })])(
    "a rank of none alone has no shade",
    (rank, most) => {
      const shade = shadeOf(Math.min(rank, most), most);
      expect(shade === 0).toBe(rank === 0);
      expect(shade).toBeLessThanOrEqual(SHADES);
    },
  );
});
