/** How drawings are written: paths by distances that do not drift, images whose address is theirs whatever words they hold. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { address, image, lines, path, svg, text, titled } from "../src/report/figures/drawing.ts";

const points = fc.array(
  fc.tuple(fc.double({ min: -999, max: 999, noNaN: true }), fc.double({ min: -999, max: 999, noNaN: true })),
  { maxLength: 200 },
);

describe("a path", () => {
  test.prop([points])("goes through each point to within half of a tenth, however many there are", (given) => {
    const distances = /d="m?([^"]*)"/.exec(path(given, "line"))![1]!.match(/-?\d+(\.\d)?/g) ?? [];
    expect(distances).toHaveLength(2 * given.length);
    const at = [0, 0];
    for (const [i, distance] of distances.entries()) {
      at[i % 2]! += Number(distance);
      // 0.05 by rounding, and what 200 additions below 2,000 in doubles lose: 200 · 2000 · 2^-53 < 1e-10
      expect(Math.abs(at[i % 2]! - given[i >> 1]![i % 2]!)).toBeLessThan(0.05 + 1e-9);
    }
  });

  it("is written in tenths, with no more signs than it needs", () => {
    expect(
      path(
        [
          [57.24, 50.7],
          [61.1, 64.66],
          [65, 60.72],
        ],
        "line",
      ),
    ).toBe('<path class="line" d="m57.2 50.7 3.9 14 3.9-4"/>');
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
