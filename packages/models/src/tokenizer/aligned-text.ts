/**
 * A text on its way through normalizers, with the place in the input that each of its UTF-16 units came from. Places are kept only
 * where they are not simply one after the other, which for most texts is nowhere.
 */
export interface AlignedText {
  readonly text: string;
  /** Where unit 0 stands in the input, when units follow one another as they do there. */
  readonly base: number;
  /** Otherwise unit i came from [spans[2i], spans[2i + 1]) of the input; both units of a pair have the whole character's span. */
  readonly spans?: Int32Array;
}

export function alignedText(text: string): AlignedText {
  return { text, base: 0 };
}

/** Units [from, to); characters are not cut. */
export function slice(whole: AlignedText, from: number, to: number): AlignedText {
  const text = whole.text.slice(from, to);
  return whole.spans === undefined
    ? { text, base: whole.base + from }
    : { text, base: 0, spans: whole.spans.subarray(2 * from, 2 * to) };
}

/** Where units [from, to) came from: from the start of the first to the end of the last. */
export function originOf({ base, spans }: AlignedText, from: number, to: number): [number, number] {
  if (spans === undefined) return [base + from, base + to];
  return from === to ? [spans[2 * from] ?? 0, spans[2 * from] ?? 0] : [spans[2 * from]!, spans[2 * to - 1]!];
}

/** Replaces what `pattern` (global) finds; what stands for it has the place of the last character found. */
export function substitute(from: AlignedText, pattern: RegExp, by: (found: string) => string): AlignedText {
  /** At, old length, new length of what is not one unit (or one pair) before and after. */
  const edits: number[] = [];
  const text = from.text.replace(pattern, (found, at: number) => {
    const replaced = by(found);
    if (replaced.length !== found.length || !isCharacter(found) || !isCharacter(replaced))
      edits.push(at, found.length, replaced.length);
    return replaced;
  });
  if (text === from.text) return from;
  if (edits.length === 0) return { ...from, text };
  const spans = new Int32Array(2 * text.length);
  let [read, write] = [0, 0];
  const copyTo = (end: number): void => {
    if (from.spans !== undefined) spans.set(from.spans.subarray(2 * read, 2 * end), 2 * write);
    else fillPlain(spans, write, from.text, read, end, from.base);
    write += end - read;
    read = end;
  };
  for (let i = 0; i < edits.length; i += 3) {
    const [at, was, is] = [edits[i]!, edits[i + 1]!, edits[i + 2]!];
    copyTo(at);
    const last = was > 1 && from.text.codePointAt(at + was - 2)! > 0xffff ? 2 : 1;
    const [start, end] = originOf(from, at + was - last, at + was);
    for (let k = 0; k < is; k++, write++) {
      spans[2 * write] = start;
      spans[2 * write + 1] = end;
    }
    read += was;
  }
  copyTo(from.text.length);
  return { text, base: 0, spans };
}

const isCharacter = (text: string): boolean =>
  text.length === 1 || (text.length === 2 && text.codePointAt(0)! > 0xffff);

/** `put` before the text, with the place of its first character; nothing stands before nothing. */
export function prepend(text: AlignedText, put: string): AlignedText {
  return substitute(text, /^[^]/gu, (first) => put + first);
}

/** Spans of a text whose units follow one another; of a surrogate pair both units get the pair's. */
function fillPlain(spans: Int32Array, write: number, text: string, from: number, to: number, base: number): void {
  for (let i = from; i < to; i++, write++) {
    const unit = text.charCodeAt(i) & 0xfc00;
    spans[2 * write] = base + i - (unit === 0xdc00 ? 1 : 0);
    spans[2 * write + 1] = base + i + (unit === 0xd800 ? 2 : 1);
  }
}

/**
 * The text made of `characters`, where `changes[i]` says what each stands for: 0 the next character of `from`, 1 nothing of its own
 * (it takes the place of the one before), −n the next character and n more that are gone.
 */
export function rewrite(from: AlignedText, characters: readonly string[], changes: readonly number[]): AlignedText {
  const text = characters.join("");
  const spans = new Int32Array(2 * text.length);
  let [at, write] = [0, 0];
  let place: [number, number] = originOf(from, 0, 0);
  const lengthAt = (i: number): number => (from.text.codePointAt(i)! > 0xffff ? 2 : 1);
  for (const [i, character] of characters.entries()) {
    const change = changes[i]!;
    if (change <= 0 && at < from.text.length) {
      const length = lengthAt(at);
      place = originOf(from, at, at + length);
      at += length;
      for (let k = change; k < 0 && at < from.text.length; k++) at += lengthAt(at);
    } else if (at > 0) {
      const before = at > 1 && from.text.codePointAt(at - 2)! > 0xffff ? 2 : 1;
      place = originOf(from, at - before, at);
    }
    for (let k = 0; k < character.length; k++, write++) {
      spans[2 * write] = place[0];
      spans[2 * write + 1] = place[1];
    }
  }
  return { text, base: 0, spans };
}
