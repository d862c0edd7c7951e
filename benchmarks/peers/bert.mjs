/**
 * The BERT classifier all engines run: its weights by their Hugging Face and PEFT names, with values that depend on the name only, and one batch.
 * Dropout is the engines' own: they draw different masks.
 */

/** Mulberry32 by Tommy Ettinger: uniform in [−bound, bound], from a seed made of the name (FNV-1a). */
function uniform(name, count, bound) {
  let state = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) state = Math.imul(state ^ name.charCodeAt(i), 0x01000193);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    out[i] = bound * (((x ^ (x >>> 14)) >>> 0) / 2 ** 31 - 1);
  }
  return out;
}

const linears = ({ hidden, inner }) => [
  ["attention.self.query", hidden, hidden],
  ["attention.self.key", hidden, hidden],
  ["attention.self.value", hidden, hidden],
  ["attention.output.dense", hidden, hidden],
  ["intermediate.dense", hidden, inner],
  ["output.dense", inner, hidden],
];

/** Map of name → { values, shape, trained }; weights of linear layers are [out, in]. Without `lora` the classifier's own name is used. */
export function bertWeights(work, lora) {
  const { layers, hidden, vocabulary, positions, labels, rank } = work;
  const out = new Map();
  const add = (name, shape, bound, { centre = 0, trained = false } = {}) => {
    const values = uniform(
      name,
      shape.reduce((a, b) => a * b, 1),
      bound,
    );
    if (centre !== 0) for (let i = 0; i < values.length; i++) values[i] += centre;
    out.set(name, { values, shape, trained });
  };
  const norm = (name) => {
    add(`${name}.weight`, [hidden], 0.1, { centre: 1 });
    add(`${name}.bias`, [hidden], 0.1);
  };
  const linear = (name, inputs, outputs) => {
    add(`${name}.weight`, [outputs, inputs], 1.5 / Math.sqrt(inputs));
    add(`${name}.bias`, [outputs], 0.05);
    if (!lora) return;
    add(`${name}.lora_A.default.weight`, [rank, inputs], 1 / Math.sqrt(inputs), { trained: true });
    add(`${name}.lora_B.default.weight`, [outputs, rank], 0.02, { trained: true });
  };
  add("bert.embeddings.word_embeddings.weight", [vocabulary, hidden], 0.5);
  add("bert.embeddings.position_embeddings.weight", [positions, hidden], 0.5);
  add("bert.embeddings.token_type_embeddings.weight", [2, hidden], 0.1);
  norm("bert.embeddings.LayerNorm");
  for (let i = 0; i < layers; i++) {
    const at = `bert.encoder.layer.${i}.`;
    for (const [name, inputs, outputs] of linears(work)) linear(at + name, inputs, outputs);
    norm(`${at}attention.output.LayerNorm`);
    norm(`${at}output.LayerNorm`);
  }
  linear("bert.pooler.dense", hidden, hidden);
  const head = lora ? "classifier.modules_to_save.default" : "classifier";
  add(`${head}.weight`, [labels, hidden], 0.1, { trained: lora });
  add(`${head}.bias`, [labels], 0.05, { trained: lora });
  return out;
}

/** One batch without padding: ids [batch, length], labels [batch]. */
export function bertBatch({ batch, length, labels }) {
  return {
    ids: Int32Array.from({ length: batch * length }, (_, i) => 100 + ((i * 7919) % 30000)),
    labels: Int32Array.from({ length: batch }, (_, i) => i % labels),
  };
}

/** AdamW's numbers that change from step to step: what to multiply the step by, and what to multiply √v by. t counts from 1. */
export function adamScalars({ rate, beta1, beta2 }, t) {
  return [rate / (1 - beta1 ** t), 1 / Math.sqrt(1 - beta2 ** t)];
}
