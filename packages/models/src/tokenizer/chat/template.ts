/** Chat templates: Jinja, interpreted by `@huggingface/jinja`, with what transformers does around it. */
import { LowrankError, quote } from "@lowrank/tensor";
import { checkOptions, fields, flag, listOf, mapOf, anything, optional, type Rule } from "@lowrank/tensor/check";
import { parse, tokenize } from "@huggingface/jinja";
import type { Tokenizer } from "../options.ts";
import { MARKS, marksNotIn, prepared, takeMarks, type Span } from "./generation.ts";
import { interpret } from "./interpreter.ts";
import { respelt } from "./tokens.ts";
import { prepareTree } from "./tree.ts";

/** Who speaks, what, and whatever else the template reads (`tool_calls`, …). Keys that are null count as absent. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly Readonly<Record<string, unknown>>[] | null | undefined;
  readonly [key: string]: unknown;
}

export interface ChatOptions {
  /** End with what begins the assistant's turn; default false. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** End within the last message, which the model is to go on with; default false. */
  readonly continueFinalMessage?: boolean | undefined;
  /** JSON schemas of functions. */
  readonly tools?: readonly unknown[] | undefined;
  readonly documents?: readonly unknown[] | undefined;
  /** More variables of the template (`enable_thinking`, `date_string`, …). */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

export interface ChatEncoding {
  readonly ids: number[];
  /** 1 for tokens of what the assistant wrote: of `{% generation %}` blocks; 0 everywhere where a template has none. */
  readonly assistantMask: number[];
}

const OPTIONS: Rule<ChatOptions> = fields<ChatOptions>(
  {
    addGenerationPrompt: optional(flag),
    continueFinalMessage: optional(flag),
    tools: optional(listOf(anything())),
    documents: optional(listOf(anything())),
    variables: optional(mapOf(anything())),
  },
  {
    spelt: {
      add_generation_prompt: "addGenerationPrompt",
      continue_final_message: "continueFinalMessage",
      chat_template_kwargs: "variables",
    },
  },
);

/** Templates in the wild have at most some 20,000 characters. */
const LONGEST_TEMPLATE = 2 ** 17;
const TAG = "CONTINUE_FINAL_MESSAGE_TAG ";
/** Names of what a reasoning model thought, of which templates know one or the other. */
const REASONING = ["reasoning_content", "thinking", "reasoning"] as const;

/** A template is a program of whoever made the checkpoint: it can read nothing but its variables, but it can run for long. */
export class ChatTemplate {
  readonly #source: string;
  readonly #tree: unknown;
  readonly #specialTokens: Readonly<Record<string, string>>;

  /**
   * `specialTokens` are variables of the template: `bos_token`, `eos_token`, ….
   * @throws LowrankError (FormatError) where it is no template, or has what is not built
   */
  constructor(source: string, specialTokens: Readonly<Record<string, string>> = {}) {
    if (typeof source !== "string" || source.length > LONGEST_TEMPLATE)
      throw new LowrankError("FormatError", `chat template: must be a text of at most ${LONGEST_TEMPLATE} characters`);
    this.#source = source;
    this.#specialTokens = specialTokens;
    try {
      this.#tree = parse(respelt(tokenize(prepared(source))) as Parameters<typeof parse>[0]);
      prepareTree(this.#tree);
    } catch (error) {
      throw new LowrankError("FormatError", `chat template: cannot be parsed: ${messageOf(error)}`, { cause: error });
    }
  }

  /** The chat as text. @throws LowrankError (ValueError) where the template refuses the messages */
  render(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    return this.#run(messages, options).text;
  }

  /** The chat as tokens; the template has put the special ones in. */
  encode(tokenizer: Tokenizer, messages: readonly ChatMessage[], options: ChatOptions = {}): ChatEncoding {
    const { text, spans } = this.#run(messages, options);
    const { ids, offsets } = tokenizer.encode(text, { specialTokens: false });
    let next = 0;
    const assistantMask = offsets.map(([from, to]) => {
      while (next < spans.length && from >= spans[next]![1]) next++;
      return next < spans.length && to > spans[next]![0] ? 1 : 0;
    });
    return { ids, assistantMask };
  }

  #run(messages: readonly ChatMessage[], options: ChatOptions): { readonly text: string; readonly spans: Span[] } {
    const {
      addGenerationPrompt = false,
      continueFinalMessage = false,
      tools = null,
      documents = null,
      variables = {},
    } = checkOptions("chat", OPTIONS, options);
    if (addGenerationPrompt && continueFinalMessage)
      throw new LowrankError("ConfigError", "chat: addGenerationPrompt and continueFinalMessage contradict each other");
    const chat = messagesOf(messages);
    const last = continueFinalMessage ? tagLast(chat) : "";
    const json = jsonOf({ messages: chat, tools, documents, ...variables });
    const marks = marksNotIn(this.#source + json);
    let rendered: string;
    try {
      const variables = {
        ...this.#specialTokens,
        ...(JSON.parse(json) as object),
        add_generation_prompt: addGenerationPrompt,
        [MARKS[0]]: marks[0],
        [MARKS[1]]: marks[1],
      };
      rendered = interpret(this.#tree, variables, json.length);
    } catch (error) {
      throw new LowrankError("ValueError", `chat template: ${messageOf(error)}`, { cause: error });
    }
    const { text, spans } = takeMarks(rendered, marks);
    return { text: continueFinalMessage ? cutAtTag(text, last) : text, spans };
  }
}

const LONGEST_MESSAGE = 500;
/** One line of what went wrong; the interpreter's stack is the only one that a template can exhaust. */
function messageOf(error: unknown): string {
  if (error instanceof RangeError) return "it is nested or recurs too deep";
  return (error as Error).message.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").slice(0, LONGEST_MESSAGE);
}

/** What a template sees is plain data; keys without a value are none. */
function jsonOf(given: object): string {
  try {
    return JSON.stringify(given);
  } catch (error) {
    const [reason] = (error as Error).message.split("\n");
    throw new LowrankError("ConfigError", `chat: messages, tools, documents and variables must be JSON: ${reason}`);
  }
}

function messagesOf(messages: readonly ChatMessage[]): Record<string, unknown>[] {
  if (!Array.isArray(messages) || messages.some((m) => typeof m !== "object" || m === null || Array.isArray(m)))
    throw new LowrankError("ConfigError", `chat: the messages must be a list of objects, got ${quote(messages)}`);
  return (messages as readonly ChatMessage[]).map((message) => {
    const plain = Object.fromEntries(
      Object.entries(message).filter(([, value]) => value !== null && value !== undefined),
    );
    const thought = REASONING.map((key) => plain[key]).find((value) => value !== undefined);
    return thought === undefined ? plain : { thinking: thought, ...plain, reasoning_content: thought };
  });
}

/** Puts a tag behind the content of the last message, which is returned. */
function tagLast(chat: Record<string, unknown>[]): string {
  const last = chat.at(-1);
  const content = last?.["content"];
  if (last !== undefined && typeof content === "string") {
    last["content"] = content + TAG;
    return content;
  }
  // copies: the caller's stay without the tag
  const parts = Array.isArray(content) ? content.map((part: object): Record<string, unknown> => ({ ...part })) : [];
  const part = parts.findLast((p) => typeof p["text"] === "string");
  if (part === undefined)
    throw new LowrankError("ValueError", "chat: continueFinalMessage needs a last message with a text to go on with");
  const text = part["text"] as string;
  part["text"] = text + TAG;
  last!["content"] = parts;
  return text;
}

function cutAtTag(text: string, last: string): string {
  const at = text.lastIndexOf(TAG.trim());
  if (at < 0 || !text.includes(last.trim()))
    throw new LowrankError("ValueError", "chat: the template does not print the last message, so it cannot end in it");
  // a template that trims the message is followed in that
  return text.startsWith(TAG, at) ? text.slice(0, at) : text.slice(0, at).trimEnd();
}
