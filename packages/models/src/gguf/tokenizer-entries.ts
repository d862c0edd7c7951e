/**
 * A tokenizer of Hugging Face's files as GGUF's metadata: the other way of `tokenizer.ts`. Byte-level BPE is "gpt2", with its merges;
 * SentencePiece's BPE is "llama", with scores, which are made so that they give the merges back. Everything that would make other tokens is refused.
 */
import { LowrankError, quote } from "@lowrank/tensor";
import type { ConfigSource } from "../shared/config-table.ts";
import type { TokenizerConfig } from "../tokenizer/file.ts";
import type { TokenizerFolder } from "../tokenizer/folder.ts";
import { contentOf, type NamedToken } from "../tokenizer/declared-tokens.ts";
import { knownSplit } from "../tokenizer/split-patterns.ts";
import { parseTokenizer } from "../tokenizer/tokenizer.ts";
import { mergesByScore } from "./merges.ts";
import { TOKEN_ROLES } from "./metadata.ts";
import { preTokenizerFor } from "./pre-tokenizers.ts";
import { TOKEN_TYPES } from "./tokenizer.ts";
import type { GgufTyped } from "./values.ts";

/** What is asked of a tokenizer.json, after `parseTokenizer` has held it to its shape. */
interface Json {
  readonly type?: string;
  readonly [key: string]: unknown;
}
interface FileJson {
  readonly normalizer?: Json | null;
  readonly pre_tokenizer?: Json | null;
  readonly post_processor?: Json | null;
  readonly added_tokens?: readonly { readonly id: number; readonly content: string; readonly special: boolean }[];
  readonly model: Json & {
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly [string, string])[];
    readonly unk_token?: string | null;
    readonly byte_fallback?: boolean;
    readonly ignore_merges?: boolean;
  };
}

const SPACE = "▁";
const BYTE = /^<0x[0-9A-F]{2}>$/;

function unsaid(what: string): LowrankError {
  return new LowrankError(
    "NotBuiltError",
    `GGUF: the tokenizer's ${what}, which llama.cpp's files cannot say; export to Hugging Face's form instead`,
  );
}

/**
 * @param words of the model's table; ids that the tokenizer does not have are filled up with unused tokens
 * @param model's config, whose token ids count where the tokenizer names none
 * @throws LowrankError (NotBuiltError) naming the part that no file can say
 */
export function tokenizerEntries(
  { tokenizer, config, source }: TokenizerFolder,
  words: number,
  model: ConfigSource,
): [string, GgufTyped][] {
  // what is wrong with the file is said as everywhere
  parseTokenizer(tokenizer, config, source);
  const file = tokenizer as FileJson;
  if ((file.model.type ?? "BPE") !== "BPE") throw unsaid(`model is ${file.model.type}`);
  const kind = file.model.byte_fallback === true ? sentencePiece(file) : byteLevel(file);
  const { tokens, types } = vocabularyOf(file, words);
  const ids = new Map(tokens.map((token, id) => [token, id]));
  return [
    ["tokenizer.ggml.model", { kind: "string", value: kind.model }],
    ["tokenizer.ggml.pre", { kind: "string", value: kind.pre }],
    ["tokenizer.ggml.tokens", { kind: "array", of: "string", value: tokens }],
    ["tokenizer.ggml.token_type", { kind: "array", of: "i32", value: types }],
    ...kind.more(tokens, types, ids),
    ...special(file, config, ids, model),
  ];
}

interface Kind {
  readonly model: string;
  readonly pre: string;
  more(tokens: readonly string[], types: Int32Array, ids: ReadonlyMap<string, number>): [string, GgufTyped][];
}

/** Tokens by id, and what kind of token each is. */
function vocabularyOf(
  { model, added_tokens: added = [] }: FileJson,
  words: number,
): { tokens: string[]; types: Int32Array } {
  const { NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE: BYTE_TYPE } = TOKEN_TYPES;
  const byId = new Map<number, { readonly token: string; readonly type: number }>();
  for (const [token, id] of Object.entries(model.vocab)) {
    const byte = model.byte_fallback === true && BYTE.test(token);
    byId.set(id, { token, type: token === model.unk_token ? UNKNOWN : byte ? BYTE_TYPE : NORMAL });
  }
  for (const { id, content, special: control } of added)
    if (byId.get(id)?.type !== UNKNOWN) byId.set(id, { token: content, type: control ? CONTROL : USER_DEFINED });
  const last = [...byId.keys()].reduce((a, b) => Math.max(a, b), -1);
  if (last >= words)
    throw new LowrankError(
      "FormatError",
      `GGUF: the tokenizer has a token ${last} (${quote(byId.get(last)!.token)}), and the model ${words} words; this is another model's tokenizer`,
    );
  const all = Array.from({ length: words }, (_, id) => byId.get(id) ?? { token: `[PAD${id}]`, type: UNUSED });
  return { tokens: all.map(({ token }) => token), types: Int32Array.from(all, ({ type }) => type) };
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

function byteLevel({ normalizer, pre_tokenizer: cut, model }: FileJson): Kind {
  const parts = cut?.type === "Sequence" ? (cut["pretokenizers"] as readonly Json[]) : [cut ?? {}];
  const level = parts.at(-1)!;
  if (level.type !== "ByteLevel") throw unsaid(`pre-tokenizer ends in ${quote(level.type ?? null)}`);
  if (level["add_prefix_space"] === true) throw unsaid("ByteLevel has add_prefix_space");
  const [split, ...further] = parts.slice(0, -1);
  const own = level["use_regex"] !== false;
  if (further.length > 0 || own === (split !== undefined))
    throw unsaid("pre-tokenizer cuts a text in more than one way");
  if (split !== undefined && (split.type !== "Split" || split["behavior"] !== "Isolated" || split["invert"] === true))
    throw unsaid(`pre-tokenizer cuts by ${quote(split)}`);
  const text = (split?.["pattern"] as { readonly Regex?: string } | undefined)?.Regex;
  const pre = preTokenizerFor(
    (known) =>
      (own ? known.gpt2 === true : knownSplit(known.split[0]!) === knownSplit(text ?? "")) &&
      same(known.normalizer, normalizer) &&
      known.ignoreMerges === (model.ignore_merges === true),
  );
  if (pre === undefined)
    throw unsaid(
      `cuts (${quote(own ? "ByteLevel" : (text ?? null))}, normalizer ${quote(normalizer?.type ?? null)}, ignore_merges ${model.ignore_merges === true}) together are none of llama.cpp's`,
    );
  const merges = model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" ")));
  return {
    model: "gpt2",
    pre,
    more: () => [["tokenizer.ggml.merges", { kind: "array", of: "string", value: merges }]],
  };
}

function sentencePiece({ normalizer, pre_tokenizer: cut, model }: FileJson): Kind {
  const steps =
    normalizer?.type === "Sequence"
      ? (normalizer["normalizers"] as readonly Json[])
      : normalizer == null
        ? []
        : [normalizer];
  let prefix = false;
  for (const step of steps)
    if (step.type === "Prepend" && step["prepend"] === SPACE) prefix = true;
    else if (!(step.type === "Replace" && same(step["pattern"], { String: " " }) && step["content"] === SPACE))
      throw unsaid(`normalizer is ${quote(step)}`);
  if (cut?.type === "Metaspace" && cut["split"] === false && (cut["replacement"] ?? SPACE) === SPACE)
    prefix ||= cut["prepend_scheme"] !== "never";
  // there is no space any more that it could split at
  else if (cut != null && !(cut.type === "Split" && same(cut["pattern"], { String: " " })))
    throw unsaid(`pre-tokenizer is ${quote(cut.type)}`);
  const pairs = model.merges.map((merge): readonly [string, string] =>
    typeof merge === "string" ? (merge.split(" ") as [string, string]) : merge,
  );
  return {
    model: "llama",
    pre: "default",
    more(tokens, types, ids) {
      const scores = scoresOf(pairs, tokens, types, ids);
      return [
        ["tokenizer.ggml.scores", { kind: "array", of: "f32", value: scores }],
        ["tokenizer.ggml.add_space_prefix", { kind: "bool", value: prefix }],
      ];
    },
  };
}

/**
 * Minus the place of the first merge that makes a piece: llama.cpp merges what gives the piece with the highest score. A piece that no merge makes comes last.
 * @throws LowrankError where these scores would merge otherwise than the file does
 */
function scoresOf(
  pairs: readonly (readonly [string, string])[],
  tokens: readonly string[],
  types: Int32Array,
  ids: ReadonlyMap<string, number>,
): Float32Array {
  const order: string[] = [];
  const first = new Map<string, number>();
  for (const [left, right] of pairs) {
    const piece = left + right;
    if (order.at(-1) === piece) continue;
    if (first.has(piece)) throw unsaid(`merges make ${quote(piece)} at two places of their order`);
    first.set(piece, order.push(piece) - 1);
  }
  const scores = Float32Array.from(tokens, (token) => -(first.get(token) ?? order.length));
  const found = mergesByScore(tokens, scores, ids, (id) => types[id] === TOKEN_TYPES.NORMAL);
  const said = new Set(pairs.map((pair) => pair.join(" ")));
  const other = found.find((pair) => !said.has(pair.join(" ")));
  if (other !== undefined || found.length !== said.size)
    throw unsaid(
      `merges are not those of a SentencePiece model (${other === undefined ? `${said.size - found.length} of them join no pieces` : `${quote(other)} is none`})`,
    );
  return scores;
}

/** Which tokens have a role, which stand around a text, and the chat template. */
function special(
  { post_processor: processor, model }: FileJson,
  config: TokenizerConfig,
  ids: ReadonlyMap<string, number>,
  said: ConfigSource,
): [string, GgufTyped][] {
  const out: [string, GgufTyped][] = [];
  const around = aroundOf(processor);
  const roles = new Map<string, number>();
  for (const [role, word] of Object.entries(TOKEN_ROLES)) {
    const named = config[`${word}_token` as keyof TokenizerConfig] as NamedToken | undefined;
    const listed = said[`${word}_token_id`];
    const id =
      named === undefined ? (Array.isArray(listed) ? (listed[0] as unknown) : listed) : ids.get(contentOf(named));
    if (typeof id === "number" && id >= 0 && id < ids.size) roles.set(role, id);
  }
  const stands = (role: "bos" | "eos", token: string | undefined): void => {
    const id = token === undefined ? undefined : ids.get(token);
    if (id !== undefined && roles.has(role) && roles.get(role) !== id)
      throw unsaid(`${role} token is not ${quote(token)}, which it puts around a text`);
    if (id !== undefined) roles.set(role, id);
    out.push([`tokenizer.ggml.add_${role}_token`, { kind: "bool", value: id !== undefined }]);
  };
  stands("bos", around.before);
  stands("eos", around.behind);
  const unknown = model.unk_token == null ? undefined : ids.get(model.unk_token);
  if (unknown !== undefined) roles.set("unknown", unknown);
  for (const [role, value] of roles) out.push([`tokenizer.ggml.${role}_token_id`, { kind: "u32", value }]);
  const { chat_template: template } = config as { readonly chat_template?: unknown };
  if (typeof template === "string") out.push(["tokenizer.chat_template", { kind: "string", value: template }]);
  return out;
}

/** The token before a text and the one behind it, of one text alone. */
function aroundOf(processor: Json | null | undefined): { readonly before?: string; readonly behind?: string } {
  const parts =
    processor?.type === "Sequence"
      ? (processor["processors"] as readonly Json[])
      : processor == null
        ? []
        : [processor];
  const strange = parts.find(({ type }) => type !== "TemplateProcessing" && type !== "ByteLevel");
  if (strange !== undefined) throw unsaid(`post-processor is ${quote(strange.type)}`);
  const templates = parts.filter(({ type }) => type === "TemplateProcessing");
  if (templates.length > 1) throw unsaid("post-processor has two templates");
  const single = (templates[0]?.["single"] ?? []) as readonly Readonly<Record<string, { readonly id: string }>>[];
  const at = single.findIndex((piece) => "Sequence" in piece);
  const named = single.map((piece) => piece["SpecialToken"]?.id);
  const [before, behind] = [named.slice(0, Math.max(0, at)), named.slice(at + 1)];
  if (at >= 0 && (before.length > 1 || behind.length > 1))
    throw unsaid("template puts several tokens on one side of a text");
  return at < 0
    ? {}
    : {
        ...(before[0] === undefined ? {} : { before: before[0] }),
        ...(behind[0] === undefined ? {} : { behind: behind[0] }),
      };
}
