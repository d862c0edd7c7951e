/** A real sentence encoder, what transformers made of twenty texts with it, and how far a device is from that. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Device } from "@lowrank/tensor";
import { expect } from "vitest";
import { BertModel, fromPretrained, l2Normalize, loadTokenizer, meanPooling } from "../src/index.ts";

const root = resolve(import.meta.dirname, "../../..");
const base = resolve(root, process.env["LOWRANK_DATA"] ?? "../shared/data", "minilm-l6");
const recorded = join(
  resolve(root, process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures"),
  "reference-runs/embeddings.json",
);
export const present: boolean = existsSync(join(base, "model.safetensors")) && existsSync(recorded);

interface Recorded {
  readonly max_length: number;
  /** What torch itself is off in f32, in one padded batch. */
  readonly errors: { readonly embedding_f32_in_one_padded_batch_vs_f64_max_abs: number };
  readonly cosine_f64: readonly (readonly number[])[];
  readonly texts: readonly { readonly text: string; readonly ids: number[]; readonly embedding_f64: number[] }[];
}

/** The golden vectors are f64 of the same f32 weights, with 12 digits: what is left on `reference`. */
export const IN_F64 = 1e-11;
/** Four times torch's own error in f32, as for every golden number; below the 1e-5 that anybody would ask for. */
export const inF32 = (): number => 4 * goldenVectors().errors.embedding_f32_in_one_padded_batch_vs_f64_max_abs;

const goldenVectors = (): Recorded => JSON.parse(readFileSync(recorded, "utf8")) as Recorded;

/**
 * Expects the recorded ids, vectors and cosines of the texts of up to `most` tokens. Short texts are padded together, long ones are alone:
 * padding must not be seen.
 * @returns how many texts they were
 */
export async function expectRecordedVectors(device: Device, tolerance: number, most = Infinity): Promise<number> {
  const golden = goldenVectors();
  const texts = golden.texts.filter(({ ids }) => ids.length <= most);
  const { model, report } = await fromPretrained(base, BertModel, { device });
  expect([report.fresh, report.unused]).toEqual([[], []]);
  const tokenizer = await loadTokenizer(base);
  const { hiddenSize } = model.config;

  const short = texts.filter(({ ids }) => ids.length < 20);
  const vectors = new Map<string, Float64Array>();
  for (const batch of [short, ...texts.filter((text) => !short.includes(text)).map((text) => [text])]) {
    const { encodings, attentionMask } = tokenizer.encodeBatch(
      batch.map(({ text }) => text),
      { maxLength: golden.max_length, padding: "longest" },
    );
    const shape = [batch.length, encodings[0]!.ids.length];
    const mask = device.tensor(attentionMask.flat(), shape, "i32");
    const inputIds = device.tensor(
      encodings.flatMap(({ ids }) => [...ids]),
      shape,
      "i32",
    );
    const { lastHiddenState } = model.forward({ inputIds, attentionMask: mask });
    const got = await l2Normalize(meanPooling(lastHiddenState, mask)).floats();
    batch.forEach(({ text, ids: want }, i) => {
      const ids = encodings[i]!.ids.filter((_, k) => attentionMask[i]![k] === 1);
      expect(ids, text).toEqual(want);
      vectors.set(text, Float64Array.from(got.subarray(i * hiddenSize, (i + 1) * hiddenSize)));
    });
  }
  model.dispose();

  for (const { text, embedding_f64 } of texts) {
    const vector = vectors.get(text)!;
    const worst = embedding_f64.reduce((m, want, k) => Math.max(m, Math.abs(vector[k]! - want)), 0);
    expect(worst, text).toBeLessThanOrEqual(tolerance);
  }
  // |a·b − a'·b'| ≤ ‖a − a'‖ + ‖b − b'‖ for vectors of length 1
  const bound = 2 * Math.sqrt(hiddenSize) * tolerance;
  const place = (text: string): number => golden.texts.findIndex((golden) => golden.text === text);
  for (const [a, x] of vectors)
    for (const [b, y] of vectors) {
      const cosine = x.reduce((sum, v, k) => sum + v * y[k]!, 0);
      expect(Math.abs(cosine - golden.cosine_f64[place(a)]![place(b)]!), `${a} / ${b}`).toBeLessThanOrEqual(bound);
    }
  return vectors.size;
}
