/** Rows of a table that train while the rest stays: on models with tied and untied heads, in every storage, merged, saved and read back. */
import { fc, test } from "@fast-check/vitest";
import { metaModel, type ConfigSource, type PretrainedModel } from "@lowrank/models";
import { adapt, loadAdapter, saveAdapter, type Adapter, type AdapterOptions } from "@lowrank/peft";
import { planQuantization } from "@lowrank/quant";
import { grad, init, RandomStream, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MemoryFiles } from "../../peft/test/memory-files.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

const SIZES: ConfigSource = {
  vocab_size: 19,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 12,
  max_position_embeddings: 16,
  initializer_range: 0.3,
  pad_token_id: 0,
};
const LLAMA = { name: "LlamaForCausalLM", type: "llama", table: "model.embed_tokens", target: "q_proj" } as const;
const CASES = {
  "llama, tied": { ...LLAMA, config: { tie_word_embeddings: true }, head: "lm_head" },
  "llama, untied": { ...LLAMA, config: { tie_word_embeddings: false }, head: undefined },
  "gemma, tied, scaled": {
    name: "Gemma3ForCausalLM",
    type: "gemma3_text",
    table: "model.embed_tokens",
    target: "q_proj",
    config: { head_dim: 6 },
    head: "lm_head",
  },
  "distilbert, tied, with a bias": {
    name: "DistilBertForMaskedLM",
    type: "distilbert",
    target: "q_lin",
    table: "distilbert.embeddings.word_embeddings",
    config: { dim: 8, n_layers: 1, n_heads: 2, hidden_dim: 12 },
    head: "vocab_projector",
  },
  "bert, a class": {
    name: "BertForSequenceClassification",
    type: "bert",
    target: "query",
    table: "bert.embeddings.word_embeddings",
    config: {},
    head: undefined,
  },
} as const;
type Case = (typeof CASES)[keyof typeof CASES];
const STORAGES = ["f32", "f16", "nf4"] as const;

async function made({ name, type, config, table }: Case, storage: (typeof STORAGES)[number]): Promise<PretrainedModel> {
  const model = metaModel(name, { model_type: type, ...SIZES, ...config });
  const kept = storage === "nf4" ? planQuantization(model, { embeddings: "nf4" }).storage : undefined;
  const own = weightOf(model, table);
  await model.materialize({
    device,
    seed: 1,
    storage: (n, w) => (w === own ? (kept?.(n, w) ?? (storage === "f16" ? "f16" : undefined)) : undefined),
  });
  for (const [n, weight] of model.namedWeights())
    if (n.endsWith("bias")) weight.parameter.write(Float32Array.from(drawn(weight.size, 3)));
  model.eval();
  return model;
}
const weightOf = (model: PretrainedModel, path: string) =>
  (model.getModule(path) as unknown as { weight: ReturnType<PretrainedModel["weights"]>[number] }).weight;
function drawn(count: number, seed: number): Float64Array {
  const out = new Float64Array(count);
  new RandomStream(seed, "tokens").fillNormal(out, 0, 0.3);
  return out;
}
const outputs = (model: PretrainedModel): { logits: Tensor; loss: Tensor } => {
  const inputIds = device.tensor([2, 5, 7, 9, 3, 4, 8, 2, 0, 0], [2, 5], "i32");
  const attentionMask = device.tensor(Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1, 0, 0), [2, 5], "bool");
  const labels = model.architecture.includes("Sequence")
    ? device.tensor([0, 1], [2], "i32")
    : device.tensor([2, 5, 7, 9, 3, 4, 8, 2, -100, -100], [2, 5], "i32");
  return model.forward({ inputIds, attentionMask, labels } as never) as never;
};
const logits = async (model: PretrainedModel): Promise<Float64Array> =>
  (await outputs(model).logits.floats()) as Float64Array;

/** The same model with numbers for a table, in which these rows stand. */
async function replaced(one: Case, storage: (typeof STORAGES)[number], rows: ReadonlyMap<number, readonly number[]>) {
  const [model, from] = [await made(one, "f32"), weightOf(await made(one, storage), one.table)];
  const values = Float32Array.from(await from.value.floats());
  for (const [word, row] of rows) values.set(row, word * row.length);
  weightOf(model, one.table).parameter.write(values);
  return model;
}

/** Rows of an adapter, which are given numbers. */
async function stir(adapter: Adapter, { table }: Case, seed: number): Promise<Map<number, number[]>> {
  const { rows, indices } = adapter.tokens.get(table)!.update;
  const values = Float32Array.from(drawn(rows.size, seed));
  rows.parameter.write(values);
  return new Map(indices.map((word, i) => [word, Array.from(values.subarray(i * 8, (i + 1) * 8))]));
}
const words = fc.uniqueArray(fc.integer({ min: 0, max: 18 }), { minLength: 1, maxLength: 5 });
const options = ({ target }: Case, more: Partial<AdapterOptions>): AdapterOptions =>
  ({ targetModules: [target], r: 2, alpha: 2, ...more }) as AdapterOptions;

describe.each(Object.keys(CASES) as (keyof typeof CASES)[])("rows of %s", (key) => {
  const one: Case = CASES[key];

  test.prop([words, fc.constantFrom(...STORAGES), fc.boolean()], { numRuns: 6 })(
    "begin as they are, then count as if they stood in the table, merged or not, saved or not",
    async (tokens, storage, byName) => {
      const name = one.table.split(".").at(-1)!;
      const config = options(one, { trainableTokenIndices: byName ? { [name]: tokens } : tokens });
      const model = await made(one, storage);
      const [before, kinds] = [await logits(model), [...model.namedModules()].map(([, m]) => m.constructor.name)];
      const counted = model.weights().reduce((sum, { size }) => sum + size, 0);
      const adapter = await adapt(model, config, { device });
      (await logits(model)).forEach((v, i) => expect(Math.abs(v - before[i]!)).toBeLessThan(2e-5));
      const lowRank = adapter.table.reduce((sum, { parameters }) => sum + parameters, 0);
      expect(adapter.report()).toMatchObject({
        trainable: lowRank + 8 * tokens.length,
        total: counted + lowRank + 8 * tokens.length,
      });
      const rows = await stir(adapter, one, 4);
      const want = await logits(await replaced(one, storage, rows));
      const got = await logits(model);
      // an f32 sum of eight products, wherever it is computed
      got.forEach((v, i) => expect(Math.abs(v - want[i]!)).toBeLessThan(2e-5));
      expect(await adapter.disabled(() => logits(model))).toEqual(before);

      const [files, again] = [new MemoryFiles(), new MemoryFiles()];
      await saveAdapter(adapter, files);
      expect(JSON.parse(await files.text("adapter_config.json"))).toMatchObject({
        trainable_token_indices: byName ? { [name]: tokens } : tokens,
      });
      const other = await made(one, storage);
      const loaded = await loadAdapter(other, files, { device });
      expect(loaded.warnings).toEqual([]);
      expect(await logits(other)).toEqual(got);
      await saveAdapter(loaded, again);
      expect([...again.content]).toEqual([...files.content]);

      await adapter.merge(storage === "nf4" ? { into: "dequantized" } : {});
      const tolerance = storage === "f16" ? 5e-3 : 2e-5;
      (await logits(model)).forEach((v, i) => expect(Math.abs(v - want[i]!)).toBeLessThan(tolerance));
      if (storage !== "nf4") {
        adapter.unmerge();
        expect(await logits(model)).toEqual(got);
        await adapter.delete();
        expect(await logits(model)).toEqual(before);
      } else await adapter.mergeAndUnload({ into: "dequantized" });
      expect([...model.namedModules()].map(([, m]) => m.constructor.name)).toEqual(kinds);
    },
  );

  it("have the gradients that rows of the table would have, and nothing else of it has any", async () => {
    const tokens = [5, 2, 17];
    const model = await made(one, "f32");
    const adapter = await adapt(model, options(one, { trainableTokenIndices: tokens }), { device });
    const rows = await stir(adapter, one, 4);
    const update = adapter.tokens.get(one.table)!.update.rows;
    const trained = model.trainableWeights().map(({ shape }) => shape.join());
    expect(trained.sort()).toEqual(
      [...adapter.updates.values()]
        .flatMap(({ weights }) => weights.map(({ weight }) => weight.shape.join()))
        .concat("3,8")
        .sort(),
    );
    const [got] = grad(outputs(model).loss, [update.parameter]);
    const whole = await replaced(one, "f32", rows);
    const [all] = grad(outputs(whole).loss, [weightOf(whole, one.table).parameter]);
    const [mine, table] = [await got!.floats(), await all!.floats()];
    tokens.forEach((word, i) => {
      for (let c = 0; c < 8; c++) expect(Math.abs(mine[i * 8 + c]! - table[word * 8 + c]!)).toBeLessThan(1e-5);
    });
  });
});

describe("rows that cannot be trained so", () => {
  it.each<[string, Case, AdapterOptions, RegExp]>([
    [
      "beyond the table",
      CASES["llama, tied"],
      { trainableTokenIndices: [3, 19] },
      /no token 19 in model.embed_tokens, which has 19 rows; resize/,
    ],
    ["named twice", CASES["llama, tied"], { trainableTokenIndices: [3, 3] }, /names 3 twice/],
    ["none", CASES["llama, tied"], { trainableTokenIndices: [] }, /holds no index/],
    [
      "of no module",
      CASES["llama, tied"],
      { trainableTokenIndices: { wte: [1] } },
      /trainable_token_indices "wte" matches nothing/,
    ],
    [
      "of a target",
      CASES["llama, untied"],
      { trainableTokenIndices: [1], targetModules: ["embed_tokens"] },
      /is a target module too/,
    ],
    [
      "of what is saved whole",
      CASES["llama, untied"],
      { trainableTokenIndices: [1], modulesToSave: ["embed_tokens"] },
      /modules_to_save takes whole/,
    ],
    [
      "of others than the tied head's",
      CASES["llama, tied"],
      { trainableTokenIndices: { embed_tokens: [1], lm_head: [2] } },
      /other tokens are named for it/,
    ],
  ])("%s", async (_, one, config, message) => {
    const model = await made(one, "f32");
    await expect(adapt(model, options(one, config), { device })).rejects.toThrow(message);
  });
  it("where the head cannot follow", async () => {
    const model = metaModel("BertForMaskedLM", { model_type: "bert", ...SIZES, tie_word_embeddings: true });
    await model.materialize({ device });
    await expect(adapt(model, { targetModules: ["query"], trainableTokenIndices: [1] }, { device })).rejects.toThrow(
      "would not follow in this model",
    );
  });
  it("but the head's own, and the same of both where they are tied", async () => {
    const untied = await made(CASES["llama, untied"], "f32");
    const own = await adapt(
      untied,
      options(LLAMA as never, { trainableTokenIndices: { lm_head: [4], embed_tokens: [7] } }),
      { device },
    );
    expect(new Set(own.tokens.keys())).toEqual(new Set(["lm_head", "model.embed_tokens"]));
    const before = await logits(untied);
    own.tokens.get("lm_head")!.update.rows.parameter.write(new Float32Array(8));
    (await logits(untied)).forEach((v, i) => expect(v).toBe(i % 19 === 4 ? 0 : before[i]));
    const tied = await made(CASES["llama, tied"], "f32");
    const both = await adapt(
      tied,
      options(LLAMA as never, { trainableTokenIndices: { lm_head: [4], embed_tokens: [4] } }),
      { device },
    );
    expect([...both.tokens.keys()]).toEqual(["model.embed_tokens"]);
  });
});
