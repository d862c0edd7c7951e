/** A text that goes on from the one before: what both begin with is kept, and the scores are those of the whole text. */
import { fc, test } from "@fast-check/vitest";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { causalModel, CachedSteps } from "../src/generation/steps.ts";
import { metaModel, TextGenerator, type PretrainedModel } from "../src/index.ts";
import { byteTokenizer } from "./byte-tokenizer.ts";
import { SMALL, type Sizes } from "./small-models.ts";

const SIZES: Sizes = { vocab: 257, heads: 2, width: 4, layers: 2, positions: 96 };

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

async function modelOf(name: string): Promise<PretrainedModel> {
  const model = metaModel(name, SMALL[name]!(SIZES));
  await model.materialize({ device, seed: 7 });
  return model;
}

const NAMES = ["GPT2LMHeadModel", "LlamaForCausalLM", "MistralForCausalLM", "Qwen3ForCausalLM", "Gemma3ForCausalLM"];

describe.each(NAMES)("%s", (name) => {
  let kept: CachedSteps;
  let whole: CachedSteps;
  beforeAll(async () => {
    const model = causalModel("test", await modelOf(name));
    [kept, whole] = [new CachedSteps(model), new CachedSteps(model)];
    // what is shorter than a bucket is computed whole
    await kept.begin([[1]], 96);
  });

  const ids = (min: number, max: number): fc.Arbitrary<number[]> =>
    fc.array(fc.nat(256), { minLength: min, maxLength: max });
  test.prop([ids(1, 40), ids(0, 6), fc.nat(50), ids(1, 40)], { numRuns: 25 })(
    "scores what follows as if nothing had been kept",
    async (text, written, common, more) => {
      await kept.begin([text], 96, true);
      for (const id of written) await kept.next([id]);
      // as far as a conversation's next prompt has what was there, and then something else
      const next = [...[...text, ...written].slice(0, common), ...more];
      const near = async (a: ArrayLike<number>, b: ArrayLike<number>): Promise<void> => {
        const most = Array.from(b).reduce((m, x) => Math.max(m, Math.abs(x)), 1);
        Array.from(b).forEach((x, i) => expect(Math.abs(a[i]! - x)).toBeLessThan(1e-4 * most));
      };
      await near((await kept.begin([next], 96, true)).slice(), await whole.begin([next], 96));
      // and so does what comes after that
      await near((await kept.next([more[0]!])).slice(), await whole.next([more[0]!]));
    },
  );
});

describe("a generator", () => {
  it("computes the new tokens alone", async () => {
    const generator = new TextGenerator(await modelOf("LlamaForCausalLM"), byteTokenizer());
    const turn = "a question that is rather long. ";
    const first = await generator.text(turn, { maxNewTokens: 4 }).result();
    const said = [...byteTokenizer().encode(turn).ids, ...first.tokens];
    // a plan for the prompt, one for tokens
    expect(generator.plans).toBe(2);
    const again = [...said, ...byteTokenizer().encode("go on", { specialTokens: false }).ids];
    const kept = await generator.text(again, { maxNewTokens: 4, continues: true }).result();
    // of 16 tokens and not of 64
    expect(generator.plans).toBe(3);
    const fresh = await new TextGenerator(await modelOf("LlamaForCausalLM"), byteTokenizer())
      .text(again, { maxNewTokens: 4 })
      .result();
    expect(kept.tokens).toEqual(fresh.tokens);
  });

  it("refuses what would do nothing", async () => {
    const generator = new TextGenerator(await modelOf("LlamaForCausalLM"), byteTokenizer());
    await expect((async () => generator.text("a", { cache: false, continues: true }).result())()).rejects.toThrow(
      'with cache: false nothing is kept that "continues" could go on from',
    );
    await expect(generator.texts(["a", "b"], { continues: true }).result()).rejects.toThrow("there are 2 prompts");
  });
});
