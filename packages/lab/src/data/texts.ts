/** Texts as token ids, one or two to an example, and padded batches of them. */
import type { Tokenizer } from "@lowrank/models";
import type { CompileInputs } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import type { BatchShape } from "./examples.ts";
import { paddedLength, type Group } from "./length-groups.ts";
import { sequence, sequenceLengths, TokenSetBuilder, type TokenSet } from "./token-set.ts";

export interface EncodedTexts {
  /** Complete sequences, special tokens included. */
  readonly tokens: TokenSet;
  /** Segment of each token of `tokens`; absent where all are 0. */
  readonly typeIds?: Uint8Array;
  readonly lengths: Int32Array;
  /** Texts that lost tokens to the limit. */
  readonly cut: number;
  /** Rows are padded to no more: a model may have no further positions. */
  readonly maxLength: number;
}

export interface EncodeTextsOptions {
  /** Second text of each example. */
  readonly pairs?: readonly string[] | undefined;
  /** Most tokens of an example, special ones included: the longer text is cut first. */
  readonly maxLength: number;
}

/** @throws InputError for a text without a token: a model has nothing to read there */
export function encodeTexts(
  tokenizer: Tokenizer,
  texts: readonly string[],
  { pairs, maxLength }: EncodeTextsOptions,
  place: (i: number) => string,
): EncodedTexts {
  const builder = new TokenSetBuilder();
  const types: number[] = [];
  let cut = 0;
  texts.forEach((text, i) => {
    const pair = pairs?.[i];
    let encoding = tokenizer.encode(text, { pair });
    if (encoding.ids.length > maxLength) {
      cut++;
      encoding = tokenizer.encode(text, { pair, maxLength });
    }
    if (encoding.ids.length === 0) throw new InputError(`${place(i)}: the tokenizer finds no token in the text`);
    builder.push(encoding.ids);
    if (pairs !== undefined) for (const id of encoding.typeIds) types.push(id);
  });
  const tokens = builder.build();
  return {
    tokens,
    lengths: sequenceLengths(tokens),
    cut,
    maxLength,
    ...(types.some((id) => id !== 0) ? { typeIds: Uint8Array.from(types) } : {}),
  };
}

export interface PaddedTexts {
  /** Positions of a row, padding included. */
  readonly length: number;
  /** `inputIds` i32, `attentionMask` bool and, where segments differ, `tokenTypeIds` i32, each `[rows, length]`. */
  readonly inputs: CompileInputs;
}

/** Rows beyond the group keep their first position, so that no row of attention is empty. */
export function padTexts(
  { tokens, typeIds, lengths, maxLength }: Omit<EncodedTexts, "cut">,
  members: Group,
  { rows, multiple }: BatchShape,
  padId: number,
): PaddedTexts {
  const longest = members.reduce((most, i) => Math.max(most, lengths[i]!), 1);
  const length = Math.min(paddedLength(longest, multiple), maxLength);
  const ids = new Int32Array(rows * length).fill(padId);
  const mask = new Uint8Array(rows * length);
  const types = typeIds === undefined ? undefined : new Int32Array(rows * length);
  members.forEach((member, row) => {
    const own = sequence(tokens, member);
    ids.set(own, row * length);
    mask.fill(1, row * length, row * length + own.length);
    types?.set(typeIds!.subarray(tokens.offsets[member]!, tokens.offsets[member + 1]!), row * length);
  });
  for (let row = members.length; row < rows; row++) mask[row * length] = 1;
  const shape = [rows, length];
  return {
    length,
    inputs: {
      inputIds: { data: ids, shape, dtype: "i32" },
      attentionMask: { data: mask, shape, dtype: "bool" },
      ...(types === undefined ? {} : { tokenTypeIds: { data: types, shape, dtype: "i32" as const } }),
    },
  };
}
