/** Templates that take composites: a backend's own way to compute what ops say they are, and what happens where nothing is taken. */
import { beforeEach, describe, expect, it } from "vitest";
import type { CompositeCall, Kernel, Phase, Phases, Plan, Template } from "../src/backend.ts";
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
});

describe("an answer that cannot be right", () => {
  const size = 2;
  const at = { offset: 0, strides: [1] };
  const copy = (change: Partial<Kernel["args"][number]> = {}, n = size): Kernel => ({
    kind: "loop",
    label: "copy",
    args: [
      { dtype: "f32", access: "read", size: n },
      { dtype: "f32", access: "write", size: n, ...change },
    ],
    outer: [n],
    inner: [],
    body: [{ op: "load", type: "f32", arg: 0, index: at }],
    stores: [{ arg: 1, index: at, value: 0 }],
  });
  const one = (args: Phase["args"], kernel = copy()): unknown => ({ phases: [{ kernel, args }] });
  const through = (scratch: number): unknown => ({
    scratch: [scratch],
    phases: [
      { kernel: copy(), args: [0, 2] },
      { kernel: copy(), args: [2, 1] },
    ],
  });

  it.each<[what: string, answer: unknown, message: string]>([
    ["writes an input", one([1, 0]), "phase 0 (copy): argument 0 reads output 0, which no phase before it writes"],
    [
      "updates an input",
      one([0, 1], { ...copy(), args: [{ dtype: "f32", access: "readwrite", size }, copy().args[1]!] }),
      "argument 0 writes input 0, which is only to be read",
    ],
    ["has no phases", { phases: [] }, '"phases" must be a list of at least 1'],
    ["is empty", {}, '"phases" must be a list of at least 1'],
    ["is null", null, "must be an object with the keys phases, scratch, got null"],
    ["is a promise", Promise.resolve(one([0, 1])), "must be an object with the keys phases, scratch"],
    ["has no kernel", { phases: [{ args: [0, 1] }] }, '"phases.0.kernel" is missing; it must be a kernel'],
    ["never writes the output", { scratch: [8], ...(one([0, 2]) as object) }, "on c: no phase writes output 0"],
    ["writes half of the output", one([0, 1], copy({}, 1)), "phases write 4 of 8 bytes of output 0"],
    ["has another dtype", one([0, 1], copy({ dtype: "i32" })), "argument 1 is i32, and output 0 is f32"],
    ["goes beyond the operand", one([0, 1], copy({}, 3)), "argument 0 takes 12 bytes of input 0, which has 8"],
    [
      "goes beyond it from a part on",
      one([{ operand: 0, from: 1 }, 1]),
      "argument 0 takes 12 bytes of input 0, which has 8",
    ],
    ["has a part that begins nowhere", one([{ operand: 0, from: -1 }, 1]), '"phases.0.args.0" must be'],
    ["gives two parts of an operand", one([0, { operand: 0, from: 0 }]), "arguments 0 and 1 are both input 0"],
    ["gives an operand twice", one([0, 0]), "arguments 0 and 1 are both input 0"],
    ["names no operand", one([0, 7]), "argument 1 is operand 7, and there are 2"],
    ["names a negative one", one([0, -1]), '"phases.0.args.1" must be'],
    ["names a fraction", one([0, 0.5]), '"phases.0.args.1" must be'],
    ["gives too few", one([0]), '"args" has 1 operands for a kernel with 2 arguments'],
    ["has scratch below zero", through(-8), '"scratch.0" must be'],
    ["has broken scratch", through(8.5), '"scratch.0" must be'],
    ["has scratch that is no number", through(NaN), '"scratch.0" must be'],
    ["has more scratch than memory", through(1e12), '"scratch.0" must be'],
    ["has too little scratch", through(4), "argument 1 takes 8 bytes of scratch 0, which has 4"],
    [
      "reads what is nowhere",
      { scratch: [8], ...(one([2, 1]) as object) },
      "argument 0 reads scratch 0, which no phase",
    ],
  ])("%s: one error before anything runs", async (_, answer, message) => {
    const bad: Template = {
      name: "clumsy",
      match: (subject) => (subject.kind === "composite" ? (answer as Phases) : undefined),
    };
    const device = on(new InterpreterBackend(), [bad]);
    const p = device.parameter([1, 2]);
    const error: unknown = await composite("c", ops.mul(p.value, 10), [p.value])
      .floats()
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "ConfigError" });
    expect(String(error)).toContain('template "clumsy" on c: ');
    expect(String(error)).toContain(message);
    expect([...(await p.value.floats())]).toEqual([1, 2]);
    expect([...(await ops.add(p.value, 1).floats())]).toEqual([2, 3]);
  });

  it("is found where a kernel was taken, too; the kernel itself is right", async () => {
    const answers: [(kernel: Kernel) => Phases, string | undefined][] = [
      [(kernel) => ({ phases: [{ kernel, args: [...kernel.args.keys()] }] }), undefined],
      [(kernel) => ({ phases: [{ kernel, args: [...kernel.args.keys()].reverse() }] }), "no phase before it writes"],
      [(kernel) => ({ phases: [{ kernel, args: kernel.args.map(() => 0) }] }), "are both operand 0"],
      [() => ({ phases: [] }), "must be a list of at least 1"],
    ];
    for (const [answer, message] of answers) {
      const match: Template["match"] = (subject) => (subject.kind === "loop" ? answer(subject) : undefined);
      const device = on(new InterpreterBackend(), [{ name: "clumsy", match }]);
      const p = device.parameter([1, 2]);
      const y = ops.mul(p.value, 10).floats();
      if (message === undefined) expect([...(await y)]).toEqual([10, 20]);
      else await expect(y).rejects.toThrow(message);
      expect([...(await p.value.floats())]).toEqual([1, 2]);
    }
  });
});
