// A: lowrank trains adapters and writes files; check_ours.py reads them with PEFT and transformers. usage: ours.mjs PROJECT OUT [ONLY_REGEX]
import {
  open,
  reporter,
  guarded,
  loadModel,
  inputsOf,
  logitsOf,
  plain,
  compare,
  figure,
  readTensors,
  writeTensors,
  trainSteps,
  TOLERANCE,
  join,
  existsSync,
  writeFileSync,
  short,
} from "./common.mjs";
import { readdirSync } from "node:fs";
const [project, out, only = "."] = process.argv.slice(2);
const lr = await open(project);
const report = reporter(out);
const device = await lr.tensor.init({ device: "wasm", threads: 1 });
const { directory, savePretrained } = lr.models;

// plain checkpoints: theirs into lowrank, and back out (A2, B checkpoints)
const MODELS = readdirSync(join(out, "models")).sort();
for (const name of MODELS) {
  if (!new RegExp(only).test(`model/${name}`)) continue;
  const folder = join(out, "models", name);
  await guarded(report, `B/checkpoint/${name}`, async () => {
    const { model, report: loaded } = await loadModel(lr, folder, device);
    const inputs = await inputsOf(lr, folder, device);
    const want = (await readTensors(lr, join(folder, "logits.safetensors"))).get("logits").data;
    const c = compare((await logitsOf(model, inputs)).data, want);
    const clean = loaded.fresh.length === 0 && loaded.unused.length === 0;
    report(
      `B/checkpoint/${name}`,
      c.relative <= TOLERANCE && clean ? "PASS" : "FAIL",
      figure(c),
      clean ? "" : `fresh ${loaded.fresh}; unused ${loaded.unused}`,
    );
    // as it came, and after a few steps of full fine-tuning
    await savePretrained(model, join(out, "A", "saved", name));
    if (Object.keys(plain(inputs)).length < Object.keys(inputs).length) {
      await trainSteps(lr, model, inputs, device, { steps: 3, rate: 1e-3 });
      const tuned = join(out, "A", "tuned", name);
      await savePretrained(model, tuned);
      writeTensors(lr, join(tuned, "expected.safetensors"), { logits: await logitsOf(model, inputs) });
    }
    model.dispose();
  });
}

const seq = { r: 4, alpha: 8, taskType: "SEQ_CLS" };
const bt = ["query", "key", "value", "dense"];
const gt = ["c_attn", "c_proj", "c_fc"];
const lt = ["q_proj", "v_proj", "o_proj", "down_proj"];
const tok = { r: 4, alpha: 8, taskType: "TOKEN_CLS" };
const ada = (o = {}) => ({ initR: 6, targetR: 3, tinit: 1, tfinal: 2, deltaT: 1, totalStep: 8, ...o });
const lm = { r: 4, alpha: 8, taskType: "CAUSAL_LM" };
// name, model, options, extras
const CASES = [
  ["bert-lora", "bert_cls", { ...seq, targetModules: bt }],
  ["bert-lora-default-targets", "bert_cls", { ...seq }],
  ["bert-rslora", "bert_cls", { ...seq, targetModules: bt, rsLora: true }],
  ["bert-dora", "bert_cls", { ...seq, targetModules: bt, dora: true }],
  ["bert-dora-rslora", "bert_cls", { ...seq, targetModules: bt, dora: true, rsLora: true }],
  [
    "bert-adalora-pruned",
    "bert_cls",
    { ...seq, targetModules: ["query", "value", "dense"] },
    { ada: ada(), cut: true },
  ],
  [
    "bert-adalora-pruned-to-zero",
    "bert_cls",
    { ...seq, targetModules: bt },
    { ada: ada({ initR: 4, targetR: 1 }), cut: true },
  ],
  ["bert-adalora-masked-uncut", "bert_cls", { ...seq, targetModules: ["query", "value"] }, { ada: ada() }],
  [
    "bert-rank-pattern",
    "bert_cls",
    { ...seq, targetModules: bt, rankPattern: { query: 2, "layer.1.attention.output.dense": 7 } },
  ],
  [
    "bert-rank-alpha-pattern",
    "bert_cls",
    {
      ...seq,
      targetModules: bt,
      rankPattern: { "(query|key)": 3, "intermediate.dense": 6 },
      alphaPattern: { "0.attention.self.query": 11, dense: 5 },
    },
  ],
  [
    "bert-rank-pattern-constant-scale",
    "bert_cls",
    { ...seq, targetModules: bt, rankPattern: { query: 2, "intermediate.dense": 10 }, alphaMode: "constantScaling" },
  ],
  [
    "bert-rank-pattern-constant-scale-rslora",
    "bert_cls",
    {
      ...seq,
      targetModules: bt,
      rankPattern: { query: 2, "intermediate.dense": 10 },
      alphaMode: "constantScaling",
      rsLora: true,
    },
  ],
  ["bert-bias-lora-only", "bert_cls", { ...seq, targetModules: bt, bias: "lora_only" }],
  ["bert-bias-all", "bert_cls", { ...seq, targetModules: bt, bias: "all" }],
  ["bert-lora-bias", "bert_cls", { ...seq, targetModules: bt, loraBias: true }],
  ["bert-modules-to-save-pooler", "bert_cls", { ...seq, targetModules: ["query", "value"], modulesToSave: ["pooler"] }],
  [
    "bert-modules-to-save-dense",
    "bert_cls",
    { ...seq, targetModules: ["query", "value"], modulesToSave: ["pooler.dense"] },
  ],
  ["bert-no-task-type", "bert_cls", { r: 4, alpha: 8, targetModules: ["query", "value"] }],
  ["bert-pissa", "bert_cls", { ...seq, targetModules: bt, initLora: "pissa" }],
  ["bert-olora", "bert_cls", { ...seq, targetModules: bt, initLora: "olora" }],
  ["bert-pissa-rslora", "bert_cls", { ...seq, targetModules: bt, initLora: "pissa", rsLora: true }],
  ["bert-pissa-beside", "bert_cls", { ...seq, targetModules: bt, initLora: "pissa" }, { beside: true }],
  [
    "bert-pissa-rslora-beside",
    "bert_cls",
    { ...seq, targetModules: bt, initLora: "pissa", rsLora: true },
    { beside: true },
  ],
  ["gpt2-pissa-beside", "gpt2_lm", { ...lm, targetModules: gt, initLora: "pissa" }, { beside: true }],
  ["llama-olora-beside", "llama_lm", { ...lm, targetModules: lt, initLora: "olora" }, { beside: true }],
  ["bert-orthogonal", "bert_cls", { ...seq, targetModules: bt, initLora: "orthogonal" }],
  ["bert-gaussian", "bert_cls", { ...seq, targetModules: bt, initLora: "gaussian" }],
  ["bert-embedding", "bert_cls", { ...seq, targetModules: ["word_embeddings", "query"] }],
  ["bert-embedding-dora", "bert_cls", { ...seq, targetModules: ["word_embeddings", "query"], dora: true }],
  ["bert-all-linear", "bert_cls", { ...seq, targetModules: "all-linear" }],
  [
    "bert-regex",
    "bert_cls",
    { ...seq, targetModules: ".*layer\\.[02]\\.(attention\\.self\\.(query|key)|output\\.dense)" },
  ],
  ["bert-layers-to-transform", "bert_cls", { ...seq, targetModules: ["query", "value"], layersToTransform: [0, 2] }],
  [
    "bert-layers-pattern",
    "bert_cls",
    { ...seq, targetModules: ["query", "value"], layersToTransform: [1], layersPattern: ["layer"] },
  ],
  ["bert-exclude", "bert_cls", { ...seq, targetModules: bt, excludeModules: ["pooler.dense", "0.intermediate.dense"] }],
  ["bert-exclude-regex", "bert_cls", { ...seq, targetModules: bt, excludeModules: ".*layer\\.2.*" }],
  ["bert-tok", "bert_tok", { ...tok, targetModules: bt }],
  ["bert-qa", "bert_qa", { r: 4, alpha: 8, taskType: "QUESTION_ANS", targetModules: bt }],
  ["bert-mlm", "bert_mlm", { r: 4, alpha: 8, targetModules: ["query", "value", "dense"] }],
  ["distil-lora", "distil_cls", { ...seq, targetModules: ["q_lin", "v_lin", "lin1", "out_lin"] }],
  [
    "distil-lora-pre-classifier-saved",
    "distil_cls",
    { ...seq, targetModules: ["q_lin", "v_lin"], modulesToSave: ["pre_classifier"] },
  ],
  ["distil-dora", "distil_cls", { ...seq, targetModules: ["q_lin", "v_lin"], dora: true }],
  ["distil-adalora", "distil_cls", { ...seq, targetModules: ["q_lin", "v_lin", "lin2"] }, { ada: ada(), cut: true }],
  ["distil-default-targets", "distil_cls", { ...seq }],
  ["distil-all-linear", "distil_cls", { ...seq, targetModules: "all-linear" }],
  ["roberta-lora", "roberta_cls", { ...seq, targetModules: bt.slice(0, 3) }],
  ["roberta-lora-dense", "roberta_cls", { ...seq, targetModules: bt }],
  ["roberta-dora-bias", "roberta_cls", { ...seq, targetModules: ["query", "value"], dora: true, bias: "lora_only" }],
  ["roberta-bias-all", "roberta_cls", { ...seq, targetModules: ["query", "value"], bias: "all" }],
  ["roberta-adalora", "roberta_cls", { ...seq, targetModules: ["query", "value"] }, { ada: ada(), cut: true }],
  ["roberta-all-linear", "roberta_cls", { ...seq, targetModules: "all-linear" }],
  ["gpt2-lora", "gpt2_lm", { ...lm, targetModules: gt }],
  ["gpt2-default-targets", "gpt2_lm", { ...lm }],
  ["gpt2-rslora", "gpt2_lm", { ...lm, targetModules: gt, rsLora: true }],
  ["gpt2-dora", "gpt2_lm", { ...lm, targetModules: gt, dora: true }],
  ["gpt2-adalora", "gpt2_lm", { ...lm, targetModules: gt }, { ada: ada(), cut: true }],
  ["gpt2-pissa", "gpt2_lm", { ...lm, targetModules: gt, initLora: "pissa" }],
  ["gpt2-olora", "gpt2_lm", { ...lm, targetModules: gt, initLora: "olora" }],
  ["gpt2-bias-lora-only", "gpt2_lm", { ...lm, targetModules: gt, bias: "lora_only" }],
  ["gpt2-bias-all", "gpt2_lm", { ...lm, targetModules: gt, bias: "all" }],
  ["gpt2-lora-bias", "gpt2_lm", { ...lm, targetModules: gt, loraBias: true }],
  ["gpt2-embedding", "gpt2_lm", { ...lm, targetModules: ["wte", "c_attn"] }],
  ["gpt2-all-linear", "gpt2_lm", { ...lm, targetModules: "all-linear" }],
  [
    "gpt2-rank-pattern",
    "gpt2_lm",
    { ...lm, targetModules: gt, rankPattern: { c_attn: 2, "mlp.c_proj": 6 }, alphaPattern: { "h.1.attn.c_attn": 3 } },
  ],
  ["gpt2-cls-lora", "gpt2_cls", { ...seq, targetModules: ["c_attn"] }],
  ["roberta-mlm", "roberta_mlm", { r: 4, alpha: 8, targetModules: ["query", "value"] }],
  ["distil-tok", "distil_tok", { ...tok, targetModules: ["q_lin", "v_lin"] }],
  ["distil-qa", "distil_qa", { r: 4, alpha: 8, taskType: "QUESTION_ANS", targetModules: ["q_lin", "v_lin"] }],
  ["deberta-default-targets", "deberta3_cls", { ...seq }],
  ["deberta-dora", "deberta3_cls", { ...seq, targetModules: ["query_proj", "key_proj", "dense"], dora: true }],
  ["deberta-all-linear", "deberta2_tok", { ...tok, targetModules: "all-linear" }],
  ["llama-cls", "llama_cls", { ...seq }],
  ["mistral-default-targets", "mistral_lm", { ...lm }],
  ["qwen2-default-targets", "qwen2_lm", { ...lm }],
  ["qwen2-cls", "qwen2_cls", { ...seq, targetModules: lt }],
  ["qwen3-all-linear", "qwen3_lm", { ...lm, targetModules: "all-linear" }],
  ["gemma3-default-targets", "gemma3_lm", { ...lm }],
  ["gemma3-ia3", "gemma3_lm", { method: "ia3", taskType: "CAUSAL_LM" }],
  ["gemma3-dora", "gemma3_lm", { ...lm, targetModules: lt, dora: true }],
  ["roberta-tok", "roberta_tok", { ...tok, targetModules: ["query", "value"] }],
  ["roberta-qa", "roberta_qa", { r: 4, alpha: 8, taskType: "QUESTION_ANS", targetModules: ["query", "value"] }],
  ["distil-mlm", "distil_mlm", { r: 4, alpha: 8, targetModules: ["q_lin", "v_lin"] }],
  ["deberta-tok", "deberta3_tok", { ...tok }],
  ["deberta2-cls", "deberta2_cls", { ...seq, targetModules: ["query_proj", "pos_key_proj", "dense"] }],
  ["deberta-adalora", "deberta3_cls", { ...seq }, { ada: ada(), cut: true }],
  ["deberta-ia3", "deberta3_cls", { method: "ia3", taskType: "SEQ_CLS" }],
  ["mistral-cls", "mistral_cls", { ...seq }],
  ["mistral-dora", "mistral_lm", { ...lm, targetModules: lt, dora: true }],
  ["mistral-ia3", "mistral_lm", { method: "ia3", taskType: "CAUSAL_LM" }],
  ["qwen2-adalora", "qwen2_lm", { ...lm }, { ada: ada(), cut: true }],
  ["qwen2-vera", "qwen2_lm", { method: "vera", r: 8, taskType: "CAUSAL_LM", targetModules: lt }],
  ["qwen3-default-targets", "qwen3_lm", { ...lm }],
  ["qwen3-cls", "qwen3_cls", { ...seq }],
  ["qwen3-ia3", "qwen3_lm", { method: "ia3", taskType: "CAUSAL_LM" }],
  ["gemma3-cls", "gemma3_cls", { ...seq }],
  ["gemma3-adalora", "gemma3_lm", { ...lm }, { ada: ada(), cut: true }],
  ["llama-lora", "llama_lm", { ...lm, targetModules: lt }],
  ["llama-default-targets", "llama_lm", { ...lm }],
  ["llama-rslora", "llama_lm", { ...lm, targetModules: lt, rsLora: true }],
  ["llama-dora", "llama_lm", { ...lm, targetModules: lt, dora: true }],
  ["llama-adalora", "llama_lm", { ...lm, targetModules: lt }, { ada: ada(), cut: true }],
  ["llama-pissa", "llama_lm", { ...lm, targetModules: lt, initLora: "pissa" }],
  ["llama-olora", "llama_lm", { ...lm, targetModules: lt, initLora: "olora" }],
  ["llama-all-linear", "llama_lm", { ...lm, targetModules: "all-linear" }],
  ["llama-embedding", "llama_lm", { ...lm, targetModules: ["embed_tokens", "q_proj"] }],
  ["llama-head-saved", "llama_lm", { ...lm, targetModules: ["q_proj"], modulesToSave: ["lm_head"] }],
  ["llama-head-adapted", "llama_lm", { ...lm, targetModules: ["q_proj", "lm_head"] }],
  ["llama-tied-embedding", "llama_tied", { ...lm, targetModules: ["embed_tokens", "q_proj"] }],
  ["llama-tied-head-saved", "llama_tied", { ...lm, targetModules: ["q_proj"], modulesToSave: ["lm_head"] }],
  ["gpt2-head-saved", "gpt2_lm", { ...lm, targetModules: ["c_attn"], modulesToSave: ["lm_head"] }],
  ["llama-embed-saved", "llama_lm", { ...lm, targetModules: ["q_proj"], modulesToSave: ["embed_tokens"] }],
  ["bert-trained-tokens", "bert_cls", { ...seq, targetModules: ["query"], trainableTokenIndices: [7, 9, 11] }],
  ["gpt2-trained-tokens", "gpt2_lm", { ...lm, targetModules: gt, trainableTokenIndices: { wte: [5, 20] } }],
  [
    "llama-trained-tokens",
    "llama_lm",
    { ...lm, targetModules: lt, trainableTokenIndices: { embed_tokens: [5, 8], lm_head: [6] } },
  ],
  ["llama-tied-trained-tokens", "llama_tied", { ...lm, targetModules: lt, trainableTokenIndices: [5, 8, 30] }],
  ["gemma3-trained-tokens", "gemma3_lm", { ...lm, targetModules: lt, trainableTokenIndices: [9, 31] }],
  ["bert-eva", "bert_cls", { ...seq, targetModules: bt }, { eva: true }],
  ["gpt2-eva", "gpt2_lm", { ...lm, targetModules: gt, rsLora: true }, { eva: true }],
  ["bert-loraplus", "bert_cls", { ...seq, targetModules: bt }, { plus: 16 }],
  ["bert-loftq-beside", "bert_cls", { ...seq, alpha: 4, targetModules: bt, initLora: "loftq" }, { beside: true }],
  [
    "gpt2-loftq-beside",
    "gpt2_lm",
    { ...lm, alpha: 4, targetModules: gt, initLora: "loftq", loftq: { bits: 4, iterations: 3 } },
    { beside: true },
  ],
  ["llama-resized", "llama_lm", { ...lm, targetModules: lt }, { words: 123 }],
  [
    "llama-resized-saved",
    "llama_lm",
    { ...lm, targetModules: lt, modulesToSave: ["embed_tokens", "lm_head"] },
    { words: 123 },
  ],
  [
    "gpt2-resized-tokens",
    "gpt2_lm",
    { ...lm, targetModules: gt, trainableTokenIndices: { wte: [120, 122] } },
    { words: 128 },
  ],
  ["bert-resized", "bert_cls", { ...seq, targetModules: bt }, { words: 125 }],
  ["bert-ia3", "bert_cls", { method: "ia3", taskType: "SEQ_CLS" }],
  [
    "bert-ia3-outputs",
    "bert_cls",
    {
      method: "ia3",
      taskType: "SEQ_CLS",
      targetModules: ["query", "value", "intermediate.dense"],
      feedforwardModules: [],
    },
  ],
  [
    "bert-ia3-regex",
    "bert_cls",
    {
      method: "ia3",
      taskType: "SEQ_CLS",
      targetModules: ".*layer\\.[02].*(query|dense)",
      feedforwardModules: ".*output\\.dense",
      excludeModules: ["0.intermediate.dense"],
    },
  ],
  ["bert-ia3-all-linear", "bert_cls", { method: "ia3", taskType: "SEQ_CLS", targetModules: "all-linear" }],
  ["bert-ia3-tok", "bert_tok", { method: "ia3", taskType: "TOKEN_CLS", modulesToSave: ["LayerNorm"] }],
  [
    "bert-ia3-other-words",
    "bert_cls",
    { method: "ia3", taskType: "SEQ_CLS", targetModules: ["query", "dense"], excludeModules: ["pooler.dense"] },
  ],
  [
    "distil-ia3",
    "distil_cls",
    { method: "ia3", taskType: "SEQ_CLS", targetModules: ["k_lin", "v_lin", "lin2"], feedforwardModules: ["lin2"] },
  ],
  ["roberta-ia3", "roberta_cls", { method: "ia3", taskType: "SEQ_CLS" }],
  ["gpt2-ia3", "gpt2_lm", { method: "ia3", taskType: "CAUSAL_LM" }],
  [
    "gpt2-ia3-every-projection",
    "gpt2_lm",
    { method: "ia3", taskType: "CAUSAL_LM", targetModules: gt, feedforwardModules: ["c_fc"] },
  ],
  ["llama-ia3", "llama_lm", { method: "ia3", taskType: "CAUSAL_LM" }],
  ["real-ia3", "real_cls", { method: "ia3", taskType: "SEQ_CLS" }],
  ["bert-vera", "bert_cls", { method: "vera", r: 8, taskType: "SEQ_CLS" }],
  [
    "bert-vera-sizes",
    "bert_cls",
    { method: "vera", r: 8, taskType: "SEQ_CLS", targetModules: bt, projectionPrngKey: 5, dInitial: 0.3 },
  ],
  [
    "bert-vera-drawn",
    "bert_cls",
    { method: "vera", r: 8, taskType: "SEQ_CLS", targetModules: bt, projectionPrngKey: 11, saveProjection: false },
  ],
  ["bert-vera-bias-vera-only", "bert_cls", { method: "vera", r: 8, taskType: "SEQ_CLS", bias: "vera_only" }],
  ["bert-vera-bias-all", "bert_cls", { method: "vera", r: 8, taskType: "SEQ_CLS", bias: "all" }],
  [
    "bert-vera-layers",
    "bert_cls",
    { method: "vera", r: 8, taskType: "SEQ_CLS", targetModules: ["query"], layersToTransform: [0, 2] },
  ],
  ["bert-vera-all-linear", "bert_cls", { method: "vera", r: 8, taskType: "SEQ_CLS", targetModules: "all-linear" }],
  ["gpt2-vera", "gpt2_lm", { method: "vera", r: 8, taskType: "CAUSAL_LM" }],
  [
    "gpt2-vera-drawn",
    "gpt2_lm",
    { method: "vera", r: 8, taskType: "CAUSAL_LM", targetModules: gt, saveProjection: false },
  ],
  ["llama-vera", "llama_lm", { method: "vera", r: 8, taskType: "CAUSAL_LM", targetModules: lt }],
  ["real-vera", "real_cls", { method: "vera", r: 64, taskType: "SEQ_CLS", saveProjection: false }],
  ["real-lora", "real_cls", { r: 8, alpha: 16, taskType: "SEQ_CLS", targetModules: bt }],
  ["real-dora", "real_cls", { r: 8, alpha: 16, taskType: "SEQ_CLS", targetModules: bt, dora: true }],
  [
    "real-adalora",
    "real_cls",
    { taskType: "SEQ_CLS", alpha: 16, targetModules: bt },
    { ada: ada({ initR: 12, targetR: 8 }), cut: true },
  ],
  ["real-pissa", "real_cls", { r: 8, alpha: 16, taskType: "SEQ_CLS", targetModules: bt, initLora: "pissa" }],
  ["real-olora", "real_cls", { r: 8, alpha: 16, taskType: "SEQ_CLS", targetModules: bt, initLora: "olora" }],
];
/** What EVA gives each module of this model: its rank, and the directions that A begins with. */
async function evaOf(model, options, inputs) {
  const rows = lr.peft.resolveTargets(model, lr.peft.adapterConfig(options));
  return lr.peft.evaShares(
    model,
    rows.map(({ module, rank }) => ({ name: module, rank })),
    device,
    {
      batches: [plain(inputs)],
      forward: (batch) => {
        model.forward(batch);
        return lr.tensor.ops.gt(lr.tensor.ops.reshape(batch.attentionMask, [-1]), 0);
      },
    },
  );
}

/** Ranks by path with the scale that each module had, and no adapter where no rank is left. */
function patternsOf({ r, alpha, rsLora }, shares) {
  const left = [...shares].filter(([, { rank }]) => rank > 0).map(([path, { rank }]) => [path, rank]);
  const scale = alpha / (rsLora ? Math.sqrt(r) : r);
  return {
    targetModules: left.map(([path]) => path),
    rankPattern: Object.fromEntries(left),
    alphaPattern: Object.fromEntries(left.map(([path, rank]) => [path, scale * (rsLora ? Math.sqrt(rank) : rank)])),
  };
}
const done = [];
for (const [name, base, options, extra = {}] of CASES) {
  if (!new RegExp(only).test(`adapter/${name}`) || !existsSync(join(out, "models", base))) continue;
  const folder = join(out, "models", base);
  const to = join(out, "A", "adapters", name);
  await guarded(report, `A/write/${name}`, async () => {
    const load = async () => {
      const { model } = await loadModel(lr, folder, device);
      return extra.words === undefined ? model : lr.models.resizeTokenEmbeddings(model, extra.words);
    };
    let model = await load();
    const inputs = await inputsOf(lr, folder, device);
    const before = await logitsOf(model, inputs);
    let config = extra.ada === undefined ? options : { ...options, adaLora: lr.peft.adaLoraConfig(extra.ada) };
    // what a start looks at: directions of what goes into modules, or the weights before they were quantized
    const shares = extra.eva ? await evaOf(model, options, inputs) : undefined;
    if (shares !== undefined) config = { ...config, ...patternsOf(options, shares) };
    const original = options.initLora === "loftq" ? await load() : undefined;
    if (original !== undefined) await lr.quant.quantize(model, { include: options.targetModules });
    let adapter = await lr.peft.adapt(model, config, { device, seed: 5, ...(original && { original }) });
    if (shares !== undefined) lr.peft.beginWithDirections(adapter, shares);
    const start = await logitsOf(model, inputs);
    const allocator =
      extra.ada === undefined
        ? undefined
        : lr.peft.adaLora(
            lr.peft.tripletsOf(adapter),
            lr.peft.adaLoraOptions(adapter.configOf(lr.peft.adalora).adaLora),
          );
    const losses = await trainSteps(lr, model, inputs, device, {
      steps: extra.ada?.totalStep ?? 6,
      rate: base === "real_cls" ? 2e-3 : 1e-2,
      allocator,
      ...(extra.plus && { groups: (rate) => lr.peft.loraPlusGroups(adapter, { lr: rate, ratio: extra.plus }) }),
    });
    if (allocator !== undefined) {
      const masks = await allocator.masks();
      if (extra.cut) await lr.peft.resizeAdapter(adapter, masks);
    }
    let { trainable } = adapter.report();
    let after = await logitsOf(model, inputs);
    // a start that changed the base: as it is, or as a plain LoRA of twice the rank beside the original base
    const keepStart = ["pissa", "olora"].includes(options.initLora) && extra.beside !== true;
    await lr.peft.saveAdapter(adapter, directory(join(to, "adapter")), { keepStart });
    if (extra.beside) {
      const fresh = await load();
      const loaded = await lr.peft.loadAdapter(fresh, directory(join(to, "adapter")), { device });
      trainable = loaded.report().trainable;
      // beside the original LoftQ's is off by what no product of its rank makes up for
      if (original !== undefined) {
        const there = await logitsOf(fresh, inputs);
        const apart = compare(there.data, after.data).relative;
        const lost = compare(before.data, start.data).relative;
        report(
          `A/loftq-beside/${name}`,
          apart <= lost ? "PASS" : "FAIL",
          `off by ${apart.toExponential(2)}, four bits lost ${lost.toExponential(2)}`,
        );
        model.dispose();
        [model, adapter, after] = [fresh, loaded, there];
      } else fresh.dispose();
    }
    // a second adapter trained by Python continues from this one; here the loss it must start from
    const { loss } = model.forward(inputs);
    const nextLoss = await loss.item();
    let merged = true;
    let refusal = "";
    try {
      await adapter.mergeAndUnload({ safe: true });
      const m = await logitsOf(model, inputs);
      writeTensors(lr, join(to, "merged.safetensors"), { logits: m });
      await savePretrained(model, join(to, "merged"));
    } catch (error) {
      merged = false;
      refusal = short(error.message);
    }
    writeTensors(lr, join(to, "logits.safetensors"), { before, start, after });
    writeFileSync(
      join(to, "case.json"),
      JSON.stringify({
        name,
        base,
        losses,
        nextLoss,
        trainable,
        merged,
        refusal,
        init: keepStart ? options.initLora : null,
        words: extra.words ?? null,
      }),
    );
    done.push(name);
    model.dispose();
  });
}
console.log(`# wrote ${done.length} adapters`);
device.close();
