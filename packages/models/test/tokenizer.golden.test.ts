/** Small random tokenizers of every part but WordPiece's, and texts: what `tokenizers` 0.23 gives for them. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parseTokenizer } from "../src/index.ts";
import { expected, part } from "./tokenizer-fixtures.ts";

interface Row {
  readonly text: string;
  readonly ids: number[];
  readonly tokens: string[];
  readonly offsets: [number, number][];
  readonly word_ids: (number | null)[];
  readonly decoded?: readonly [string, string];
  /** What the library says instead of encoding. */
  readonly error?: string;
}
interface Model {
  readonly type: "BPE" | "Unigram";
  readonly vocab: Record<string, number> | [string, number][];
}
interface Recorded {
  /** The vocabulary goes on with the 256 bytes, of Unigram with the score −3. */
  readonly bytes?: boolean;
  readonly file: { readonly model: Model };
  readonly rows: readonly Row[];
}

const golden = JSON.parse(
  readFileSync(resolve(import.meta.dirname, "golden/tokenizers.json"), "utf8"),
) as readonly Recorded[];

const BYTES = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
function whole({ bytes, file }: Recorded): unknown {
  if (bytes !== true) return file;
  const { vocab } = file.model;
  const size = Array.isArray(vocab) ? vocab.length : Object.keys(vocab).length;
  const completed = Array.isArray(vocab)
    ? [...vocab, ...BYTES.map((byte): [string, number] => [byte, -3])]
    : { ...vocab, ...Object.fromEntries(BYTES.map((byte, i) => [byte, size + i])) };
  return { ...file, model: { ...file.model, vocab: completed } };
}

describe.each(golden.map((recorded, i) => ({ i, recorded })))("tokenizer $i", ({ recorded }) => {
  const tokenizer = parseTokenizer(whole(recorded));
  it.each(recorded.rows)("$text", (row) => {
    if (row.error !== undefined) {
      expect(() => tokenizer.encode(row.text)).toThrow('"model.unk_id" names none for what is unknown');
      return;
    }
    const { ids, tokens, offsets, word_ids } = row;
    const want = expected({ ids, tokens, offsets, word_ids, type_ids: ids.map(() => 0) }, () => row.text);
    expect(part(tokenizer.encode(row.text), want)).toEqual(want);
    if (row.decoded === undefined) return;
    expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(row.decoded[0]);
    expect(tokenizer.decode(ids)).toBe(row.decoded[1]);
  });
});
