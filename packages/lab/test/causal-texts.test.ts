/** Documents, completions and chats as tokens of which some are learnt. */
import { fc, test } from "@fast-check/vitest";
import { parseTokenizer } from "@lowrank/models";
import { ChatTemplate } from "@lowrank/models/chat";
import { describe, expect, it } from "vitest";
import { CausalRows } from "../src/data/causal-rows.ts";
import { answerTokens, blocksOf, chatTokens, documentTokens, type LearntText } from "../src/data/causal-texts.ts";
import { readPlainText } from "../src/data/table/plain-text.ts";
import { byteTokenizerFiles, END } from "./causal-folder.ts";

const files = byteTokenizerFiles();
const tokenizer = parseTokenizer(files.tokenizer, files.config);

function learntText({ ids, learnt }: LearntText): string {
  return ids.map((id, i) => (learnt[i]! ? (id === END ? "<end>" : String.fromCharCode(id)) : ".")).join("");
}

it("learns documents and that they end, and of prompts with completions the latter", () => {
  expect(learntText(documentTokens(tokenizer, "abc", true))).toBe("abc<end>");
  expect(learntText(documentTokens(tokenizer, "abc", false))).toBe("abc");
  // a text that ends by itself does not end twice
  expect(documentTokens(tokenizer, "ab<end>", true).ids).toEqual([97, 98, END]);
  expect(learntText(answerTokens(tokenizer, "2+2=", "4", { everything: false }))).toBe("....4<end>");
  expect(learntText(answerTokens(tokenizer, "2+2=", "4", { everything: true }))).toBe("2+2=4<end>");
});

it("counts a token that is of both to the completion", () => {
  const merged = byteTokenizerFiles().tokenizer as { model: { vocab: Record<string, number>; merges: unknown[] } };
  merged.model.vocab["=4"] = 300;
  merged.model.merges = [["=", "4"]];
  const joint = parseTokenizer(merged, files.config);
  const { ids, learnt } = answerTokens(joint, "2=", "4", { everything: false });
  expect(ids).toEqual([50, 300, END]);
  expect(learnt).toEqual([false, true, true]);
});

const TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>\n{% endfor %}";
const PLAIN = `${TURNS}{% if add_generation_prompt %}<assistant>{% endif %}`;
const MARKED =
  "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}\n{% else %}{{ m.content }}</s>\n{% endif %}{% endfor %}";
const CHAT = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "2+2?" },
  { role: "assistant", content: "4" },
  { role: "user", content: "3+3?" },
  { role: "assistant", content: "6\n" },
];

describe("chats", () => {
  it.for([
    ["with generation blocks", MARKED],
    ["without", PLAIN],
  ] as const)("learn the assistant's turns and their ends, %s", ([, source]) => {
    const template = new ChatTemplate(source);
    const text = chatTokens(template, tokenizer, CHAT, "chats.jsonl:1");
    expect(learntText(text).replace(/\.+/g, " ").trim()).toBe("4</s> 6\n</s>");
    expect(text.ids).toEqual(template.encode(tokenizer, CHAT).ids);
    expect(chatTokens(template, tokenizer, CHAT, undefined).learnt).not.toContain(false);
  });

  it("are refused where the template tells nothing of turns", () => {
    // what it writes of a turn depends on whether it is the last
    const forgets =
      "{% for m in messages %}{% if loop.last or m.role == 'user' %}<{{ m.content }}>{% endif %}{% endfor %}";
    expect(() => chatTokens(new ChatTemplate(forgets), tokenizer, CHAT, "chats.jsonl:1")).toThrow(
      /^chats\.jsonl:1: which tokens are the assistant's cannot be told: .* generation .* learn: everything$/,
    );
  });
});

test.prop([
  fc.array(fc.record({ id: fc.nat(9), learnt: fc.boolean() }), { minLength: 1, maxLength: 60 }),
  fc.integer({ min: 8, max: 20 }),
  fc.boolean(),
])("blocks of a long text ask for every token once", (given, maxLength, begins) => {
  const bos = 100;
  const tokens = begins ? [{ id: bos, learnt: true }, ...given] : given;
  const text = { ids: tokens.map(({ id }) => id), learnt: tokens.map(({ learnt }) => learnt) };
  const blocks = blocksOf(text, maxLength, bos);
  const asked: number[] = [];
  for (const [i, { ids, learnt }] of blocks.entries()) {
    expect(ids.length).toBeLessThanOrEqual(maxLength);
    expect(learnt.length).toBe(ids.length);
    if (begins) expect(ids[0]).toBe(bos);
    // one token of what came before, of which nothing is asked
    if (i > 0) expect(learnt[begins ? 1 : 0]).toBe(false);
    learnt.forEach((is, at) => {
      if (is && at > 0) asked.push(ids[at]!);
    });
  }
  expect(asked).toEqual(tokens.slice(1).flatMap(({ id, learnt }) => (learnt ? [id] : [])));
});

it("cuts answers at the end, splits documents, and refuses rows of which nothing is left", () => {
  const options = { padId: 0, maxLength: 8, bos: undefined };
  const answer = answerTokens(tokenizer, "ab", "cdefghijk", { everything: false });
  const page = documentTokens(tokenizer, "0123456789", true);
  const rows = CausalRows.of(
    [
      { ...answer, splits: false },
      { ...page, splits: true },
    ],
    options,
    (i) => `row ${i}`,
  );
  expect([rows.cut, ...rows.itemOf]).toEqual([1, 0, 1, 1]);
  expect([...rows.targets]).toEqual([6, 7, 3]);
  const late = answerTokens(tokenizer, "abcdefgh", "i", { everything: false });
  expect(() =>
    CausalRows.of(
      [
        { ...page, splits: true },
        { ...late, splits: false },
      ],
      options,
      (i) => `row ${i}`,
    ),
  ).toThrow("row 1: nothing is left to learn within 8 tokens; raise maxLength, or leave such rows out");
});

test.prop([
  fc.array(
    fc.oneof(fc.constantFrom("\n", "\n\n", " \n", "\r\n", "a\n"), fc.string({ minLength: 300, maxLength: 900 })),
    {
      minLength: 1,
      maxLength: 40,
    },
  ),
])("passages of a text are the text, and all but the last end at a blank line", (parts) => {
  const text = `x${parts.join("")}`;
  const { rows, place } = readPlainText(new TextEncoder().encode(text), "t.txt");
  const passages = rows.map((row) => row["text"] as string);
  const plain = text.replaceAll("\r\n", "\n");
  expect(plain.startsWith(passages.join(""))).toBe(true);
  expect(plain.slice(passages.join("").length).trim()).toBe("");
  for (const passage of passages.slice(0, -1)) {
    expect(passage).toMatch(/\n[ \t]*\n+$/);
    expect(passage.length).toBeGreaterThanOrEqual(2000);
  }
  expect(rows.map((row) => row["continues"])).toEqual(passages.map((_, i) => i < passages.length - 1));
  const before = passages.slice(0, -1).join("");
  expect(place(passages.length - 1)).toBe(`t.txt:${before.split("\n").length}`);
});
