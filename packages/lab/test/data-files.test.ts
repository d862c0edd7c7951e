import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { cachedTokenSet, sequence, TokenSetBuilder } from "../src/data/token-set.ts";
import { parseLabelledTsv } from "../src/data/tsv.ts";
import { loadSst2 } from "../src/data/sst2.ts";
import { writeToyData } from "./toy-data.ts";

describe("a GLUE table", () => {
  const read = (content: string) => parseLabelledTsv(content, "dev.tsv", 2);

  it("is read as text and label", () => {
    expect(read("sentence\tlabel\na fine film\t1\r\ndull \t0\n")).toEqual([
      { text: "a fine film", label: 1 },
      { text: "dull ", label: 0 },
    ]);
  });

  it.each([
    ["", `dev.tsv: empty file; expected the header "sentence<TAB>label"`],
    ["sentence\tlabel\n", "dev.tsv: no rows after the header"],
    ["sentence\tlabels\nx\t1\n", `dev.tsv: column "label" is missing; the header is ["sentence","labels"], expected ["sentence","label"]; rename "labels" to "label"?`],
    ["label\tsentence\n1\tx\n", `dev.tsv: the header is ["label","sentence"], expected exactly ["sentence","label"] in this order`],
    ["sentence\tlabel\nx\n", "dev.tsv:2: 1 column(s), expected 2 (sentence, label)"],
    ["sentence\tlabel\nx\t1\ny\t2\n", `dev.tsv:3: label "2" is not one of 0…1`],
    ["sentence\tlabel\n \t1\n", "dev.tsv:2: empty sentence"],
  ])("is refused with file and line: %j", (content, message) => {
    expect(() => read(content)).toThrow(message);
  });
});

describe("the token cache", () => {
  test.prop([fc.array(fc.array(fc.nat(100_000), { maxLength: 20 }), { maxLength: 30 })], { numRuns: 20 })("returns what was stored and makes nothing twice", (sequences) => {
    const folder = mkdtempSync(join(tmpdir(), "lowrank-cache-"));
    let made = 0;
    const make = () => {
      made++;
      const builder = new TokenSetBuilder();
      for (const ids of sequences) builder.push(ids);
      return builder.build();
    };
    const first = cachedTokenSet(folder, "key", make);
    const second = cachedTokenSet(folder, "key", make);
    expect(made).toBe(1);
    expect(second).toEqual(first);
    sequences.forEach((ids, i) => expect([...sequence(second, i)]).toEqual(ids));
  });

  it("makes a damaged file anew", () => {
    const folder = mkdtempSync(join(tmpdir(), "lowrank-cache-"));
    const make = () => {
      const builder = new TokenSetBuilder();
      builder.push([1, 2, 3]);
      return builder.build();
    };
    cachedTokenSet(folder, "key", make);
    writeFileSync(join(folder, readdirSync(folder)[0]!), "half");
    expect([...cachedTokenSet(folder, "key", make).ids]).toEqual([1, 2, 3]);
  });
});

describe("SST-2", () => {
  it("is tokenised with special tokens and cut at the longest length", () => {
    const data = writeToyData(mkdtempSync(join(tmpdir(), "lowrank-data-")));
    const cacheFolder = mkdtempSync(join(tmpdir(), "lowrank-cache-"));
    const sst2 = loadSst2({ dataFolder: data, cacheFolder, maxLength: 8 });
    expect([...sequence(sst2.dev.tokens, 0)]).toEqual([2, 5, 6, 7, 3]); // [CLS] a fine film [SEP]
    expect(sequence(sst2.dev.tokens, 1).length).toBe(8);
    expect([...sequence(sst2.dev.tokens, 1)].at(-1)).toBe(3);
    expect(loadSst2({ dataFolder: data, cacheFolder, maxLength: 8 })).toMatchObject({ identity: sst2.identity, train: sst2.train });
    expect(loadSst2({ dataFolder: data, cacheFolder, maxLength: 8, trainLimit: 2 }).train.labels.length).toBe(2);
  });

  it("names the file that is missing and how to point at it", () => {
    const empty = mkdtempSync(join(tmpdir(), "lowrank-data-"));
    mkdirSync(join(empty, "sst2-glue"));
    expect(() => loadSst2({ dataFolder: empty, cacheFolder: empty, maxLength: 8 })).toThrow(/data file not found: .*train\.tsv; point --data \(or LOWRANK_DATA\) at the folder that holds sst2-glue.train\.tsv/);
  });
});
