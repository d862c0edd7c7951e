/** What every architecture does: checkpoints in and out, recomputation, sizes, and which class a config.json means. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { Rngs, gradientCheckpointing } from "@lowrank/nn";
import {
  fromBytes,
  grad,
  init,
  SafetensorsFile,
  serialize,
  type Device,
  type StoredTensor,
  type Tensor,
} from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  architectureFor,
  architectures,
  fromPretrained,
  GPT2LMHeadModel,
  metaModel,
  savePretrained,
  BertForSequenceClassification,
  type PretrainedModel,
} from "../src/index.ts";
import { SMALL, type Sizes } from "./small-models.ts";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-architectures-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

const sizes: fc.Arbitrary<Sizes> = fc.record({
  vocab: fc.integer({ min: 8, max: 23 }),
  heads: fc.integer({ min: 1, max: 3 }),
  width: fc.constantFrom(2, 4, 6),
  layers: fc.integer({ min: 1, max: 3 }),
  positions: fc.integer({ min: 5, max: 9 }),
});
const seeds = fc.integer({ min: 0, max: 2 ** 31 });

async function drawn(name: string, s: Sizes, seed: number): Promise<PretrainedModel> {
  const model = metaModel(name, { ...SMALL[name]!(s), extra_key: "kept" });
  await model.materialize({ device, seed });
  return model;
}

/** Two texts of four tokens, none of them padding, with labels of the right kind. */
function batch(model: PretrainedModel): Parameters<PretrainedModel["forward"]>[0] {
  const ids = [2, 3, 4, 5, 6, 2, 7, 3];
  const text = device.tensor(ids, [2, 4], "i32");
  const each = device.tensor([0, 1], [2], "i32");
  const perToken = "lm_head" in model || model.architecture.endsWith("ForMaskedLM");
  const inputs = {
    inputIds: text,
    attentionMask: device.tensor(Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 0), [2, 4], "bool"),
  };
  if ("qa_outputs" in model)
    return { ...inputs, startPositions: each, endPositions: each } as Parameters<PretrainedModel["forward"]>[0];
  const labels = perToken
    ? text
    : model.constructor.name.endsWith("ForTokenClassification")
      ? device.tensor([0, 1, 1, 0, 1, 0, 0, 1], [2, 4], "i32")
      : each;
  return { ...inputs, labels } as unknown as Parameters<PretrainedModel["forward"]>[0];
}

async function lossAndGradients(model: PretrainedModel): Promise<Float32Array[]> {
  model.train(new Rngs(device, 5));
  const { loss } = model.forward(batch(model)) as { loss: Tensor };
  const all = [
    loss,
    ...grad(
      loss,
      model.trainableWeights().map((w) => w.parameter),
    ),
  ];
  model.eval();
  await device.realize(...all);
  const out: Float32Array[] = [];
  for (const x of all) out.push(Float32Array.from(await x.floats()));
  return out;
}

it("has a small configuration of every architecture", () => {
  expect(Object.keys(SMALL).sort()).toEqual(Object.keys(architectures).sort());
});

describe.each(Object.keys(SMALL))("%s", (name) => {
  test.prop([sizes, seeds], { numRuns: 5 })("comes back from its files bit for bit", async (s, seed) => {
    const model = await drawn(name, s, seed);
    const [one, two] = [join(folder, `${name}-1`), join(folder, `${name}-2`)];
    await savePretrained(model, one);
    const { model: again, report } = await fromPretrained(one, architectures[name]!, { device, seed: seed + 1 });
    expect(report).toEqual({ fresh: [], unused: [], forms: new Map() });
    const [a, b] = [
      await model.forward(batch(model)).lastHiddenState.data(),
      await again.forward(batch(again)).lastHiddenState.data(),
    ];
    expect(b).toEqual(a);
    await savePretrained(again, two);
    for (const file of ["model.safetensors", "config.json"])
      expect(readFileSync(join(two, file)).equals(readFileSync(join(one, file))), file).toBe(true);
    const config = JSON.parse(readFileSync(join(two, "config.json"), "utf8")) as Record<string, unknown>;
    expect(config).toMatchObject({
      extra_key: "kept",
      architectures: [name],
      model_type: SMALL[name]!(s)["model_type"],
    });
    expect(architectureFor(config)).toBe(name);
    model.dispose();
    again.dispose();
  });

  it("is read without the base's prefix and without a head", async () => {
    const model = await drawn(name, { vocab: 9, heads: 2, width: 4, layers: 2, positions: 6 }, 3);
    const path = join(folder, `${name}-bare`);
    await savePretrained(model, path);
    const file = await SafetensorsFile.open(fromBytes(readFileSync(join(path, "model.safetensors"))));
    const tensors = new Map<string, StoredTensor>();
    const head: string[] = [];
    for (const n of file.names)
      if (n.startsWith(model.basePrefix)) tensors.set(n.slice(model.basePrefix.length), await file.read(n));
      else head.push(n);
    writeFileSync(join(path, "model.safetensors"), serialize(tensors));
    const { model: again, report } = await fromPretrained(path, architectures[name]!, { device });
    expect({ fresh: [...report.fresh].sort(), unused: report.unused }).toEqual({ fresh: head.sort(), unused: [] });
    expect(await again.forward(batch(again)).lastHiddenState.data()).toEqual(
      await model.forward(batch(model)).lastHiddenState.data(),
    );
    model.dispose();
    again.dispose();
  });

  it("has the same loss and gradients when blocks are computed again, dropout included", async () => {
    const model = await drawn(name, { vocab: 9, heads: 2, width: 4, layers: 2, positions: 6 }, 4);
    const kept = await lossAndGradients(model);
    gradientCheckpointing(model);
    // the same kernels' arithmetic on the same numbers; fusion may differ, which moves a result by a few roundings
    (await lossAndGradients(model)).forEach((g, i) => {
      const scale = kept[i]!.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      expect(g.every((v, j) => Math.abs(v - kept[i]![j]!) <= 1e-6 + 1e-5 * scale)).toBe(true);
    });
    model.dispose();
  });
});

describe("sizes", () => {
  // transformers' own counts, num_parameters() of each class on its published config
  it.each([
    ["GPT2LMHeadModel", {}, 124_439_808],
    ["GPT2ForSequenceClassification", {}, 124_441_344],
    ["DistilBertForSequenceClassification", {}, 66_955_010],
    ["DistilBertForMaskedLM", {}, 66_985_530],
    ["DistilBertForQuestionAnswering", {}, 66_364_418],
    [
      "DebertaV2ForSequenceClassification",
      {
        hidden_size: 768,
        num_attention_heads: 12,
        num_hidden_layers: 12,
        intermediate_size: 3072,
        position_buckets: 256,
        relative_attention: true,
        norm_rel_ebd: "layer_norm",
        share_att_key: true,
        position_biased_input: false,
        pos_att_type: "p2c|c2p",
        pooler_hidden_size: 768,
      },
      184_423_682,
    ],
    ["RobertaForMaskedLM", { max_position_embeddings: 514, type_vocab_size: 1 }, 124_697_433],
    ["RobertaForSequenceClassification", { max_position_embeddings: 514, type_vocab_size: 1 }, 124_647_170],
    ["LlamaForCausalLM", {}, 6_738_415_616],
    ["MistralForCausalLM", {}, 7_241_732_096],
    [
      "Qwen2ForCausalLM",
      {
        hidden_size: 896,
        num_attention_heads: 14,
        num_key_value_heads: 2,
        num_hidden_layers: 24,
        intermediate_size: 4864,
        tie_word_embeddings: true,
      },
      494_032_768,
    ],
    [
      "Qwen3ForCausalLM",
      {
        hidden_size: 1024,
        num_attention_heads: 16,
        num_key_value_heads: 8,
        num_hidden_layers: 28,
        intermediate_size: 3072,
        tie_word_embeddings: true,
      },
      596_049_920,
    ],
    [
      "Gemma3ForCausalLM",
      {
        vocab_size: 262144,
        hidden_size: 640,
        intermediate_size: 2048,
        num_hidden_layers: 18,
        num_attention_heads: 4,
        num_key_value_heads: 1,
      },
      268_098_176,
    ],
    [
      "LlamaForCausalLM",
      {
        vocab_size: 128256,
        hidden_size: 2048,
        intermediate_size: 8192,
        num_hidden_layers: 16,
        num_key_value_heads: 8,
        head_dim: 64,
        tie_word_embeddings: true,
      },
      1_235_814_400,
    ],
  ])("of %s %j", (name, config, count) => {
    expect(
      metaModel(name, config)
        .weights()
        .reduce((n, w) => n + w.size, 0),
    ).toBe(count);
  });
});

describe("a tied output layer", () => {
  const s: Sizes = { vocab: 11, heads: 2, width: 4, layers: 1, positions: 6 };

  it("is one weight, which may stand in the file under either name or under both", async () => {
    const model = await drawn("GPT2LMHeadModel", s, 1);
    expect([...model.namedWeights()].filter(([n]) => /wte|lm_head/.test(n)).map(([n]) => n)).toEqual([
      "transformer.wte.weight",
    ]);
    expect([...model.namedModules()].map(([n]) => n)).toContain("lm_head");
    const path = join(folder, "tied");
    await savePretrained(model, path);
    const file = await SafetensorsFile.open(fromBytes(readFileSync(join(path, "model.safetensors"))));
    const tensors = new Map<string, StoredTensor>();
    for (const n of file.names) tensors.set(n, await file.read(n));
    const table = tensors.get("transformer.wte.weight")!;
    const want = await model.forward(batch(model)).lastHiddenState.data();
    for (const names of [["lm_head.weight"], ["lm_head.weight", "transformer.wte.weight"]]) {
      tensors.delete("transformer.wte.weight");
      for (const n of names) tensors.set(n, table);
      // causal masks that old checkpoints carry
      tensors.set("transformer.h.0.attn.bias", { dtype: "u8", shape: [1, 1, 6, 6], data: new Uint8Array(36) });
      writeFileSync(join(path, "model.safetensors"), serialize(tensors));
      const { model: again, report } = await fromPretrained(path, GPT2LMHeadModel, { device });
      expect(report).toEqual({ fresh: [], unused: [], forms: new Map() });
      expect(
        await again
          .forward({
            inputIds: device.tensor([2, 3, 4, 5, 6, 2, 7, 3], [2, 4], "i32"),
            attentionMask: device.tensor(Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 0), [2, 4], "bool"),
          })
          .lastHiddenState.data(),
      ).toEqual(want);
    }
  });

  it("is a layer of its own where the config says so", () => {
    const model = metaModel("GPT2LMHeadModel", { ...SMALL["GPT2LMHeadModel"]!(s), tie_word_embeddings: false });
    expect([...model.namedWeights()].map(([n]) => n)).toContain("lm_head.weight");
  });
});

describe("config.json", () => {
  it.each([
    [{ model_type: "bert" }, undefined, "BertForSequenceClassification"],
    [{ architectures: ["BertForPreTraining"], model_type: "bert" }, "TOKEN_CLS", "BertForTokenClassification"],
    [{ architectures: ["BertForMaskedLM"], model_type: "bert" }, undefined, "BertForMaskedLM"],
    [{ architectures: ["GPT2LMHeadModel"] }, undefined, "GPT2LMHeadModel"],
    [{ architectures: ["GPT2LMHeadModel"] }, "SEQ_CLS", "GPT2ForSequenceClassification"],
    [{ model_type: "gpt2" }, "CAUSAL_LM", "GPT2LMHeadModel"],
    [{ architectures: ["GPT2Model"], model_type: "gpt2" }, undefined, "GPT2Model"],
    [{ architectures: ["GPT2Model"], model_type: "gpt2" }, "CAUSAL_LM", "GPT2LMHeadModel"],
    [{ architectures: ["BertForSequenceClassification"], model_type: "bert" }, "FEATURE_EXTRACTION", "BertModel"],
    [
      { architectures: ["RobertaForSequenceClassification"], model_type: "roberta" },
      "TOKEN_CLS",
      "RobertaForTokenClassification",
    ],
    [{ architectures: ["RobertaModel"], model_type: "roberta" }, "SEQ_CLS", "RobertaForSequenceClassification"],
    [{ model_type: "distilbert" }, undefined, "DistilBertForSequenceClassification"],
    [{ model_type: "llama" }, undefined, "LlamaForCausalLM"],
  ])("%j for task %s means %s", (config, task, name) => {
    expect(architectureFor(config, task)).toBe(name);
  });

  it("names what it may not say", async () => {
    expect(() => architectureFor({ model_type: "t5" })).toThrow(
      /model_type "t5" is not built; there are bert, deberta-v2, distilbert/,
    );
    expect(() => architectureFor({ model_type: "gpt2", architectures: ["GPT2DoubleHeads"] })).toThrow(
      /"GPT2DoubleHeads" is not built/,
    );
    expect(() => metaModel("GPT2LMHeadModel", { n_embd: 10, n_head: 3 })).toThrow(
      /n_embd 10 is not a multiple of n_head 3/,
    );
    expect(() => metaModel("GPT2LMHeadModel", { add_cross_attention: true })).toThrow(
      /add_cross_attention true is not built; only false is/,
    );
    expect(() => metaModel("DistilBertForSequenceClassification", { sinusoidal_pos_embds: true })).toThrow(
      /sinusoidal_pos_embds true is not built/,
    );
    expect(() => metaModel("LlamaForCausalLM", { num_attention_heads: 32, num_key_value_heads: 5 })).toThrow(
      /num_attention_heads 32 is not a multiple of num_key_value_heads 5/,
    );
    expect(() => metaModel("GPT2LMHeadModel", { tie_word_embeddings: "yes" })).toThrow(
      /"tie_word_embeddings" must be true or false, got "yes"/,
    );
  });

  it("of another family is refused", async () => {
    const path = join(folder, "family");
    await savePretrained(
      await drawn("GPT2LMHeadModel", { vocab: 11, heads: 2, width: 4, layers: 1, positions: 6 }, 1),
      path,
    );
    await expect(fromPretrained(path, BertForSequenceClassification, { device })).rejects.toThrow(
      /config.json says model_type "gpt2", and BertForSequenceClassification is a "bert"/,
    );
  });
});
