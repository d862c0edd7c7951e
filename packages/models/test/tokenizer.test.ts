/** Tokenizers read from files: what a call may ask for, what a file may say, and ids that bert-base-uncased is known to give. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { encodeUtf8, fromBytes } from "@lowrank/tensor";
import { loadTokenizer, parseTokenizer, type Files } from "../src/index.ts";
import { BYTE_LEVEL_FILE, WORD_PIECE_FILE } from "./small-tokenizers.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_DATA"] ?? "../shared/data",
  "bert-base-uncased-tokenizer",
);

it("tokenizes as bert-base-uncased does", async ({ skip }) => {
  if (!existsSync(folder)) return skip(`no tokenizer at ${folder}; set LOWRANK_DATA`);
  const tokenizer = await loadTokenizer(folder);
  expect(tokenizer.vocabSize).toBe(30522);
  expect(tokenizer.maxLength).toBe(512);
  expect(tokenizer.idOf("[MASK]")).toBe(103);
  expect(tokenizer.tokenOf(103)).toBe("[MASK]");
  expect(tokenizer.encode("hello world!").ids).toEqual([101, 7592, 2088, 999, 102]);
  expect(tokenizer.encode("Héllo WORLD!").ids).toEqual([101, 7592, 2088, 999, 102]);
  expect(tokenizer.encode("").ids).toEqual([101, 102]);
  expect(tokenizer.encode("hello world!", { maxLength: 4 }).ids).toEqual([101, 7592, 2088, 102]);
  const pair = tokenizer.encode("hello", { pair: "world" });
  expect(pair.ids).toEqual([101, 7592, 102, 2088, 102]);
  expect(pair.typeIds).toEqual([0, 0, 0, 1, 1]);
  expect(tokenizer.decode([101, 7592, 2088, 999, 102])).toBe("hello world!");
});

it("has the tokens that stand in tokenizer_config.json only, as transformers has them", async ({ skip }) => {
  if (!existsSync(folder)) return skip(`no tokenizer at ${folder}; set LOWRANK_DATA`);
  const read = (name: string): object => JSON.parse(readFileSync(join(folder, name), "utf8")) as object;
  const token = (content: string, special = false): object => ({
    content,
    special,
    normalized: !special,
    lstrip: false,
    rstrip: false,
    single_word: false,
  });
  // in no order, with ids that are taken or far away, and words of the vocabulary
  const added_tokens_decoder = {
    "30600": token("<b>"),
    "30599": token("<zz>", true),
    "103": token("[MASK]", true),
    "2000": token("<weird>"),
    "6": token("[unused5]"),
  };
  const config = { ...read("tokenizer_config.json"), added_tokens_decoder };
  const tokenizer = parseTokenizer(read("tokenizer.json"), config);
  // transformers 5.24.0
  const { ids } = tokenizer.encode("a <b> <zz> [unused5] <WEIRD> c");
  expect([tokenizer.vocabSize, ids]).toEqual([30525, [101, 1037, 30524, 30523, 6, 30522, 1039, 102]]);
  expect(tokenizer.decode(ids)).toBe("a <b> [unused5] <weird> c");
  expect(() => parseTokenizer(read("tokenizer.json"), { added_tokens_decoder: { "7": "<b>" } })).toThrow(
    /"added_tokens_decoder\.7" must be/,
  );
});

it("says when there is no tokenizer", async () => {
  await expect(loadTokenizer("nowhere")).rejects.toThrow(/nowhere: there is no tokenizer.json/);
});

describe("a call", () => {
  const words = parseTokenizer(WORD_PIECE_FILE);
  const bytes = parseTokenizer(BYTE_LEVEL_FILE);

  it("gives places in UTF-16 units of the caller's string", () => {
    const text = "🎬 Films";
    const { tokens, offsets } = words.encode(text, { specialTokens: false });
    expect(tokens).toEqual(["[UNK]", "film", "##s"]);
    expect(offsets.map((at) => text.slice(...at))).toEqual(["🎬", "Film", "s"]);
  });

  it("keeps the second text of a pair, the separator, and the last token where nothing ends the text", () => {
    expect(words.encode("a film", { pair: "good films", maxLength: 6 }).tokens).toEqual([
      "[CLS]",
      "a",
      "[SEP]",
      "good",
      "film",
      "[SEP]",
    ]);
    expect(bytes.encode("ab", { pair: " b" })).toMatchObject({ tokens: ["ab", "Ġ", "b"], sequenceIds: [0, 1, 1] });
    expect(bytes.encode("ab b", { maxLength: 2 }).tokens).toEqual(["ab", "Ġ"]);
  });

  it("cuts at the side of tokenizer_config.json, and at the other when asked", () => {
    const left = parseTokenizer(WORD_PIECE_FILE, { truncation_side: "left" });
    expect(left.encode("a good film", { maxLength: 3 }).tokens).toEqual(["[CLS]", "film", "[SEP]"]);
    expect(left.encode("a good film", { maxLength: 3, truncationSide: "right" }).tokens).toEqual([
      "[CLS]",
      "a",
      "[SEP]",
    ]);
  });

  it("takes the model's length where a strategy is named and no length", () => {
    const short = parseTokenizer(WORD_PIECE_FILE, { model_max_length: 3 });
    expect(short.encode("a good film", { truncation: "only_first" }).ids.length).toBe(3);
    expect(short.encode("a good film", { truncationSide: "left" }).tokens).toEqual(["[CLS]", "film", "[SEP]"]);
    expect(short.encode("a good film").ids.length).toBe(5);
    expect(() => words.encode("a", { truncation: "only_first" })).toThrow('encode: "truncation" needs maxLength');
    expect(() => words.encode("a", { truncationSide: "left" })).toThrow('encode: "truncationSide" needs maxLength');
  });

  it("leaves nothing of a text that has room for nothing", () => {
    expect(words.encode("a film", { maxLength: 0, specialTokens: false }).ids).toEqual([]);
    expect(words.encode("a film", { maxLength: 2 }).tokens).toEqual(["[CLS]", "[SEP]"]);
    expect(() => words.encode("a film", { maxLength: 1 })).toThrow(
      "encode: maxLength 1 has no room for the 2 special tokens",
    );
  });

  it("decodes nothing as nothing, and leaves spaces and ids without a token alone", () => {
    expect(words.decode([])).toBe("");
    expect(bytes.decode([])).toBe("");
    expect(bytes.decode(bytes.encode("a . b").ids)).toBe("a . b");
    expect(bytes.decode(bytes.encode("a . b").ids, { cleanUpSpaces: true })).toBe("a. b");
    expect(words.decode([5, 4095])).toBe("a");
    expect(() => words.decode([-1])).toThrow("decode: -1 is no token id");
  });

  it.each([
    [
      () => words.encode("a", { max_length: 4 } as object),
      'encode: has an unknown key "max_length"; did you mean "maxLength"?',
    ],
    [() => words.encode("a", { truncation: true as never, maxLength: 3 }), "must be one of"],
    [() => words.encode("a", { maxLength: -1 }), '"maxLength" must be a whole number of at least 0'],
    [() => words.encode(undefined as never), "encode: the text must be a string or a list of words, got undefined"],
    [() => words.encode("a", { pair: 7 as never }), 'encode: "pair" must be a string or a list of words'],
    [
      () => words.encode("a good film", { truncation: "only_second", maxLength: 3 }),
      'encode: truncation "only_second" needs a pair',
    ],
    [
      () => words.encode("a", { pair: "good film", truncation: "only_first", maxLength: 4 }),
      'encode: truncation "only_first" would have to cut 2 tokens from a text of 1',
    ],
    [() => words.decode([1], { skip_special_tokens: true } as object), 'did you mean "skipSpecialTokens"?'],
  ])("is refused when it asks for what is not there (%#)", (call, message) => {
    expect(call).toThrow(message);
  });

  it("takes time in proportion to one endless word", () => {
    const began = performance.now();
    expect(bytes.encode("ab".repeat(100_000)).ids.length).toBe(100_000);
    expect(words.encode("good".repeat(100_000)).ids.length).toBe(3);
    expect(performance.now() - began).toBeLessThan(5000);
  });
});

describe("a file", () => {
  const change = (path: readonly string[], value: unknown, file: object = BYTE_LEVEL_FILE): object => {
    const copy = structuredClone(file) as Record<string, unknown>;
    const last = path.at(-1)!;
    const at = path.slice(0, -1).reduce((o, key) => o[key] as Record<string, unknown>, copy);
    if (value === undefined) delete at[last];
    else at[last] = value;
    return copy;
  };
  const deep = (levels: number): unknown =>
    levels === 0 ? { type: "NFC" } : { type: "Sequence", normalizers: [deep(levels - 1)] };

  it("may be of before models named their type", () => {
    expect(parseTokenizer(change(["model", "type"], undefined)).encode("ab").tokens).toEqual(["ab"]);
    expect(parseTokenizer(change(["model", "type"], undefined, WORD_PIECE_FILE)).encode("film").ids.length).toBe(3);
  });

  it("takes of equally good ways through a word the one that it finds first", () => {
    const scores = [
      ["<unk>", 0],
      ["a", -1],
      ["b", -1],
      ["ab", -2],
      ["ba", -2],
    ];
    const tied = parseTokenizer({
      ...change(["model"], { type: "Unigram", unk_id: 0, vocab: scores }),
      added_tokens: [],
      pre_tokenizer: null,
    });
    expect(tied.encode("ab").tokens).toEqual(["ab"]);
    expect(tied.encode("aba").tokens).toEqual(["a", "ba"]);
  });

  it("cannot blow texts up", () => {
    const grow = { type: "Replace", pattern: { String: "a" }, content: "a".repeat(16) };
    const nested = {
      type: "Sequence",
      normalizers: [grow, { type: "Sequence", normalizers: [grow, grow, grow, grow] }],
    };
    const normalizing = parseTokenizer(change(["normalizer"], nested));
    expect(normalizing.encode("b").ids.length).toBe(1);
    expect(() => normalizing.encode("a")).toThrow(
      'tokenizer.json: "normalizer" makes a text more than 32 times longer',
    );
    const decoding = parseTokenizer(change(["decoder"], { type: "Sequence", decoders: [grow, grow, grow, grow] }));
    expect(() => decoding.decode([1])).toThrow('tokenizer.json: "decoder" makes a text more than 32 times longer');
    const byteLevel = { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: false };
    const cutting = { type: "Sequence", pretokenizers: Array.from({ length: 30 }, () => byteLevel) };
    const twice = { type: "Sequence", pretokenizers: [cutting, cutting] };
    expect(() => parseTokenizer(change(["pre_tokenizer"], twice)).encode("é")).toThrow(
      'tokenizer.json: "pre_tokenizer" makes a text more than 32 times longer',
    );
    const long = { type: "Prepend", prepend: "a".repeat(17) };
    expect(() => parseTokenizer(change(["normalizer"], long))).toThrow("must be a string of at most 16 characters");
  });

  it("may hold merges as pairs or as strings", () => {
    expect(parseTokenizer(change(["model", "merges"], [["a", "b"]])).encode("ab").tokens).toEqual(["ab"]);
  });

  it.each([
    ["null", null, "must be an object"],
    ["a list", [], "must be an object"],
    [
      "an unbuilt model",
      change(["model", "type"], "WordLevel"),
      '"model" is of type "WordLevel", which is not built; built: WordPiece, BPE, Unigram',
    ],
    [
      "an unbuilt part",
      change(["pre_tokenizer"], { type: "UnicodeScripts" }),
      '"pre_tokenizer" is of type "UnicodeScripts", which is not built',
    ],
    ["a type that every object has", change(["normalizer"], { type: "constructor" }), "which is not built"],
    [
      "a flag in words",
      change(["pre_tokenizer", "add_prefix_space"], "false"),
      '"pre_tokenizer.add_prefix_space" must be true or false, got "false"',
    ],
    ["an unknown switch", change(["model", "cache"], true), '"model" has an unknown key "cache"'],
    [
      "a split pattern nobody knows",
      change(["pre_tokenizer"], {
        type: "Split",
        pattern: { Regex: "(a|a|[a-z._0-9]+)+$X" },
        behavior: "Isolated",
        invert: false,
      }),
      'has the split pattern "(a|a|[a-z._0-9]+)+$X", which is none of the known ones',
    ],
    [
      "an id beyond every embedding",
      change(["model", "vocab", "a"], 2 ** 26),
      '"model.vocab.a" must be a whole number from 0 to 67108863',
    ],
    ["half an id", change(["model", "vocab", "a"], 1.5), '"model.vocab.a" must be a whole number'],
    ["one id for two tokens", change(["model", "vocab", "a"], 3), '"model.vocab" gives id 3 to both'],
    [
      "an added token that contradicts the vocabulary",
      change(
        ["added_tokens"],
        [{ id: 9, content: "a", single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }],
      ),
      'has the added token "a" with id 9, but the vocabulary gives it 1',
    ],
    [
      "a merge into no token",
      change(["model", "merges"], ["a x"]),
      'merges "a" and "x", but "ax" is not in its vocabulary',
    ],
    ["a merge of three", change(["model", "merges"], ["a b b"]), '"model.merges.0" must be two tokens'],
    ["random merges", change(["model", "dropout"], 0.1), '"model.dropout" must be 0 or null'],
    [
      "a replaced pattern nobody knows",
      change(["normalizer"], { type: "Replace", pattern: { Regex: "(a|a)+$" }, content: "" }),
      'replaces the pattern "(a|a)+$", which is none of the known ones',
    ],
    [
      "a space before the text and none",
      change(["pre_tokenizer"], {
        type: "Metaspace",
        replacement: "▁",
        add_prefix_space: false,
        prepend_scheme: "always",
      }),
      'has "add_prefix_space": false and "prepend_scheme": "always", which contradict each other',
    ],
    [
      "a character map that is none",
      change(["normalizer"], { type: "Precompiled", precompiled_charsmap: "AAAA" }),
      "has a character map of 3 bytes whose index does not fit into it",
    ],
    [
      "an unknown token beyond the vocabulary",
      change(["model"], { type: "Unigram", unk_id: 1, vocab: [["a", 0]] }),
      '"model" has 1 tokens, and the unknown one would be number 1',
    ],
    [
      "a token without a score",
      change(["model"], { type: "Unigram", unk_id: 0, vocab: [["a", "0"]] }),
      '"model.vocab.0" must be a token of at most 1024 characters and its score, got ["a","0"]',
    ],
    [
      "an unknown token that is none",
      change(["model", "unk_token"], "[NO]", WORD_PIECE_FILE),
      'has the unknown token "[NO]", which is not in its vocabulary',
    ],
    [
      "words of any length",
      change(["model", "max_input_chars_per_word"], 1e9, WORD_PIECE_FILE),
      "must be a whole number from 0 to 1000",
    ],
    [
      "a template without its token",
      change(["post_processor", "special_tokens"], {}, WORD_PIECE_FILE),
      'uses the special token "[CLS]", which "special_tokens" does not define',
    ],
    ["a sequence in a sequence in …", change(["normalizer"], deep(5000)), "is nested deeper than"],
  ])("is refused with the place: %s", (_, file, message) => {
    expect(() => parseTokenizer(file)).toThrow(message);
    expect(() => parseTokenizer(file)).toThrow(/^tokenizer\.json: /);
  });

  it("must have a place for the second text where there is one", () => {
    const single = parseTokenizer(
      change(["post_processor", "pair"], [{ Sequence: { id: "A", type_id: 0 } }], WORD_PIECE_FILE),
    );
    expect(single.encode("a").ids.length).toBe(3);
    expect(() => single.encode("a", { pair: "film" })).toThrow("has no place for one of the two texts");
  });

  it.each([
    [
      '{"model_max_length": "512"}',
      'tokenizer_config.json: "model_max_length" must be a positive whole number, got "512"',
    ],
    ['{"truncation_side": "both"}', '"truncation_side" must be one of "right", "left"'],
    ["[1]", "must be an object"],
    ['{"__proto__": {}}', "no key that a file may use"],
    ["{", "not valid JSON"],
  ])("tokenizer_config.json is refused with the key: %s", async (config, message) => {
    const texts: Record<string, string> = {
      "tokenizer.json": JSON.stringify(WORD_PIECE_FILE),
      "tokenizer_config.json": config,
    };
    const files: Files = {
      where: "here",
      exists: (name) => Promise.resolve(name in texts),
      text: (name) => Promise.resolve(texts[name]!),
      open: (name) => Promise.resolve(fromBytes(encodeUtf8(texts[name]!))),
    };
    await expect(loadTokenizer(files)).rejects.toThrow(message);
  });

  it.each([
    [
      WORD_PIECE_FILE,
      { do_lower_case: false },
      '"normalizer.lowercase" is true, but tokenizer_config.json has "do_lower_case": false',
    ],
    [WORD_PIECE_FILE, { strip_accents: true }, '"normalizer.strip_accents" is false'],
    [WORD_PIECE_FILE, { tokenize_chinese_chars: false }, '"normalizer.handle_chinese_chars" is true'],
    [BYTE_LEVEL_FILE, { add_prefix_space: true }, '"pre_tokenizer.add_prefix_space" is false'],
  ])("must agree with its config (%#)", (file, config, message) => {
    expect(() => parseTokenizer(file, config)).toThrow(message);
    const agreed = Object.fromEntries(Object.entries(config).map(([key, value]) => [key, !value]));
    expect(parseTokenizer(file, agreed).vocabSize).toBe(parseTokenizer(file).vocabSize);
    expect(parseTokenizer(file, { strip_accents: null }).vocabSize).toBe(parseTokenizer(file).vocabSize);
  });

  it("has no limit where the config's is the number that stands for none", () => {
    expect(parseTokenizer(WORD_PIECE_FILE, { model_max_length: 1e30 }).maxLength).toBeUndefined();
    expect(parseTokenizer(WORD_PIECE_FILE).maxLength).toBeUndefined();
  });
});
