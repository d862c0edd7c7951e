/**
 * Tokens that a checkpoint declares beside its tokenizer.json: in tokenizer_config.json (`added_tokens_decoder`, `additional_special_tokens`,
 * `extra_special_tokens`, and each `…_token` that it names) and in added_tokens.json. As in transformers, all of them are cut out of a text.
 */
import { FormatError, quote } from "@lowrank/tensor";
import { absent, anyOf, fields, flag, listOf, mapOf, text, type Place, type Rule } from "@lowrank/tensor/check";
import { addedContent, type AddedTokens } from "./added-tokens.ts";
import type { NewToken } from "./options.ts";

/** A token's text, or the token as `AddedToken` writes it. */
export type NamedToken = string | DeclaredToken;
export interface DeclaredToken {
  readonly content: string;
  readonly single_word?: boolean | undefined;
  readonly lstrip?: boolean | undefined;
  readonly rstrip?: boolean | undefined;
  readonly normalized?: boolean | undefined;
  readonly special?: boolean | undefined;
}
const FLAGS = ["single_word", "lstrip", "rstrip", "normalized", "special"] as const;

const declaredToken: Rule<DeclaredToken> = fields<DeclaredToken>(
  {
    content: addedContent,
    single_word: absent(flag),
    lstrip: absent(flag),
    rstrip: absent(flag),
    normalized: absent(flag),
    special: absent(flag),
  },
  { unknown: "keep" },
);
export const namedToken: Rule<NamedToken> = anyOf(text, declaredToken);

export interface DeclaredTokens {
  readonly added_tokens_decoder?: Readonly<Record<string, DeclaredToken>> | undefined;
  readonly additional_special_tokens?: readonly NamedToken[] | undefined;
  readonly extra_special_tokens?: readonly NamedToken[] | Readonly<Record<string, NamedToken>> | undefined;
}
export const DECLARED: { readonly [K in keyof Required<DeclaredTokens>]: Rule<DeclaredTokens[K]> } = {
  added_tokens_decoder: absent(mapOf(declaredToken)),
  additional_special_tokens: absent(listOf(namedToken)),
  extra_special_tokens: absent(anyOf(listOf(namedToken), mapOf(namedToken))),
};

const AT_CONFIG: Place = { source: "tokenizer_config.json", path: [], code: "FormatError" };

export const contentOf = (token: NamedToken): string => (typeof token === "string" ? token : token.content);

/**
 * The tokens of tokenizer.json and, behind all others, those that are declared besides: in the order of the ids that stand there, then by name. Where the two say
 * other things of a token, transformers follows one or the other by class, and it is refused here.
 */
export function withDeclared(
  added: AddedTokens,
  declared: DeclaredTokens,
  named: readonly NamedToken[],
  source: string,
): AddedTokens {
  const {
    added_tokens_decoder: tokens = {},
    extra_special_tokens: extra = [],
    additional_special_tokens: additional = [],
  } = declared;
  const inOrder = Object.entries(tokens)
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, token]) => token);
  for (const token of inOrder) {
    const known = added.withContent(token.content);
    const other = known && FLAGS.find((key) => token[key] !== undefined && token[key] !== known[key]);
    if (other !== undefined)
      throw new FormatError(
        `tokenizer_config.json: "added_tokens_decoder" has "${other}": ${token[other]} for ${quote(token.content)}, and ${source} ${known![other]}; make the two agree`,
      );
  }
  const special = [...named, ...additional, ...(Array.isArray(extra) ? extra : Object.values(extra))];
  const more = new Map<string, NewToken>();
  for (const token of inOrder) more.set(token.content, asNew(token, token.special ?? false));
  for (const token of special) if (!more.has(contentOf(token))) more.set(contentOf(token), asNew(token, true));
  const missing = [...more.values()].filter(({ content }) => added.withContent(content) === undefined);
  return missing.length === 0 ? added : added.with(missing, AT_CONFIG);
}

function asNew(token: NamedToken, special: boolean): NewToken {
  if (typeof token === "string") return { content: token, special };
  const { content, single_word: singleWord, lstrip, rstrip, normalized } = token;
  return { content, singleWord, lstrip, rstrip, normalized, special };
}
