/**
 * onnxruntime: native code on the CPU (onnxruntime-node), or its WebAssembly build where there is no binary for this machine. Forward only.
 * Weights are constants of the graph, so that it packs them once; results go to a buffer that is kept.
 */
import { Cannot, numbers, transposed, twice } from "../work.mjs";
import { OnnxGraph } from "../onnx.mjs";

async function loadWeb(threads, why) {
  const ort = await import("onnxruntime-web");
  ort.env.wasm.numThreads = threads;
  return { ort, provider: "wasm", kind: `WebAssembly (onnxruntime-web${why})` };
}

async function load(threads) {
  try {
    return { ort: (await import("onnxruntime-node")).default, provider: "cpu", kind: "native CPU (onnxruntime-node)" };
  } catch (error) {
    return loadWeb(threads, `; native one: ${error.code ?? "does not load"}`);
  }
}

export const open = async (threads) => engine(threads, await load(threads));
export const openWeb = async (threads) => engine(threads, await loadWeb(threads, ""));

function engine(threads, { ort, provider, kind }) {
  const options = {
    executionProviders: [provider],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
  };
  return {
    about: `${kind}, ${threads} thread${threads > 1 ? "s" : ""}, all graph optimizations`,
    prepare: (work) => prepare(ort, options, work),
  };
}

/** { graph, output, shape, feeds: name → values and shape }. */
function build(work) {
  const graph = new OnnxGraph();
  const feeds = {};
  const input = (name, phase, ...shape) => {
    feeds[name] = {
      values: numbers(
        shape.reduce((a, b) => a * b, 1),
        phase,
      ),
      shape,
    };
    return graph.input(name, shape);
  };
  const { rows, columns } = work;
  switch (work.kind) {
    case "product": {
      const { m, k, n, epilogue } = work;
      let y = graph.node("MatMul", [input("x", 0, m, k), graph.constant(transposed(numbers(n * k, 1), n, k), [k, n])]);
      if (epilogue === "bias-gelu")
        y = graph.node("Gelu", [graph.node("Add", [y, graph.constant(numbers(n, 2), [n])])]);
      return { graph, output: y, shape: [m, n], feeds };
    }
    case "batched": {
      const { count, m, k, n } = work;
      const turned = graph.node("Transpose", [input("y", 1, count, n, k)], { perm: [0, 2, 1] });
      return { output: graph.node("MatMul", [input("x", 0, count, m, k), turned]), graph, shape: [count, m, n], feeds };
    }
    case "dropout": {
      const training = graph.node("Cast", [graph.constant(BigInt64Array.of(1n), [])], { to: 9 }); // 9: bool
      return {
        output: graph.node("Dropout", [
          input("x", 0, work.count),
          graph.constant(Float32Array.of(work.p), []),
          training,
        ]),
        graph,
        shape: [work.count],
        feeds,
      };
    }
    case "softmax":
      return {
        output: graph.node("Softmax", [input("x", 0, rows, columns)], { axis: -1 }),
        graph,
        shape: [rows, columns],
        feeds,
      };
    case "layer-norm": {
      const [w, b] = [graph.constant(numbers(columns, 1), [columns]), graph.constant(numbers(columns, 2), [columns])];
      return {
        output: graph.node("LayerNormalization", [input("x", 0, rows, columns), w, b], {
          axis: -1,
          epsilon: { float: work.epsilon },
        }),
        graph,
        shape: [rows, columns],
        feeds,
      };
    }
    case "add":
      return {
        output: graph.node("Add", [input("a", 0, work.count), input("b", 1, work.count)]),
        graph,
        shape: [work.count],
        feeds,
      };
    case "gelu":
      return { output: graph.node("Gelu", [input("x", 0, work.count)]), graph, shape: [work.count], feeds };
    case "columns":
      return {
        output: graph.node("ReduceSum", [input("x", 0, rows, columns), graph.integers(0)], { keepdims: 0 }),
        graph,
        shape: [columns],
        feeds,
      };
    default:
      throw new Cannot("forward only: its JavaScript packages have no gradients, optimizers or training sessions");
  }
}

async function prepare(ort, options, work) {
  const { graph, output, shape, feeds } =
    work.kind === "forward" ? (await import("./ort-bert.mjs")).build(work) : build(work);
  const session = await ort.InferenceSession.create(graph.model(output, shape), options);
  const tensors = Object.fromEntries(
    Object.entries(feeds).map(([name, { values, shape: s }]) => [
      name,
      new ort.Tensor(values instanceof BigInt64Array ? "int64" : "float32", values, s),
    ]),
  );
  const result = new ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  const fetches = { [output]: result };
  const read = async () => (await session.run(tensors))[output].data;
  return {
    run: () => session.run(tensors, fetches),
    read: () => (work.kind === "dropout" ? twice(read) : read()),
    close: () => session.release(),
  };
}
