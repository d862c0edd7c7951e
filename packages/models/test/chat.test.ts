/** Chat templates without recorded cases: masks, what a folder may hold, what is refused. */
import { describe, expect, it } from "vitest";
import { ChatTemplate, loadChatTemplate, type ChatMessage } from "../src/chat.ts";
import { encodeUtf8, fromBytes } from "@lowrank/tensor";
import { parseTokenizer, type Files } from "../src/index.ts";
import { BYTE_LEVEL_FILE } from "./small-tokenizers.ts";

const CHAT: readonly ChatMessage[] = [
  { role: "user", content: "a b" },
  { role: "assistant", content: "ab" },
  { role: "user", content: "b" },
  { role: "assistant", content: "é" },
];
const TEMPLATE = `{{ bos_token }}{% for m in messages %}
  {% if m.role == 'assistant' %}
A:{% generation %}
{{ m.content }};{% endgeneration %}
  {% else %}
U:{{ m.content }}
  {% endif %}
{% endfor %}
{% if add_generation_prompt %}A:{% endif %}`;

describe("a chat template", () => {
  const template = new ChatTemplate(TEMPLATE, { bos_token: "^" });
  const tokenizer = parseTokenizer(BYTE_LEVEL_FILE);

  it("tells the tokens of what the assistant wrote", () => {
    expect(template.render(CHAT)).toBe("^U:a b\nA:ab;U:b\nA:é;");
    const { ids, assistantMask } = template.encode(tokenizer, CHAT);
    expect(tokenizer.decode(ids)).toBe(template.render(CHAT));
    expect(tokenizer.decode(ids.filter((_, i) => assistantMask[i] === 1))).toBe("ab;é;");
    const silent = new ChatTemplate("{{ messages[0].content }}").encode(tokenizer, CHAT);
    expect(silent.assistantMask).toEqual(silent.ids.map(() => 0));
  });

  it("ends where it is asked to", () => {
    expect(template.render(CHAT.slice(0, 1), { addGenerationPrompt: true })).toBe("^U:a b\nA:");
    expect(template.render(CHAT, { continueFinalMessage: true })).toBe("^U:a b\nA:ab;U:b\nA:é");
    expect(
      template.render([{ role: "user", content: [{ type: "text", text: "x " }] }], { continueFinalMessage: true }),
    ).toBe("^U:[{'type': 'text', 'text': 'x ");
  });

  it("prints as Python does", () => {
    const printing = new ChatTemplate("{{ [true, none, 2.0, 'it\\'s', x] }} {{ x is none }} {{ 1 ~ true ~ x }}");
    expect(printing.render([], { variables: { x: 3 } })).toBe(`[True, None, 2.0, "it's", 3] False 1True3`);
  });

  it("takes texts with the characters that mark what is generated", () => {
    const marked = [{ role: "assistant", content: "\ufdd0\ufdd1" }];
    expect(template.render(marked)).toBe("^A:\ufdd0\ufdd1;");
    const all = String.fromCharCode(...Array.from({ length: 32 }, (_, i) => 0xfdd0 + i));
    expect(() => template.render([{ role: "user", content: all }])).toThrow("the messages use all of U+FDD0 to U+FDEF");
  });

  it.each([
    [() => new ChatTemplate("{% if %}"), /^chat template: /],
    [
      () => template.render([{ role: "user", content: null }], { continueFinalMessage: true }),
      "a last message with a text",
    ],
    [() => template.render(CHAT, { addGenerationPrompt: true, continueFinalMessage: true }), "contradict each other"],
    [() => new ChatTemplate("x").render(CHAT, { continueFinalMessage: true }), "does not print the last message"],
    [() => template.render("hello" as never), "chat: the messages must be a list of objects"],
    [() => template.render(CHAT, { add_generation_prompt: true } as object), 'did you mean "addGenerationPrompt"'],
    [() => new ChatTemplate("{{ raise_exception('no') }}").render(CHAT), "chat template: no"],
  ])("is refused in one line (%#)", (attempt, message) => {
    expect(attempt).toThrow(message);
  });
});

describe("a folder's template", () => {
  const files = (texts: Record<string, string>): Files => ({
    where: "here",
    exists: (name) => Promise.resolve(name in texts),
    text: (name) => Promise.resolve(texts[name]!),
    open: (name) => Promise.resolve(fromBytes(encodeUtf8(texts[name]!))),
  });

  it("stands in a file of its own, or in tokenizer_config.json, alone or with names", async () => {
    const config = {
      bos_token: { content: "<s>" },
      chat_template: [{ name: "tool_use", template: "t{{ bos_token }}" }],
    };
    const texts = { "tokenizer_config.json": JSON.stringify(config), "chat_template.jinja": "j{{ bos_token }}" };
    expect((await loadChatTemplate(files(texts))).render([])).toBe("j<s>");
    expect((await loadChatTemplate(files(texts), "tool_use")).render([])).toBe("t<s>");
    const alone = { "tokenizer_config.json": JSON.stringify({ chat_template: "c" }) };
    expect((await loadChatTemplate(files(alone))).render([])).toBe("c");
    await expect(loadChatTemplate(files({}))).rejects.toThrow('here: there is no chat template "default"');
    await expect(loadChatTemplate(files({ "tokenizer_config.json": '{"chat_template": 3}' }))).rejects.toThrow(
      '"chat_template" must be',
    );
  });
});
