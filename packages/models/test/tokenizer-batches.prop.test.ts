/** Laws of batches, of decoding step by step and of added tokens. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { parseTokenizer, type Tokenizer } from "../src/index.ts";
import { BYTE_LEVEL_FILE, WORD_PIECE_FILE } from "./small-tokenizers.ts";

const texts = fc
  .array(fc.constantFrom("a", "ab", "good", "films", " ", "é", "中", "🎬", "[MASK]", "<|endoftext|>", "."), {
    maxLength: 20,
  })
  .map((parts) => parts.join(""));
const words = parseTokenizer(WORD_PIECE_FILE, { pad_token: "[PAD]" });
const bytes = parseTokenizer(BYTE_LEVEL_FILE, { padding_side: "left", pad_token: { content: "<|endoftext|>" } });
const someTokenizer = fc.constantFrom<Tokenizer>(words, bytes);
const sides = fc.constantFrom("left" as const, "right" as const);

describe("rows of what overflows", () => {
  test.prop([someTokenizer, texts, fc.integer({ min: 1, max: 8 }), fc.nat({ max: 7 }), sides])(
    "hold all tokens of a text, each with `stride` of the one before it",
    (tokenizer, text, room, wish, truncationSide) => {
      const stride = Math.min(wish, room - 1);
      const whole = tokenizer.encode(text, { specialTokens: false });
      const { encodings } = tokenizer.encodeBatch([text], {
        specialTokens: false,
        maxLength: room,
        truncationSide,
        overflow: true,
        stride,
      });
      const parts = encodings.map((e) => e.ids);
      for (const part of parts) expect(part.length).toBeLessThanOrEqual(room);
      const joined =
        truncationSide === "right"
          ? parts.flatMap((part, i) => (i === 0 ? part : part.slice(stride)))
          : parts
              .toReversed()
              .flatMap((part, i) => (i === parts.length - 1 ? part : part.slice(0, part.length - stride)));
      expect(joined).toEqual(whole.ids);
    },
  );

  test.prop([texts, texts, fc.integer({ min: 5, max: 12 })])(
    "leave the first of a pair whole",
    (text, pair, maxLength) => {
      const first = words.encode(text, { specialTokens: false }).ids;
      fc.pre(first.length + 4 <= maxLength);
      const { encodings } = words.encodeBatch([text], {
        pairs: [pair],
        maxLength,
        truncation: "only_second",
        overflow: true,
      });
      for (const row of encodings) expect(row.ids.filter((_, i) => row.sequenceIds[i] === 0)).toEqual(first);
      expect(encodings.flatMap((row) => row.ids.filter((_, i) => row.sequenceIds[i] === 1))).toEqual(
        words.encode(pair, { specialTokens: false }).ids,
      );
    },
  );
});

describe("padding", () => {
  test.prop([
    someTokenizer,
    fc.array(texts, { maxLength: 5 }),
    fc.integer({ min: 1, max: 9 }),
    fc.option(sides, { nil: undefined }),
  ])("makes rows equally long and says where the tokens are", (tokenizer, batch, padToMultipleOf, paddingSide) => {
    const { encodings, attentionMask, sampleOf } = tokenizer.encodeBatch(batch, {
      padding: "longest",
      padToMultipleOf,
      paddingSide,
    });
    expect(sampleOf).toEqual(batch.map((_, i) => i));
    const longest = Math.max(0, ...batch.map((text) => tokenizer.encode(text).ids.length));
    for (const [i, row] of encodings.entries()) {
      expect(row.ids.length).toBe(Math.ceil(longest / padToMultipleOf) * padToMultipleOf);
      const mask = attentionMask[i]!;
      expect(row.ids.filter((_, k) => mask[k] === 1)).toEqual(tokenizer.encode(batch[i]!).ids);
      expect(new Set(Object.values(row).map((list: unknown[]) => list.length)).size).toBe(1);
      const left = (paddingSide ?? (tokenizer === bytes ? "left" : "right")) === "left";
      expect([...mask].sort((a, b) => (left ? a - b : b - a))).toEqual(mask);
    }
  });

  it("needs a token and, for the longest input, a length", () => {
    expect(() => parseTokenizer(WORD_PIECE_FILE).encodeBatch(["a"], { padding: "longest" })).toThrow(
      "encodeBatch: padding needs a token, and tokenizer_config.json has no pad_token; pass padToken",
    );
    expect(() => words.encodeBatch(["a"], { padding: 4, padToken: "<pad>" })).toThrow(
      'encodeBatch: the padding token "<pad>" is not in the vocabulary; add it with withTokens',
    );
    expect(() => words.encodeBatch(["a"], { padding: "maxLength" })).toThrow('padding "maxLength" needs maxLength');
    expect(() => words.encodeBatch(["a"], { pairs: [] })).toThrow("encodeBatch: there are 1 texts and 0 pairs");
    expect(() => words.encodeBatch("a" as never)).toThrow("encodeBatch: the texts must be a list");
    expect(() => words.encodeBatch(["a good film"], { maxLength: 4, overflow: true, stride: 2 })).toThrow(
      "encode: a stride of 2 needs parts of more tokens, and this text is cut to 2",
    );
    expect(() => words.encodeBatch(["a"], { return_overflowing_tokens: true } as object)).toThrow(
      'did you mean "overflow"',
    );
  });
});

describe("decoding step by step", () => {
  test.prop([someTokenizer, fc.array(fc.nat({ max: 260 }), { maxLength: 30 }), fc.boolean()])(
    "gives the text of all tokens, invalid bytes included",
    (tokenizer, ids, skipSpecialTokens) => {
      const stream = tokenizer.decodeStream({ skipSpecialTokens });
      const text = ids.map((id) => stream.push(id)).join("") + stream.end();
      expect(text).toBe(tokenizer.decode(ids, { skipSpecialTokens }));
    },
  );

  test.prop([texts])("shows a character when it is complete", (text) => {
    const stream = bytes.decodeStream();
    for (const id of bytes.encode(text).ids) expect(stream.push(id)).not.toContain("\ufffd");
    expect(stream.end()).toBe("");
  });
});

describe("added tokens", () => {
  it("are found as they stand, have ids behind the largest, and can be left out by decoding", () => {
    const more = words.withTokens([{ content: "<turn>", special: true }, "Films", { content: "a", special: true }]);
    expect(more.idOf("<turn>")).toBe(words.vocabSize);
    expect(more.idOf("a")).toBe(words.idOf("a"));
    expect(more.vocabSize).toBe(words.vocabSize + 2);
    const { ids, tokens } = more.encode("good<turn>good FILMS a", { specialTokens: false });
    expect(tokens).toEqual(["good", "<turn>", "good", "films", "a"]);
    expect(more.decode(ids)).toBe("good good films");
    expect(words.encode("<turn>").ids).not.toContain(words.vocabSize);
    expect(more.withTokens(["b2"]).idOf("b2")).toBe(words.vocabSize + 2);
    expect(() => words.withTokens([""])).toThrow("withTokens: must be a string of 1 to 1024 characters");
  });

  it("have their parts by name", () => {
    expect(bytes.specialTokens).toEqual({ pad: "<|endoftext|>" });
    expect(parseTokenizer(WORD_PIECE_FILE, { cls_token: "[CLS]", pad_token: null }).specialTokens).toEqual({
      cls: "[CLS]",
    });
  });
});
