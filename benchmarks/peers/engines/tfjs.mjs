/**
 * TensorFlow.js on its WebAssembly backend. Weights lie [in, out], because only untransposed products reach XNNPACK; it packs them once.
 * Calls are synchronous: a result is there when the function returns.
 */
import { createRequire } from "node:module";
import os from "node:os";
import { dirname, join } from "node:path";
import { Cannot, numbers, transposed } from "../work.mjs";
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
  if (!ok || tf.getBackend() !== "wasm") throw new Cannot("its wasm backend does not start under Node with these threads");
  if (wasm.getThreadsCount() !== threads) throw new Cannot(`it takes ${wasm.getThreadsCount()} threads where ${threads} are asked for`);
  return tf;
}

export async function open(threads) {
  const tf = await load(threads);
  tf.enableProdMode();
  const simd = await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT");
  return { about: `wasm backend, SIMD ${simd ? "on" : "off"}, ${threads} thread${threads > 1 ? "s" : ""}`, prepare: (work) => prepare(tf, work) };
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
      return epilogue === "bias-gelu" ? () => gelu(tf, tf.fused.matMul({ a: x, b: w, transposeA: false, transposeB: false, bias, activation: "linear" })) : () => tf.matMul(x, w);
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
      return () => tf.sum(x, 0);
    }
    default:
      throw new Cannot("not written yet");
  }
}

async function prepare(tf, work) {
  if (work.kind === "step" || work.kind === "forward") return (await import("./tfjs-bert.mjs")).prepare(tf, work);
  tf.engine().startScope();
  const compute = body(tf, work);
  return {
    run: () => tf.dispose(tf.tidy(compute)),
    read: () => { const y = tf.tidy(compute); const values = y.dataSync().slice(); y.dispose(); return values; },
    close: () => tf.engine().endScope(),
  };
}
