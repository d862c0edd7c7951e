/** Windows of a running text as examples of a causal model. */
import type { Tokenizer } from "@lowrank/models";
import { InputError } from "../errors.ts";
import { CausalExamples } from "./causal-examples.ts";
import { TokenSetBuilder } from "./token-set.ts";
import { longestStride, windowsOf, type TextWindow } from "./windows.ts";
import { WordCount } from "./wikitext.ts";

export interface WindowedText {
  readonly tokenizer: Tokenizer;
  readonly padId: number;
  readonly window: number;
  /** Absent: the most. */
  readonly stride?: number | undefined;
  /** Which of the windows, by their number. Absent: all. */
  readonly choose?: ((count: number) => readonly number[]) | undefined;
  /** What errors call the text. */
  readonly name: string;
}

export class TextWindows extends CausalExamples {
  /** Those that were chosen, in order, and their number among all. */
  readonly windows: readonly (TextWindow & { readonly number: number; readonly words: number })[];
  readonly all: { readonly windows: number; readonly tokens: number; readonly words: number };
  readonly stride: number;
  /** Whether the text's own `<unk>` is spelt out, since the tokenizer has a token of that name. */
  readonly spelt: boolean;
  /** Token before the text, and whether it is before every window. */
  readonly prefix: { readonly token: string; readonly everyWindow: boolean } | undefined;

  private constructor(
    set: ConstructorParameters<typeof CausalExamples>[0],
    options: ConstructorParameters<typeof CausalExamples>[1],
    facts: Pick<TextWindows, "windows" | "all" | "stride" | "prefix" | "spelt">,
  ) {
    super(set, options);
    [this.windows, this.all, this.stride] = [facts.windows, facts.all, facts.stride];
    [this.prefix, this.spelt] = [facts.prefix, facts.spelt];
  }

  /** Tokens that are scored, and the words that begin with them. */
  get scored(): { readonly tokens: number; readonly words: number } {
    return {
      tokens: this.targets.reduce((sum, count) => sum + count, 0),
      words: this.windows.reduce((sum, { words }) => sum + words, 0),
    };
  }

  /** @throws InputError for a stride beyond the window, and a text of less than two tokens */
  static of(text: string, { tokenizer, padId, window, choose, name, ...said }: WindowedText): TextWindows {
    const prefix = prefixOf(tokenizer);
    const everyWindow = prefix?.everyWindow ?? false;
    const most = longestStride({ window, everyWindow });
    const { stride = most } = said;
    if (stride > most)
      throw new InputError(
        `"task.stride" is ${stride}, and a window of ${window} tokens has room for ${most} new ones beside ${everyWindow ? `${prefix!.token} and ` : ""}the token before them`,
      );
    const { ids, offsets } = encodeSpelt(tokenizer, text);
    const windows = windowsOf(ids.length, { window, stride, prefix: prefix !== undefined, everyWindow });
    if (windows.length === 0) throw new InputError(`${name}: there is too little text in it for one prediction`);
    const chosen = choose?.(windows.length) ?? windows.map((_, i) => i);
    const words = new WordCount(text);
    /** Tokens share the text by where they begin. */
    const place = (token: number): number =>
      token === 0 ? 0 : token < offsets.length ? offsets[token]![0] : text.length;
    const tokens = new TokenSetBuilder();
    const learnt: number[] = [];
    for (const i of chosen) {
      const { begin, from, to } = windows[i]!;
      const before = prefix !== undefined && (everyWindow || begin === 0) ? [prefix.id] : [];
      tokens.push([...before, ...ids.slice(begin, to)]);
      for (let at = begin - before.length; at < to; at++) learnt.push(Number(at >= from));
    }
    return new TextWindows(
      { tokens: tokens.build(), learnt: Uint8Array.from(learnt) },
      { padId, maxLength: window },
      {
        windows: chosen.map((number) => {
          const { begin, from, to } = windows[number]!;
          return { begin, from, to, number, words: words.between(place(from), place(to)) };
        }),
        all: { windows: windows.length, tokens: ids.length, words: words.all },
        stride,
        prefix,
        spelt: takesUnknown(tokenizer),
      },
    );
  }
}

/** What stands before a text: the token that the tokenizer begins texts with, which then begins every window; else one that begins or ends texts. */
function prefixOf(tokenizer: Tokenizer): { id: number; token: string; everyWindow: boolean } | undefined {
  const { bos, eos } = tokenizer.specialTokens;
  const [token] = [bos, eos].filter((name) => name !== undefined);
  const id = token === undefined ? undefined : tokenizer.idOf(token);
  if (token === undefined || id === undefined) return undefined;
  return { id, token, everyWindow: tokenizer.encode("a").ids[0] === id };
}

/** What WikiText has in the place of rare words. */
const UNKNOWN = "<unk>";

/** Whether the tokenizer takes these five characters for its own token of what is unknown. They are a word of the text, so they are spelt out. */
export function takesUnknown(tokenizer: Tokenizer): boolean {
  return tokenizer.encode(UNKNOWN, { specialTokens: false }).ids.length === 1;
}

/** Without special tokens. A text that is cut within the word has no such token, and the pieces of it are those that the word has by itself. */
export function encodeSpelt(
  tokenizer: Tokenizer,
  text: string,
): { readonly ids: readonly number[]; readonly offsets: readonly (readonly [number, number])[] } {
  if (!takesUnknown(tokenizer)) return tokenizer.encode(text, { specialTokens: false });
  const [ids, offsets]: [number[], [number, number][]] = [[], []];
  let at = 0;
  for (const part of text.split(/(?<=<)(?=unk>)/)) {
    const encoded = tokenizer.encode(part, { specialTokens: false });
    encoded.ids.forEach((id, i) => {
      const [from, to] = encoded.offsets[i]!;
      ids.push(id);
      offsets.push([at + from, at + to]);
    });
    at += part.length;
  }
  return { ids, offsets };
}
