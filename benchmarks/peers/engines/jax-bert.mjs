/**
 * The BERT tasks in jax-js, in plain array operations. The step is one jit over loss, gradients, clipping and AdamW. The forward pass is one
 * jit per piece: under a single one, GELU is merged into the next product and computed again for each of its columns, three times slower.
 * Dropout masks are drawn by a jit of their own before the step, for the same reason.
 */
import { adamScalars, bertBatch, bertWeights } from "../bert.mjs";
import { dropoutMask, layerNorm } from "./jax.mjs";

/** Where BERT and PEFT drop, in the order in which `logits` meets the places. */
function dropoutShapes({ layers, hidden, inner, heads, batch, length }) {
  const wide = [batch * length, hidden];
  const layer = [wide, wide, wide, [batch, heads, length, length], wide, wide, wide, [batch * length, inner], wide];
  return [wide, ...Array.from({ length: layers }, () => layer).flat(), [batch, hidden], [batch, hidden]];
}

/** `piece` wraps each part of a layer: jax.jit, or nothing where one jit stands around all of it. */
function model(jax, work, piece) {
  const { numpy: np, nn } = jax;
  const { layers, hidden, heads, batch, length, epsilon, rank, alpha } = work;
  const tokens = batch * length;
  const width = hidden / heads;

  const project = piece((x, w, b) => np.matmul(x, w.transpose()).add(b));
  const masked = (x, mask) => (mask === undefined ? x : x.mul(mask));
  const adapted = piece((x, w, b, down, up, mask) =>
    np
      .matmul(x.ref, w.transpose())
      .add(b)
      .add(np.matmul(np.matmul(masked(x, mask), down.transpose()), up.transpose()).mul(alpha / rank)),
  );
  const gelu = piece((x) => nn.gelu(x, { approximate: false }));
  const normalized = layerNorm(jax, epsilon, piece);
  const sum = piece((x, residual) => x.add(residual));
  const normalizedSum = (x, residual, w, b) => normalized(sum(x, residual), w, b);
  const attention = piece((query, key, value, mask) => {
    const [q, k, v] = [query, key, value].map((x) => x.reshape([batch, length, heads, width]).transpose([0, 2, 1, 3]));
    const shares = nn.softmax(np.matmul(q, k.transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(width)), -1);
    return np.matmul(masked(shares, mask), v).transpose([0, 2, 1, 3]).reshape([tokens, hidden]);
  });

  /** All weights by name; every reading is a reference of its own. `masks`: one per place, or none. */
  return function logits(weights, ids, masks) {
    let place = 0;
    const mask = () => masks?.[place++];
    const w = (name) => weights[name].ref;
    const has = (name) => name in weights;
    const linear = (name, x) => {
      const base = [x, w(`${name}.weight`), w(`${name}.bias`)];
      if (!has(`${name}.lora_A.default.weight`)) return project(...base);
      return adapted(
        ...base,
        w(`${name}.lora_A.default.weight`),
        w(`${name}.lora_B.default.weight`),
        ...(masks === undefined ? [] : [mask()]),
      );
    };
    const pair = (name) => [w(`${name}.weight`), w(`${name}.bias`)];
    const words = np
      .take(w("bert.embeddings.word_embeddings.weight"), ids.reshape([tokens]), 0)
      .reshape([batch, length, hidden]);
    const positions = w("bert.embeddings.position_embeddings.weight").slice([0, length]);
    const types = w("bert.embeddings.token_type_embeddings.weight").slice([0, 1]);
    let x = masked(
      normalized(words.add(positions).add(types), ...pair("bert.embeddings.LayerNorm")).reshape([tokens, hidden]),
      mask(),
    );
    for (let i = 0; i < layers; i++) {
      const at = `bert.encoder.layer.${i}.`;
      const mixed = attention(
        ...["query", "key", "value"].map((name) => linear(`${at}attention.self.${name}`, x.ref)),
        ...(masks === undefined ? [] : [mask()]),
      );
      const middle = normalizedSum(
        masked(linear(`${at}attention.output.dense`, mixed), mask()),
        x,
        ...pair(`${at}attention.output.LayerNorm`),
      );
      const inner = gelu(linear(`${at}intermediate.dense`, middle.ref));
      x = normalizedSum(masked(linear(`${at}output.dense`, inner), mask()), middle, ...pair(`${at}output.LayerNorm`));
    }
    const first = x.reshape([batch, length, hidden]).slice([], 0);
    const pooled = masked(np.tanh(linear("bert.pooler.dense", first)), mask());
    return project(pooled, ...pair(has("classifier.weight") ? "classifier" : "classifier.modules_to_save.default"));
  };
}

function arrays(jax, entries) {
  return Object.fromEntries(entries.map(([name, { values, shape }]) => [name, jax.numpy.array(values).reshape(shape)]));
}

function prepareForward(jax, work) {
  const weights = arrays(jax, [...bertWeights(work, false)]);
  const ids = jax.numpy.array(bertBatch(work).ids).reshape([work.batch, work.length]);
  const pieces = [];
  const piece = (body) => {
    pieces.push(jax.jit(body));
    return pieces.at(-1);
  };
  const logits = model(jax, work, piece);
  const call = () => logits(weights, ids.ref);
  return {
    async run() {
      const y = call();
      await y.blockUntilReady();
      y.dispose();
    },
    read: () => call().data(),
    close() {
      jax.tree.dispose(weights);
      ids.dispose();
      for (const compiled of pieces) compiled.dispose();
    },
  };
}

function prepareStep(jax, work) {
  const { numpy: np, nn } = jax;
  const all = [...bertWeights(work, true)];
  const frozen = arrays(
    jax,
    all.filter(([, w]) => !w.trained),
  );
  let trained = arrays(
    jax,
    all.filter(([, w]) => w.trained),
  );
  const zeros = () => Object.fromEntries(Object.entries(trained).map(([name, a]) => [name, np.zeros(a.shape)]));
  let m = zeros();
  let v = zeros();
  const { ids, labels } = bertBatch(work);
  const batch = { ids: np.array(ids).reshape([work.batch, work.length]), labels: np.array(labels) };
  const logits = model(jax, work, (body) => body);
  const { beta1, beta2, rate, decay, adamEpsilon, maxNorm } = work;

  const loss = (some, rest, inputs) => {
    const likelihood = nn.logSoftmax(logits({ ...some, ...rest }, inputs.ids.ref, inputs.masks), -1);
    return likelihood
      .mul(nn.oneHot(inputs.labels.ref, work.labels))
      .sum()
      .mul(-1 / work.batch);
  };
  const step = jax.jit((some, rest, m0, v0, scalars, inputs) => {
    const [value, grads] = jax.valueAndGrad(loss)(jax.tree.ref(some), rest, inputs);
    const squares = Object.values(grads)
      .map((g) => np.square(g.ref).sum())
      .reduce((a, b) => a.add(b));
    const factor = np.minimum(np.trueDivide(maxNorm, np.sqrt(squares).add(1e-6)), 1);
    const size = scalars.ref.slice(0);
    const correction = scalars.slice(1);
    const out = [{}, {}, {}];
    for (const name of Object.keys(some)) {
      const g = grads[name].mul(factor.ref);
      const newM = m0[name].mul(beta1).add(g.ref.mul(1 - beta1));
      const newV = v0[name].mul(beta2).add(np.square(g).mul(1 - beta2));
      const change = newM.ref.div(np.sqrt(newV.ref).mul(correction.ref).add(adamEpsilon)).mul(size.ref);
      out[0][name] = some[name].mul(1 - rate * decay).sub(change);
      out[1][name] = newM;
      out[2][name] = newV;
    }
    return [value, ...out];
  });

  const draw = jax.jit((key) => {
    const shapes = dropoutShapes(work);
    const keys = jax.random.split(key, shapes.length);
    return shapes.map((shape, i) => dropoutMask(jax, shape, work.dropout, keys.ref.slice(i)));
  });

  let t = 0;
  let last;
  const run = async () => {
    last?.dispose();
    const scalars = np.array(Float32Array.from(adamScalars(work, ++t)));
    const inputs = jax.tree.ref(batch);
    if (work.dropout > 0) inputs.masks = draw(jax.random.key(t));
    [last, trained, m, v] = step(trained, jax.tree.ref(frozen), m, v, scalars, inputs);
    await jax.blockUntilReady([last, trained, m, v]);
  };
  return {
    run,
    async read() {
      const losses = [];
      for (let i = 0; i < work.losses; i++) {
        losses.push((await last.ref.data())[0]);
        if (i < work.losses - 1) await run();
      }
      return losses;
    },
    close() {
      for (const tree of [frozen, trained, m, v, batch, last]) jax.tree.dispose(tree);
      step.dispose();
      draw.dispose();
    },
  };
}

export function prepare(jax, work) {
  return work.kind === "step" ? prepareStep(jax, work) : prepareForward(jax, work);
}
