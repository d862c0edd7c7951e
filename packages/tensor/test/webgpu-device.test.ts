import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { requestGpuDevice } from "../src/backends/webgpu/device.ts";
import { createWebGpuBackend } from "../src/backends/webgpu/backend.ts";
import { printKernel } from "../src/backends/webgpu/wgsl/print.ts";
import { DeviceError, type LowrankError } from "../src/errors.ts";
import { compile, ops } from "../src/index.ts";
import type { LoopKernel } from "../src/ir/kernel.ts";
import type { Plan } from "../src/plan/plan.ts";
import { init } from "../src/init.ts";
import { swiftShaderAvailable } from "./support/swiftshader.ts";
import { closeWebgpu, webgpuOrSkip } from "./support/webgpu.ts";

afterAll(closeWebgpu);
afterEach(() => {
  vi.unstubAllGlobals();
});

const double: LoopKernel = {
  kind: "loop",
  label: "double",
  outer: [5],
  inner: [],
  args: [{ dtype: "f16", access: "readwrite", size: 5 }],
  body: [
    { op: "load", type: "f32", arg: 0, index: { offset: 0, strides: [1] } },
    { op: "add", type: "f32", a: 0, b: 0 },
  ],
  stores: [{ arg: 0, index: { offset: 0, strides: [1] }, value: 1 }],
};

describe("opening a WebGPU device", () => {
  it("names the fix where there is no adapter", async () => {
    vi.stubGlobal("navigator", { gpu: { requestAdapter: () => Promise.resolve(null) } });
    await expect(requestGpuDevice()).rejects.toThrow(/no adapter.*mesa-vulkan-drivers/s);
    await expect(requestGpuDevice()).rejects.toBeInstanceOf(DeviceError);
  });

  it("refuses a device that computes nothing", async () => {
    await swiftShaderAvailable();
    const { create } = await import("webgpu");
    vi.stubGlobal("navigator", { gpu: create(["backend=null"]) });
    await expect(requestGpuDevice()).rejects.toThrow(/does not compute \(3 · 2 gave/);
  });

  it("describes the adapter and asks for its limits", async (ctx) => {
    const backend = await webgpuOrSkip(ctx);
    expect(backend.info()).toMatchObject({ name: "webgpu", threads: 1 });
    expect(backend.info().description).not.toBe("");
  });

  it("gives its memory back when closed, and says so when used afterwards", async (ctx) => {
    await webgpuOrSkip(ctx);
    const backend = await createWebGpuBackend();
    const [kept, freed] = [backend.alloc(10), backend.alloc(6)];
    expect(backend.memory()).toEqual({ persistent: 16, arena: 0, scratch: 0, reserved: 16, buffers: 2 });
    backend.free(freed);
    expect(backend.memory()).toEqual({ persistent: 10, arena: 0, scratch: 0, reserved: 10, buffers: 1 });
    backend.close();
    backend.close();
    expect(backend.memory().buffers).toBe(0);
    await expect(backend.read(kept)).rejects.toThrow(/closed/);
  });
});

describe("choosing a device", () => {
  it("takes wasm where the platform offers WebGPU but has no adapter, or none that is a GPU", async (ctx) => {
    await webgpuOrSkip(ctx);
    const { create } = await import("webgpu");
    const software = create([]);
    const adapter = await software.requestAdapter();
    // stands in for a browser on this machine's own adapter, whose description says what it is
    const info = { vendor: "google", architecture: "swiftshader", device: "", description: "" };
    const requestDevice = adapter!.requestDevice.bind(adapter);
    for (const found of [null, { info, limits: adapter!.limits, features: adapter!.features, requestDevice }]) {
      vi.stubGlobal("navigator", { gpu: { requestAdapter: () => Promise.resolve(found) } });
      const device = await init({ threads: 1 });
      expect(device.name).toBe("wasm");
      device.close();
    }
  });
});

describe("buffers", () => {
  it("keep any number of bytes", async (ctx) => {
    const backend = await webgpuOrSkip(ctx);
    for (const size of [0, 1, 3, 4, 255, 1001]) {
      const bytes = Uint8Array.from({ length: size }, (_, i) => i * 7);
      const buffer = backend.alloc(size);
      backend.upload(buffer, bytes);
      expect(await backend.read(buffer)).toEqual(bytes);
      backend.free(buffer);
    }
  });

  it("can be freed while a read of them is under way", async (ctx) => {
    const backend = await webgpuOrSkip(ctx);
    const first = backend.alloc(8);
    backend.upload(first, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    const reading = backend.read(first);
    backend.free(first);
    const second = backend.alloc(8);
    backend.upload(second, new Uint8Array(8));
    expect(await reading).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    backend.free(second);
  });

  it("refuses more than the adapter can hold", async (ctx) => {
    const backend = await webgpuOrSkip(ctx);
    expect(() => backend.alloc(2 ** 46)).toThrow(/smaller batch/);
  });
});

describe("running plans", () => {
  const iota: LoopKernel = {
    kind: "loop",
    label: "iota",
    outer: [5],
    inner: [],
    args: [{ dtype: "f16", access: "write", size: 5 }],
    body: [
      { op: "coord", type: "i32", dim: 0 },
      { op: "cast", type: "f32", a: 0 },
    ],
    stores: [{ arg: 0, index: { offset: 0, strides: [1] }, value: 1 }],
  };
  const copy: LoopKernel = {
    kind: "loop",
    label: "copy",
    outer: [5],
    inner: [],
    args: [
      { dtype: "f16", access: "read", size: 5 },
      { dtype: "f32", access: "write", size: 5 },
    ],
    body: [{ op: "load", type: "f32", arg: 0, index: { offset: 0, strides: [1] } }],
    stores: [{ arg: 1, index: { offset: 0, strides: [1] }, value: 0 }],
  };
  const arena = { kind: "arena", offset: 256, bytes: 10 } as const;
  const plan: Plan = {
    kernels: [iota, double, copy],
    arenaBytes: 512,
    uploads: [],
    bound: [{ bytes: 20, access: "write" }],
    steps: [
      { kernel: 0, args: [arena], label: "iota" },
      { kernel: 1, args: [arena], label: "double" },
      { kernel: 1, args: [arena], label: "double again" },
      { kernel: 2, args: [arena, { kind: "bound", slot: 0, offset: 0, bytes: 20 }], label: "copy" },
    ],
  };

  it("passes values from step to step through the arena, replay after replay, into whatever is bound", async (ctx) => {
    const backend = await webgpuOrSkip(ctx);
    const executable = await backend.prepare(plan);
    for (let replay = 0; replay < 3; replay++) {
      const out = backend.alloc(20);
      await backend.run(executable, [], [out]);
      expect(Array.from(new Float32Array((await backend.read(out)).slice().buffer))).toEqual([0, 4, 8, 12, 16]);
      backend.free(out);
    }
    expect(backend.memory().arena).toBe(512);
  });

  it("times every step when asked", async (ctx) => {
    const backend = await webgpuOrSkip(ctx);
    const out = backend.alloc(20);
    const timings: { label: string; start: number; duration: number }[] = [];
    await backend.run(await backend.prepare(plan), [], [out], timings);
    expect(timings.map((t) => t.label)).toEqual(["iota", "double", "double again", "copy"]);
    expect(Array.from(new Float32Array((await backend.read(out)).slice().buffer))).toEqual([0, 4, 8, 12, 16]);
    backend.free(out);
  });

  it("tells what is wrong with a run by that run, and works on", async (ctx) => {
    await webgpuOrSkip(ctx);
    const backend = await createWebGpuBackend();
    const [small, out] = [backend.alloc(4), backend.alloc(20)];
    const right = await backend.prepare(plan);
    const wide: LoopKernel = { ...double, label: "wide", args: Array.from({ length: 70 }, () => double.args[0]!) };
    const wrong: Plan = {
      ...plan,
      kernels: [iota, wide, copy],
      steps: [
        plan.steps[0]!,
        {
          ...plan.steps[1]!,
          args: Array.from({ length: 70 }, (_, i) => ({ kind: "bound", slot: i + 1, offset: 0, bytes: 10 })),
        },
      ],
    };
    for (let i = 0; i < 2; i++) {
      const fits = await backend.prepare({ ...plan, bound: [{ bytes: 4, access: "write" }] });
      await expect(backend.run(fits, [], [small])).rejects.toThrow(/^webgpu: Binding size \(20\)/);
      // preparing it tells, each time anew
      const preparing = Promise.resolve(backend.prepare(wrong));
      await expect(preparing).rejects.toThrow(/^webgpu: wide could not be compiled: /);
      await expect(preparing).rejects.toBeInstanceOf(DeviceError);
      // nothing of it ran, and nothing of it stays
      expect(await backend.read(small)).toEqual(new Uint8Array(4));
      await backend.run(right, [], [out]);
      expect(Array.from(new Float32Array((await backend.read(out)).slice().buffer))).toEqual([0, 4, 8, 12, 16]);
      expect(() => {
        backend.upload(out, new Uint8Array(64));
      }).toThrow("upload of 64 bytes into a buffer of 20");
    }
    backend.close();
  });
});

describe("a WebGPU device", () => {
  it("rejects what is pending when it is closed, and every use afterwards", async (ctx) => {
    await webgpuOrSkip(ctx);
    const device = await init({ device: "webgpu" });
    const p = device.parameter([1, 2]);
    const step = compile(device, () => {
      p.assign(ops.add(p.value, 1));
      return { y: ops.mul(p.value, 2) };
    });
    await step({});
    const pending = [step({}), step({}), p.data()].map((work) =>
      work.then(
        () => "done",
        (e: LowrankError) => e.code,
      ),
    );
    device.close();
    expect(await Promise.all(pending)).toEqual(["DisposedError", "DisposedError", "DisposedError"]);
    await expect(step({})).rejects.toMatchObject({ code: "DisposedError" });
    expect(() => p.value).toThrow("webgpu: the device was closed; open another with init");
  });

  it("can be closed while its kernels are being compiled", async (ctx) => {
    await webgpuOrSkip(ctx);
    for (let i = 0; i < 8; i++) {
      const device = await init({ device: "webgpu" });
      const x = device.tensor(Float32Array.from({ length: 100 + i }, (_, k) => k));
      const work = [1, 2, 3, 4, 5].map((k) =>
        ops
          .softmax(ops.mul(ops.exp(x), k))
          .data()
          .then(
            () => "done",
            (e: LowrankError) => e.code,
          ),
      );
      if (i % 2 === 1) await new Promise((resolve) => setTimeout(resolve, i));
      device.close();
      for (const end of await Promise.all(work)) expect(["done", "DisposedError"]).toContain(end);
    }
  });

  it("runs steps in the order in which they were asked for, waited for or not", async (ctx) => {
    await webgpuOrSkip(ctx);
    const device = await init({ device: "webgpu" });
    const p = device.parameter([1]);
    let n = 0;
    const live = device.live(
      [1],
      "f32",
      () => [++n],
      () => {
        n--;
      },
    );
    const step = compile(device, () => {
      p.assign(ops.add(ops.mul(p.value, 10), live));
      return {};
    });
    const labels = compile(device, ({ at }) => ({
      y: ops.embedding(ops.reshape(ops.add(p.value, live), [1, 1]), at!),
    }));
    await Promise.all([step({}), step({}), step({})]);
    expect([...(await p.value.floats())]).toEqual([1123]);
    await expect(labels({ at: { data: Int32Array.of(5), shape: [1] } })).rejects.toMatchObject({ code: "ValueError" });
    await step({});
    expect([n, ...(await p.value.floats())]).toEqual([4, 11234]);
    device.close();
  });
});

describe("training on WebGPU", () => {
  it("follows the wasm device for thirty steps", async (ctx) => {
    await webgpuOrSkip(ctx);
    const losses: number[][] = [];
    for (const device of ["webgpu", "wasm"] as const) {
      const dev = await init({ device, ...(device === "wasm" ? { threads: 1 } : {}) });
      const { ops, grad } = await import("../src/index.ts");
      const x = dev.tensor(
        Float32Array.from({ length: 32 * 8 }, (_, i) => Math.sin(i * 1.7)),
        [32, 8],
      );
      const y = dev.tensor(
        Float32Array.from({ length: 32 }, (_, i) => Math.cos(i * 0.9)),
        [32, 1],
      );
      const w1 = dev.parameter(
        Float32Array.from({ length: 8 * 16 }, (_, i) => 0.3 * Math.sin(i)),
        [8, 16],
      );
      const w2 = dev.parameter(
        Float32Array.from({ length: 16 }, (_, i) => 0.3 * Math.cos(i)),
        [16, 1],
      );
      const seen: number[] = [];
      for (let step = 0; step < 30; step++) {
        const error = ops.sub(ops.matmul(ops.gelu(ops.matmul(x, w1.value)), w2.value), y);
        const loss = ops.mean(ops.mul(error, error));
        const [g1, g2] = grad(loss, [w1.value, w2.value]);
        w1.assign(ops.sub(w1.value, ops.mul(g1!, 0.1)));
        w2.assign(ops.sub(w2.value, ops.mul(g2!, 0.1)));
        seen.push((await loss.floats())[0]!);
      }
      losses.push(seen);
      dev.close();
    }
    expect(losses[0]!.at(-1)).toBeLessThan(losses[0]![0]! * 0.9);
    // each step differs by a few roundings of 2⁻²⁴; thirty steps of a smooth problem keep the sum below 2⁻¹⁵
    losses[0]!.forEach((loss, i) => expect(Math.abs(loss - losses[1]![i]!)).toBeLessThan(2 ** -15));
  });
});

describe("printing WGSL", () => {
  it("updates halves of words atomically and keeps literals out of expressions", () => {
    expect(printKernel(double)).toMatchInlineSnapshot(`
      {
        "code": "@group(0) @binding(0) var<storage, read_write> b0: array<atomic<u32>>;
      fn widen_f16(bits: u32) -> f32 {
        let sign = (bits & 0x8000u) << 16u;
        let magnitude = bits & 0x7fffu;
        if (magnitude < 0x400u) { return bitcast<f32>(bitcast<u32>(f32(magnitude) * 5.9604644775390625e-8f) | sign); }
        let exponent = select(0x38000000u, 0x70000000u, magnitude >= 0x7c00u);
        return bitcast<f32>(((magnitude << 13u) + exponent) | sign);
      }
      fn narrow_f16(x: f32) -> u32 {
        let bits = bitcast<u32>(x);
        let sign = (bits >> 16u) & 0x8000u;
        let magnitude = bits & 0x7fffffffu;
        if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
        if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
        if (magnitude < 0x38800000u) { return sign | (bitcast<u32>(bitcast<f32>(magnitude) + 0.5f) - 0x3f000000u); }
        return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
      }
      @compute @workgroup_size(64)
      fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
        let row = i32((group.x + group.y * groups.x) * 64u + local);
        if (row >= 5) { return; }
        let c0 = row;
        let v0_at = c0;
        let v0 = widen_f16(((atomicLoad(&b0[(v0_at) / 2]) >> (u32((v0_at) & 1) * 16u)) & 0xffffu));
        let v1: f32 = v0 + v0;
        let s0 = c0;
        atomicAnd(&b0[(s0) / 2], ~(0xffffu << (u32((s0) & 1) * 16u)));
        atomicOr(&b0[(s0) / 2], (narrow_f16(v1)) << (u32((s0) & 1) * 16u));
      }
      ",
        "workgroups": 1,
      }
    `);
  });
});
