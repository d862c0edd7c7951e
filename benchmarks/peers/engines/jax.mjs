/**
 * jax-js on its wasm device, everything under jit. Weights lie [out, in] and are transposed in the product: its quickest order.
 * Arrays are counted: `.ref` keeps one that is used again.
 */
import { lacking } from "../lacks.mjs";
import { Cannot, numbers, twice } from "../work.mjs";
import { provideWebWorkers } from "./web-worker.mjs";

export async function open(threads) {
  // without a global Worker it runs on the calling thread
  if (threads > 1) provideWebWorkers(threads);
  const jax = await import("@jax-js/jax");
  if (!(await jax.init("wasm")).includes("wasm")) throw new Cannot("its wasm device does not start under Node");
  jax.defaultDevice("wasm");
  return {
    about: `wasm device, jit, ${threads > 1 ? `${threads} workers` : "calling thread, no workers"}`,
    prepare: (work) => prepare(jax, work),
    lacks: () => lacks(jax),
  };
}

function lacks(jax) {
  const has = (name) => () => name in jax.nn;
  return lacking([
    ["layer norm as one operation", "`standardize`'s formula in two jits", has("layerNorm")],
    ["dropout", "`random.bits` and a comparison", has("dropout")],
    [
      "optimizers and clipping (they are in a package of their own, @jax-js/optax)",
      "AdamW and clipping written out under the step's jit",
      () => "optax" in jax,
    ],
  ]);
}

/** Normalizes rows in two pieces: under a single jit the sums of a row are computed again for each of its elements, four times slower. */
export function layerNorm({ numpy: np }, epsilon, piece) {
  const sums = piece((x) => {
    const centre = np.mean(x.ref, -1, { keepdims: true });
    const variance = np.mean(np.square(x.sub(centre.ref)), -1, { keepdims: true });
    return [centre, np.reciprocal(np.sqrt(variance.add(epsilon)))];
  });
  const apply = piece((x, centre, scale, w, b) => x.sub(centre).mul(scale).mul(w).add(b));
  return (x, w, b) => apply(x.ref, ...sums(x), w, b);
}

/** 0 with probability p, else 1 / (1 − p). Comparing bits is quicker than `random.bernoulli`. */
export function dropoutMask({ numpy: np, random }, shape, p, key) {
  const kept = random.bits(key, shape).greater(np.array(Uint32Array.of(p * 2 ** 32)).reshape([]));
  return np.where(kept, 1 / (1 - p), 0);
}

/** [function of the inputs, the inputs]; `piece` compiles a function. */
function body(jax, work, piece) {
  const { numpy: np, nn } = jax;
  const { rows, columns } = work;
  const array = (phase, ...shape) =>
    np
      .array(
        numbers(
          shape.reduce((a, b) => a * b, 1),
          phase,
        ),
      )
      .reshape(shape);
  switch (work.kind) {
    case "product": {
      const { m, k, n, epilogue } = work;
      if (epilogue === "none") return [(x, w) => np.matmul(x, w.transpose()), [array(0, m, k), array(1, n, k)]];
      return [
        (x, w, b) => nn.gelu(np.matmul(x, w.transpose()).add(b), { approximate: false }),
        [array(0, m, k), array(1, n, k), array(2, n)],
      ];
    }
    case "batched":
      return [
        (x, y) => np.matmul(x, y.transpose([0, 2, 1])),
        [array(0, work.count, work.m, work.k), array(1, work.count, work.n, work.k)],
      ];
    case "dropout":
      return [(x, key) => x.mul(dropoutMask(jax, [work.count], work.p, key)), [array(0, work.count)]];
    case "softmax":
      return [(x) => nn.softmax(x, -1), [array(0, rows, columns)]];
    case "layer-norm":
      return [layerNorm(jax, work.epsilon, piece), [array(0, rows, columns), array(1, columns), array(2, columns)]];
    case "add":
      return [(a, b) => a.add(b), [array(0, work.count), array(1, work.count)]];
    case "gelu":
      return [(x) => nn.gelu(x, { approximate: false }), [array(0, work.count)]];
    case "columns":
      return [(x) => np.sum(x, 0), [array(0, rows, columns)]];
    default:
      throw new Cannot(`no ${work.kind}`);
  }
}

async function prepare(jax, work) {
  if (work.kind === "step" || work.kind === "forward") return (await import("./jax-bert.mjs")).prepare(jax, work);
  const pieces = [];
  const piece = (f) => {
    pieces.push(jax.jit(f));
    return pieces.at(-1);
  };
  const [compute, inputs] = body(jax, work, piece);
  const compiled = pieces.length > 0 ? compute : piece(compute);
  await jax.blockUntilReady(inputs);
  let calls = 0;
  const call = () =>
    compiled(...inputs.map((x) => x.ref), ...(work.kind === "dropout" ? [jax.random.key(++calls)] : []));
  return {
    async run() {
      const y = call();
      await y.blockUntilReady();
      y.dispose();
    },
    read: () => (work.kind === "dropout" ? twice(() => call().data()) : call().data()),
    close() {
      for (const x of inputs) x.dispose();
      for (const compiledPiece of pieces) compiledPiece.dispose();
    },
  };
}
