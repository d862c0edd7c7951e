/** Post-processors: special tokens around the texts, and offsets without white space. Names and rules are those of `tokenizers`. */
import { LowrankError, quote } from "@lowrank/tensor";
import {
  anyOf,
  fields,
  flag,
  leaf,
  listOf,
  mapOf,
  oneOf,
  refuse,
  text,
  whole,
  type Place,
  type Rule,
} from "@lowrank/tensor/check";
import { SPACE } from "./byte-level.ts";
import { emptyEncoding, joined, type Encoding } from "./encoding.ts";
import { part, partOf, type Part } from "./parts.ts";
import { BYTE_LEVEL_RULES, type ByteLevelOptions } from "./pre-tokenizer.ts";
import { isId, tokenId } from "./vocabulary.ts";

/** One text's tokens, and the text they are of. */
export interface Segment {
  readonly encoding: Encoding;
  readonly source: string | readonly string[];
}

export interface PostProcessor {
  /** Number of special tokens around one text, around two. */
  readonly added: readonly [number, number];
  /** One or two segments; writes into their encodings. */
  process(segments: readonly Segment[], specialTokens: boolean): Encoding;
}

/** Without a processor: one text after the other, types 0 and 1. */
export const PLAIN: PostProcessor = { added: [0, 0], process: (segments) => joined(segments.map((s) => s.encoding)) };

type Special = readonly [token: string, id: number];
const special: Rule<Special> = leaf(
  "a token and its id",
  (v) => Array.isArray(v) && v.length === 2 && typeof v[0] === "string" && isId(v[1]),
);

function addedTokens(tokens: readonly Special[], typeId: number): Encoding {
  const out = emptyEncoding();
  for (const [token, id] of tokens) {
    out.ids.push(id);
    out.tokens.push(token);
    out.typeIds.push(typeId);
    out.specialTokensMask.push(1);
    out.offsets.push([0, 0]);
    out.wordIds.push(null);
    out.sequenceIds.push(null);
  }
  return out;
}

const withType = (encoding: Encoding, typeId: number): Encoding => ({
  ...encoding,
  typeIds: encoding.ids.map(() => typeId),
});

interface Ends {
  sep: Special;
  cls: Special;
}
function bert({ sep, cls }: Ends): PostProcessor {
  return {
    added: [2, 3],
    process: (segments, specialTokens) =>
      joined(
        segments.flatMap(({ encoding }, i) => {
          if (!specialTokens) return [encoding];
          return i === 0 ? [addedTokens([cls], 0), encoding, addedTokens([sep], 0)] : [encoding, addedTokens([sep], 1)];
        }),
      ),
  };
}

/** `<s> A </s></s> B </s>`, all of type 0. */
function roberta({
  sep,
  cls,
  trim_offsets,
  add_prefix_space,
}: Ends & { trim_offsets: boolean; add_prefix_space: boolean }): PostProcessor {
  return {
    added: [2, 4],
    process: (segments, specialTokens) =>
      joined(
        segments.flatMap((segment, i) => {
          if (trim_offsets) trimOffsets(segment, add_prefix_space);
          const encoding = withType(segment.encoding, 0);
          return specialTokens ? [addedTokens([i === 0 ? cls : sep], 0), encoding, addedTokens([sep], 0)] : [encoding];
        }),
      ),
  };
}

/** Takes white space off both ends of a token's place, but not the one space that the pre-tokenizer put before the text itself. */
function trimOffsets({ encoding, source }: Segment, addPrefixSpace: boolean): void {
  for (const [i, token] of encoding.tokens.entries()) {
    const body = token.replace(LEADING, "");
    let leading = token.length - body.length;
    const trailing = token.length - token.replace(TRAILING, "").length;
    if (leading === 0 && trailing === 0) continue;
    let [start, end] = encoding.offsets[i]!;
    if (leading === 1 && addPrefixSpace && (i === 0 || start === 0)) leading = 0;
    const text = typeof source === "string" ? source : source[encoding.wordIds[i]!]!;
    for (let k = 0; k < leading && start < end; k++) start += text.codePointAt(start)! > 0xffff ? 2 : 1;
    let [back, steps] = [end, 0];
    for (; steps < trailing && back > 0; steps++) back -= back > 1 && text.codePointAt(back - 2)! > 0xffff ? 2 : 1;
    if (steps === trailing) end = Math.max(back, start);
    encoding.offsets[i] = [start, end];
  }
}
const LEADING = new RegExp(`^[${SPACE}\\p{White_Space}]+`, "u");
const TRAILING = new RegExp(`[${SPACE}\\p{White_Space}]+$`, "u");

function byteLevel({ trim_offsets, add_prefix_space }: ByteLevelOptions): PostProcessor {
  if (!trim_offsets) return PLAIN;
  return {
    added: [0, 0],
    process(segments, specialTokens) {
      for (const segment of segments) trimOffsets(segment, add_prefix_space);
      return PLAIN.process(segments, specialTokens);
    },
  };
}

type Item = { SpecialToken: { id: string; type_id: number } } | { Sequence: { id: "A" | "B"; type_id: number } };
interface Inserted {
  id: string;
  ids: number[];
  tokens: string[];
}
interface TemplateOptions {
  single: Item[];
  pair: Item[];
  special_tokens: Record<string, Inserted>;
}

const typeId: Rule<number> = whole(0, 2 ** 31);
const item: Rule<Item> = anyOf(
  fields<{ SpecialToken: { id: string; type_id: number } }>({
    SpecialToken: fields<{ id: string; type_id: number }>({ id: text, type_id: typeId }),
  }),
  fields<{ Sequence: { id: "A" | "B"; type_id: number } }>({
    Sequence: fields<{ id: "A" | "B"; type_id: number }>({ id: oneOf("A", "B"), type_id: typeId }),
  }),
);
/** A template has a handful of places; every one costs tokens at every call. */
const MOST_ITEMS = 64;

function template({ single, pair, special_tokens }: TemplateOptions, at: Place): PostProcessor {
  const inserted = (id: string): readonly Special[] => {
    const found = Object.hasOwn(special_tokens, id)
      ? special_tokens[id]!
      : refuse(at, `uses the special token ${quote(id)}, which "special_tokens" does not define`);
    if (found.ids.length !== found.tokens.length)
      refuse(at, `has ${found.tokens.length} tokens but ${found.ids.length} ids for the special token ${quote(id)}`);
    return found.ids.map((n, i) => [found.tokens[i]!, n] as const);
  };
  const count = (items: readonly Item[]): number =>
    items.reduce((sum, it) => sum + ("SpecialToken" in it ? inserted(it.SpecialToken.id).length : 0), 0);
  if (single.some((it) => "Sequence" in it && it.Sequence.id === "B")) refuse(at, `puts a second text into "single"`);
  const takesPairs = (["A", "B"] as const).every((id) => pair.some((it) => "Sequence" in it && it.Sequence.id === id));
  return {
    added: [count(single), count(pair)],
    process(segments, specialTokens) {
      if (segments.length > 1 && !takesPairs)
        throw new LowrankError(
          "FormatError",
          `${at.source}: the "pair" template of the post-processor has no place for one of the two texts`,
        );
      return joined(
        (segments.length > 1 ? pair : single).flatMap((it) => {
          if ("Sequence" in it)
            return [withType(segments[it.Sequence.id === "A" ? 0 : 1]!.encoding, it.Sequence.type_id)];
          return specialTokens ? [addedTokens(inserted(it.SpecialToken.id), it.SpecialToken.type_id)] : [];
        }),
      );
    },
  };
}

/** ByteLevel trims; what comes last assembles. Two that add tokens have no meaning that one could check. */
function sequence({ processors }: { processors: PostProcessor[] }, at: Place): PostProcessor {
  const last = processors.at(-1);
  if (last === undefined) return PLAIN;
  const before = processors.slice(0, -1);
  if (before.some((p) => p.added[1] > 0))
    refuse(at, "adds special tokens before its last processor, which is not built");
  return {
    added: last.added,
    process(segments, specialTokens) {
      for (const processor of before) processor.process(segments, specialTokens);
      return last.process(segments, specialTokens);
    },
  };
}

const PROCESSORS: Readonly<Record<string, Part<PostProcessor>>> = {
  BertProcessing: part<Ends, PostProcessor>({ sep: special, cls: special }, bert),
  RobertaProcessing: part<Ends & { trim_offsets: boolean; add_prefix_space: boolean }, PostProcessor>(
    { sep: special, cls: special, trim_offsets: flag, add_prefix_space: flag },
    roberta,
  ),
  ByteLevel: part<ByteLevelOptions, PostProcessor>(BYTE_LEVEL_RULES, byteLevel),
  TemplateProcessing: part<TemplateOptions, PostProcessor>(
    {
      single: listOf(item, { max: MOST_ITEMS }),
      pair: listOf(item, { max: MOST_ITEMS }),
      special_tokens: mapOf(
        fields<Inserted>({
          id: text,
          ids: listOf(tokenId, { max: MOST_ITEMS }),
          tokens: listOf(text, { max: MOST_ITEMS }),
        }),
      ),
    },
    template,
  ),
  Sequence: part<{ processors: PostProcessor[] }, PostProcessor>(
    {
      processors: { expects: "a list of post-processors", read: (value, at) => listOf(postProcessor).read(value, at) },
    },
    sequence,
  ),
};

export const postProcessor: Rule<PostProcessor> = partOf("post-processor", () => PROCESSORS);
