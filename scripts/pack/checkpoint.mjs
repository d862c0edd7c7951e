/** Runs where the tarballs are installed: writes the small checkpoints that examples read as `path/to/checkpoint` and `path/to/causal-checkpoint`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { BertForSequenceClassification, init, metaModel, parseBertConfig, savePretrained } from "lowrank";

const words = "[PAD] [UNK] [CLS] [SEP] [MASK] what is it ? a token ##izer .".split(" ");
const special = (content) => ({
  id: words.indexOf(content),
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});
const tokenizer = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: words.slice(0, 5).map(special),
  normalizer: {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "BertProcessing",
    sep: ["[SEP]", 3],
    cls: ["[CLS]", 2],
  },
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(words.map((word, id) => [word, id])),
  },
};

const device = await init({ device: "wasm" });
const sizes = { hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64 };
const model = new BertForSequenceClassification(parseBertConfig({ vocab_size: words.length, ...sizes }));
await model.materialize({ device, seed: 13 });
mkdirSync("path/to/checkpoint", { recursive: true });
await savePretrained(model, "path/to/checkpoint");
writeFileSync("path/to/checkpoint/tokenizer.json", JSON.stringify(tokenizer));
writeFileSync("path/to/checkpoint/tokenizer_config.json", JSON.stringify({ pad_token: "[PAD]" }));
writeFileSync(
  "path/to/checkpoint/chat_template.jinja",
  "{% for m in messages %}[CLS] {% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %} [SEP]{% endfor %}",
);

// one that goes on with texts, letter by letter
const letters = ["<end>", ..." .,?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"];
const causal = metaModel("LlamaForCausalLM", {
  ...sizes,
  model_type: "llama",
  vocab_size: letters.length,
  max_position_embeddings: 256,
  initializer_range: 0.2,
});
await causal.materialize({ device, seed: 13 });
mkdirSync("path/to/causal-checkpoint", { recursive: true });
await savePretrained(causal, "path/to/causal-checkpoint");
const end = { id: 0, content: "<end>", single_word: false, lstrip: false, rstrip: false, normalized: false };
writeFileSync(
  "path/to/causal-checkpoint/tokenizer.json",
  JSON.stringify({
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [{ ...end, special: true }],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: "Fuse" },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(letters.map((letter, id) => [letter, id])),
      merges: [],
    },
  }),
);
writeFileSync("path/to/causal-checkpoint/tokenizer_config.json", JSON.stringify({ eos_token: "<end>" }));
device.close();
