/** A tokenizer's files beside an adapter, with the tokens that it was given for it. */
import { encodeUtf8, quote, LowrankError, type WritableFiles } from "@lowrank/tensor";
import { parseJson } from "@lowrank/tensor/check";
import type { LocateOptions } from "../places/locate.ts";
import type { Where } from "../places/url.ts";
import { readTokenizerFiles } from "./kept-files.ts";
import type { NewToken, Tokenizer } from "./options.ts";
import { loadTokenizer } from "./tokenizer.ts";

export interface SaveTokenizerOptions extends LocateOptions {
  /** Tokens of one's own, as `withTokens` takes them: they get the ids behind the largest. */
  readonly tokens?: readonly (string | NewToken)[];
}

/**
 * Writes the tokenizer that is found at `from`, for transformers and for `loadTokenizer`: its files as they are, and new tokens in tokenizer.json.
 * @returns the tokenizer with the new tokens
 * @throws LowrankError (FileError) where there is none, (NotBuiltError) for new tokens where there is no tokenizer.json
 */
export async function saveTokenizer(
  from: Where,
  files: WritableFiles,
  { tokens = [], ...how }: SaveTokenizerOptions = {},
): Promise<Tokenizer> {
  const texts = new Map(await readTokenizerFiles(from, how));
  const tokenizer = (await loadTokenizer(from, how)).withTokens(tokens);
  if (tokens.length > 0) {
    const contents = tokens.map((token) => (typeof token === "string" ? { content: token } : token));
    for (const [name, add] of [
      ["tokenizer.json", intoTokenizer],
      ["tokenizer_config.json", intoConfig],
    ] as const) {
      const text = texts.get(name);
      if (text === undefined && name === "tokenizer.json")
        throw new LowrankError(
          "NotBuiltError",
          `saveTokenizer: there is no tokenizer.json at ${quote(String(from))} that new tokens could be written into; let transformers save the tokenizer once`,
        );
      if (text === undefined) continue;
      const value = parseJson(text, name) as Record<string, unknown>;
      texts.set(name, `${JSON.stringify(add(value, contents, tokenizer), null, 2)}\n`);
    }
  }
  for (const [name, text] of texts) await files.write(name, async (sink) => sink(encodeUtf8(text)));
  return tokenizer;
}

/** `AddedToken` as the files spell it. */
function spelt({
  content,
  special = false,
  singleWord = false,
  lstrip = false,
  rstrip = false,
  normalized,
}: NewToken): Record<string, unknown> {
  return { content, single_word: singleWord, lstrip, rstrip, normalized: normalized ?? !special, special };
}

function intoTokenizer(file: Record<string, unknown>, tokens: readonly NewToken[], tokenizer: Tokenizer): unknown {
  const before = (file["added_tokens"] ?? []) as readonly { readonly content: string }[];
  const kept = before.filter(({ content }) => tokens.every((token) => token.content !== content));
  const added = tokens.map((token) => ({ id: tokenizer.idOf(token.content)!, ...spelt(token) }));
  return { ...file, added_tokens: [...kept, ...added] };
}

/** What transformers keeps a second time in tokenizer_config.json. */
function intoConfig(config: Record<string, unknown>, tokens: readonly NewToken[], tokenizer: Tokenizer): unknown {
  const before = config["added_tokens_decoder"];
  if (typeof before !== "object" || before === null) return config;
  const added = tokens.map((token) => [String(tokenizer.idOf(token.content)), spelt(token)] as const);
  return { ...config, added_tokens_decoder: { ...before, ...Object.fromEntries(added) } };
}
