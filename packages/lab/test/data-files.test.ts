import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { sequence, TokenSetBuilder } from "../src/data/token-set.ts";
import { cachedTokenSet } from "../src/data/token-cache.ts";
import { parseLabelledTsv, readLabelledTsv } from "../src/data/tsv.ts";
import { loadSst2 } from "../src/data/sst2.ts";
import { loadCorpus, loadHeldOut } from "../src/data/corpus.ts";
import { loadWordTokenizer } from "../src/data/word-piece.ts";
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
    [
      "sentence\tlabels\nx\t1\n",
      `dev.tsv: column "label" is missing; the header is ["sentence","labels"], expected ["sentence","label"]; rename "labels" to "label"?`,
    ],
    [
      "label\tsentence\n1\tx\n",
      `dev.tsv: the header is ["label","sentence"], expected exactly ["sentence","label"] in this order`,
    ],
    ["sentence\tlabel\nx\n", "dev.tsv:2: 1 column(s), expected 2 (sentence, label)"],
    ["sentence\tlabel\nx\t1\ny\t2\n", `dev.tsv:3: label "2" is not one of 0…1`],
    ["sentence\tlabel\n \t1\n", "dev.tsv:2: empty sentence"],
  ])("is refused with file and line: %j", (content, message) => {
    expect(() => read(content)).toThrow(message);
  });
});

describe("a table that pandas wrote", () => {
  const read = (content: string) => parseLabelledTsv(content, "train.tsv", 2).map((row) => row.text);

  it("is read without its quotes, like the one with a byte order mark without the mark", () => {
    const shapes = fileURLToPath(new URL("../../../../shared/fixtures/public-shapes/", import.meta.url));
    expect(readLabelledTsv(join(shapes, "train-quoted-by-pandas.tsv"), 2)).toEqual([
      { text: 'she said "not again" and left', label: 0 },
      { text: 'a "must see"', label: 1 },
    ]);
    expect(readLabelledTsv(join(shapes, "train-with-bom.tsv"), 2)).toEqual([
      { text: "the plot never starts", label: 0 },
      { text: "a warm and funny film", label: 1 },
    ]);
  });

  it("with every field quoted is read without quotes, too", () => {
    expect(read('"sentence"\t"label"\n"plain"\t"1"\n"a ""b"""\t"0"\n')).toEqual(["plain", 'a "b"']);
  });

  it("is told from one whose texts merely hold quotes", () => {
    const texts = ['a "must see" film', '"moving', 'so "fine"', '"fine" and "good"', '"fine"', '" and "'];
    expect(read(`sentence\tlabel\n${texts.map((text) => `${text}\t1\n`).join("")}`)).toEqual(texts);
  });

  it("is refused where some lines are quoted and some are not", () => {
    expect(() => read('sentence\tlabel\n"a ""b"""\t1\nso "fine"\t1\n')).toThrow(
      "train.tsv:3: has a quote that is not doubled, but line 2 is quoted as CSV",
    );
  });

  // pandas' QUOTE_MINIMAL: a field is quoted where it holds a quote
  const texts = fc.array(
    fc.array(fc.constantFrom("a", '"', " ", "é"), { minLength: 1, maxLength: 6 }).map((parts) => `x${parts.join("")}`),
    { minLength: 1, maxLength: 6 },
  );
  test.prop([texts])("comes back as it was", (rows) => {
    const field = (text: string): string => (text.includes('"') ? `"${text.replaceAll('"', '""')}"` : text);
    expect(read(`sentence\tlabel\n${rows.map((text) => `${field(text)}\t1\n`).join("")}`)).toEqual(rows);
  });
});

describe("a file that is no text", () => {
  const file = (bytes: Uint8Array | string): string => {
    const path = join(mkdtempSync(join(tmpdir(), "lowrank-bytes-")), "dev.tsv");
    writeFileSync(path, bytes);
    return path;
  };

  it.each([
    [
      "Latin-1",
      Buffer.from("sentence\tlabel\nx\t1\ncaf\u00e9\t1\n", "latin1"),
      "dev.tsv:3: byte 0xe9 is not UTF-8 (Latin-1?); save the file as UTF-8",
    ],
    [
      "cut within a character",
      Buffer.from("sentence\tlabel\ncafé").subarray(0, -1),
      "dev.tsv:2: byte 0xc3 is not UTF-8",
    ],
    ["UTF-16", Buffer.from("\ufeffsentence\tlabel\n", "utf16le"), "dev.tsv: is UTF-16; save it as UTF-8"],
    ["with a NUL", "sentence\tlabel\na\0b\t1\n", "dev.tsv:2: holds a NUL byte"],
    ["of bytes", Uint8Array.of(0x1f, 0x8b, 8, 7), "dev.tsv:1: byte 0x8b is not UTF-8"],
  ])("is refused with its line: %s", (_, bytes, message) => {
    expect(() => readLabelledTsv(file(bytes), 2)).toThrow(message);
  });

  it("is refused before it is opened where it is a pipe, a device or a folder", () => {
    const folder = mkdtempSync(join(tmpdir(), "lowrank-pipe-"));
    expect(spawnSync("mkfifo", [join(folder, "pipe")]).status).toBe(0);
    expect(() => readLabelledTsv(join(folder, "pipe"), 2)).toThrow(
      "pipe: is no ordinary file but a pipe, a socket or a device",
    );
    expect(() => readLabelledTsv("/dev/zero", 2)).toThrow("/dev/zero: is no ordinary file");
    expect(() => readLabelledTsv("/proc/self/status", 2)).toThrow(
      "/proc/self/status: has more bytes than its size of 0 says",
    );
    expect(() => readLabelledTsv(folder, 2)).toThrow("is a folder; a file is needed");
  });
});

describe("the token cache", () => {
  test.prop([fc.array(fc.array(fc.nat(100_000), { maxLength: 20 }), { maxLength: 30 })], { numRuns: 20 })(
    "returns what was stored and makes nothing twice",
    (sequences) => {
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
    },
  );

  it("refuses a file that was altered, is damaged, or belongs to another key", () => {
    const folder = mkdtempSync(join(tmpdir(), "lowrank-cache-"));
    const make = () => {
      const builder = new TokenSetBuilder();
      builder.push([1, 2, 3]);
      return builder.build();
    };
    cachedTokenSet(folder, "key", make);
    const path = join(folder, readdirSync(folder)[0]!);
    const sound = readFileSync(path);
    for (const bytes of [
      "half",
      "",
      sound.subarray(0, -1),
      ...Array.from(sound, (_, i) => Uint8Array.from(sound, (byte, j) => (i === j ? byte ^ 1 : byte))),
    ]) {
      writeFileSync(path, bytes);
      expect(() => cachedTokenSet(folder, "key", make)).toThrow(
        `${path}: is not the token cache that was written (altered or damaged); delete it, and it is made again`,
      );
    }
    writeFileSync(path, sound);
    expect([...cachedTokenSet(folder, "key", make).ids]).toEqual([1, 2, 3]);
    cachedTokenSet(folder, "other", make);
    const other = readdirSync(folder)
      .map((name) => join(folder, name))
      .find((file) => file !== path)!;
    copyFileSync(other, path);
    expect(() => cachedTokenSet(folder, "key", make)).toThrow("is not the token cache");
  });
});

describe("a byte order mark in texts for pre-training", () => {
  it("is told of, whether the tokens are cached or not", async () => {
    const data = writeToyData(mkdtempSync(join(tmpdir(), "lowrank-mark-")));
    const files = ["train-00.txt", "valid.txt"].map((name) => join(data, "public-domain-books", name));
    for (const file of files) writeFileSync(file, `\ufeff${readFileSync(file, "utf8")}`);
    const tokenizer = await loadWordTokenizer(join(data, "bert-base-uncased-tokenizer"));
    const said: string[] = [];
    const options = {
      dataFolder: data,
      cacheFolder: join(data, ".cache"),
      sources: ["books", "sst2-text"],
      length: 8,
      say: (line: string) => said.push(line),
    } as const;
    for (let i = 0; i < 2; i++) {
      loadCorpus(options, tokenizer);
      loadHeldOut(options, tokenizer);
    }
    const lines = files.map(
      (file) => `${file}: begins with a byte order mark, which is no part of the text; it is left out`,
    );
    expect(said).toEqual([...lines, ...lines]);
  });
});

describe("SST-2", () => {
  it("is tokenized with special tokens and cut at the longest length", async () => {
    const data = writeToyData(mkdtempSync(join(tmpdir(), "lowrank-data-")));
    const cacheFolder = mkdtempSync(join(tmpdir(), "lowrank-cache-"));
    const sst2 = await loadSst2({ dataFolder: data, base: null, cacheFolder, maxLength: 8 });
    expect([...sequence(sst2.dev.tokens, 0)]).toEqual([2, 5, 6, 7, 3]); // [CLS] a fine film [SEP]
    expect(sequence(sst2.dev.tokens, 1).length).toBe(8);
    expect([...sequence(sst2.dev.tokens, 1)].at(-1)).toBe(3);
    expect(await loadSst2({ dataFolder: data, base: null, cacheFolder, maxLength: 8 })).toMatchObject({
      identity: sst2.identity,
      train: sst2.train,
    });
    const { train } = await loadSst2({ dataFolder: data, base: null, cacheFolder, maxLength: 8, trainLimit: 2 });
    expect(train.labels).toHaveLength(2);
    // what a part of the file is chosen from are the file's rows
    expect([...train.labels]).toEqual(Array.from(train.rows!, (row) => sst2.train.labels[row]));
    expect([...sequence(train.tokens, 1)]).toEqual([...sequence(sst2.train.tokens, train.rows![1]!)]);
  });

  it("names the file that is missing and how to point at it", async () => {
    const empty = mkdtempSync(join(tmpdir(), "lowrank-data-"));
    mkdirSync(join(empty, "sst2-glue"));
    writeToyData(join(empty, "complete"));
    cpSync(join(empty, "complete", "bert-base-uncased-tokenizer"), join(empty, "bert-base-uncased-tokenizer"), {
      recursive: true,
    });
    await expect(loadSst2({ dataFolder: empty, base: null, cacheFolder: empty, maxLength: 8 })).rejects.toThrow(
      /data file not found: .*train\.tsv; point --data \(or LOWRANK_DATA\) at the folder that holds sst2-glue.train\.tsv/,
    );
  });
});
