/**
 * jax-js on its wasm device, everything under jit. Weights lie [out, in] and are transposed in the product: its quickest order.
 * Arrays are counted: `.ref` keeps one that is used again.
 */
import { Cannot, numbers } from "../work.mjs";
import { provideWebWorkers } from "./web-worker.mjs";

export async function open(threads) {
  // without a global Worker it runs on the calling thread
  if (threads > 1) provideWebWorkers(threads);
  const jax = await import("@jax-js/jax");
  if (!(await jax.init("wasm")).includes("wasm")) throw new Cannot("its wasm device does not start under Node");
  jax.defaultDevice("wasm");
  return { about: `wasm device, jit, ${threads > 1 ? `${threads} workers` : "calling thread, no workers"}`, prepare: (work) => prepare(jax, work) };
}

/** [function of the inputs, the inputs]. */
function body(jax, work) {
  const { numpy: np, nn } = jax;
  const { rows, columns } = work;
  const array = (phase, ...shape) => np.array(numbers(shape.reduce((a, b) => a * b, 1), phase)).reshape(shape);
  switch (work.kind) {
    case "product": {
      const { m, k, n, epilogue } = work;
      if (epilogue === "none") return [(x, w) => np.matmul(x, w.transpose()), [array(0, m, k), array(1, n, k)]];
      return [(x, w, b) => nn.gelu(np.matmul(x, w.transpose()).add(b), { approximate: false }), [array(0, m, k), array(1, n, k), array(2, n)]];
    }
    case "softmax": return [(x) => nn.softmax(x, -1), [array(0, rows, columns)]];
    case "layer-norm": return [(x, w, b) => nn.standardize(x, -1, { epsilon: work.epsilon }).mul(w).add(b), [array(0, rows, columns), array(1, columns), array(2, columns)]];
    case "add": return [(a, b) => a.add(b), [array(0, work.count), array(1, work.count)]];
    case "gelu": return [(x) => nn.gelu(x, { approximate: false }), [array(0, work.count)]];
    case "columns": return [(x) => np.sum(x, 0), [array(0, rows, columns)]];
    default: throw new Cannot(`no ${work.kind}`);
  }
}

async function prepare(jax, work) {
  if (work.kind === "step" || work.kind === "forward") return (await import("./jax-bert.mjs")).prepare(jax, work);
  const [compute, inputs] = body(jax, work);
  const compiled = jax.jit(compute);
  await jax.blockUntilReady(inputs);
  const call = () => compiled(...inputs.map((x) => x.ref));
  return {
    async run() {
      const y = call();
      await y.blockUntilReady();
      y.dispose();
    },
    read: () => call().data(),
    close() {
      for (const x of inputs) x.dispose();
      compiled.dispose();
    },
  };
}
