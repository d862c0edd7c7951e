/** Files as tables: what is read is what was written, and what is wrong is said with its line. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { stratifiedSplit } from "../src/data/split.ts";
import { columnsOf, type ColumnRoles } from "../src/data/table/columns.ts";
import { readTable } from "../src/data/table/formats.ts";
import { tableOf } from "../src/data/table/table.ts";
import { orderedLabels } from "../src/tasks/rows/labels.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What makes trouble in CSV. */
const field = fc.string({
  unit: fc.constantFrom('"', ",", "\t", "\n", "\r", "\r\n", " ", "a", "ü", "漢", "😀", "0", "|"),
  maxLength: 8,
});
const grid = fc
  .integer({ min: 2, max: 4 })
  .chain((width) => fc.array(fc.array(field, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 8 }));
const quoted = (cell: string): string => `"${cell.replaceAll('"', '""')}"`;
/** Lines that a text has ended. */
const endings = (text: string): number => text.match(/\r\n|\n|\r/g)?.length ?? 0;

describe("CSV", () => {
  test.prop([grid, fc.constantFrom("\n", "\r\n", "\r"), fc.boolean(), fc.boolean()])(
    "is read as it was written, each row with the line on which it begins",
    async (rows, end, mark, blank) => {
      const columns = rows[0]!.map((_, c) => `column ${c}`);
      const needs = (cell: string): boolean => /[",\r\n]/.test(cell) || cell.trim() !== cell;
      const lines = [columns, ...rows].map((cells) =>
        cells.map((cell) => (needs(cell) ? quoted(cell) : cell)).join(","),
      );
      const text = `${mark ? "\ufeff" : ""}${lines.join(blank ? end + end : end)}`;
      const table = await readTable(bytes(text), "t.csv");
      expect(table.columns).toEqual(columns);
      expect(table.rows.map((row) => columns.map((column) => row[column]))).toEqual(rows);
      let line = 1;
      for (const [i, written] of lines.entries()) {
        if (i > 0) expect(table.place(i - 1)).toBe(`t.csv:${line}`);
        line += endings(written) + (blank ? 2 : 1);
      }
    },
  );

  it.each([
    ["", "t.csv: empty file; expected a header with the names of the columns"],
    ["a,b\n", "t.csv: has no rows"],
    ["a,a\n1,2\n", 't.csv:1: two columns are called "a"; rename one'],
    ['a,b\n"1\n2",x\n3\n', "t.csv:4: has 1 field, the header has 2; put a field that holds a comma in quotes"],
    ['a,b\n1,2 "x"\n', "t.csv:2: a quote stands inside a field; put the field in quotes and double those inside"],
    ['a,b\n"1" x,2\n', "t.csv:2: a quote stands inside a field; put the field in quotes and double those inside"],
  ])("is refused with its line: %j", async (text, message) => {
    await expect(readTable(bytes(text), "t.csv")).rejects.toThrow(message);
  });

  it("of tabs may have quotes that are text, or quoting, and no mixture", async () => {
    const plain = await readTable(bytes('text\tlabel\na "fine" film\t1\n"dull\t0\n'), "t.tsv");
    expect(plain.rows.map((row) => row["text"])).toEqual(['a "fine" film', '"dull']);
    const quoting = await readTable(bytes('"text"\t"label"\n"a ""fine""\tfilm"\t"1"\n'), "t.tsv");
    expect(quoting.rows[0]).toEqual({ text: 'a "fine"\tfilm', label: "1" });
  });
});

describe("JSON", () => {
  it("lines are objects, whose keys together are the columns", async () => {
    const table = await readTable(bytes('{"a": 1}\n\n{"b": [2], "__proto__": "x"}\n'), "t.jsonl");
    expect(table.columns).toEqual(["a", "b", "__proto__"]);
    expect([table.rows[1]!["__proto__"], table.rows[0]!["b"], table.place(1)]).toEqual(["x", undefined, "t.jsonl:3"]);
    await expect(readTable(bytes('{"a": 1}\n[2]\n'), "t.jsonl")).rejects.toThrow("t.jsonl:2: is no object");
    await expect(readTable(bytes('{"a": 1}\n{"a": }\n'), "t.jsonl")).rejects.toThrow("t.jsonl:2: is not valid JSON");
  });

  it("documents are lists of objects", async () => {
    const table = await readTable(bytes('[{"a": 1}, {"a": 2}]'), "t.json");
    expect([table.rows.length, table.place(1)]).toEqual([2, "t.json[1]"]);
    await expect(readTable(bytes('{"a": 1}'), "t.json")).rejects.toThrow("t.json: is no list of rows");
  });
});

/** `pyarrow.parquet.write_table`, zstd: text, label (i64), tags (list of strings), score (f64). */
const PARQUET =
  "UEFSMRUEFVwVbkwVBBUAEgAAKLUv/SAucQEAFwAAAGEgImZpbmUiIGZpbG0sCmFuZCBnb29kDwAAAG5hw692ZSDigJQgZHVsbBUAFRIVJCwVBhUQFQYVBhwAAAAotS/9IAlJAAACAAAAAwMBAwIVBBUwFTJMFQYVABIAACi1L/0gGIUAAFABAAIAAAAAAAAAAQAywAIVABUUFSYsFQYVEBUGFQYcAAAAKLUv/SAKUQAAAgAAAAYBAgMkABUEFR4VMEwVBhUAEgAAKLUv/SAPeQAAAQAAAHgBAAAAeQEAAAB6FQAVIhU0LBUIFRAVBhUGHAAAACi1L/0gEYkAAAIAAAADAgMAAAAD3wACAyQAFQQVMBVCTBUGFQASAAAotS/9IBjBAAAAAAAAAADgPwAAAAAAAPS/AAAAAAAACEAVABUUFSYsFQYVEBUGFQYcAAAAKLUv/SAKUQAAAgAAAAYBAgMkABUEGXw1ABgGc2NoZW1hFQgAFQwlAhgEdGV4dCUATBwAAAAVBCUCGAVsYWJlbAA1AhgEdGFncxUCFQZMPAAAADUEGARsaXN0FQIAFQwlAhgHZWxlbWVudCUATBwAAAAVCiUCGAVzY29yZQAWBhkcGUwmABwVDBk1AAYQGRgEdGV4dBUMFgYWsAEW1AEmkgEmCCksFQQVABUCABUAFRAVAgA8FkwZBhkmAgQAAAAmABwVBBk1AAYQGRgFbGFiZWwVDBYGFoYBFpoBJqoCJtwBKSwVBBUAFQIAFQAVEBUCADwpBhkmAAYAAAAmABwVDBk1AAYQGTgEdGFncwRsaXN0B2VsZW1lbnQVDBYIFoIBFqYBJsIDJvYCKSwVBBUAFQIAFQAVEBUCADwWBhkmBgIZRgACAAYAAAAmABwVChk1AAYQGRgFc2NvcmUVDBYGFoYBFqoBJvoEJpwEKSwVBBUAFQIAFQAVEBUCADwpBhkmAAYAAAAWvgQWBiYIFr4FACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNi4wLjEZTBwAABwAABwAABwAAACuAQAAUEFSMQ==";

it("Parquet has its types, whole numbers as numbers", async () => {
  const table = await readTable(Uint8Array.from(Buffer.from(PARQUET, "base64")), "t.parquet");
  expect(table.columns).toEqual(["text", "label", "tags", "score"]);
  expect(table.rows.map((row) => ({ ...row }))).toEqual([
    { text: 'a "fine" film,\nand good', label: 1, tags: ["x", "y"], score: 0.5 },
    { text: "naïve — dull", label: 0, tags: [], score: -1.25 },
    { text: null, label: 2, tags: ["z"], score: 3 },
  ]);
  expect(table.place(1)).toBe("t.parquet: row 2");
  await expect(readTable(bytes("PAR1 and no more"), "t.parquet")).rejects.toThrow(
    "t.parquet: cannot be read as Parquet",
  );
});

describe("columns", () => {
  const roles: ColumnRoles = {
    text: { names: ["text", "review"], needed: "always" },
    pair: { names: ["pair"], needed: "optional" },
    label: { names: ["label"], needed: "labelled" },
  };
  const table = tableOf([{ Review: "a", label: "x", pair: "b" }]);

  it("are guessed where one can be meant, left out where that is said, and not asked for where nothing is learnt", () => {
    const said: string[] = [];
    const found = columnsOf(table, { roles, words: { pair: null }, labelled: true, say: (line) => said.push(line) });
    expect(found).toEqual({ text: "Review", label: "label" });
    expect(said).toEqual(['rows: the column "Review" is taken for text']);
    expect(columnsOf(tableOf([{ review: "a" }]), { roles, words: { label: "label" }, labelled: false })).toEqual({
      text: "review",
    });
    expect(() => columnsOf(tableOf([{ review: "a" }]), { roles, labelled: true })).toThrow(
      'rows: no column is called like a label (label, …); the columns are "review"; say columns.label',
    );
  });
});

describe("a split", () => {
  const strata = fc.array(fc.constantFrom("a", "b", "c", "rare"), { minLength: 1, maxLength: 60 });

  test.prop([strata, fc.double({ min: 0.05, max: 0.5, noNaN: true }), fc.nat(1000)])(
    "takes each row once, of each label its share to within one row, and leaves each label a row",
    (labels, fraction, seed) => {
      const { train, heldOut } = stratifiedSplit(labels, fraction, seed);
      expect([...train, ...heldOut].sort((a, b) => a - b)).toEqual(labels.map((_, i) => i));
      expect([...train]).toEqual([...train].sort((a, b) => a - b));
      for (const label of new Set(labels)) {
        const all = labels.filter((other) => other === label).length;
        const held = [...heldOut].filter((i) => labels[i] === label).length;
        expect(held).toBeLessThan(all);
        expect(held).toBeLessThanOrEqual(Math.floor(fraction * all) + 1);
        expect(held).toBeGreaterThanOrEqual(Math.min(Math.floor(fraction * all), all - 1));
      }
      expect(stratifiedSplit(labels, fraction, seed)).toEqual({ train, heldOut });
    },
  );
});

describe("labels", () => {
  test.prop([fc.array(fc.string({ maxLength: 3 }), { minLength: 1, maxLength: 12 }), fc.nat(1000)])(
    "have an order that the rows' order does not change",
    (names, seed) => {
      const other = [...names].sort(
        (a, b) => ((a.length * 7919 + seed) % 13) - ((b.length * 7919 + seed) % 13) || (a > b ? -1 : 1),
      );
      expect(orderedLabels(other)).toEqual(orderedLabels(names));
    },
  );

  it("are ordered as numbers where all of them are", () => {
    expect(orderedLabels(["10", "9", "-1", "2.5"])).toEqual({ labels: ["-1", "2.5", "9", "10"], order: "by number" });
    expect(orderedLabels(["10", "9", "b", "B"])).toEqual({ labels: ["10", "9", "B", "b"], order: "by code unit" });
  });
});
