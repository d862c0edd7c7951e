/** How drawings are written: paths by distances that do not drift, images whose address is theirs whatever words they hold. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { address, bars, image, inTenths, lines, path, svg, text, titled } from "../src/report/figures/drawing.ts";
import { heatMap } from "../src/report/figures/heat.ts";
import { isDeep, SHADES } from "../src/report/figures/style.ts";

const points = fc.array(
  fc.tuple(fc.double({ min: -999, max: 999, noNaN: true }), fc.double({ min: -999, max: 999, noNaN: true })),
  { maxLength: 200 },
);

describe("a path", () => {
  test.prop([points])("goes through each point to within half of a tenth, however many there are", (given) => {
    const distances = /d="m?([^"]*)"/.exec(path(given, "line"))![1]!.match(/-?\d+/g) ?? [];
    expect(distances).toHaveLength(2 * given.length);
    const at = [0, 0];
    for (const [i, distance] of distances.entries()) {
      at[i % 2]! += Number(distance);
      // in whole tenths, which are added up exactly: 0.05 by rounding, and what the quotient and the difference of doubles below 1,000 lose
      expect(Math.abs(at[i % 2]! / 10 - given[i >> 1]![i % 2]!)).toBeLessThan(0.05 + 1e-9);
    }
  });

  it("is written in tenths, with no more signs than it needs", () => {
    const one = path(
      [
        [57.24, 50.7],
        [61.1, 64.66],
        [65, 60.72],
      ],
      "line",
    );
    expect(one).toBe('<path class="line" d="m572 507 39 140 39-40"/>');
    expect(inTenths(one, one)).toBe(`<g transform="scale(.1)">${one}${one}</g>`);
    expect(path([], "line")).toBe('<path class="line" d=""/>');
  });
});

describe("lines", () => {
  it("are one element, each from end to end", () => {
    const ends = [
      [
        [44, 141.54],
        [290, 141.54],
      ],
      [
        [53.2, 158],
        [53.2, 162],
      ],
      [
        [0, 1],
        [-2.5, 3],
      ],
    ] as const;
    expect(lines(ends, "rule")).toBe('<path class="rule" d="M44 141.5H290M53.2 158V162M0 1L-2.5 3"/>');
    expect(lines([], "rule")).toBe("");
  });
});

describe("bars", () => {
  it("are one element, each from its end to the right", () => {
    const ends = [
      [150, 60],
      [193.96, 0],
    ] as const;
    expect(bars(ends, 42, "shade-1")).toBe('<path class="shade-1" d="M150 60h42M194 0h42"/>');
    expect(bars([], 42, "shade-1")).toBe("");
  });
});

describe("a map of ranks", () => {
  const ranks = fc.option(fc.integer({ min: 0, max: 12 }));
  const tables = fc
    .integer({ min: 1, max: 12 })
    .chain((columns) =>
      fc.array(fc.array(ranks, { minLength: columns, maxLength: columns }), { minLength: 1, maxLength: 8 }),
    );

  test.prop([tables])(
    "has each number in a box of its shade, readable on it, and nothing for what has none",
    (values) => {
      const { body, width, height } = heatMap({
        title: "ranks",
        description: "",
        columns: values[0]!.map((_, c) => `L${c}`),
        rows: values.map((of, r) => ({ label: `module ${r}`, values: of })),
        most: 12,
        words: (value) => `r${value}`,
      });
      const found = new Map<string, { shade: number; deep: boolean; words: string }>();
      // as high as the stroke is wide, half of it to either side
      expect(body).toContain('<g stroke-width="24">');
      const shadeAt = new Map<string, number>(
        [...body.matchAll(/class="shade-(\d)" d="([^"]*)"/g)].flatMap(([, shade, d]) =>
          [...d!.matchAll(/M(\d+) (\d+)h42(?=M|$)/g)].map(
            ([, x, y]) => [`${x} ${Number(y) - 12}`, Number(shade)] as const,
          ),
        ),
      );
      for (const [, tone, inner] of body.matchAll(/<g class="on-(pale|deep)">(.*?)<\/g>/g))
        for (const [, x, y, words] of inner!.matchAll(/<text x="(\d+)" y="(\d+)">([^<]*)<\/text>/g)) {
          // in the middle of its box
          const corner = `${Number(x) - 21} ${Number(y) - 16}`;
          found.set(corner, { shade: shadeAt.get(corner)!, deep: tone === "deep", words: words! });
        }
      const expected = values.flatMap((of, r) =>
        of.flatMap((value, c) => (value === null ? [] : [[`${150 + 44 * c} ${48 + 26 * r}`, value] as const])),
      );
      expect([found.size, shadeAt.size]).toEqual([expected.length, expected.length]);
      for (const [corner, value] of expected) {
        const { shade, deep, words } = found.get(corner)!;
        expect(words).toBe(`r${value}`);
        expect(shade === 0).toBe(value === 0);
        expect(Math.abs(shade - (SHADES * value) / 12)).toBeLessThanOrEqual(value === 0 ? 0 : 0.5);
        expect(deep).toBe(isDeep(shade));
        const [x, y] = corner.split(" ").map(Number);
        expect(x! + 42 <= width && y! + 24 <= height).toBe(true);
      }
    },
  );
});

describe("a drawing as an image", () => {
  const drawn = (words: string) => ({
    title: words,
    description: words,
    width: 10.2,
    height: 5,
    body: titled(words, text([1, 2], words, { class: "mark" })),
  });

  test.prop([fc.string({ unit: "binary" })])("has an address that is one attribute and is read back whole", (words) => {
    const written = image(drawn(words), ".mark { fill: #1b1f24; width: 5%; }");
    const said = address(written);
    expect(said).toMatch(/^data:image\/svg\+xml,[^"#&\t\n\r]*$/);
    const back = decodeURIComponent(said.slice(said.indexOf(",") + 1));
    expect(back.replaceAll("'", '"').replaceAll("&apos;", "'")).toBe(written);
  });

  it("says its words once, as what it is shown instead of", () => {
    const [file, inner] = [svg(drawn("b-fp"), ""), image(drawn("b-fp"), "")];
    expect(file.match(/<title/g)).toHaveLength(2);
    expect(file).toContain('<desc id="d">b-fp</desc>');
    expect(inner).not.toMatch(/<title|<desc|role=/);
    expect(inner).toContain('<text x="1" y="2" class="mark">b-fp</text>');
  });
});
