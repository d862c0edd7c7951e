/** The table of adapted modules has the columns that its updates have. */
import { expect, it } from "vitest";
import { moduleTable } from "../src/study/module-table.ts";

const heads = (table: string): string[] =>
  table
    .split("\n")[0]!
    .split(/[|│]/)
    .map((h) => h.trim())
    .filter(Boolean);

it("ranks and scales of what adds, sides of what scales", () => {
  const row = { module: "layer.0.up", in: 4, out: 8, parameters: 24 };
  expect(heads(moduleTable([{ ...row, rank: 2, scale: 4 }]))).toEqual([
    "module",
    "×",
    "in → out",
    "rank",
    "scale",
    "parameters",
  ]);
  const scaling = moduleTable([
    { ...row, scales: "output" },
    { ...row, module: "layer.1.up", scales: "output" },
  ]);
  expect(heads(scaling)).toEqual(["module", "×", "in → out", "scales", "parameters"]);
  expect(scaling).toMatch(/layer\.\*\.up.*2.*4 → 8.*output.*48/);
});
