/**
 * What is said of a text does not depend on what it is computed with. Where shapes differ sums have other orders, so probabilities differ by rounding, at most 1e-5; and labels are the
 * same wherever the two best are further apart than that. Where shapes are the same, bits are: threads, and what `predict` does.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc } from "@fast-check/vitest";
import { directory } from "@lowrank/models";
import { init, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Base } from "../src/bases/base.ts";
import { CausalExamples } from "../src/data/causal-examples.ts";
import type { Batch } from "../src/data/examples.ts";
import { fit, openPredictor, predict, type Fitted } from "../src/fit/index.ts";
import { CAUSAL, causalBase, causalSet, VOCAB } from "./causal-toy.ts";
import { toyFolder } from "./row-study.ts";
import { toyCheckpoint } from "./toy-checkpoint.ts";

const NEAR = 1e-5;
const data = toyFolder();
let device: Device;
let several: Device;
beforeAll(async () => {
  [device, several] = [await init({ device: "wasm", threads: 1 }), await init({ device: "wasm", threads: 3 })];
}, 60_000);
afterAll(() => {
  for (const each of [device, several]) each.close();
  rmSync(data, { recursive: true, force: true });
});

function probabilities(logits: Float64Array): number[] {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const powers = Array.from(logits, (x) => Math.exp(x - most));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
}

const best = (values: readonly number[]): number => values.indexOf(Math.max(...values));

/** Margins of what was compared: that labels agree says something only where some are small and most are not. */
const margins: number[] = [];

function expectSame(got: readonly number[], wanted: readonly number[]): void {
  got.forEach((p, i) => expect(Math.abs(p - wanted[i]!)).toBeLessThanOrEqual(NEAR));
  const [first, second] = [...wanted].sort((a, b) => b - a) as [number, number];
  margins.push(first - second);
  if (first - second > NEAR) expect(best(got)).toBe(best(wanted));
}

function tensors(batch: Batch): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(batch.inputs).map(([name, { data: values, shape, dtype }]) => [
      name,
      device.tensor(values, shape, dtype),
    ]),
  );
}

const words = ["a", "fine", "film", "dull", "and", "long", "films", "not", "good", "bad", "."];
const text = fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 24 }).map((chosen) => chosen.join(" "));

describe("labels of texts", () => {
  let base: string;
  let fitted: Fitted;
  let again: Awaited<ReturnType<typeof openPredictor>>;
  beforeAll(async () => {
    base = await toyCheckpoint(data, device);
    const rows = Array.from({ length: 22 }, (_, i) => ({
      text: words.slice(i % 9, (i % 9) + 3).join(" "),
      label: "xyz"[i % 3]!,
    }));
    const method = { method: "lora", r: 4, target: "all-linear" };
    fitted = await fit(base, rows, { device, method, train: { epochs: 1, batchSize: 8, lr: 0.01 }, maxLength: 32 });
    const folder = mkdtempSync(join(tmpdir(), "lowrank-margins-"));
    await fitted.save(directory(folder));
    again = await openPredictor(folder, { device: several });
    rmSync(folder, { recursive: true });
  }, 120_000);
  afterAll(() => {
    fitted.dispose();
    again.dispose();
    rmSync(base, { recursive: true, force: true });
  });

  it("do not depend on batches, padding and order; nor bits on threads, order and company", async () => {
    const drawn = fc.record({
      texts: fc.uniqueArray(text, { minLength: 1, maxLength: 12 }),
      rows: fc.integer({ min: 1, max: 8 }),
      multiple: fc.constantFrom(1, 8, 32),
      by: fc.infiniteStream(fc.nat(1000)),
    });
    await fc.assert(
      fc.asyncProperty(drawn, async ({ texts, rows, multiple, by }) => {
        const said = await predict(fitted, texts);
        const keys = texts.map((_, i) => [by.next().value as number, i] as const);
        const order = keys.sort(([a], [b]) => a - b).map(([, i]) => i);
        const shuffled = await predict(
          again,
          order.map((i) => texts[i]!),
        );
        order.forEach((i, at) => expect(shuffled[at]).toEqual(said[i]));

        const { task, base: model, tokenizer } = fitted;
        const items = texts.map((own, row) => ({ row, text: own }));
        const rowsOf = { name: "t", items, place: () => "t" };
        const examples = task.encode(rowsOf, { ...fitted.facts, tokenizer, padId: 0, maxLength: 32, part: "predict" });
        for (let start = 0; start < order.length; start += rows) {
          const members = order.slice(start, start + rows);
          const batch = examples.batch(Int32Array.from(members), { rows, multiple }, 0);
          model.model.eval();
          const logits = await task.forward(model, tensors(batch))["logits"]!.floats();
          members.forEach((member, row) => {
            const { probabilities: wanted } = said[member] as { probabilities: Record<string, number> };
            expectSame(probabilities(logits.subarray(3 * row, 3 * row + 3)), Object.values(wanted));
          });
        }
      }),
      { numRuns: 20 },
    );
  }, 60_000);
});

describe("next words", () => {
  it.each(Object.keys(CAUSAL))(
    "do not depend on which texts share a row: %s",
    async (architecture) => {
      const length = 24;
      const base: Base = await causalBase(architecture, length, device);
      base.model.eval();
      const ids = fc.array(fc.integer({ min: 1, max: VOCAB - 1 }), { minLength: 2, maxLength: 12 });
      /** [rows · length][vocabulary] of every text, by its place. */
      const scored = async (
        texts: readonly number[][],
        packed: boolean,
        order: "asc" | "desc",
      ): Promise<number[][][]> => {
        const set = causalSet(texts.map((own) => ({ ids: own, learnt: own.map(() => true) })));
        const examples = new CausalExamples(set, { padId: 0, maxLength: length, packed });
        const all = Array.from({ length: examples.count }, (_, i) => i);
        const members = Int32Array.from(order === "asc" ? all : all.reverse());
        const batch = examples.batch(members, { rows: members.length + 1, multiple: packed ? 8 : 1 });
        const { inputIds, positionIds } = tensors(batch);
        const logits = await base
          .logits({ inputIds: inputIds!, ...(positionIds === undefined ? {} : { positionIds }) })
          .floats();
        const found: number[][][] = [];
        for (const { text: own, row, start, length: size } of examples.placed(members))
          found[own] = Array.from({ length: size }, (_, i) => {
            const at = (row * batch.length + start + i) * VOCAB;
            return probabilities(logits.subarray(at, at + VOCAB));
          });
        return found;
      };
      await fc.assert(
        fc.asyncProperty(fc.array(ids, { minLength: 2, maxLength: 6 }), async (texts) => {
          const [alone, packed] = [await scored(texts, false, "asc"), await scored(texts, true, "desc")];
          texts.forEach((own, i) => own.forEach((_, at) => expectSame(packed[i]![at]!, alone[i]![at]!)));
        }),
        { numRuns: 6 },
      );
      base.dispose();
    },
    60_000,
  );
});

it("was held to margins on both sides of a hundredth", () => {
  const small = margins.filter((margin) => margin < 0.01).length;
  expect(small).toBeGreaterThan(0);
  expect(small).toBeLessThan(margins.length / 2);
});
