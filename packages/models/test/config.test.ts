/** What a config.json may say: every key of transformers' classes is read, refused by name where it would change the function, or known to be harmless. */
import { fc, test } from "@fast-check/vitest";
import { init, LowrankError, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BERT_TABLE } from "../src/bert/config.ts";
import { DEBERTA_V2_TABLE } from "../src/deberta-v2/config.ts";
import { DISTILBERT_TABLE } from "../src/distilbert/config.ts";
import { GEMMA3_TABLE } from "../src/gemma3/config.ts";
import { GPT2_TABLE } from "../src/gpt2/config.ts";
import {
  architectureFor,
  architectureOf,
  metaModel,
  parseBertConfig,
  parseDebertaV2Config,
  parseDistilBertConfig,
  parseGPT2Config,
  parseGemma3Config,
  parseLlamaConfig,
  parseMistralConfig,
  parseQwen2Config,
  parseQwen3Config,
  parseRobertaConfig,
  type ConfigSource,
} from "../src/index.ts";
import { LLAMA_TABLE } from "../src/llama/config.ts";
import { MISTRAL_TABLE } from "../src/mistral/config.ts";
import { QWEN2_TABLE } from "../src/qwen2/config.ts";
import { QWEN3_TABLE } from "../src/qwen3/config.ts";
import { ROBERTA_TABLE } from "../src/roberta/config.ts";
import { FUNCTIONS, HARMLESS, SHAPES } from "../src/shared/config-table.ts";

/** Keys of `to_dict()` of transformers 5.24's classes, those of PretrainedConfig apart. */
const BASE_KEYS =
  "transformers_version architectures output_hidden_states return_dict dtype chunk_size_feed_forward is_encoder_decoder id2label label2id problem_type _name_or_path model_type output_attentions";
const BERT_KEYS =
  "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act hidden_dropout_prob attention_probs_dropout_prob max_position_embeddings type_vocab_size initializer_range layer_norm_eps pad_token_id use_cache classifier_dropout is_decoder add_cross_attention bos_token_id eos_token_id tie_word_embeddings";
const DECODER_KEYS =
  "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads max_position_embeddings initializer_range rms_norm_eps use_cache pad_token_id bos_token_id eos_token_id tie_word_embeddings rope_parameters attention_dropout";
const FAMILIES = [
  { type: "bert", head: "BertForSequenceClassification", table: BERT_TABLE, parse: parseBertConfig, keys: BERT_KEYS },
  {
    type: "roberta",
    head: "RobertaForSequenceClassification",
    table: ROBERTA_TABLE,
    parse: parseRobertaConfig,
    keys: BERT_KEYS,
  },
  {
    type: "distilbert",
    head: "DistilBertForSequenceClassification",
    table: DISTILBERT_TABLE,
    parse: parseDistilBertConfig,
    keys: "vocab_size max_position_embeddings sinusoidal_pos_embds n_layers n_heads dim hidden_dim dropout attention_dropout activation initializer_range qa_dropout seq_classif_dropout pad_token_id eos_token_id bos_token_id tie_word_embeddings hidden_size num_attention_heads num_hidden_layers",
  },
  {
    type: "gpt2",
    head: "GPT2LMHeadModel",
    table: GPT2_TABLE,
    parse: parseGPT2Config,
    keys: "vocab_size n_positions n_embd n_layer n_head n_inner activation_function resid_pdrop embd_pdrop attn_pdrop layer_norm_epsilon initializer_range summary_type summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout scale_attn_weights use_cache bos_token_id eos_token_id pad_token_id scale_attn_by_inverse_layer_idx reorder_and_upcast_attn add_cross_attention tie_word_embeddings hidden_size max_position_embeddings num_attention_heads num_hidden_layers",
  },
  {
    type: "llama",
    head: "LlamaForCausalLM",
    table: LLAMA_TABLE,
    parse: parseLlamaConfig,
    keys: "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads hidden_act max_position_embeddings initializer_range rms_norm_eps use_cache pad_token_id bos_token_id eos_token_id pretraining_tp tie_word_embeddings rope_parameters attention_bias attention_dropout mlp_bias head_dim",
  },
  {
    type: "deberta-v2",
    head: "DebertaV2ForSequenceClassification",
    table: DEBERTA_V2_TABLE,
    parse: parseDebertaV2Config,
    keys: "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act hidden_dropout_prob attention_probs_dropout_prob max_position_embeddings type_vocab_size initializer_range layer_norm_eps relative_attention max_relative_positions pad_token_id bos_token_id eos_token_id position_biased_input pos_att_type pooler_dropout pooler_hidden_act legacy tie_word_embeddings pooler_hidden_size",
  },
  {
    type: "mistral",
    head: "MistralForCausalLM",
    table: MISTRAL_TABLE,
    parse: parseMistralConfig,
    keys: `${DECODER_KEYS} hidden_act head_dim sliding_window`,
  },
  {
    type: "qwen2",
    head: "Qwen2ForCausalLM",
    table: QWEN2_TABLE,
    parse: parseQwen2Config,
    keys: `${DECODER_KEYS} hidden_act use_sliding_window sliding_window max_window_layers layer_types`,
  },
  {
    type: "qwen3",
    head: "Qwen3ForCausalLM",
    table: QWEN3_TABLE,
    parse: parseQwen3Config,
    keys: `${DECODER_KEYS} hidden_act head_dim attention_bias use_sliding_window sliding_window max_window_layers layer_types`,
  },
  {
    type: "gemma3_text",
    head: "Gemma3ForCausalLM",
    table: GEMMA3_TABLE,
    parse: parseGemma3Config,
    keys: `${DECODER_KEYS} hidden_activation head_dim attention_bias query_pre_attn_scalar sliding_window layer_types final_logit_softcapping attn_logit_softcapping use_bidirectional_attention _sliding_window_pattern`,
  },
] as const;

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

const small: ConfigSource = {
  vocab_size: 9,
  hidden_size: 4,
  dim: 4,
  n_embd: 4,
  num_hidden_layers: 1,
  n_layers: 1,
  n_layer: 1,
  num_attention_heads: 2,
  n_heads: 2,
  n_head: 2,
  num_key_value_heads: 1,
  intermediate_size: 6,
  hidden_dim: 6,
  n_inner: 6,
};
const ids = () => device.tensor(Int32Array.of(3, 4, 5), [1, 3]);

describe.each(FAMILIES)("config.json of $type", ({ head, table, parse, keys }) => {
  it("has every key of transformers' class declared", () => {
    const declared = new Set([
      ...Object.values(table.keys as Record<string, { key: string }>).map((k) => k.key),
      ...Object.keys(table.aliases),
      ...Object.keys({ ...table.shapes, ...SHAPES, ...table.functions, ...FUNCTIONS }),
      ...table.harmless,
      ...HARMLESS,
    ]);
    expect(`${BASE_KEYS} ${keys}`.split(" ").filter((k) => !declared.has(k))).toEqual([]);
  });

  it("is counted, and refuses to compute, where a key that changes the function is not built", () => {
    for (const [name, built] of Object.entries({ ...table.functions, ...FUNCTIONS })) {
      const model = metaModel(head, { ...small, [name]: built === false ? true : "other" });
      expect(model.weights().length).toBeGreaterThan(3);
      expect(() => model.forward({ inputIds: ids() } as never)).toThrow(
        new RegExp(`config\\.json: ${name} .* is not built`),
      );
    }
  });

  it("is refused where a key that changes the weights is not built", () => {
    for (const [name, built] of Object.entries(table.shapes))
      expect(() => metaModel(head, { ...small, [name]: built === false ? true : "other" })).toThrow(
        new RegExp(`config\\.json: ${name} .* is not built`),
      );
  });

  it("is read under the names of transformers' attribute map, and written under its own", () => {
    for (const [alias, own] of Object.entries(table.aliases)) {
      const { [own]: value, ...rest } = { ...small, [own]: 2 };
      const { [alias]: _, ...source } = rest;
      expect(parse({ ...source, [alias]: value })).toEqual({
        ...parse({ ...source, [own]: value }),
        source: { ...source, [alias]: value },
      });
      expect(() => parse({ ...source, [alias]: 2, [own]: 4 })).toThrow(
        `config.json: ${own} 4 and ${alias} 2 are two names of one thing and disagree`,
      );
      const file = architectureOf(head).family.file(parse({ ...source, [alias]: value }) as never, head);
      expect([file[own], Object.hasOwn(file, alias)]).toEqual([2, false]);
    }
  });

  it("may name no padding, in both ways of saying so", () => {
    for (const none of [null, -1]) expect(parse({ ...small, pad_token_id: none }).padTokenId).toBeUndefined();
  });

  const keyNames = Object.values(table.keys as Record<string, { key: string }>).map((k) => k.key);
  const anything = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.double(),
    fc.integer(),
    fc.constantFrom(1e9, 1e300, -1, 0, 0.5, 2 ** 31, 1.5),
    fc.string({ maxLength: 5 }),
    fc.constant([]),
    fc.constant({}),
    fc.constant("gelu"),
  );
  test.prop(
    [
      fc.dictionary(
        fc.constantFrom(
          ...keyNames,
          "id2label",
          "num_labels",
          "problem_type",
          "rope_parameters",
          "rope_scaling",
          "rope_theta",
        ),
        anything,
        { maxKeys: 3 },
      ),
    ],
    { numRuns: 60 },
  )("is read or refused in one line that names the file", (changes) => {
    const before = performance.now();
    try {
      metaModel(head, { ...small, ...changes });
    } catch (error) {
      expect(error).toBeInstanceOf(LowrankError);
      expect((error as LowrankError).kind).toBe("input");
      expect((error as LowrankError).message).toMatch(/config\.json/);
      expect((error as LowrankError).message.length).toBeLessThan(400);
    }
    expect(performance.now() - before).toBeLessThan(2000);
  });
});

describe("values of config.json", () => {
  it.each([
    [
      { num_hidden_layers: 1e9 },
      /"num_hidden_layers" must be a positive whole number up to 8192, beyond which no memory holds the layers, got 1000000000/,
    ],
    [{ hidden_size: 1e300 }, /"hidden_size" must be .* memory/],
    [{ hidden_act: 7 }, /"hidden_act" must be the name of an activation/],
    [{ hidden_dropout_prob: 1 }, /"hidden_dropout_prob" must be a number at least 0 and below 1, got 1/],
    [{ tie_word_embeddings: "true" }, /"tie_word_embeddings" must be true or false/],
    [{ problem_type: "guess" }, /"problem_type" must be one of "regression"/],
    [{ id2label: { 0: "a", 2: "b" } }, /"id2label" must name the ids 0 to 1; 1 is missing/],
    [{ num_labels: 3, id2label: { 0: "a", 1: "b" } }, /num_labels 3 and id2label with 2 names disagree/],
    [{ problem_type: "single_label_classification", num_labels: 1 }, /needs more than one label/],
    [null, /must be an object/],
    [[], /must be an object/],
  ])("%j is refused", (source, message) => {
    expect(() => parseBertConfig(source as ConfigSource)).toThrow(message);
  });

  it("sizes that follow from others are bounded too", () => {
    expect(() => parseGPT2Config({ model_type: "gpt2", n_embd: 1e9, n_head: 2 })).toThrow(
      /"n_inner, which is 4 · n_embd," must be .* memory holds it, got 4000000000/,
    );
    expect(parseGPT2Config({ model_type: "gpt2", n_embd: 1024, n_head: 2 }).intermediateSize).toBe(4096);
  });
});

describe.each(FAMILIES)("what is said beside a $type config", ({ parse, type }) => {
  it.each([
    [{ lables: 3 }, /has an unknown key "lables"; did you mean "labels"\?/],
    [{ num_labels: 3 }, /has an unknown key "num_labels"; did you mean "labels"\?/],
    [{ labels: 0 }, /"labels" must be a positive whole number/],
    [{ labels: "3" }, /"labels" must be a positive whole number/],
    [{ labels: ["a", "a"] }, /"labels" must be a list of names that differ/],
    [{ tieWordEmbeddings: "no" }, /"tieWordEmbeddings" must be true or false, got "no"/],
    [{ problemType: "regresion" }, /"problemType" must be one of "regression"/],
    [3, /must be an object with the keys labels, problemType, tieWordEmbeddings, padTokenId, got 3/],
    [null, /must be an object/],
  ])("%j is refused, naming the function", (options, message) => {
    const act = (): unknown => parse({}, options as never);
    expect(act).toThrow(expect.objectContaining({ code: "ConfigError" }));
    expect(act).toThrow(message);
    expect(act).toThrow(
      {
        bert: "parseBertConfig",
        roberta: "parseRobertaConfig",
        distilbert: "parseDistilBertConfig",
        gpt2: "parseGPT2Config",
        llama: "parseLlamaConfig",
        "deberta-v2": "parseDebertaV2Config",
        mistral: "parseMistralConfig",
        qwen2: "parseQwen2Config",
        qwen3: "parseQwen3Config",
        gemma3_text: "parseGemma3Config",
      }[type],
    );
  });

  it("counts where it is right, and undefined says nothing", () => {
    expect(parse({}, { labels: ["a", "b", "c"], tieWordEmbeddings: false, problemType: "regression" })).toMatchObject({
      numLabels: 3,
      tieWordEmbeddings: false,
      problemType: "regression",
    });
    expect(parse({}, { labels: undefined } as never).numLabels).toBe(2);
  });
});

describe.each(FAMILIES)("our spelling of a key in a $type file", ({ parse, table }) => {
  it.each(Object.entries(table.keys).filter(([property, { key }]) => /[A-Z]/.test(property) && property !== key))(
    "%s is an error that names the file's",
    (property, { key, fallback }) => {
      expect(() => parse({ [property]: fallback })).toThrow(
        `config.json: the key "${property}" is spelt "${key}" in a config file`,
      );
    },
  );

  it("is an error for keys of all models too, and for a whole config of ours", () => {
    expect(() => parse({ numLabels: 3 })).toThrow('the key "numLabels" is spelt "num_labels" in a config file');
    expect(() => parse({ problemType: "regression" })).toThrow('the key "problemType" is spelt "problem_type"');
    expect(() => parse(parse({}) as never)).toThrow(/the key "\w+" is spelt "\w+" in a config file/);
  });
});

it("two labels of one name in id2label are refused, as two equal names in labels are", () => {
  expect(() => parseBertConfig({ id2label: { 0: "a", 1: "a" } })).toThrow(
    'config.json: "id2label" names two labels "a"; each needs a name of its own',
  );
  expect(parseBertConfig({ id2label: { 0: "a", 1: "a" } }, { labels: ["a", "b"] }).id2label).toEqual(["a", "b"]);
});

describe("a file that does not say what it is", () => {
  it("is refused", () => {
    expect(() => architectureFor({ name: "lowrank", version: "1.0.0" })).toThrow(
      /config\.json has no "model_type" and no "architectures"/,
    );
    expect(() => architectureFor({ model_type: 7 })).toThrow(/"model_type" must be a string, got 7/);
    expect(() => architectureFor({ model_type: "bert", architectures: ["GPT2LMHeadModel"] })).toThrow(
      /model_type "bert" and architecture "GPT2LMHeadModel" disagree/,
    );
    expect(() => architectureFor({ model_type: "distilbert" }, "CAUSAL_LM")).toThrow(
      /a distilbert for task "CAUSAL_LM" is not built; there are SEQ_CLS, TOKEN_CLS, QUESTION_ANS/,
    );
  });

  it("is told of near names only", () => {
    for (const far of ["Phi3ForCausalLM", "FalconForCausalLM", "MixtureForCausalLM"])
      expect(() => architectureOf(far)).toThrow(/is not built; there are /);
    for (const [slip, meant] of [
      ["LLaMAForCausalLM", "LlamaForCausalLM"],
      ["BertForSequenceClasification", "BertForSequenceClassification"],
      ["GPT2LMHeadModell", "GPT2LMHeadModel"],
    ] as const)
      expect(() => architectureOf(slip)).toThrow(`did you mean "${meant}"?`);
  });
});
