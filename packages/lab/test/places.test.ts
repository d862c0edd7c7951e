/** Words for the halves of layers, on every family, as the prediction tells them and as an adapter takes them. */
import { metaModel } from "@lowrank/models";
import { attach } from "@lowrank/peft";
import { describe, expect, it } from "vitest";
import { shapeOf } from "../src/bases/shape.ts";
import type { LoraMethod } from "../src/methods/lora.ts";
import { placed } from "../src/methods/places.ts";
import { methods } from "../src/methods/registry.ts";

const SMALL = { num_hidden_layers: 2, hidden_size: 8, num_attention_heads: 2, intermediate_size: 16, vocab_size: 16 };

/** Ends of the paths of each half's modules in a layer, written down by hand. */
const HALVES = [
  [
    "BertForSequenceClassification",
    { model_type: "bert", ...SMALL },
    ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"],
    ["intermediate.dense", "output.dense"],
  ],
  [
    "GPT2LMHeadModel",
    { model_type: "gpt2", n_layer: 2, n_embd: 8, n_head: 2, vocab_size: 16, n_positions: 16 },
    ["attn.c_attn", "attn.c_proj"],
    ["mlp.c_fc", "mlp.c_proj"],
  ],
  [
    "LlamaForCausalLM",
    { model_type: "llama", ...SMALL },
    ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"],
    ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"],
  ],
  [
    "DistilBertForSequenceClassification",
    { model_type: "distilbert", dim: 8, n_layers: 2, n_heads: 2, hidden_dim: 16, vocab_size: 16 },
    ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"],
    ["ffn.lin1", "ffn.lin2"],
  ],
] as const;

const lora = (target: LoraMethod["target"]): LoraMethod =>
  methods.get("lora").schema({ head: [] }).parse({ method: "lora", r: 2, target }) as never;

describe.each(HALVES)("places of %s", (architecture, config, attention, feedForward) => {
  const kind = architecture.endsWith("SequenceClassification") ? "SEQ_CLS" : "CAUSAL_LM";
  const shape = shapeOf(metaModel(architecture, config), kind);
  const predicted = (target: LoraMethod["target"]): string[] =>
    methods
      .get("lora")
      .predict(shape, lora(target))
      .modules.map(({ module }) => module);

  it.each([
    ["attention", attention],
    ["feed-forward", feedForward],
    ["all", [...attention, ...feedForward]],
  ] as const)("%s", (word, ends) => {
    const found = predicted(word);
    // nothing outside of layers, whose number is in their modules' paths
    expect(found.every((path) => /\.\d+\./.test(path))).toBe(true);
    expect(new Set(found.map((path) => path.replace(/^.*\.\d+\./, "")))).toEqual(new Set(ends));
    expect(found).toHaveLength(2 * ends.length);
    const model = metaModel(architecture, config);
    const { table } = attach(model, { r: 2, targetModules: placed(word, model.family.parts) as string });
    expect(table.map(({ module }) => module)).toEqual(found);
  });
});

describe("a place that means two things is refused", () => {
  const shape = shapeOf(metaModel(HALVES[0][0], HALVES[0][1]), "SEQ_CLS");
  const predict = (changed: Partial<typeof shape>, target = "attention"): unknown =>
    methods.get("lora").predict({ ...shape, ...changed }, lora(target));

  it("as a module's own name, and as a module in both halves", () => {
    const own = { path: "bert.encoder.layer.0.attention", in: 8, out: 8, values: 72 };
    expect(() => predict({ linears: [...shape.linears, own] })).toThrow(
      `"target" "attention" is a part of every layer of BertForSequenceClassification, and the name of ${own.path}; say ["attention"] for the module, or an expression`,
    );
    expect(() => predict({ parts: { attention: ["query"], ffn: ["query", "intermediate.dense"] } })).toThrow(
      `"target" "attention": bert.encoder.layer.0.attention.self.query of BertForSequenceClassification is in attention and in the feed-forward part`,
    );
  });

  it("and a list is of names, whatever it says", () => {
    expect(() => methods.get("lora").predict(shape, lora(["attention"]))).toThrow(
      `"target" "attention" matches no module`,
    );
  });
});
