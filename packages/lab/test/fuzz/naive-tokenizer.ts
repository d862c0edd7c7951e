/**
 * A second reader of tokenizer.json for the judge: strings in, ids out, no places, no tables, every definition spelt out once and slowly. It
 * knows the parts that the samples have; whatever else it meets, and every value of another kind than it needs, it throws.
 */
import { decoded } from "./naive-decoder.ts";
import { bytePair, unigram, vocabularyOf, wordPiece } from "./naive-models.ts";
import { cut, normalized } from "./naive-text.ts";
import { bool, list, need, num, record, str, typed, type Raw } from "./naive-values.ts";

const SPACE = /\p{White_Space}/u;
const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

interface Added {
  readonly id: number;
  readonly find: string;
  readonly token: Raw;
}
/** Stretches of text, and ids of tokens among them. */
function extracted(text: string, tokens: readonly Added[]): (string | number)[] {
  const out: (string | number)[] = [];
  let done = 0;
  for (let at = 0; at < text.length;) {
    const found = tokens
      .filter(({ find }) => find !== "" && text.startsWith(find, at))
      .sort((a, b) => b.find.length - a.find.length)[0];
    if (found === undefined) {
      at++;
      continue;
    }
    let [from, to] = [at, at + found.find.length];
    at = to;
    const touches = (c: string | undefined): boolean => c !== undefined && WORD.test(c);
    if (
      bool(found.token["single_word"]) &&
      (touches(Array.from(text.slice(0, from)).at(-1)) || touches(Array.from(text.slice(to))[0]))
    )
      continue;
    if (bool(found.token["lstrip"])) while (from > done && SPACE.test(text[from - 1]!)) from--;
    if (bool(found.token["rstrip"])) while (to < text.length && SPACE.test(text[to]!)) to++;
    if (from > done) out.push(text.slice(done, from));
    out.push(found.id);
    done = to;
  }
  if (done < text.length) out.push(text.slice(done));
  return out;
}

/** Ids with special tokens around one text or two. */
function assembled(texts: readonly number[][], part: Raw | undefined): number[] {
  if (part === undefined || typed(part) === "ByteLevel") return texts.flat();
  if (typed(part) !== "TemplateProcessing") return need(false, "a post-processor") as never;
  const specials = record(part["special_tokens"]);
  return list(part[texts.length > 1 ? "pair" : "single"]).flatMap((item) => {
    const { SpecialToken: token, Sequence: sequence } = record(item);
    if (sequence !== undefined) return texts[["A", "B"].indexOf(str(record(sequence)["id"]))]!;
    return list(record(specials[str(record(token)["id"])])["ids"]).map((id) => num(id));
  });
}

export interface NaiveTokenizer {
  readonly size: number;
  encode(text: string, pair?: string): number[];
  decode(ids: readonly number[]): string;
}

/** @throws where the document is none. */
export function naiveTokenizer(document: unknown, map: string): NaiveTokenizer {
  const file = record(document);
  const part = (key: string): Raw | undefined =>
    file[key] === undefined || file[key] === null ? undefined : record(file[key]);
  const model = record(file["model"]);
  // the oldest files have no type
  const type = model["type"] ?? ("merges" in model ? "BPE" : "max_input_chars_per_word" in model ? "WordPiece" : "");
  const vocab =
    type === "Unigram"
      ? new Map(list(model["vocab"]).map((e, id) => [str(list(e)[0]), id]))
      : vocabularyOf(model["vocab"]);
  const spelling = new Map(
    type === "Unigram"
      ? list(model["vocab"]).map((e, id) => [id, str(list(e)[0])])
      : [...vocab].map(([t, id]) => [id, t]),
  );
  const normalize = (text: string): string =>
    part("normalizer") === undefined ? text : normalized(text, part("normalizer")!, map);
  const added = list(file["added_tokens"] ?? []).map((t): Added & { raw: boolean } => {
    const token = record(t);
    const content = str(token["content"]);
    need(vocab.get(content) === undefined || vocab.get(content) === num(token["id"]), "one id");
    bool(token["special"]);
    const raw = !bool(token["normalized"]);
    return { id: num(token["id"]), find: raw ? content : normalize(content), token, raw };
  });
  const idsOf = (text: string): number[] => {
    const ids: number[] = [];
    const words = (stretch: string, atStart: boolean): string[] =>
      stretch === ""
        ? []
        : part("pre_tokenizer") === undefined
          ? [stretch]
          : cut(stretch, part("pre_tokenizer")!, atStart);
    let atStart = true;
    for (const outer of extracted(
      text,
      added.filter((t) => t.raw),
    )) {
      if (typeof outer === "number") ids.push(outer);
      else
        for (const inner of extracted(
          normalize(outer),
          added.filter((t) => !t.raw),
        )) {
          if (typeof inner === "number") ids.push(inner);
          else
            for (const word of words(inner, atStart))
              ids.push(
                ...(type === "WordPiece"
                  ? wordPiece(word, model, vocab)
                  : type === "BPE"
                    ? bytePair(word, model, vocab)
                    : need(type === "Unigram", "a model") && unigram(word, model)),
              );
          atStart = false;
        }
      atStart = false;
    }
    return ids;
  };
  return {
    size: vocab.size + added.filter(({ token }) => !vocab.has(str(token["content"]))).length,
    encode: (text, pair) => assembled((pair === undefined ? [text] : [text, pair]).map(idsOf), part("post_processor")),
    decode(ids) {
      const tokens = ids.flatMap((id) => {
        const token = added.find((t) => t.id === id);
        if (token !== undefined) return bool(token.token["special"]) ? [] : [token.find];
        return spelling.has(id) ? [spelling.get(id)!] : [];
      });
      return decoded(tokens, part("decoder"));
    },
  };
}
