/** Runs single kernels on the WebGPU device, for tests. */
import type { TestContext } from "vitest";
import { dtypes, viewAs, type TypedArray } from "../../src/dtype.ts";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backends/webgpu/backend.ts";
import type { Kernel } from "../../src/ir/kernel.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { swiftShaderAvailable } from "./swiftshader.ts";

let opened: Promise<WebGpuBackend | string> | undefined;

/** The test's WebGPU device, opened once per file; skips the test, saying why, where there is none. */
export async function webgpuOrSkip(ctx: TestContext): Promise<WebGpuBackend> {
  opened ??= open().catch((error: unknown) => String(error));
  const backend = await opened;
  if (typeof backend === "string") ctx.skip(backend);
  return backend as WebGpuBackend;
}

async function open(): Promise<WebGpuBackend | string> {
  return (await swiftShaderAvailable()) ?? createWebGpuBackend();
}

export async function closeWebgpu(): Promise<void> {
  const backend = await opened;
  if (backend !== undefined && typeof backend !== "string") backend.close();
  opened = undefined;
}

/** Contents of all arguments after one run; `buffers` are their memory forms and stay as they are. */
export async function runKernel(
  backend: WebGpuBackend,
  kernel: Kernel,
  buffers: readonly TypedArray[],
): Promise<TypedArray[]> {
  const plan: Plan = {
    kernels: [kernel],
    arenaBytes: 0,
    uploads: [],
    steps: [
      {
        kernel: 0,
        label: kernel.label,
        args: kernel.args.map((_, slot) => ({ kind: "bound", slot, offset: 0, bytes: buffers[slot]!.byteLength })),
      },
    ],
    bound: kernel.args.map(({ access }, slot) => ({ bytes: buffers[slot]!.byteLength, access })),
  };
  const held = buffers.map((data) => {
    const buffer = backend.alloc(data.byteLength);
    backend.upload(buffer, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return buffer;
  });
  await backend.run(await backend.prepare(plan), [], held);
  const results = await Promise.all(held.map((buffer) => backend.read(buffer)));
  held.forEach((buffer) => backend.free(buffer));
  return results.map((bytes, i) => viewAs(kernel.args[i]!.dtype, bytes.slice()));
}

export function bytesFor(kernel: Kernel): TypedArray[] {
  return kernel.args.map(({ dtype, size }) => new dtypes[dtype].array(new ArrayBuffer(size * dtypes[dtype].bytes)));
}
