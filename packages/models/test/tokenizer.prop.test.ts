/** Laws of encoding and decoding, on texts that mix scripts, marks, line ends, special tokens and lone surrogates. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import {
  parseTokenizer,
  type Encoding,
  type Tokenizer,
  type TruncationSide,
  type TruncationStrategy,
} from "../src/index.ts";
import { BYTE_LEVEL_FILE, WORD_PIECE_FILE } from "./small-tokenizers.ts";

const pieces = fc.oneof(
  fc.constantFrom(
    "a",
    "b",
    "ab",
    "good",
    "films",
    " ",
    "  ",
    "\n",
    "'s",
    "[MASK]",
    "<|endoftext|>",
    "é",
    "e\u0301",
    "中",
    "🎬",
    "Σ",
    "\u200b",
    "½",
    ".",
    "\ud83c",
    "\u3000",
  ),
  fc.string({ unit: "binary", maxLength: 4 }),
);
const texts = fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join(""));
const tokenizers: readonly Tokenizer[] = [parseTokenizer(WORD_PIECE_FILE), parseTokenizer(BYTE_LEVEL_FILE)];
const someTokenizer = fc.constantFrom(...tokenizers);
const bytes = tokenizers[1]!;

const lists = (e: Encoding): unknown[][] => [
  e.ids,
  e.tokens,
  e.typeIds,
  e.specialTokensMask,
  e.offsets,
  e.wordIds,
  e.sequenceIds,
];
/** Entries of the tokens that were not added. */
const own = (e: Encoding, sequence: number): number[] => e.ids.filter((_, i) => e.sequenceIds[i] === sequence);

describe("encoding", () => {
  test.prop([someTokenizer, texts, fc.option(texts, { nil: undefined }), fc.boolean()])(
    "describes each token in every list",
    (tokenizer, text, pair, specialTokens) => {
      const encoding = tokenizer.encode(text, { pair, specialTokens });
      expect(new Set(lists(encoding).map((list) => list.length)).size).toBe(1);
      encoding.specialTokensMask.forEach((added, i) => {
        expect(added === 1).toBe(encoding.sequenceIds[i] === null);
        expect(encoding.wordIds[i] === null).toBe(added === 1);
        expect(tokenizer.tokenOf(encoding.ids[i]!)).toBe(encoding.tokens[i]);
      });
    },
  );

  test.prop([someTokenizer, texts])("gives places inside the text, in its order", (tokenizer, text) => {
    const { offsets } = tokenizer.encode(text, { specialTokens: false });
    let before = 0;
    for (const [from, to] of offsets) {
      expect(from).toBeGreaterThanOrEqual(before);
      expect(to).toBeGreaterThanOrEqual(from);
      expect(to).toBeLessThanOrEqual(text.length);
      before = from;
    }
  });

  test.prop([texts])("covers every character of the text, byte by byte", (text) => {
    const seen = new Set<number>();
    for (const [from, to] of bytes.encode(text).offsets) for (let i = from; i < to; i++) seen.add(i);
    expect(seen.size).toBe(text.length);
  });

  test.prop([texts])("of bytes is undone by decoding", (text) => {
    const wellFormed = text.replace(/\p{Surrogate}/gu, "\ufffd");
    expect(bytes.decode(bytes.encode(text).ids, { skipSpecialTokens: false })).toBe(wellFormed);
  });

  test.prop([someTokenizer, texts, texts])(
    "of a pair is that of its texts, with special tokens around them",
    (tokenizer, first, second) => {
      const both = tokenizer.encode(first, { pair: second });
      expect(own(both, 0)).toEqual(tokenizer.encode(first, { specialTokens: false }).ids);
      expect(own(both, 1)).toEqual(tokenizer.encode(second, { specialTokens: false }).ids);
    },
  );

  test.prop([someTokenizer, fc.array(texts, { maxLength: 4 })])(
    "of words is that of each word, numbered by the words",
    (tokenizer, words) => {
      const got = tokenizer.encode(words, { specialTokens: false });
      const each = words.map((word) => tokenizer.encode(word, { specialTokens: false }).ids);
      expect(got.ids).toEqual(each.flat());
      expect(got.wordIds).toEqual(each.flatMap((ids, i) => ids.map(() => i)));
    },
  );
});

describe("cutting", () => {
  const strategies = fc.constantFrom<TruncationStrategy>("longest_first", "only_first", "only_second");
  const sides = fc.constantFrom<TruncationSide>("left", "right");

  test.prop([someTokenizer, texts, fc.option(texts, { nil: undefined }), fc.nat(20), strategies, sides, fc.boolean()], {
    numRuns: 300,
  })(
    "keeps as much as fits, of the wanted end, and every special token",
    (tokenizer, text, pair, maxLength, truncation, truncationSide, specialTokens) => {
      const whole = tokenizer.encode(text, { pair, specialTokens });
      const added = whole.specialTokensMask.filter((mask) => mask === 1).length;
      let cut: Encoding;
      try {
        cut = tokenizer.encode(text, { pair, specialTokens, maxLength, truncation, truncationSide });
      } catch (error) {
        expect((error as { code: string }).code).toBe("ConfigError");
        const excess = whole.ids.length - maxLength;
        const lengthOf = (sequence: number): number => own(whole, sequence).length;
        const short =
          truncation === "longest_first"
            ? false
            : truncation === "only_first"
              ? lengthOf(0) <= excess
              : pair === undefined || lengthOf(1) <= excess;
        expect(maxLength < added || short).toBe(true);
        return;
      }
      expect(cut.ids.length).toBe(Math.min(whole.ids.length, maxLength));
      expect(cut.specialTokensMask.filter((mask) => mask === 1).length).toBe(added);
      for (const sequence of [0, 1]) {
        const [all, kept] = [own(whole, sequence), own(cut, sequence)];
        expect(kept).toEqual(
          truncationSide === "right" ? all.slice(0, kept.length) : all.slice(all.length - kept.length),
        );
      }
      if (truncation === "longest_first" && pair !== undefined && cut.ids.length < whole.ids.length) {
        // a text is cut only down to the other, but for the odd token
        const [first, second] = [0, 1].map((s) => [own(whole, s).length, own(cut, s).length] as const) as [
          readonly [number, number],
          readonly [number, number],
        ];
        if (first[1] < first[0]) expect(first[1]).toBeGreaterThanOrEqual(second[1] - 1);
        if (second[1] < second[0]) expect(second[1]).toBeGreaterThanOrEqual(first[1] - 1);
      }
    },
  );
});
