/** Folders: tokens that stand beside tokenizer.json, and vocabularies without one. What transformers 5.24 does was asked of it. */
import { encodeUtf8, fromBytes } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { inspectCheckpoint, loadTokenizer, type Files } from "../src/index.ts";
import { WORD_PIECE_FILE } from "./small-tokenizers.ts";

const folder = (contents: Record<string, unknown>): Files => {
  const texts = Object.fromEntries(
    Object.entries(contents).map(([name, content]) => [
      name,
      typeof content === "string" ? content : JSON.stringify(content),
    ]),
  );
  return {
    where: "here",
    exists: (name) => Promise.resolve(Object.hasOwn(texts, name)),
    text: (name) => Promise.resolve(texts[name]!),
    open: (name) => Promise.resolve(fromBytes(encodeUtf8(texts[name]!))),
    list: () => Promise.resolve(Object.keys(texts)),
  };
};
const tokenizer = WORD_PIECE_FILE as { model: { vocab: Record<string, number> } };
const NEXT = 1 + Math.max(...Object.values(tokenizer.model.vocab));
const load = (beside: Record<string, unknown>) => loadTokenizer(folder({ "tokenizer.json": tokenizer, ...beside }));

describe("a token that tokenizer.json does not have", () => {
  it.each([
    ["tokenizer_config.json", { added_tokens_decoder: { [NEXT]: { content: "[NEW]", special: true } } }],
    ["tokenizer_config.json", { pad_token: "[NEW]" }],
    ["tokenizer_config.json", { extra_special_tokens: ["[NEW]"] }],
    ["tokenizer_config.json", { extra_special_tokens: { image_token: "[NEW]" } }],
    ["tokenizer_config.json", { additional_special_tokens: [{ content: "[NEW]", lstrip: false }] }],
    ["special_tokens_map.json", { mask_token: "[NEW]" }],
    ["added_tokens.json", { "[NEW]": NEXT }],
  ])("is found where %s has it: %j", async (name, content) => {
    const loaded = await load({ [name]: content });
    expect(loaded.encode("a [NEW] b", { specialTokens: false }).ids).toEqual([
      loaded.idOf("a"),
      NEXT,
      loaded.idOf("b"),
    ]);
    expect([loaded.vocabSize, loaded.tokenOf(NEXT)]).toEqual([NEXT + 1, "[NEW]"]);
  });

  it("is found normalized where it is no special one", async () => {
    const loaded = await load({ "added_tokens.json": { NeW: NEXT } });
    expect(loaded.encode("new", { specialTokens: false }).ids).toEqual([NEXT]);
  });

  it("has the name that special_tokens_map.json gives, and the place that a vocabulary gives", async () => {
    const loaded = await load({
      "tokenizer_config.json": { pad_token: "[PAD]", cls_token: "a" },
      "special_tokens_map.json": { pad_token: { content: "[MASK]" } },
    });
    expect(loaded.specialTokens).toEqual({ pad: "[MASK]", cls: "a" });
    expect(loaded.vocabSize).toBe(NEXT);
  });

  it.each([
    [
      { added_tokens_decoder: { [tokenizer.model.vocab["[MASK]"]!]: { content: "[MASK]", lstrip: true } } },
      /"lstrip": true for "\[MASK\]"/,
    ],
    [{ extra_special_tokens: [3] }, /extra_special_tokens/],
  ])("is refused where the two contradict each other: %j", async (config, message) => {
    await expect(load({ "tokenizer_config.json": config })).rejects.toThrow(message);
  });
});

describe("a folder without tokenizer.json", () => {
  const vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhi\n##s\ne\n";
  const letters = ["!", "h", "i", "\u0120", "hi", "\u0120h", "\u0120hi", "1", "2"];
  const bpe = (more: readonly string[]): Record<string, unknown> => ({
    "vocab.json": Object.fromEntries([...letters, ...more].map((token, id) => [token, id])),
    "merges.txt": "#version: 0.2\n\u0120 h\n\u0120h i\nh i\n",
  });

  it("is BERT's where there is a vocab.txt", async () => {
    const files = { "config.json": { model_type: "bert" }, "vocab.txt": vocab };
    const loaded = await loadTokenizer(folder(files));
    expect(loaded.encode("His [MASK] \u00e9", { pair: "hi" }).ids).toEqual([2, 5, 6, 4, 7, 3, 5, 3]);
    expect(loaded.encodeBatch(["hi", "hi hi"], { padding: "longest" }).encodings[0]!.ids).toEqual([2, 5, 3, 0]);
    const cased = {
      ...files,
      "tokenizer_config.json": { tokenizer_class: "DistilBertTokenizerFast", do_lower_case: false },
    };
    expect((await loadTokenizer(folder(cased))).encode("His hi", { specialTokens: false }).ids).toEqual([1, 5]);
    expect((await inspectCheckpoint(folder(cased))).facts.tokenizer).toMatchObject({
      file: "vocab.txt",
      model: "WordPiece",
      vocabulary: 8,
      refused: null,
    });
  });

  it("is GPT-2's, RoBERTa's or Qwen's where there are merges", async () => {
    const of = async (type: string, more: readonly string[], config: object = {}) =>
      loadTokenizer(folder({ ...bpe(more), "config.json": { model_type: type }, "tokenizer_config.json": config }));
    const gpt2 = await of("gpt2", ["<|endoftext|>"]);
    expect(gpt2.encode("hi hi<|endoftext|>").ids).toEqual([4, 6, 9]);
    expect(gpt2.decode([4, 6, 9])).toBe("hi hi");
    const roberta = await of("roberta", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]);
    expect(roberta.encode("hi hi", { pair: "hi<mask>" }).ids).toEqual([9, 4, 6, 11, 11, 4, 13, 11]);
    const qwen = await of("qwen3", ["<|endoftext|>"], {
      tokenizer_class: "Qwen2Tokenizer",
      eos_token: "<|im_end|>",
      added_tokens_decoder: { 10: { content: "<|im_end|>", special: true } },
    });
    expect(qwen.encode("hi12<|im_end|>").ids).toEqual([4, 7, 8, 10]);
    expect(qwen.specialTokens).toEqual({ unk: "<|endoftext|>", pad: "<|endoftext|>", eos: "<|im_end|>" });
  });

  it.each([
    [
      { "tokenizer.model": "x" },
      /here: there is no tokenizer.json, and tokenizer.model alone will not do; make one in Python: AutoTokenizer/,
    ],
    [{ "vocab.txt": vocab }, /vocab.txt alone will not do/],
    [{ "config.json": { model_type: "gpt2" }, "vocab.json": {} }, /vocab.json alone will not do/],
    [{ "config.json": { model_type: "bert" }, "vocab.txt": "a\nb\n" }, /the vocabulary has no "\[CLS\]"/],
    [{}, /there is no tokenizer.json; copy it next to the model/],
  ])("is refused in one line otherwise (%#)", async (files, message) => {
    await expect(loadTokenizer(folder(files as Record<string, unknown>))).rejects.toThrow(message);
  });
});
