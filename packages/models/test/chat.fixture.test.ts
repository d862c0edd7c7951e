/** transformers 5.24 with jinja2 is the referee: chats as text, as tokens, and what of them the assistant wrote. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { ChatTemplate, type ChatMessage } from "../src/chat.ts";
import { differing, present, refusal, rows, tokenizerOf, unlike } from "./tokenizer-fixtures.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "tokenizers/chat",
);
const json = (name: string): unknown => JSON.parse(readFileSync(resolve(folder, name), "utf8"));

describe.skipIf(!present)("recorded chats", () => {
  interface Kwargs {
    readonly add_generation_prompt?: boolean;
    readonly continue_final_message?: boolean;
    readonly tools?: unknown[];
  }
  interface Row {
    readonly template: string;
    readonly tokenizer: string;
    readonly special_tokens: Record<string, string>;
    readonly conversation: string;
    readonly messages: ChatMessage[];
    readonly kwargs: Kwargs;
    readonly text: string;
    readonly input_ids: number[];
    /** Not recorded where the chat ends within a message. */
    readonly assistant_mask?: number[];
    readonly error?: string;
  }
  it("are printed, tokenized and masked", () => {
    const { templates } = json("templates.json") as { templates: Record<string, { template: string }> };
    expect(
      differing(rows<Row>("chat/chat"), (row) => {
        const template = new ChatTemplate(templates[row.template]!.template, row.special_tokens);
        const { add_generation_prompt, continue_final_message, tools, ...variables } = row.kwargs;
        const options = {
          addGenerationPrompt: add_generation_prompt,
          continueFinalMessage: continue_final_message,
          tools,
          variables,
        };
        const render = (): string => template.render(row.messages, options);
        if (row.error !== undefined)
          return LAX.has(row.error)
            ? undefined
            : unlike([row.template, row.conversation], refusal(render), "ValueError");
        const { ids, assistantMask } = template.encode(tokenizerOf(row.tokenizer), row.messages, options);
        return unlike(
          [row.template, row.conversation, row.kwargs],
          [render(), ids, assistantMask],
          [row.text, row.input_ids, row.assistant_mask ?? assistantMask],
        );
      }),
    ).toEqual([]);
  });

  it("may use most of what Jinja has", () => {
    const { variables, cases } = json("jinja-features.json") as {
      variables: { messages: ChatMessage[] };
      cases: { template: string; out?: string; error?: string }[];
    };
    // `none` is a word of the language
    const { messages, ...rest } = variables;
    const given = Object.fromEntries(Object.entries(rest).filter(([key]) => key !== "none"));
    const lacking = cases.filter(({ template, out }) => {
      try {
        return new ChatTemplate(template).render(messages, { variables: given }) !== out;
      } catch {
        return out !== undefined;
      }
    });
    expect(lacking.map(({ template }) => template.slice(0, 60))).toEqual(LACKING);
  });
});

/** What the interpreter lets pass and Python does not: adding a list to a text. */
const LAX = new Set(['TypeError: can only concatenate str (not "list") to str']);
/** What the interpreter does not do as Python does, or not at all. */
const LACKING: readonly string[] = [
  "{{ 1.0 }} {{ 1e3 }} {{ 1e16 }} {{ 1e22 }} {{ 0.1 + 0.2 }} {{",
  "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 2 ** ",
  "{{ 'a' + 'b' }} {{ 'a' ~ 1 ~ none ~ t }} {{ 'ab' * 3 }}",
  "{{ ('a', 1) }} {{ (1,) }} {{ {'k': none, 1: false} }}",
  "{{ s | trim }}|{{ s | upper }}|{{ s | lower }}|{{ s | title ",
  "{{ s.strip().startswith('H') }} {{ s.endswith(' ') }} {{ 'xx",
  "{{ s | length }} {{ l | length }} {{ d | length }} {{ l | co",
  "{{ l | join(', ') }} {{ l | join }} {{ nested | join('+', at",
  "{{ l | sum }} {{ l | max }} {{ l | min }} {{ nested | sum(at",
  "{{ nested | map(attribute='k') | list }} {{ l | map('string'",
  "{{ nested | selectattr('k', 'equalto', 'a') | map(attribute=",
  "{{ nested | groupby('k') | length }} {% for g, xs in nested ",
  "{{ html | tojson }} {{ html }} {{ html | e }} {{ html | esca",
  "{{ [1.0, 1e-7, 1e20, 123456789.125, true, none, 'a\\u2028/'] ",
  "{{ missing.attr }}",
  "{{ none is none }} {{ n is number }} {{ s is string }} {{ l ",
  "{{ 1 in l }} {{ 9 not in l }} {{ 'ell' in 'hello' }} {{ 'a' ",
  "{% for k in d %}{{ k }}{% endfor %} {{ d.keys() | list }} {{",
  "{% for c in 'héy' %}{{ c }}.{% endfor %}",
  "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
  "{% with a = 1 %}{{ a }}{% endwith %}{{ a is defined }}",
  "{{ l[0] }} {{ l[-1] }} {{ l[1:] }} {{ l[:-1] }} {{ l[::-1] }",
  "{{ n | string ~ 'x' }} {{ '12' | int + 1 }} {{ 'x' | int(9) ",
  "{{ 'a b' | wordcount }} {{ 'abc' | indent(2) }} {{ 'a\\nb\\n\\n",
  "{{ '%s-%d' | format('a', 3) }} {{ '%05.2f' | format(3.14159)",
  "{{ [1, 2] + [3] }} {{ l + [4] }} {{ [1, 2] == [1, 2] }} {{ {",
  "{{ l | batch(2) | list }} {{ l | slice(2) | list }}",
  "{{ dict(a=1, b='x') }} {{ {'a': 1}.items() | list }}",
  "{{ 1 / 0 }}",
  "{{ 'a' + 1 }}",
  "{{ n.foo.bar }}",
];
