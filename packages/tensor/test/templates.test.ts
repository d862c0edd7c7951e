/** Templates that take composites: a backend's own way to compute what ops say they are, and what happens where nothing is taken. */
import { beforeEach, describe, expect, it } from "vitest";
import type { CompositeCall, Kernel, Plan, Template } from "../src/backend.ts";
import { InterpreterBackend } from "../src/backends/interpreter/interpreter.ts";
import { buildProgram } from "../src/graph/program.ts";
import { signatureOf } from "../src/graph/signature.ts";
import { composite, grad, init, ops, type Tensor } from "../src/index.ts";
import { adder, on, opened } from "./support/templates.ts";

/** A template that takes nothing and remembers what it was asked. */
let asked: CompositeCall[];
const recorder: Template = {
  name: "recorder",
  match(subject) {
    if (subject.kind === "composite") asked.push(subject);
    return undefined;
  },
};
beforeEach(() => {
  asked = [];
});
const names = (): string[] => asked.map(({ name }) => name);

/** What is wrong with the definition shows who computed: 100 more than the sum that templates give. */
const marked = (name: string, ...inputs: readonly Tensor[]): Tensor =>
  composite(
    name,
    ops.add(
      inputs.reduce((a, b) => ops.add(a, b)),
      100,
    ),
    inputs,
  );

describe("composites of ops", () => {
  it("say all that they are made of, and what the names need", async () => {
    const device = on(new InterpreterBackend(), [recorder]);
    const x = device.tensor([1, 2, 3, 4], [2, 2]);
    const [w, b] = [device.tensor([1, 2]), device.tensor([3, 4])];
    const q = device.tensor([1, 2, 3, 4], [1, 1, 2, 2]);
    const mask = device.tensor([1, 0], [1, 1, 1, 2], "bool");
    const codes = device.tensor([1, 2], [2], "u8");
    const weight = ops.dequantize(codes, device.tensor([1, 2]), device.tensor(new Float32Array(16)), [2, 2], 2);
    await device.realize(
      ops.softmax(x, 0, device.tensor([1, 0], [2], "bool")),
      ops.logSoftmax(x),
      ops.layerNorm(x, w, b, 1e-5),
      ops.rmsNorm(x, w, 1e-6),
      ops.attention(q, q, q, { mask, causal: true }),
      ops.crossEntropy(x, device.tensor([0, 1], [2], "i32"), { labelSmoothing: 0.1 }),
      ops.linear(x, ops.cast(weight, "bf16"), b),
    );
    const seen = Object.fromEntries(asked.map(({ name, inputs, attrs }) => [name, [inputs.length, attrs]]));
    expect(seen).toEqual({
      softmax: [2, { dim: 0 }],
      logSoftmax: [1, { dim: 1 }],
      layerNorm: [3, { eps: 1e-5 }],
      rmsNorm: [2, { eps: 1e-6 }],
      attention: [4, { scale: 1 / Math.sqrt(2), causal: true, mask: true }],
      attentionWeights: [3, { scale: 1 / Math.sqrt(2), causal: true, mask: true }],
      crossEntropy: [2, { ignoreIndex: -100, labelSmoothing: 0.1, reduction: "mean" }],
      dequantize: [3, { format: "blocks of 4 bits", blockSize: 2 }],
      dequantizedLinear: [5, { format: "blocks of 4 bits", blockSize: 2, outputs: 2, dtype: "bf16", bias: true }],
    });
    // softmax inside of attention's weights is one of its own, asked after them
    expect(names().filter((n) => n.startsWith("attention") || n === "softmax")).toContain("softmax");
  });

  it("leave the graph as it is: the same nodes, and the same results where nothing is taken", async () => {
    const plain = await init({ device: "interpreter" });
    opened.push(plain);
    const asking = on(new InterpreterBackend(), [recorder]);
    const results = await Promise.all(
      [plain, asking].map(async (device) => {
        const x = device.parameter([0.1, 0.7, -3, 2], [2, 2]);
        const y = ops.layerNorm(ops.softmax(x.value), device.tensor([1, 2]), device.tensor([3, 4]), 1e-5);
        const all = [y, ...grad(ops.sum(ops.square(y)), [x])];
        const { steps } = device.plan(
          buildProgram(
            all.map((t) => t.node),
            [],
          ),
        );
        await device.realize(...all);
        return [steps, ...(await Promise.all(all.map(async (t) => [...(await t.floats())])))];
      }),
    );
    expect(results[1]).toEqual(results[0]);
    expect(names()).toEqual(expect.arrayContaining(["softmax", "layerNorm"]));
  });
});

describe("taking a composite", () => {
  it("replaces its body; what is wanted of the inside is computed by the body", async () => {
    const device = on(new InterpreterBackend(), [recorder, adder("whole")]);
    const [x, y] = [device.tensor([1, 2]), device.tensor([10, 20])];
    const inner = ops.add(x, y);
    const out = composite("whole", ops.add(inner, 100), [x, y]);
    const twice = ops.mul(y, 2);
    const alone = composite("whole", ops.add(ops.add(x, twice), 100), [x, twice]);
    await device.realize(out, inner, alone);
    expect(await Promise.all([out, inner, alone].map(async (t) => [...(await t.floats())]))).toEqual([
      [11, 22],
      [11, 22],
      [21, 42],
    ]);
    expect(asked.map(({ escapes }) => String(escapes)).sort()).toEqual(["false", "true"]);
  });

  it("asks for the outermost first, and inside only where that is not taken", async () => {
    const device = on(new InterpreterBackend(), [recorder, adder("outer", "inner")]);
    const build = (outer: string): Tensor => {
      const x = device.tensor([1, 2]);
      return composite(outer, ops.add(marked("inner", x, x), 1000), [x]);
    };
    expect([...(await build("other").floats())]).toEqual([1002, 1004]);
    expect(names()).toEqual(["other", "inner"]);
    asked = [];
    expect([...(await build("outer").floats())]).toEqual([1, 2]);
    expect(names()).toEqual(["outer"]);
  });

  it("writes all outputs, wanted or not", async () => {
    const device = on(new InterpreterBackend(), [adder("two")]);
    const x = device.tensor([1, 2]);
    const both = composite("two", [ops.add(x, 100), ops.mul(x, 100)], [x]);
    expect([...(await both[1]!.floats())]).toEqual([1, 2]);
    const y = device.tensor([3, 4]);
    const again = composite("two", [ops.add(y, 100), ops.mul(y, 100)], [y]);
    await device.realize(...again, ops.add(again[0]!, again[1]!));
    expect(await Promise.all(again.map(async (t) => [...(await t.floats())]))).toEqual([
      [3, 4],
      [3, 4],
    ]);
  });

  it("gives it dense operands, each in a buffer of its own", async () => {
    const backend = new InterpreterBackend();
    const device = on(backend, [adder("sum")]);
    const plans: Plan[] = [];
    backend.prepare = (plan) => {
      plans.push(plan);
      return { plan };
    };
    const x = device.tensor([1, 2, 3, 4], [2, 2]);
    const out = marked(
      "sum",
      x,
      ops.transpose(x),
      x,
      device.full([2, 2], 0.5),
      device.full([2, 2], 0.5),
      ops.mul(x, 2),
    );
    // x + xᵀ + x + ½ + ½ + 2x
    expect([...(await out.floats())]).toEqual([6, 12, 15, 21]);
    const step = plans[0]!.steps.find(({ label }) => label.includes("by adder"))!;
    expect(new Set(step.args.map((ref) => JSON.stringify(ref))).size).toBe(7);
  });

  it("may overwrite a parameter that it reads, and runs between those that need the old value and the new", async () => {
    const device = on(new InterpreterBackend(), [adder("sum")]);
    const p = device.parameter([1, 2, 3]);
    const before = ops.mul(p.value, 10);
    p.assign(marked("sum", p.value, ops.slice(p.value, 0, 2, -1, -1)));
    const after = ops.mul(p.value, 10);
    await device.realize(before, after);
    expect(await Promise.all([before, after, p.value].map(async (t) => [...(await t.floats())]))).toEqual([
      [10, 20, 30],
      [40, 40, 40],
      [4, 4, 4],
    ]);
  });

  it("never writes over what its later phases, or its own other elements, still read", async () => {
    const reverse: Template = {
      name: "reverse",
      match(subject) {
        if (subject.kind !== "composite" || subject.name !== "reverse") return undefined;
        const [size] = subject.inputs[0]!.shape as [number];
        const kernel: Kernel = {
          kind: "loop",
          label: "turn",
          args: [
            { dtype: "f32", access: "read", size },
            { dtype: "f32", access: "write", size },
          ],
          outer: [size],
          inner: [],
          body: [{ op: "load", type: "f32", arg: 0, index: { offset: size - 1, strides: [-1] } }],
          stores: [{ arg: 1, index: { offset: 0, strides: [1] }, value: 0 }],
        };
        return { phases: [{ kernel, args: [0, 1] }] };
      },
    };
    const device = on(new InterpreterBackend(), [reverse]);
    const p = device.parameter([1, 2, 3]);
    p.assign(composite("reverse", ops.add(p.value, 100), [p.value]));
    await device.realize();
    expect([...(await p.value.floats())]).toEqual([3, 2, 1]);
  });

  it("is not offered where it is empty, was computed in part, or does not say what it is made of", async () => {
    const device = on(new InterpreterBackend(), [recorder, adder("sum")]);
    expect([...(await marked("sum", device.zeros([0])).floats())]).toEqual([]);
    const [x, y] = [device.tensor([1]), device.tensor([2])];
    const silent = composite("sum", ops.add(ops.add(x, y), 100), [x]);
    expect([...(await silent.floats())]).toEqual([103]);
    const inner = ops.add(x, y);
    await inner.floats();
    expect([...(await composite("sum", ops.add(inner, 100), [x, y]).floats())]).toEqual([103]);
    expect(names()).toEqual([]);
  });

  it("is part of a program's structure", () => {
    const device = on(new InterpreterBackend(), []);
    const sign = (make: (y: Tensor, x: Tensor) => Tensor): string => {
      const x = device.tensor([1]);
      return signatureOf(buildProgram([make(ops.add(x, 1), x).node], []));
    };
    const all = [
      sign((y) => y),
      sign((y, x) => composite("a", y, [x])),
      sign((y, x) => composite("a", y, [x], { eps: 1 })),
      sign((y, x) => composite("b", y, [x])),
    ];
    expect(new Set(all).size).toBe(4);
  });

  it("is one result to anomaly detection, which names what in the body made it; index checks see the body", async () => {
    const device = on(new InterpreterBackend(), [adder("sum")]);
    device.anomalyDetection = true;
    const [x, y] = [device.tensor([1, 3e38]), device.tensor([2, 3e38])];
    const inner = ops.mul(ops.add(ops.mul(x, 0.5), ops.mul(y, 0.5)), 2);
    await expect(composite("sum", ops.add(inner, 1), [x, y]).floats()).rejects.toThrow(
      /^mul\[2\] in \(top level\) made the first non-finite value, Infinity at element 1/,
    );
    expect([...(await composite("sum", ops.add(ops.div(x, 0), 1), [x]).floats())]).toEqual([1, Math.fround(3e38)]);
    device.anomalyDetection = false;
    const labels = device.tensor([0, 7], [2], "i32");
    await expect(ops.crossEntropy(device.zeros([2, 3]), labels).item()).rejects.toMatchObject({ code: "ValueError" });
  });

  it("names the template where its answer does not fit", async () => {
    const wrong: Template = {
      name: "clumsy",
      match: (subject, target) => {
        const answer = adder("sum").match(subject, target);
        return answer && { phases: answer.phases.map(({ kernel }) => ({ kernel, args: [0, 0] })) };
      },
    };
    const device = on(new InterpreterBackend(), [wrong]);
    await expect(marked("sum", device.tensor([1])).floats()).rejects.toThrow(
      "internal: sum by clumsy: arguments [0, 0] do not fit sum",
    );
  });
});
