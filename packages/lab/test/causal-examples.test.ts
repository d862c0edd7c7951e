/** Packed and unpacked texts, in any order and any batches: the same losses and gradients, for models with and without windows. */
import { fc, test } from "@fast-check/vitest";
import { grad, init, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Base } from "../src/bases/base.ts";
import { CausalExamples, type CausalOptions } from "../src/data/causal-examples.ts";
import type { Batch } from "../src/data/examples.ts";
import { packTexts } from "../src/data/packing.ts";
import { causalLm } from "../src/tasks/causal-lm.ts";
import { TextLosses } from "../src/tasks/next-token.ts";
import { fileTask } from "../src/tasks/rows/from-files.ts";
import { evaluationBatches } from "../src/train/batches.ts";
import { CAUSAL, causalBase, causalSet, VOCAB, type ToyText } from "./causal-toy.ts";

const POSITIONS = 18;
const task = fileTask(causalLm);

const text = fc.integer({ min: 2, max: POSITIONS }).chain((length) =>
  fc.record({
    ids: fc.array(fc.nat(VOCAB - 1), { minLength: length, maxLength: length }),
    learnt: fc
      .array(fc.boolean(), { minLength: length, maxLength: length })
      .map((learnt) => (learnt.slice(1).includes(true) ? learnt : [...learnt.slice(0, -1), true])),
  }),
);
const texts = fc.array(text, { minLength: 1, maxLength: 7 });

interface Sums {
  readonly loss: number;
  readonly counted: number;
  readonly gradients: readonly Float64Array[];
  /** Of each text. */
  readonly sums: readonly number[];
  readonly targets: readonly number[];
}

function inputsOn(device: Device, { inputs }: Batch): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape, dtype }]) => [
      name,
      device.tensor(data as Int32Array, shape, dtype),
    ]),
  );
}

/** Of all texts, batch by batch. */
async function sums(base: Base, given: readonly ToyText[], rows: number, options: CausalOptions): Promise<Sums> {
  const { device } = base;
  const examples = new CausalExamples(causalSet(given), options);
  const parameters = base.weights().map(({ weight }) => weight.parameter);
  const gradients = parameters.map(({ size }) => new Float64Array(size));
  const losses = new TextLosses(examples);
  let [loss, counted] = [0, 0];
  for (const batch of evaluationBatches(examples, { rows, multiple: 4 })) {
    const inputs = inputsOn(device, batch);
    const sum = task.loss(base, inputs, "sum");
    const found = grad(sum, parameters);
    const outputs = task.outputs(base, inputs);
    await device.realize(sum, ...found, ...Object.values(outputs));
    for (const [i, g] of found.entries()) (await g.floats()).forEach((value, at) => (gradients[i]![at]! += value));
    loss += await sum.item();
    counted += batch.counted;
    losses.take(batch, { tokenLosses: await outputs["tokenLosses"]!.floats() });
    // the mean is of what counts in the batch
    const mean = await task.loss(base, inputs, "mean").item();
    expect(Math.abs(mean * batch.counted - (await sum.item()))).toBeLessThanOrEqual(
      (device.defaultFloat === "f64" ? 1e-9 : 1e-5) * batch.counted * 4,
    );
  }
  return { loss, counted, gradients, sums: [...losses.sums], targets: [...examples.targets] };
}

function farthest(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

function compare(a: Sums, b: Sums, tolerance: number): void {
  expect(b.counted).toBe(a.counted);
  expect(Math.abs(a.loss - b.loss)).toBeLessThanOrEqual(tolerance * Math.max(1, a.loss));
  const scale = a.gradients.reduce((most, g) => Math.max(most, farthest(g, new Float64Array(g.length))), 1);
  a.gradients.forEach((g, i) => expect(farthest(g, b.gradients[i]!)).toBeLessThanOrEqual(tolerance * scale));
}

describe.for([
  // rounding of f64 and of f32 along some hundred operations; a token of another text that is seen changes losses by a tenth
  ["reference", 1e-9],
  ["wasm", 2e-5],
] as const)("%s", ([name, tolerance]) => {
  let device: Device;
  const bases = new Map<string, Base>();
  beforeAll(async () => {
    device = await init({ device: name });
    for (const architecture of Object.keys(CAUSAL))
      bases.set(architecture, await causalBase(architecture, POSITIONS, device));
  });
  afterAll(() => device.close());

  for (const architecture of Object.keys(CAUSAL)) {
    test.prop([texts, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 2 ** 31 - 1 })], {
      numRuns: name === "reference" ? 6 : 2,
    })(`${architecture}: packing, batches and order change nothing`, async (given, rows, order) => {
      const base = bases.get(architecture)!;
      const plain = await sums(base, given, rows, { padId: 0, maxLength: POSITIONS });
      const shuffled = given.map((_, i) => i).sort((a, b) => ((order >> a) & 1) - ((order >> b) & 1) || b - a);
      // another padding too: nobody sees it
      const packed = await sums(
        base,
        shuffled.map((i) => given[i]!),
        1 + (rows % 4),
        { padId: VOCAB - 1, maxLength: POSITIONS, packed: true },
      );
      compare(plain, packed, tolerance);
      shuffled.forEach((text, i) => {
        expect(packed.targets[i]).toBe(plain.targets[text]);
        expect(Math.abs(packed.sums[i]! - plain.sums[text]!)).toBeLessThanOrEqual(
          tolerance * Math.max(1, plain.sums[text]!),
        );
      });
    });
  }

  it.skipIf(name === "reference").for(["GPT2LMHeadModel", "Gemma3ForCausalLM"])(
    "%s: rows longer than attention keeps whole",
    async (architecture) => {
      const positions = 300;
      const base = await causalBase(architecture, positions, device);
      const given = [150, 97, 41, 12, 290].map((length, t): ToyText => ({
        ids: Array.from({ length }, (_, i) => (i * i + 7 * t) % VOCAB),
        learnt: Array.from({ length }, (_, i) => (i + t) % 3 !== 0),
      }));
      const plain = await sums(base, given, 1, { padId: 0, maxLength: positions });
      const packed = await sums(base, given, 2, { padId: 0, maxLength: positions, packed: true });
      compare(plain, packed, tolerance);
      base.dispose();
    },
  );
});

test.prop([fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 40 }), fc.integer({ min: 20, max: 50 })])(
  "texts are packed once each, into rows that hold them, few of them",
  (lengths, capacity) => {
    const rows = packTexts(lengths, capacity);
    expect(rows.flatMap((row) => [...row]).sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
    const sizes = rows.map((row) => row.reduce((sum, text) => sum + lengths[text]!, 0));
    for (const size of sizes) expect(size).toBeLessThanOrEqual(capacity);
    // two rows that fit into one would be one
    const [least = capacity, next = capacity] = [...sizes].sort((a, b) => a - b);
    expect(least + next).toBeGreaterThan(capacity);
    // the last row was begun because a text of 20 at most fitted into no other: these are full but for 19
    const total = lengths.reduce((sum, length) => sum + length, 0);
    expect((rows.length - 1) * (capacity - 19)).toBeLessThanOrEqual(total);
    expect(packTexts(lengths, capacity)).toEqual(rows);
  },
);

it("learns the end of a text and not the padding, where both are one token, and never its first token", () => {
  const end = 3;
  const examples = new CausalExamples(
    causalSet([
      { ids: [5, 6, end], learnt: [true, true, true] },
      { ids: [7, 8, 9, 4, end], learnt: [false, false, false, true, true] },
    ]),
    { padId: end, maxLength: 7 },
  );
  const batch = examples.batch(Int32Array.of(0, 1), { rows: 3, multiple: 4 });
  // padded to a multiple, but not beyond the longest row that there may be
  expect(batch.length).toBe(7);
  expect([...(batch.inputs["inputIds"]!.data as Int32Array)]).toEqual(
    [5, 6, end, end, end, end, end, 7, 8, 9, 4, end, end, end].concat(Array(7).fill(end)),
  );
  const no = -100;
  expect([...(batch.inputs["labels"]!.data as Int32Array)]).toEqual(
    [no, 6, end, no, no, no, no, no, no, no, 4, end, no, no].concat(Array(7).fill(no)),
  );
  expect(batch.counted).toBe(4);
  expect(batch.inputs["positionIds"]).toBeUndefined();
});

it("refuses texts that no row holds", () => {
  const set = causalSet([{ ids: [1, 2, 3], learnt: [true, true, true] }]);
  expect(() => new CausalExamples(set, { padId: 0, maxLength: 2 })).toThrow("text 0 has 3 tokens, and rows have 2");
});

it("sums of gradients are those of the whole: a part that is cut off weighs by what it counts", async () => {
  const device = await init({ device: "reference" });
  const base = await causalBase("LlamaForCausalLM", POSITIONS, device);
  const given = [9, 3, 14, 2].map((length, t): ToyText => ({
    ids: Array.from({ length }, (_, i) => (3 * i + t) % VOCAB),
    learnt: Array.from({ length }, (_, i) => t !== 2 || i > 11),
  }));
  const one = await sums(base, given, 4, { padId: 0, maxLength: POSITIONS });
  const parts = await sums(base, given, 1, { padId: 0, maxLength: POSITIONS });
  compare(one, parts, 1e-9);
  device.close();
});
