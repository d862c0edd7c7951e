/** `tokenizers` 0.23 is the referee: every recorded row, exactly. */
import { describe, expect, it } from "vitest";
import {
  differing,
  expected,
  part,
  present,
  publicShape,
  rows,
  tokenizerOf,
  TOKENIZERS,
  unlike,
  type Recorded,
} from "./tokenizer-fixtures.ts";
import { parseTokenizer } from "../src/index.ts";

const built = <T extends { readonly tok: string }>(name: string): T[] =>
  rows<T>(name).filter((row) => TOKENIZERS.includes(row.tok));

describe.skipIf(!present)("recorded tokenizers", () => {
  interface Text {
    readonly i: number;
    readonly text: string;
    readonly utf16_units?: number[];
  }
  const texts = new Map(present ? rows<Text>("texts").map((row) => [row.i, row]) : []);
  /** As the caller holds it, lone surrogates included. */
  const held = (row: Text): string =>
    row.utf16_units === undefined ? row.text : String.fromCharCode(...row.utf16_units);

  it.each(TOKENIZERS)("%s encodes texts", (name) => {
    const tokenizer = tokenizerOf(name);
    interface Row extends Recorded {
      readonly i: number;
      readonly special: boolean;
    }
    expect(
      differing(rows<Row>(`encode.${name}`), (row) => {
        const text = texts.get(row.i)!;
        const want = expected(row, () => text.text);
        return unlike(
          [text.text, row.special],
          part(tokenizer.encode(held(text), { specialTokens: row.special }), want),
          want,
        );
      }),
    ).toEqual([]);
  });

  it("encode pairs", () => {
    interface Row extends Recorded {
      readonly tok: string;
      readonly text: string;
      readonly pair: string;
      readonly special: boolean;
    }
    expect(
      differing(built<Row>("pairs"), (row) => {
        const got = tokenizerOf(row.tok).encode(row.text, { pair: row.pair, specialTokens: row.special });
        const want = expected(row, (i) => (got.sequenceIds[i] === 1 ? row.pair : row.text));
        return unlike([row.tok, row.text, row.pair, row.special], part(got, want), want);
      }),
    ).toEqual([]);
  });

  it("encode words", () => {
    interface Row extends Recorded {
      readonly tok: string;
      readonly words: string[];
      readonly pair_words?: string[];
      readonly special: boolean;
    }
    expect(
      differing(built<Row>("words"), (row) => {
        const got = tokenizerOf(row.tok).encode(row.words, { specialTokens: row.special, pair: row.pair_words });
        const want = expected(
          row,
          (i) => (got.sequenceIds[i] === 1 ? row.pair_words! : row.words)[got.wordIds[i] ?? 0] ?? "",
        );
        return unlike([row.tok, row.words, row.pair_words, row.special], part(got, want), want);
      }),
    ).toEqual([]);
  });

  it("decode", () => {
    interface Row {
      readonly tok: string;
      readonly ids: number[];
      readonly keep_special: string;
      readonly skip_special: string;
      readonly cleaned?: string;
    }
    expect(
      differing(built<Row>("decode"), (row) => {
        const tokenizer = tokenizerOf(row.tok);
        const got = [tokenizer.decode(row.ids, { skipSpecialTokens: false }), tokenizer.decode(row.ids)];
        const want = [row.keep_special, row.skip_special];
        if (row.tok.startsWith("bert")) {
          got.push(tokenizer.decode(row.ids, { cleanUpSpaces: true }));
          want.push(row.cleaned ?? row.skip_special);
        }
        return unlike([row.tok, row.ids], got, want);
      }),
    ).toEqual([]);
  });

  it("split whatever is numeric into digits", () => {
    expect(parseTokenizer(publicShape("tokenizer-digits.json")).encode("b ²").ids).toEqual([3, 1, 12]);
  });
});
