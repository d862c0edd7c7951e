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
        if (row.error !== undefined) return unlike([row.template, row.conversation], refusal(render), "ValueError");
        const { ids, assistantMask } = template.encode(tokenizerOf(row.tokenizer), row.messages, options);
        return unlike(
          [row.template, row.conversation, row.kwargs],
          [render(), ids, assistantMask],
          [row.text, row.input_ids, row.assistant_mask ?? assistantMask],
        );
      }),
    ).toEqual([]);
  });

  it("may use what Jinja has", () => {
    const { variables, cases } = json("jinja-features.json") as {
      variables: { messages: ChatMessage[] };
      cases: { template: string; out?: string; error?: string }[];
    };
    const { messages, ...given } = variables;
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

/** A tuple of one: the parser takes no comma at an end. */
const LACKING: readonly string[] = ["{{ ('a', 1) }} {{ (1,) }} {{ {'k': none, 1: false} }}"];
