/** `tokenizers` 0.23 and transformers 5.24 are the referees: cutting with overflow, padding, calls with many texts, decoding step by step. */
import { describe, expect, it } from "vitest";
import {
  parseTokenizer,
  type BatchEncoding,
  type BatchOptions,
  type Encoding,
  type TruncationSide,
  type TruncationStrategy,
} from "../src/index.ts";
import {
  differing,
  expected,
  fileOf,
  part,
  present,
  refusal,
  rows,
  tokenizerOf,
  unlike,
  type Recorded,
} from "./tokenizer-fixtures.ts";

/** Tokenizers whose pairs are of one type. */
const ALL_ZERO = ["gpt2-roberta", "unigram", "unigram-unk", "spm-precompiled"];

describe.skipIf(!present)("recorded batches", () => {
  it("are cut to a length, with what overflows", () => {
    interface Row extends Recorded {
      readonly tok: string;
      readonly text: string;
      readonly pair: string | null;
      readonly special: boolean;
      readonly max_length: number;
      readonly stride: number;
      readonly strategy: TruncationStrategy;
      readonly direction: TruncationSide;
      readonly overflow?: readonly Recorded[];
      readonly error?: string;
      readonly quirk?: string;
    }
    expect(
      differing(rows<Row>("truncation"), (row) => {
        const cut = {
          specialTokens: row.special,
          maxLength: row.max_length,
          truncation: row.strategy,
          truncationSide: row.direction,
        };
        const tokenizer = tokenizerOf(row.tok);
        const encode = (): BatchEncoding =>
          tokenizer.encodeBatch([row.text], {
            ...cut,
            ...(row.pair === null ? {} : { pairs: [row.pair] }),
            overflow: true,
            stride: row.stride,
          });
        if (row.error !== undefined || row.quirk !== undefined) return unlike(row, refusal(encode), "ConfigError");
        const { encodings, sampleOf, attentionMask } = encode();
        // where a post-processor makes all types 0, the library forgets that for the second text of what overflows
        const overflow = (row.overflow ?? []).map((recorded) =>
          row.type_ids.includes(1)
            ? recorded
            : ALL_ZERO.includes(row.tok)
              ? { ...recorded, type_ids: recorded.ids.map(() => 0) }
              : recorded,
        );
        const wanted = [row, ...overflow].map((recorded, i) => {
          const got = encodings[i]!;
          return expected(recorded, (k) => (got.sequenceIds[k] === 1 ? row.pair! : row.text));
        });
        const got = encodings.map((encoding, i) => part(encoding, wanted[i] ?? {}));
        const alone = tokenizer.encode(row.text, { ...cut, pair: row.pair ?? undefined });
        return (
          unlike(row, got, wanted) ??
          unlike(row, alone, encodings[0]) ??
          unlike(row, [sampleOf, attentionMask], [encodings.map(() => 0), encodings.map((e) => e.ids.map(() => 1))])
        );
      }),
    ).toEqual([]);
  });

  it("are padded", () => {
    interface Row {
      readonly tok: string;
      readonly kind?: string;
      readonly batch: string[];
      readonly direction: TruncationSide;
      readonly pad_token: string;
      readonly pad_type_id: number;
      readonly length: number | null;
      readonly pad_to_multiple_of: number | null;
      readonly max_length: number | null;
      readonly out: readonly (Recorded & { readonly attention_mask: number[] })[];
    }
    expect(
      differing(rows<Row>("padding"), (row) => {
        // what bert's file itself asks for, which nothing here applies
        const options: BatchOptions =
          row.kind === "as-shipped"
            ? { padding: 128, maxLength: 128, padToken: "[PAD]" }
            : {
                padding: row.length ?? "longest",
                paddingSide: row.direction,
                padToken: row.pad_token,
                padTypeId: row.pad_type_id,
                padToMultipleOf: row.pad_to_multiple_of ?? undefined,
                maxLength: row.max_length ?? undefined,
              };
        const { encodings, attentionMask } = tokenizerOf(row.tok).encodeBatch(row.batch, options);
        const wanted = row.out.map((recorded, i) => expected(recorded, () => row.batch[i]!));
        return (
          unlike(
            row,
            encodings.map((e, i) => part(e, wanted[i]!)),
            wanted,
          ) ??
          unlike(
            row,
            attentionMask,
            row.out.map((o) => o.attention_mask),
          )
        );
      }),
    ).toEqual([]);
  });

  const CONFIGS: Readonly<Record<string, object>> = {
    bert: { model_max_length: 64, pad_token: "[PAD]" },
    llama3: { model_max_length: 48, padding_side: "left", pad_token: { content: "<|finetune_right_pad_id|>" } },
    unigram: { model_max_length: 32, pad_token: "<pad>" },
  };

  it("are called as transformers is", () => {
    interface Kwargs {
      readonly padding?: boolean | "max_length";
      readonly truncation?: boolean | TruncationStrategy;
      readonly max_length?: number;
      readonly stride?: number;
      readonly padding_side?: TruncationSide;
      readonly pad_to_multiple_of?: number;
      readonly add_special_tokens?: boolean;
      readonly return_overflowing_tokens?: boolean;
    }
    interface Row {
      readonly tok: string;
      readonly what: string;
      readonly args: (string | (string | string[])[])[];
      readonly kwargs: Kwargs;
      readonly out?: Record<string, unknown>;
      readonly error?: string;
    }
    expect(
      differing(rows<Row>("calls"), (row) => {
        const { kwargs } = row;
        const single = typeof row.args[0] === "string";
        const [texts, pairs] = row.args.map((given) => (typeof given === "string" ? [given] : given));
        const encode = (): BatchEncoding =>
          parseTokenizer(fileOf(row.tok), CONFIGS[row.tok]).encodeBatch(texts!, {
            pairs,
            specialTokens: kwargs.add_special_tokens,
            maxLength: kwargs.max_length,
            truncation: kwargs.truncation === true ? "longest_first" : kwargs.truncation || undefined,
            padding: kwargs.padding === true ? "longest" : kwargs.padding === "max_length" ? "maxLength" : undefined,
            padToMultipleOf: kwargs.pad_to_multiple_of,
            paddingSide: kwargs.padding_side,
            overflow: kwargs.return_overflowing_tokens,
            stride: kwargs.stride,
          });
        if (row.what === "empty batch")
          return unlike(row, encode(), { encodings: [], attentionMask: [], sampleOf: [] });
        // transformers cuts nothing where there is no room for the special tokens
        const noRoom = row.tok === "bert" || row.what.startsWith("max_length 0");
        if (row.error !== undefined || (noRoom && /^max_length [01] with/.test(row.what)))
          return unlike(row, refusal(encode), "ConfigError");
        const { encodings, attentionMask, sampleOf } = encode();
        const offsetsOf = (encoding: Encoding, i: number): [number, number][] =>
          encoding.offsets.map(([from, to], k) => {
            const text = (encoding.sequenceIds[k] === 1 ? pairs! : texts!)[sampleOf[i]!]!;
            const source = typeof text === "string" ? text : (text[encoding.wordIds[k] ?? 0] ?? "");
            const before = (unit: number): number => Array.from(source.slice(0, unit)).length;
            return [before(from), before(to)];
          });
        const whole: Record<string, unknown[]> = {
          input_ids: encodings.map((e) => e.ids),
          token_type_ids: encodings.map((e) => e.typeIds),
          attention_mask: [...attentionMask],
          special_tokens_mask: encodings.map((e) => e.specialTokensMask),
          offset_mapping: encodings.map(offsetsOf),
          overflow_to_sample_mapping: [...sampleOf],
          length: encodings.map((e) => e.ids.length),
        };
        const out = row.out!;
        // of one text transformers gives the one row, of numbers about it a list
        const got = Object.fromEntries(
          Object.keys(out).map((key) => {
            const rowsOf = whole[key]!;
            return [key, single && !kwargs.return_overflowing_tokens ? rowsOf[0] : rowsOf];
          }),
        );
        return unlike([row.tok, row.what], got, out);
      }),
    ).toEqual([]);
  });

  it("are decoded step by step", () => {
    interface Row {
      readonly tok: string;
      readonly ids: number[];
      readonly steps: (string | null)[];
    }
    expect(
      differing(rows<Row>("decode-stream"), (row) => {
        const stream = tokenizerOf(row.tok).decodeStream();
        const steps = row.ids.map((id) => stream.push(id));
        return unlike(
          row,
          steps,
          row.steps.map((step) => step ?? ""),
        );
      }),
    ).toEqual([]);
  });
});
