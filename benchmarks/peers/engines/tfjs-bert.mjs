/**
 * The BERT tasks in TensorFlow.js. Its wasm backend multiplies quickly only where neither operand is transposed and there is no batch, so the
 * products have gradients of their own here: frozen weights are kept both ways round, small ones are transposed first.
 */
import { adamScalars, bertBatch, bertWeights } from "../bert.mjs";
import { transposed } from "../work.mjs";
import { gelu, layerNorm } from "./tfjs.mjs";

/** Names of all weights → tensors; those of linear layers as { forward [in, out], backward [out, in] }, trained ones as variables [in, out]. */
function load(tf, work, lora) {
  const out = new Map();
  for (const [name, { values, shape, trained }] of bertWeights(work, lora)) {
    const turned = shape.length === 2 && !name.includes("embeddings");
    const forward = turned ? tf.tensor(transposed(values, ...shape), [shape[1], shape[0]]) : tf.tensor(values, shape);
    if (trained) out.set(name, tf.variable(forward, true, name));
    else out.set(name, turned ? { forward, backward: tf.tensor(values, shape) } : forward);
  }
  return out;
}

function model(tf, work, weights) {
  const { layers, hidden, heads, batch, length, epsilon, rank, alpha } = work;
  const tokens = batch * length;
  const width = hidden / heads;
  const w = (name) => weights.get(name);

  /** x·w + b with w frozen. */
  const frozen = (name) =>
    tf.customGrad((x, save) => {
      save([]);
      const { forward, backward } = w(`${name}.weight`);
      const value = tf.fused.matMul({
        a: x,
        b: forward,
        transposeA: false,
        transposeB: false,
        bias: w(`${name}.bias`),
        activation: "linear",
      });
      return { value, gradFunc: (dy) => tf.matMul(dy, backward) };
    });
  /** xᵀ·y, by transposing the narrower of the two. */
  const gradientOf = (x, y) =>
    y.shape[1] < x.shape[1] ? tf.transpose(tf.matMul(tf.transpose(y), x)) : tf.matMul(tf.transpose(x), y);
  /** a·b with gradients for both. */
  const product = tf.customGrad((a, b, save) => {
    save([a, b]);
    return {
      value: tf.matMul(a, b),
      gradFunc: (dy, [x, y]) => [tf.matMul(dy, tf.transpose(y)), gradientOf(x, dy)],
    };
  });
  const dropped = (x) => (work.dropout > 0 && work.kind === "step" ? tf.dropout(x, work.dropout) : x);
  const linear = (name, x) => {
    const y = frozen(name)(x);
    const down = w(`${name}.lora_A.default.weight`);
    if (down === undefined) return y;
    return tf.add(y, tf.mul(product(product(dropped(x), down), w(`${name}.lora_B.default.weight`)), alpha / rank));
  };
  const norm = (name, x) => layerNorm(tf, x, w(`${name}.weight`), w(`${name}.bias`), epsilon);
  const split = (x) => tf.transpose(tf.reshape(x, [batch, length, heads, width]), [0, 2, 1, 3]);

  return function logits(ids) {
    const words = tf.reshape(tf.gather(w("bert.embeddings.word_embeddings.weight"), tf.reshape(ids, [tokens])), [
      batch,
      length,
      hidden,
    ]);
    const positions = tf.slice(w("bert.embeddings.position_embeddings.weight"), [0, 0], [length, hidden]);
    const types = tf.slice(w("bert.embeddings.token_type_embeddings.weight"), [0, 0], [1, hidden]);
    let x = dropped(
      tf.reshape(norm("bert.embeddings.LayerNorm", tf.add(tf.add(words, positions), types)), [tokens, hidden]),
    );
    for (let i = 0; i < layers; i++) {
      const at = `bert.encoder.layer.${i}.`;
      const [q, k, v] = ["query", "key", "value"].map((name) => split(linear(`${at}attention.self.${name}`, x)));
      const shares = tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(width)));
      const mixed = tf.reshape(tf.transpose(tf.matMul(dropped(shares), v), [0, 2, 1, 3]), [tokens, hidden]);
      const middle = norm(
        `${at}attention.output.LayerNorm`,
        tf.add(dropped(linear(`${at}attention.output.dense`, mixed)), x),
      );
      const inner = gelu(tf, linear(`${at}intermediate.dense`, middle));
      x = norm(`${at}output.LayerNorm`, tf.add(dropped(linear(`${at}output.dense`, inner)), middle));
    }
    const first = tf.reshape(tf.slice(tf.reshape(x, [batch, length, hidden]), [0, 0, 0], [batch, 1, hidden]), [
      batch,
      hidden,
    ]);
    const pooled = dropped(tf.tanh(linear("bert.pooler.dense", first)));
    const trainedHead = w("classifier.modules_to_save.default.weight");
    return trainedHead === undefined
      ? frozen("classifier")(pooled)
      : tf.add(product(pooled, trainedHead), w("classifier.modules_to_save.default.bias"));
  };
}

function crossEntropy(tf, logits, oneHot) {
  return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), oneHot), -1)));
}

export function prepare(tf, work) {
  const training = work.kind === "step";
  const weights = load(tf, work, training);
  const { ids, labels } = bertBatch(work);
  const [idTensor, oneHot] = [
    tf.tensor(ids, [work.batch, work.length], "int32"),
    tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(labels, "int32"), work.labels), "float32")),
  ];
  const logits = model(tf, work, weights);
  const dispose = () => {
    for (const weight of weights.values()) tf.dispose(weight);
    tf.dispose([idTensor, oneHot]);
  };
  if (!training) {
    return {
      run: () => tf.dispose(tf.tidy(() => logits(idTensor))),
      read: () => tf.tidy(() => logits(idTensor).dataSync().slice()),
      close: dispose,
    };
  }
  const variables = [...weights.values()].filter((weight) => weight instanceof tf.Variable);
  const zeros = () => variables.map((variable) => tf.variable(tf.zerosLike(variable), false));
  const [m, v] = [zeros(), zeros()];
  const { beta1, beta2, rate, decay, adamEpsilon, maxNorm } = work;
  const losses = [];
  let t = 0;
  const run = () => {
    tf.tidy(() => {
      const { value, grads } = tf.variableGrads(() => crossEntropy(tf, logits(idTensor), oneHot), variables);
      const norm = tf.sqrt(tf.addN(variables.map((variable) => tf.sum(tf.square(grads[variable.name])))));
      const factor = tf.minimum(tf.div(maxNorm, tf.add(norm, 1e-6)), 1);
      const [size, correction] = adamScalars(work, ++t);
      variables.forEach((variable, i) => {
        const g = tf.mul(grads[variable.name], factor);
        m[i].assign(tf.add(tf.mul(m[i], beta1), tf.mul(g, 1 - beta1)));
        v[i].assign(tf.add(tf.mul(v[i], beta2), tf.mul(tf.square(g), 1 - beta2)));
        const change = tf.mul(tf.div(m[i], tf.add(tf.mul(tf.sqrt(v[i]), correction), adamEpsilon)), size);
        variable.assign(tf.sub(tf.mul(variable, 1 - rate * decay), change));
      });
      losses.push(value.dataSync()[0]);
    });
  };
  return {
    run,
    read() {
      while (losses.length < work.losses) run();
      return losses.slice(0, work.losses);
    },
    close() {
      tf.dispose([...m, ...v]);
      dispose();
    },
  };
}
