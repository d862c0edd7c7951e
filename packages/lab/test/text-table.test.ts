/** Tables as text: aligned where they are read as such, Markdown either way. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { renderTable, width } from "../src/text/table.ts";

const COLUMNS = [{ title: "config" }, { title: "n", align: "right" }] as const;
const ROWS = [
  ["b-fp", "5"],
  ["head-only", "15"],
];

describe("a table as text", () => {
  it("is aligned up to the width that is asked for", () => {
    const aligned = ["| config    |   n |", "| --------- | --: |", "| b-fp      |   5 |", "| head-only |  15 |"].join(
      "\n",
    );
    expect(renderTable(COLUMNS, ROWS)).toBe(aligned);
    expect(renderTable(COLUMNS, ROWS, 19)).toBe(aligned);
    expect(renderTable(COLUMNS, ROWS, 18)).toBe(
      ["| config | n |", "| --- | --: |", "| b-fp | 5 |", "| head-only | 15 |"].join("\n"),
    );
  });

  const cells = fc
    .string({ unit: "grapheme", maxLength: 30 })
    .map((text) => text.replaceAll(/[|\s]/g, ""))
    .filter((text) => text !== "");
  test.prop([fc.array(fc.tuple(cells, cells), { maxLength: 6 }), fc.integer({ min: 0, max: 80 })])(
    "has the same cells at any width, and is never padded beyond it",
    (rows, widest) => {
      const written = renderTable(COLUMNS, rows, widest).split("\n");
      const read = written.map((line) =>
        line
          .split("|")
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
      expect([read[0], ...read.slice(2)]).toEqual([["config", "n"], ...rows]);
      const widths = new Set(written.map(width));
      if (widths.size === 1 && written.some((line) => / {2}/.test(line)))
        expect([...widths][0]).toBeLessThanOrEqual(widest);
    },
  );
});
