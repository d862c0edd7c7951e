import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { ClassificationExamples, IGNORED } from "../src/data/classification.ts";
import {
  evaluationGroups,
  paddedLength,
  rowsFor,
  tokenBudgetGroups,
  trainingGroups,
} from "../src/data/length-groups.ts";
import { DataCursor } from "../src/data/cursor.ts";
import { acrossLengths } from "../src/data/orders.ts";
import { maskedBatch, maskSlots } from "../src/data/masking.ts";
import { TokenSetBuilder, type TokenSet } from "../src/data/token-set.ts";
import { TokenToy } from "./token-toy.ts";

const lengthsArbitrary = fc
  .array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 600 })
  .map((lengths) => Int32Array.from(lengths));

function everyExampleOnce(groups: readonly Int32Array[], count: number): void {
  expect(groups.flatMap((group) => [...group]).sort((a, b) => a - b)).toEqual(
    Array.from({ length: count }, (_, i) => i),
  );
}

describe("length-grouped batches", () => {
  test.prop([lengthsArbitrary, fc.integer({ min: 1, max: 40 }), fc.nat()])(
    "hold every example exactly once, in an order the seed decides",
    (lengths, batchSize, seed) => {
      const groups = trainingGroups(lengths, batchSize, seed);
      everyExampleOnce(groups, lengths.length);
      everyExampleOnce(evaluationGroups(lengths, batchSize), lengths.length);
      expect(trainingGroups(lengths, batchSize, seed)).toEqual(groups);
      // Only the last batch may be short.
      for (const group of groups.slice(0, -1)) expect(group.length).toBe(batchSize);
    },
  );

  test.prop([
    fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 80 }),
    fc.integer({ min: 1, max: 12 }),
    fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
    fc.nat(),
  ])("have sizes that are known before any is made", (lengths, batchSize, rows, seed) => {
    const examples = new TokenToy(lengths);
    const cursor = new DataCursor(examples, {
      order: acrossLengths(examples.lengths, batchSize, seed),
      multiple: 8,
      seed,
      cut: { rows },
    });
    const made = Array.from({ length: Math.ceil(lengths.length / batchSize) }, (_, at) => cursor.parts(at)).flat();
    expect(cursor.sizes()).toEqual([...new Set(made.map((batch) => batch.rows * batch.length))]);
  });

  it("gives another order for another seed", () => {
    const lengths = Int32Array.from({ length: 400 }, (_, i) => 5 + (i % 40));
    expect(trainingGroups(lengths, 32, 1)).not.toEqual(trainingGroups(lengths, 32, 2));
  });

  it("wastes far less padding than batches in random order", () => {
    // 4,000 lengths 3…62, uniform: random batches of 32 pad nearly everything to 64 (mean fill ½), sorted mega-batches to the next 8 (mean waste 4 of 33).
    const lengths = Int32Array.from({ length: 4000 }, (_, i) => 3 + ((i * 7919) % 60));
    const padded = trainingGroups(lengths, 32, 5).reduce(
      (sum, group) => sum + group.length * paddedLength(Math.max(...Array.from(group, (i) => lengths[i]!)), 8),
      0,
    );
    const real = lengths.reduce((sum, length) => sum + length, 0);
    expect(real / padded).toBeGreaterThan(0.75);
  });

  test.prop([lengthsArbitrary, fc.nat()])("of a token budget have one shape per padded length", (lengths, seed) => {
    const groups = tokenBudgetGroups(lengths, 512, 8, seed);
    everyExampleOnce(groups, lengths.length);
    for (const group of groups) {
      const padded = new Set(Array.from(group, (i) => paddedLength(lengths[i]!, 8)));
      expect(padded.size).toBe(1);
      expect(group.length).toBeLessThanOrEqual(rowsFor(512, [...padded][0]!));
    }
  });
});

function tokens(sequences: readonly (readonly number[])[]): TokenSet {
  const builder = new TokenSetBuilder();
  for (const sequence of sequences) builder.push(sequence);
  return builder.build();
}

describe("a classification batch", () => {
  it("pads columns with the pad id and fills rows that count for nothing", () => {
    const set = { tokens: tokens([[5, 6, 7], [8]]), labels: Int32Array.of(1, 0) };
    const batch = new ClassificationExamples(set, 9).batch(Int32Array.of(1, 0), { rows: 3, multiple: 4 });
    const { inputIds, attentionMask, labels } = batch.inputs;
    expect([batch.length, batch.counted, inputIds!.shape, labels!.shape]).toEqual([4, 2, [3, 4], [3]]);
    expect(inputIds!.data).toEqual(Int32Array.of(8, 9, 9, 9, 5, 6, 7, 9, 9, 9, 9, 9));
    expect(attentionMask!.data).toEqual(Uint8Array.of(1, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0));
    expect(labels!.data).toEqual(Int32Array.of(0, 1, IGNORED));
  });
});

describe("masking", () => {
  const special = { pad: 0, cls: 1, sep: 2, mask: 3 };
  const vocabSize = 1000;
  const sequences = fc.array(fc.array(fc.integer({ min: 4, max: vocabSize - 1 }), { minLength: 1, maxLength: 30 }), {
    minLength: 1,
    maxLength: 12,
  });

  test.prop([sequences, fc.nat()])(
    "predicts 15 % of the tokens, never a special one, and is decided by the seed",
    (texts, seed) => {
      const members = Int32Array.from(texts, (_, i) => i);
      const options = { rows: texts.length + 1, multiple: 8, special, vocabSize, probability: 0.15, seed };
      const batch = maskedBatch(tokens(texts), members, options);
      expect(maskedBatch(tokens(texts), members, options)).toEqual(batch);
      const count = texts.flat().length;
      const used = [...batch.labels].filter((label) => label !== IGNORED).length;
      expect(batch.labels.length).toBe(maskSlots(batch.rows, batch.length, 0.15));
      expect(used).toBe(Math.min(batch.labels.length, Math.max(1, Math.round(count * 0.15))));
      const predicted = new Set<number>();
      for (let slot = 0; slot < used; slot++) {
        const position = batch.positions[slot]!;
        const [row, column] = [Math.floor(position / batch.length), position % batch.length];
        expect(batch.labels[slot]).toBe(texts[row]![column - 1]);
        predicted.add(position);
      }
      expect(predicted.size).toBe(used);
      // Everything that is not to be predicted is as it was.
      texts.forEach((text, row) => {
        [special.cls, ...text, special.sep].forEach((id, column) => {
          if (!predicted.has(row * batch.length + column)) expect(batch.inputIds[row * batch.length + column]).toBe(id);
        });
      });
    },
  );

  it("replaces 80 % by [MASK], 10 % by a random token and keeps 10 %", () => {
    const texts = Array.from({ length: 400 }, () => Array.from({ length: 62 }, () => 500));
    const batch = maskedBatch(
      tokens(texts),
      Int32Array.from(texts, (_, i) => i),
      { rows: 400, multiple: 8, special, vocabSize, probability: 0.15, seed: 7 },
    );
    const used = [...batch.positions].filter((_, slot) => batch.labels[slot] !== IGNORED);
    const share = (test: (id: number) => boolean): number =>
      used.filter((position) => test(batch.inputIds[position]!)).length / used.length;
    // n = 3,720; four standard deviations of a share of 0.8 are 0.026, of 0.1 are 0.020.
    expect(Math.abs(share((id) => id === special.mask) - 0.8)).toBeLessThan(0.027);
    expect(Math.abs(share((id) => id === 500) - 0.1)).toBeLessThan(0.021);
    expect(Math.abs(share((id) => id !== 500 && id !== special.mask) - 0.1)).toBeLessThan(0.021);
  });
});
