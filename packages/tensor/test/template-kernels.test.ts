/** Templates that take kernels, and kernels of a backend's own. */
import { describe, expect, it } from "vitest";
import type { GemmKernel, Kernel, NativeKernel, Template } from "../src/backend.ts";
import { InterpreterBackend } from "../src/backends/interpreter/interpreter.ts";
import { createWasmBackend } from "../src/backends/wasm/backend.ts";
import type { WasmEmitter } from "../src/backends/wasm/emit.ts";
import { Code } from "../src/backends/wasm/loop/code.ts";
import { createWebGpuBackend } from "../src/backends/webgpu/backend.ts";
import { compile, composite, ops, type Device, type Tensor } from "../src/index.ts";
import { swiftShaderAvailable } from "./support/swiftshader.ts";
import { on } from "./support/templates.ts";

/** Σ over k in two halves: each into scratch, then their sum. */
const halves: Template = {
  name: "halves",
  requires: ["halving"],
  match(subject) {
    if (subject.kind !== "gemm" || subject.products.length > 1 || subject.epilogue.length > 1) return undefined;
    const { m, n, batch } = subject;
    const [product] = subject.products as [GemmKernel["products"][0]];
    const k = product.k / 2;
    if (batch.length > 0 || !Number.isInteger(k)) return undefined;
    const half = (which: number): GemmKernel => {
      const moved = (side: typeof product.a, dim: number): typeof product.a => ({
        ...side,
        body: side.body.map((i) =>
          i.op === "load"
            ? { ...i, index: { ...i.index, offset: i.index.offset + which * k * i.index.strides[dim]! } }
            : i,
        ),
      });
      return {
        ...subject,
        label: `half ${which}`,
        args: [...subject.args, { dtype: "f32", access: "write", size: 2 * m * n }],
        products: [{ ...product, k, a: moved(product.a, 1), b: moved(product.b, 0) }],
        stores: [{ arg: subject.args.length, index: { offset: which * m * n, strides: [n, 1] }, value: 0 }],
      };
    };
    const [store] = subject.stores as [GemmKernel["stores"][0]];
    const sum: Kernel = {
      kind: "loop",
      label: "both",
      args: [subject.args[store.arg]!, { dtype: "f32", access: "read", size: 2 * m * n }],
      outer: [m, n],
      inner: [],
      body: [
        { op: "load", type: "f32", arg: 1, index: { offset: 0, strides: [n, 1] } },
        { op: "load", type: "f32", arg: 1, index: { offset: m * n, strides: [n, 1] } },
        { op: "add", type: "f32", a: 0, b: 1 },
      ],
      stores: [{ ...store, arg: 0, value: 2 }],
    };
    const all = [...subject.args.keys(), subject.args.length];
    return {
      scratch: [8 * m * n],
      phases: [
        { kernel: half(0), args: all },
        { kernel: half(1), args: all },
        { kernel: sum, args: [store.arg, subject.args.length] },
      ],
    };
  },
};

describe("taking a kernel", () => {
  const product = (device: Device): Tensor =>
    ops.matmul(device.tensor([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]), device.tensor([1, 0, 0, 1, 1, 1, 2, 3], [4, 2]));

  it("replaces it by phases, planned and named like any step", async () => {
    const device = on(new InterpreterBackend(), [halves], { features: new Set(["halving"]) });
    const y = product(device);
    const step = compile(device, () => ({ y: product(device) }));
    expect(step.plan({})).toMatchObject({ steps: 3, kernels: 3 });
    const want = [1 + 3 + 8, 2 + 3 + 12, 5 + 7 + 16, 6 + 7 + 24];
    const profile = await device.profile(async () => {
      expect([...(await y.floats())]).toEqual(want);
    });
    expect(profile.table()).toBeDefined();
  });

  it("is not asked for without the features that it requires", () => {
    const device = on(new InterpreterBackend(), [halves]);
    expect(compile(device, () => ({ y: product(device) })).plan({}).steps).toBe(1);
  });

  it("works on wasm, where names of steps are seen in profiles", async () => {
    const device = on(await createWasmBackend(2, { fma: false }), [halves], { features: new Set(["halving"]) });
    const profile = await device.profile(async () => {
      expect([...(await product(device).floats())]).toEqual([12, 17, 28, 37]);
    });
    expect(profile.rows.map(({ label }) => label).sort()).toEqual([
      "matmul by halves: both",
      "matmul by halves: half 0",
      "matmul by halves: half 1",
    ]);
  });
});

/** 3 · x by a kernel of the backend's own. */
function tripling(code: unknown): Template {
  return {
    name: "tripling",
    match(subject) {
      if (subject.kind !== "composite" || subject.name !== "triple") return undefined;
      const size = subject.inputs[0]!.shape.reduce((a, b) => a * b, 1);
      const args: NativeKernel["args"] = [
        { dtype: "f32", access: "read", size },
        { dtype: "f32", access: "write", size },
      ];
      return {
        phases: [{ kernel: { kind: "native", label: "x3", key: `triple ${size}`, args, code }, args: [0, 1] }],
      };
    },
  };
}

describe("kernels of a backend's own", () => {
  const check = async (device: Device): Promise<void> => {
    const x = device.tensor(Float32Array.from({ length: 64 }, (_, i) => i));
    const y = composite("triple", ops.add(x, 1000), [x]);
    expect([...(await ops.add(y, 1).floats())]).toEqual(Array.from({ length: 64 }, (_, i) => 3 * i + 1));
  };

  it("run on wasm", async () => {
    const emit: WasmEmitter = (module, prefix, features) => {
      const c = Code.kernel(module, `${prefix}x3`, 2, features);
      const i = c.local("i32");
      c.for(i, c.begin, c.finish, 4, () => {
        const at = (arg: number) => c.at.plus(c.at.get(c.args[arg]!), c.at.times(c.get(i), 4));
        c.store("v128.store", at(1), 0, c.f4("mul", c.load("v128.load", at(0), 0), c.f4const(3)));
      });
      return {
        phases: [{ exportName: `${prefix}x3`, units: 64, cost: 10 }],
        sharedScratch: 0,
        threadScratch: 0,
      };
    };
    await check(on(await createWasmBackend(1, { fma: false }), [tripling(emit)]));
  });

  it("run on webgpu", async (ctx) => {
    const reason = await swiftShaderAvailable();
    if (reason !== undefined) return ctx.skip(reason);
    const code = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) { y[id.x] = 3.0f * x[id.x]; }`;
    await check(on(await createWebGpuBackend(), [tripling({ code, workgroups: 1 })]));
  });

  it("are refused by whom they do not belong to", async () => {
    const device = on(new InterpreterBackend(), [tripling(undefined)]);
    await expect(composite("triple", ops.add(device.tensor([1]), 1), []).floats()).resolves.toBeDefined();
    const x = device.tensor([1]);
    await expect(composite("triple", ops.add(x, 1), [x]).floats()).rejects.toThrow(
      "x3 is a kernel of a backend's own, which only that backend can run",
    );
  });
});
