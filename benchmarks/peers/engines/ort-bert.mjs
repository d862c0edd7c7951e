/** The forward pass of BERT as an ONNX graph, weights as constants. */
import { bertBatch, bertWeights } from "../bert.mjs";
import { OnnxGraph } from "../onnx.mjs";
import { transposed } from "../work.mjs";

export function build(work) {
  const { layers, hidden, heads, batch, length, epsilon, labels } = work;
  const graph = new OnnxGraph();
  const weights = bertWeights(work, false);
  const width = hidden / heads;
  const constant = (name, rows) => {
    const { values, shape } = weights.get(name);
    return rows === undefined
      ? graph.constant(values, shape)
      : graph.constant(values.subarray(0, rows * shape[1]), [rows, shape[1]]);
  };
  const linear = (name, x) => {
    const {
      values,
      shape: [outputs, inputs],
    } = weights.get(`${name}.weight`);
    return graph.node("Add", [
      graph.node("MatMul", [x, graph.constant(transposed(values, outputs, inputs), [inputs, outputs])]),
      constant(`${name}.bias`),
    ]);
  };
  const norm = (name, x) =>
    graph.node("LayerNormalization", [x, constant(`${name}.weight`), constant(`${name}.bias`)], {
      axis: -1,
      epsilon: { float: epsilon },
    });
  const split = (x, perm) =>
    graph.node("Transpose", [graph.node("Reshape", [x, graph.integers(batch, length, heads, width)])], { perm });

  const { ids } = bertBatch(work);
  const feeds = { ids: { values: BigInt64Array.from(ids, BigInt), shape: [batch, length] } };
  const words = graph.node(
    "Gather",
    [constant("bert.embeddings.word_embeddings.weight"), graph.input("ids", [batch, length], "i64")],
    { axis: 0 },
  );
  const placed = graph.node("Add", [
    graph.node("Add", [words, constant("bert.embeddings.position_embeddings.weight", length)]),
    constant("bert.embeddings.token_type_embeddings.weight", 1),
  ]);
  let x = norm("bert.embeddings.LayerNorm", placed);
  for (let i = 0; i < layers; i++) {
    const at = `bert.encoder.layer.${i}.`;
    const q = split(linear(`${at}attention.self.query`, x), [0, 2, 1, 3]);
    const k = split(linear(`${at}attention.self.key`, x), [0, 2, 3, 1]);
    const v = split(linear(`${at}attention.self.value`, x), [0, 2, 1, 3]);
    const scores = graph.node("Mul", [
      graph.node("MatMul", [q, k]),
      graph.constant(Float32Array.of(1 / Math.sqrt(width)), []),
    ]);
    const mixed = graph.node("Transpose", [graph.node("MatMul", [graph.node("Softmax", [scores], { axis: -1 }), v])], {
      perm: [0, 2, 1, 3],
    });
    const joined = graph.node("Reshape", [mixed, graph.integers(batch, length, hidden)]);
    const middle = norm(
      `${at}attention.output.LayerNorm`,
      graph.node("Add", [linear(`${at}attention.output.dense`, joined), x]),
    );
    const inner = graph.node("Gelu", [linear(`${at}intermediate.dense`, middle)]);
    x = norm(`${at}output.LayerNorm`, graph.node("Add", [linear(`${at}output.dense`, inner), middle]));
  }
  const first = graph.node("Gather", [x, graph.constant(BigInt64Array.of(0n), [])], { axis: 1 });
  const output = linear("classifier", graph.node("Tanh", [linear("bert.pooler.dense", first)]));
  return { graph, output, shape: [batch, labels], feeds };
}
