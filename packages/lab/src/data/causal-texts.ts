/** From what people write down, documents, prompts with completions, chats, to tokens of which some are learnt. */
import type { Tokenizer } from "@lowrank/models";
import type { ChatMessage, ChatTemplate } from "@lowrank/models/chat";
import { InputError } from "../errors.ts";

export interface LearntText {
  readonly ids: readonly number[];
  /** Whether each token is to be predicted. */
  readonly learnt: readonly boolean[];
}

/** The token that ends a text. Undefined: the tokenizer has none. */
function endOf(tokenizer: Tokenizer): number | undefined {
  const { eos } = tokenizer.specialTokens;
  return eos === undefined ? undefined : tokenizer.idOf(eos);
}

/** All of it is learnt, and that it ends. @param ends false: it goes on elsewhere */
export function documentTokens(tokenizer: Tokenizer, text: string, ends: boolean): LearntText {
  const { ids } = tokenizer.encode(text);
  return ended({ ids, learnt: ids.map(() => true) }, ends ? endOf(tokenizer) : undefined);
}

/**
 * Prompt and completion as they stand one behind the other, tokenized as one text, so that no space comes between them; a token that is of both
 * belongs to the completion. The completion is learnt, and that it ends.
 */
export function answerTokens(
  tokenizer: Tokenizer,
  prompt: string,
  completion: string,
  { everything }: { readonly everything: boolean },
): LearntText {
  const { ids, offsets, specialTokensMask } = tokenizer.encode(prompt + completion);
  const first = offsets.findIndex(([, to], i) => specialTokensMask[i] === 0 && to > prompt.length);
  return ended({ ids, learnt: ids.map((_, i) => everything || i >= first) }, endOf(tokenizer));
}

/** Some tokenizers end texts by themselves. */
function ended({ ids, learnt }: LearntText, end: number | undefined): LearntText {
  return end === undefined || ids.at(-1) === end ? { ids, learnt } : { ids: [...ids, end], learnt: [...learnt, true] };
}

/**
 * A chat by the template, which writes how turns end. Learnt is what the assistant says: the template's generation blocks, or, where it has none, what each of the
 * assistant's turns adds to the chat before it, the end of the turn included.
 * @param place of the chat. Absent: everything is learnt
 * @throws InputError where neither tells what the assistant says
 */
export function chatTokens(
  template: ChatTemplate,
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  place: string | undefined,
): LearntText {
  const { ids, assistantMask } = template.encode(tokenizer, messages);
  if (place === undefined) return { ids, learnt: ids.map(() => true) };
  if (assistantMask.includes(1)) return { ids, learnt: assistantMask.map((is) => is === 1) };
  const text = template.render(messages);
  const spans = turnsOf(template, messages, text, place);
  const { offsets } = tokenizer.encode(text, { specialTokens: false });
  return { ids, learnt: offsets.map(([from, to]) => spans.some(([begin, end]) => to > begin && from < end)) };
}

/** Where in the chat's text each of the assistant's turns stands. */
function turnsOf(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  text: string,
  place: string,
): [from: number, to: number][] {
  return messages.flatMap(({ role }, i): [number, number][] => {
    if (role !== "assistant") return [];
    const before = template.render(messages.slice(0, i), { addGenerationPrompt: true });
    const after = template.render(messages.slice(0, i + 1));
    if (!after.startsWith(before) || !text.startsWith(after))
      throw new InputError(
        `${place}: which tokens are the assistant's cannot be told: the chat template has no {% generation %} block, and writes turn ${i + 1} otherwise when more follow or nobody has spoken; give a template with such blocks, or learn: everything`,
      );
    // white space behind the turn's end is the template's
    return [[before.length, after.trimEnd().length]];
  });
}

/**
 * A text that is longer than a row as several, which follow one another: each begins with the text's first token, where that is `bos`, and the last token of the one
 * before, of which nothing is asked. So every token is predicted once, but the first.
 */
export function blocksOf({ ids, learnt }: LearntText, maxLength: number, bos: number | undefined): LearntText[] {
  const head = ids.length > 0 && ids[0] === bos ? [ids[0]!] : [];
  const blocks: LearntText[] = [{ ids: ids.slice(0, maxLength), learnt: learnt.slice(0, maxLength) }];
  const room = maxLength - head.length - 1;
  for (let at = maxLength; at < ids.length; at += room)
    blocks.push({
      ids: [...head, ...ids.slice(at - 1, at + room)],
      learnt: [...head.map(() => false), false, ...learnt.slice(at, at + room)],
    });
  return blocks;
}

/** Whether anything is asked of it. */
export function asks({ learnt }: LearntText): boolean {
  return learnt.includes(true, 1);
}
