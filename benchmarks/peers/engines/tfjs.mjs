/**
 * TensorFlow.js on its WebAssembly backend. Weights lie [in, out], because only untransposed products reach XNNPACK; it packs them once.
 * Calls are synchronous: a result is there when the function returns.
 */
import { createRequire } from "node:module";
import os from "node:os";
import { dirname, join } from "node:path";
import { lacking } from "../lacks.mjs";
import { Cannot, numbers, transposed, twice } from "../work.mjs";
import { letWorkersStartFromBlobs } from "./web-worker.mjs";

const require = createRequire(import.meta.url);

async function load(threads) {
  const folder = dirname(require.resolve("@tensorflow/tfjs-backend-wasm/package.json"));
  if (threads > 1) {
    letWorkersStartFromBlobs(join(folder, "wasm-out/tfjs-backend-wasm-threaded-simd.js"));
    // the library takes at most half of the cores it sees
    const cores = os.cpus();
    os.cpus = () => Array.from({ length: 2 * threads }, () => cores[0]);
  }
  const log = console.log;
  console.log = () => {}; // its advertisement for the native package
  const warn = console.warn;
  console.warn = () => {};
  const tf = require("@tensorflow/tfjs");
  const wasm = require("@tensorflow/tfjs-backend-wasm");
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", threads > 1);
  wasm.setThreadsCount(threads);
  wasm.setWasmPaths(join(folder, "dist/"));
  const ok = await tf.setBackend("wasm");
  await tf.ready();
  console.log = log;
  console.warn = warn;
  if (!ok || tf.getBackend() !== "wasm")
    throw new Cannot("its wasm backend does not start under Node with these threads");
  if (wasm.getThreadsCount() !== threads)
    throw new Cannot(`it takes ${wasm.getThreadsCount()} threads where ${threads} are asked for`);
  return tf;
}

export async function open(threads) {
  const tf = await load(threads);
  tf.enableProdMode();
  const simd = await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT");
  return {
    about: `wasm backend, SIMD ${simd ? "on" : "off"}, ${threads} thread${threads > 1 ? "s" : ""}`,
    prepare: (work) => prepare(tf, work),
    lacks: () => lacks(tf),
  };
}

function lacks(tf) {
  const x = tf.tensor2d([1, 2, 3, 4], [2, 2]);
  const rows = tf.tensor1d([0, 1], "int32");
  const has = (name) => () => typeof tf[name] === "function";
  const found = lacking([
    [
      "gradient of a gather, so no training of embeddings",
      "nothing: embeddings are frozen in the LoRA step",
      () => tf.tidy(() => tf.grad((w) => tf.sum(tf.gather(w, rows)))(x)),
    ],
    ["einsum", "reshapes, transpositions and products", () => tf.tidy(() => tf.einsum("ij,kj->ik", x, x))],
    ["compilation or fusion of a traced step", "every operation by itself", has("jit")],
    ["GELU as one kernel", "`erf` and arithmetic", has("gelu")],
    [
      "layer norm as one kernel",
      "means and arithmetic; `tf.layers.layerNormalization` takes a hundred times as long",
      has("layerNorm"),
    ],
    ["AdamW", "written out", () => typeof tf.train.adamw === "function"],
    ["clipping by global norm", "written out", has("clipByGlobalNorm")],
  ]);
  tf.dispose([x, rows]);
  return found;
}

export function gelu(tf, x) {
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
}

export function layerNorm(tf, x, weight, bias, epsilon) {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true);
  return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon))), weight), bias);
}

function body(tf, work) {
  const { rows, columns } = work;
  switch (work.kind) {
    case "product": {
      const { m, k, n, epilogue } = work;
      const x = tf.tensor(numbers(m * k), [m, k]);
      const w = tf.tensor(transposed(numbers(n * k, 1), n, k), [k, n]);
      const bias = tf.tensor(numbers(n, 2), [n]);
      return epilogue === "bias-gelu"
        ? () =>
            gelu(tf, tf.fused.matMul({ a: x, b: w, transposeA: false, transposeB: false, bias, activation: "linear" }))
        : () => tf.matMul(x, w);
    }
    case "batched": {
      const { count, m, k, n } = work;
      const [x, y] = [
        tf.tensor(numbers(count * m * k), [count, m, k]),
        tf.tensor(numbers(count * n * k, 1), [count, n, k]),
      ];
      return () => tf.matMul(x, y, false, true);
    }
    case "dropout": {
      const x = tf.tensor(numbers(work.count));
      return () => tf.dropout(x, work.p);
    }
    case "softmax": {
      const x = tf.tensor(numbers(rows * columns), [rows, columns]);
      return () => tf.softmax(x);
    }
    case "layer-norm": {
      const x = tf.tensor(numbers(rows * columns), [rows, columns]);
      const [w, b] = [tf.tensor(numbers(columns, 1)), tf.tensor(numbers(columns, 2))];
      return () => layerNorm(tf, x, w, b, work.epsilon);
    }
    case "add": {
      const [a, b] = [tf.tensor(numbers(work.count)), tf.tensor(numbers(work.count, 1))];
      return () => tf.add(a, b);
    }
    case "gelu": {
      const x = tf.tensor(numbers(work.count));
      return () => gelu(tf, x);
    }
    case "columns": {
      const x = tf.tensor(numbers(rows * columns), [rows, columns]);
      // a product with ones: tf.sum transposes first and takes a hundred times as long
      const ones = tf.ones([1, rows]);
      return () => tf.reshape(tf.matMul(ones, x), [columns]);
    }
    default:
      throw new Cannot(`no ${work.kind}`);
  }
}

async function prepare(tf, work) {
  if (work.kind === "step" || work.kind === "forward") return (await import("./tfjs-bert.mjs")).prepare(tf, work);
  tf.engine().startScope();
  const compute = body(tf, work);
  const read = () => tf.tidy(() => compute().dataSync().slice());
  return {
    run: () => tf.dispose(tf.tidy(compute)),
    read: () => (work.kind === "dropout" ? twice(read) : read()),
    close: () => tf.engine().endScope(),
  };
}
