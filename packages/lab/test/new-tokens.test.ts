/** Words of one's own, from the tokenizer to the adapter's folder: what is kept there is all that the base lacks. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  directory,
  fromPretrained,
  loadTokenizer,
  resizeTokenEmbeddings,
  saveTokenizer,
  type NewToken,
  type PretrainedModel,
} from "@lowrank/models";
import { adapt, loadAdapter, saveAdapter } from "@lowrank/peft";
import { init, RandomStream, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TOY_CAUSAL, toyCheckpoint } from "./toy-checkpoint.ts";
import { toyFolder } from "./row-study.ts";

const data = toyFolder();
const out = mkdtempSync(join(tmpdir(), "lowrank-tokens-"));
let device: Device;
let base: string;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  base = await toyCheckpoint(data, device, ["GPT2LMHeadModel", { ...TOY_CAUSAL, tie_word_embeddings: false }]);
}, 60_000);
afterAll(() => {
  device.close();
  for (const folder of [data, base, out]) rmSync(folder, { recursive: true, force: true });
});

const TOKENS: readonly NewToken[] = [
  { content: "<|user|>", special: true },
  { content: "<|end|>", special: true, lstrip: true },
];
const load = async (words?: number): Promise<PretrainedModel> => {
  const { model } = await fromPretrained(base, { device, task: "CAUSAL_LM" });
  return (words === undefined ? model : await resizeTokenEmbeddings(model, words)).eval() as PretrainedModel;
};
const logits = async (model: PretrainedModel, ids: readonly number[]): Promise<ArrayLike<number>> => {
  const inputIds = device.tensor(Int32Array.from(ids), [1, ids.length], "i32");
  return (model.forward({ inputIds }) as { logits: { floats(): Promise<ArrayLike<number>> } }).logits.floats();
};

describe("new tokens", () => {
  it.each([
    ["whose rows alone are trained", (ids: number[]) => ({ trainableTokenIndices: ids })],
    ["with tables that are trained whole", () => ({ modulesToSave: ["wte", "lm_head"] })],
    ["with tables that are only taken along", () => ({})],
  ])("come back with the adapter: %s", async (title, parts) => {
    const folder = join(out, title.replaceAll(" ", "-"));
    const tokenizer = await saveTokenizer(base, directory(folder), { tokens: TOKENS });
    const words = TOKENS.map(({ content }) => tokenizer.idOf(content)!);
    const count = Math.max(...words) + 1;
    const model = await load(count);
    const adapter = await adapt(
      model,
      { r: 2, targetModules: "all-linear", taskType: "CAUSAL_LM", ...parts(words) },
      { device },
    );
    const random = new RandomStream(3, "rows");
    for (const weight of model.trainableWeights()) {
      const values = new Float64Array(weight.size);
      random.fillNormal(values, 0, 0.2);
      weight.parameter.write(Float32Array.from(values));
    }
    await saveAdapter(adapter, directory(folder), { baseModel: base });
    const ids = [...tokenizer.encode("<|user|> a fine film <|end|>", { specialTokens: false }).ids];
    expect(ids.filter((id) => words.includes(id))).toEqual(words);
    const want = await logits(model, ids);

    const again = await loadTokenizer(folder);
    expect([...again.encode("<|user|> a fine film <|end|>", { specialTokens: false }).ids]).toEqual(ids);
    expect(again.decode(ids)).toBe(tokenizer.decode(ids));
    expect(again.vocabSize).toBe(tokenizer.vocabSize);
    const other = await load(count);
    const loaded = await loadAdapter(other, directory(folder), { device });
    expect(await logits(other, ids)).toEqual(want);
    // the rows of the base, which were drawn, too
    const second = join(out, `${title.replaceAll(" ", "-")}-2`);
    await saveAdapter(loaded, directory(second));
    const bytes = (where: string): Buffer => readFileSync(join(where, "adapter_model.safetensors"));
    expect(bytes(second).equals(bytes(folder))).toBe(true);
  });

  it("need a base that has rows for them", async () => {
    const folder = join(out, "whose-rows-alone-are-trained");
    await expect(loadAdapter(await load(), directory(folder), { device })).rejects.toThrow(
      /there is no token \d+ in .*; resize the model's vocabulary first \(resizeTokenEmbeddings\)/,
    );
  });
});
