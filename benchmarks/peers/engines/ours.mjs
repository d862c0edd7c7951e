/** lowrank on its wasm device. Runs on the sources, like `npm run bench`. */
import { Rngs } from "@lowrank/nn";
import { compile, init, measureFmaPeak, ops } from "@lowrank/tensor";
import { numbers, twice } from "../work.mjs";

export async function open(threads) {
  return {
    about: `wasm device, ${threads} thread${threads > 1 ? "s" : ""}`,
    prepare: (work) => prepare(work, threads),
    peak: () => measureFmaPeak(3).gflops,
  };
}

const bodies = {
  product: ({ m, k, n, epilogue }) => ({
    inputs: [[m, k], [n, k], [n]],
    output: [m, n],
    body: ([x, w, bias]) => (epilogue === "bias-gelu" ? ops.gelu(ops.linear(x, w, bias)) : ops.linear(x, w)),
  }),
  softmax: ({ rows, columns }) => ({
    inputs: [[rows, columns]],
    output: [rows, columns],
    body: ([x]) => ops.softmax(x),
  }),
  "layer-norm": ({ rows, columns, epsilon }) => ({
    inputs: [[rows, columns], [columns], [columns]],
    output: [rows, columns],
    body: ([x, w, b]) => ops.layerNorm(x, w, b, epsilon),
  }),
  batched: ({ count, m, k, n }) => ({
    inputs: [
      [count, m, k],
      [count, n, k],
    ],
    output: [count, m, n],
    body: ([x, y]) => ops.matmul(x, ops.transpose(y)),
  }),
  dropout: ({ count, p }) => ({
    inputs: [[count]],
    output: [count],
    body: ([x], keys) => ops.dropout(x, p, keys.next()),
  }),
  add: ({ count }) => ({ inputs: [[count], [count]], output: [count], body: ([a, b]) => ops.add(a, b) }),
  gelu: ({ count }) => ({ inputs: [[count]], output: [count], body: ([x]) => ops.gelu(x) }),
  columns: ({ rows, columns }) => ({ inputs: [[rows, columns]], output: [columns], body: ([x]) => ops.sum(x, 0) }),
};

async function prepare(work, threads) {
  if (work.kind === "step" || work.kind === "forward") return (await import("./ours-bert.mjs")).prepare(work, threads);
  const device = await init({ device: "wasm", threads });
  const { inputs, output, body } = bodies[work.kind](work);
  const size = (shape) => shape.reduce((a, b) => a * b, 1);
  const parameters = inputs.map((shape, i) => device.parameter(numbers(size(shape), i), shape));
  const out = device.parameter(new Float32Array(size(output)), output);
  const keys = new Rngs(device, 1);
  const replay = compile(device, () => {
    keys.restart();
    out.assign(
      body(
        parameters.map((p) => p.value),
        keys,
      ),
    );
    return {};
  });
  const again = async () => {
    await replay({});
    return out.data();
  };
  return {
    run: () => replay({}),
    read: () => (work.kind === "dropout" ? twice(again) : out.data()),
    close: () => device.close(),
  };
}
