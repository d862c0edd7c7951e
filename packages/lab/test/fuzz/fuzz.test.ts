import { describe, expect, it } from "vitest";
import { FORMATS } from "./formats.ts";
import { fuzz, refusalProblem } from "./judge.ts";

const seed = Number(process.env["LOWRANK_SEED"] ?? 20261124);

describe("damaged files", () => {
  it("are read as what they say, or refused with one typed line, quickly and in little memory", async () => {
    const { findings, tallies } = await fuzz(FORMATS, { seed, count: 1000 });
    expect(findings).toEqual([]);
    // the draws must reach past the first check: something of every format is taken, and something refused
    expect(tallies.filter(({ taken, refused }) => taken === 0 || refused === 0).map(({ format }) => format)).toEqual(
      [],
    );
  });

  it("would be found out by the judge", () => {
    expect(refusalProblem(new TypeError("x is undefined"))).toMatch(/^untyped: TypeError/);
    expect(refusalProblem(new RangeError("Invalid array length"))).toMatch(/^untyped/);
  });
});
