/** Chat templates without recorded cases: masks, what a folder may hold, what is refused. */
import { describe, expect, it } from "vitest";
import { ChatTemplate, loadChatTemplate, type ChatMessage } from "../src/chat.ts";
import { encodeUtf8, fromBytes } from "@lowrank/tensor";
import { blobs, parseTokenizer, type Files } from "../src/index.ts";
import { writeGguf } from "./gguf-writer.ts";
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

  // what Python says was asked of Python
  it.each([
    // Qwen 3 strips line ends alone, and looks at its messages from the end
    ["{{ ' a \\n\\n'.rstrip('\\n') }}|{{ '\\n\\n a'.lstrip('\\n') }}|", " a | a|"],
    ["{% for m in messages[::-1] %}{{ loop.index }}{{ m.role }} {% endfor %}", "1assistant 2user 3assistant 4user "],
    ["{{ 'x</think>\\n\\ny'.split('</think>')[-1].lstrip('\\n') }}", "y"],
    ["{{ {'a': [1, none], 'é': 2.0} | tojson(indent=2) }}", '{\n  "a": [\n    1,\n    null\n  ],\n  "é": 2.0\n}'],
    ["{{ [1, '1', 1.0, true] | map('string') | join(' ') }} {{ 1 == '1' }} {{ 1 == true }}", "1 1 1.0 True False True"],
    ["{{ messages | selectattr('role', '==', 'user') | map(attribute='content') | join('+') }}", "a b+b"],
    ["{{ messages | rejectattr('role', 'in', ['user']) | list | length }}", "2"],
    [
      "{{ -7 // 2 }} {{ -7 % 3 }} {{ 'ab' * 2 }} {{ 3 is divisibleby 3 }} {{ 4 is not divisibleby(3) }}",
      "-4 2 abab True True",
    ],
    ["{% with a = 1, b = (2, 3) %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "1(2, 3)False"],
    ["{% for c in 'é🎬' %}{{ c }}{{ loop.cycle('-', '+') }}{% endfor %}{{ '🎬é'[1:] }}", "é-🎬+é"],
    ["{% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{{ v }}{% endfor %}", "a2b1"],
    [
      "{{ 1_000 }} {{ 1_000.5_0 + 1e5 - 1_5 }} {{ 1_0e1_0 }} {{ 2_5E-1 }} {{ -1_0 }}",
      "1000 100985.5 100000000000.0 2.5 -10",
    ],
    ["{{ 0x1F }} {{ 0b1_0 }} {{ 0o17 }} {{ 0X_f + 1 }} {{ 1_0 if 1 is eq 1 else 2 }}", "31 2 15 16 10"],
    ["{{ '%-4s|%+d|%05.1f' % ('a', 3, 2.25) }} {{ '{} {x}'.format(1, x='y') }}", "a   |+3|002.2 1 y"],
  ])("does as Python does: %s", (source, printed) => {
    expect(new ChatTemplate(source).render(CHAT)).toBe(printed);
  });

  it("that cannot be parsed is said to be so", () => {
    for (const source of ["{{ 1__0 }}", "{{ 1_ }}", "{{ 0x }}", "{{ 1 2 }}", "{% if %}"])
      expect(() => new ChatTemplate(source), source).toThrow(/^chat template: cannot be parsed: [^\n]+$/);
  });

  it("keeps what is null within a message, and drops its own keys that are", () => {
    const printing = new ChatTemplate("{{ messages | tojson }}");
    const message = { role: "assistant", content: null, tool_calls: [{ arguments: { city: null } }] };
    expect(printing.render([message])).toBe('[{"role": "assistant", "tool_calls": [{"arguments": {"city": null}}]}]');
  });

  it("says the date in English", () => {
    const date = new ChatTemplate("{{ strftime_now('%d %B %Y') }}").render([]);
    expect(date).toMatch(
      /^\d\d (January|February|March|April|May|June|July|August|September|October|November|December) \d{4}$/,
    );
    expect(() => new ChatTemplate("{{ strftime_now('%Q') }}").render([])).toThrow("strftime_now: %Q is not built");
  });

  it.each([
    "{% for i in range(10 ** 9) %}x{% endfor %}",
    "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
    "{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "{{ 'x' * 10 ** 9 }}",
    "{{ 'a' | indent(10 ** 9, true) }}",
    "{{ ('x' * 2 ** 20) | replace('x', 'y' * 1000) }}",
    `{{ ${"(".repeat(30_000)}1${")".repeat(30_000)} }}`,
    `{% if${" ".repeat(2000)}true %}{% endif %}`,
    "{% raw %}".repeat(10_000),
  ])("ends (%#)", (source) => {
    expect(() => new ChatTemplate(source).render([])).toThrow(
      /^chat template: (cannot be parsed: )?(it (makes|did not end|is nested|has more than)|Unknown statement type: raw)/,
    );
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
    [
      () => new ChatTemplate("{{ messages[-1].content[1:] }}").render(CHAT, { continueFinalMessage: true }),
      "does not print the last message",
    ],
    [() => new ChatTemplate("{{ messages.x.y }}").render(CHAT), "chat template: 'x' is undefined"],
    [() => new ChatTemplate("{{ 'a' + 1 }}").render(CHAT), "unsupported operand type(s) for +: 'str' and 'int'"],
    [() => new ChatTemplate("{{ messages.append(1) }}").render(CHAT), "'append' of 'list' object is unsafe"],
    [() => new ChatTemplate("{{ range }}").render(CHAT), "a function or macro is not called, and has no text"],
    [() => new ChatTemplate("{{ 1 | xmlattr }}").render(CHAT), "there is no filter 'xmlattr'"],
    [() => new ChatTemplate("{{ raise_exception('a\nb') }}").render(CHAT), "chat template: a b"],
    [
      () => template.render([], { variables: { n: 1n } }),
      "chat: messages, tools, documents and variables must be JSON",
    ],
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
    // a tokenizer of a GGUF file brings its own
    const metadata = {
      "general.architecture": "llama",
      "tokenizer.ggml.tokens": ["<s>", "a"],
      "tokenizer.ggml.bos_token_id": 0,
      "tokenizer.chat_template": "g{{ bos_token }}",
    };
    const gguf = new Blob([writeGguf(metadata, new Map()) as BlobPart]);
    expect((await loadChatTemplate(blobs({ "m.gguf": gguf }))).render([])).toBe("g<s>");
    await expect(loadChatTemplate(files({}))).rejects.toThrow('here: there is no chat template "default"');
    await expect(loadChatTemplate(files({ "tokenizer_config.json": '{"chat_template": 3}' }))).rejects.toThrow(
      '"chat_template" must be',
    );
    const damaged = {
      "tokenizer_config.json": JSON.stringify({ chat_template: [{ name: "rag", template: "{{ 1_ }}" }] }),
    };
    for (const [texts, name, where] of [
      [{ "chat_template.jinja": "{{ 1_ }}" }, "default", "here/chat_template.jinja"],
      [damaged, "rag", 'here/tokenizer_config.json: "rag"'],
    ] as const)
      await expect(loadChatTemplate(files(texts), name)).rejects.toThrow(`${where}: chat template: cannot be parsed: `);
  });
});
