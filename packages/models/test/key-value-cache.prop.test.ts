/** With a cache every step scores the next word as the whole text does, for every family, window, batch and length. */
import { fc, test } from "@fast-check/vitest";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CachedSteps, causalModel, WholeSteps, type CausalModel } from "../src/generation/steps.ts";
import { metaModel } from "../src/index.ts";
import { SMALL, type Sizes } from "./small-models.ts";

const SIZES: Sizes = { vocab: 19, heads: 2, width: 4, layers: 2, positions: 40 };
const CAUSAL = [
  "GPT2LMHeadModel",
  "LlamaForCausalLM",
  "MistralForCausalLM",
  "Qwen2ForCausalLM",
  "Qwen3ForCausalLM",
  "Gemma3ForCausalLM",
] as const;

let exact: Device;
let fast: Device;
beforeAll(async () => {
  exact = await init({ device: "reference" });
  fast = await init({ device: "wasm", threads: 1 });
});
afterAll(() => {
  exact.close();
  fast.close();
});

async function modelOn(device: Device, name: string, change: Record<string, unknown> = {}): Promise<CausalModel> {
  const model = metaModel(name, { ...SMALL[name]!(SIZES), ...change });
  await model.materialize({ device, seed: 7 });
  return causalModel("test", model);
}

const token = fc.integer({ min: 1, max: SIZES.vocab - 1 });
/** Prompts around the least bucket, which is 16, and far longer than the windows, which are 3. */
const batches = fc.integer({ min: 1, max: 3 }).chain((rows) =>
  fc.record({
    prompts: fc.array(fc.array(token, { minLength: 1, maxLength: 20 }), { minLength: rows, maxLength: rows }),
    more: fc.array(fc.array(token, { minLength: rows, maxLength: rows }), { minLength: 1, maxLength: 6 }),
  }),
);

/** Largest difference of scores over all steps. */
async function difference(
  cached: CachedSteps,
  whole: WholeSteps,
  prompts: readonly number[][],
  more: readonly number[][],
): Promise<number> {
  const longest = Math.max(...prompts.map((p) => p.length));
  const off = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
    expect(a.length).toBe(prompts.length * SIZES.vocab);
    return Math.max(...Array.from(a, (v, i) => Math.abs(v - b[i]!)));
  };
  let most = off((await cached.begin(prompts, longest + more.length)) as never, (await whole.begin(prompts)) as never);
  for (const ids of more)
    most = Math.max(most, off((await cached.next(ids)) as never, (await whole.next(ids)) as never));
  return most;
}

describe.each(CAUSAL)("%s", (name) => {
  let steps: { cached: CachedSteps; whole: WholeSteps };
  beforeAll(async () => {
    const model = await modelOn(exact, name);
    steps = { cached: new CachedSteps(model), whole: new WholeSteps(model) };
  });

  test.prop([batches], { numRuns: 8 })("scores what the whole text scores", async ({ prompts, more }) => {
    // f64, sums of the same terms in other groups; scores are below 100
    expect(await difference(steps.cached, steps.whole, prompts, more)).toBeLessThanOrEqual(1e-11);
  });
});

it("in f32, over texts that outgrow windows and tiles of attention", async () => {
  const long = {
    sliding_window: 300,
    max_position_embeddings: 700,
    layer_types: ["full_attention", "sliding_attention"],
  };
  const model = await modelOn(fast, "Gemma3ForCausalLM", long);
  const [cached, whole] = [new CachedSteps(model), new WholeSteps(model)];
  const text = (length: number): number[] => Array.from({ length }, (_, i) => 1 + ((i * i + 3 * i) % 17));
  // 290 grows over the window, 400 begins beyond it; both go through tiles where nothing is kept
  for (const lengths of [[290], [400], [400, 310]]) {
    const prompts = lengths.map(text);
    const more = Array.from({ length: 14 }, (_, i) => prompts.map((_, row) => 1 + ((7 * i + row) % 17)));
    // sums of up to 400 products in another order: some hundred roundings of numbers of a few units
    expect(await difference(cached, whole, prompts, more)).toBeLessThanOrEqual(2e-4);
  }
});

it("makes one plan a bucket and one for all tokens, and keeps the cache while it is long enough", async () => {
  const model = await modelOn(fast, "LlamaForCausalLM");
  const steps = new CachedSteps(model);
  const before = fast.memory().persistent;
  const text = (n: number): number[] => Array.from({ length: n }, (_, i) => 1 + (i % 9));
  for (const [length, tokens, plans] of [
    [3, 12, 2],
    [16, 12, 2],
    [17, 12, 3],
    [5, 30, 3],
  ] as const) {
    await steps.begin([text(length)], length + tokens - 1);
    for (let i = 0; i < tokens - 1; i++) await steps.next([1]);
    expect(steps.plans).toBe(plans);
  }
  // keys and values of 40 positions in two layers with one head of 4, and the scores
  const bytes = 4 * (2 * 2 * 40 * 4 + SIZES.vocab);
  expect(fast.memory().persistent - before).toBeGreaterThanOrEqual(bytes);
  expect(fast.memory().persistent - before).toBeLessThan(bytes + 2048);
  steps.dispose();
});

it("keeps a window's tokens where a layer has a window", async () => {
  const model = await modelOn(fast, "Gemma3ForCausalLM");
  const { layers, positions } = model.base.cacheShape!;
  expect(positions).toBe(SIZES.positions);
  expect(layers.map(({ window }) => window)).toEqual([3, undefined]);
});
