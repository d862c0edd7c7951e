/** Runs one generated kernel in a memory of its own, for tests: arguments are laid out between canaries, work is cut as asked. */
import { dtypes, type DType, type TypedArray } from "../src/dtype.ts";
import { emitGemm } from "../src/backends/wasm/gemm/gemm.ts";
import { emitLoop } from "../src/backends/wasm/loop/loop.ts";
import { emitScatter } from "../src/backends/wasm/loop/scatter.ts";
import { ModuleBuilder } from "../src/backends/wasm/asm/index.ts";
import type { KernelCode } from "../src/backends/wasm/kernel-code.ts";
import type { Kernel } from "../src/ir/kernel.ts";

export interface Program {
  readonly code: KernelCode;
  /** Executes all phases; `cuts` in (0, 1) say where each phase's units are split, pieces run last to first. */
  run(buffers: readonly TypedArray[], cuts?: readonly number[]): TypedArray[];
  /** Milliseconds of one uncut run after the arguments are in place. */
  time(buffers: readonly TypedArray[], repeats: number): number;
}

const CANARY = 64;

export function array(dtype: DType, size: number): TypedArray {
  const Type = dtypes[dtype].array;
  return new Type(new ArrayBuffer(size * dtypes[dtype].bytes));
}

export function compileKernel(
  kernel: Exclude<Kernel, { kind: "native" }>,
  options: Parameters<typeof emitLoop>[3] = {},
): Program {
  const module = new ModuleBuilder();
  const code =
    kernel.kind === "loop"
      ? emitLoop(kernel, module, "k", options)
      : kernel.kind === "gemm"
        ? emitGemm(kernel, module, "k", { fma: false })
        : emitScatter(kernel, module, "k", options);
  const binary = new WebAssembly.Module(module.toBytes() as BufferSource);

  const prepare = (
    buffers: readonly TypedArray[],
  ): { memory: WebAssembly.Memory; at: number[]; end: number; call: (cuts: readonly number[]) => void } => {
    let top = 256;
    const place = (bytes: number, align: number): number => {
      const at = Math.ceil(top / align) * align;
      top = at + bytes + CANARY;
      return at;
    };
    const shared = place(code.sharedScratch, 64);
    const thread = place(code.threadScratch, 64);
    const at = buffers.map((b) => place(b.byteLength, b.BYTES_PER_ELEMENT));
    // The last argument ends where memory ends, so reading past it traps.
    const pages = Math.ceil(top / 65536);
    const shift = pages * 65536 - (top - CANARY);
    const last = buffers.length - 1;
    if (last >= 0) at[last]! += Math.floor(shift / buffers[last]!.BYTES_PER_ELEMENT) * buffers[last]!.BYTES_PER_ELEMENT;
    const memory = new WebAssembly.Memory({ initial: pages });
    new Uint8Array(memory.buffer).fill(0xa5);
    buffers.forEach((b, i) =>
      new Uint8Array(memory.buffer).set(new Uint8Array(b.buffer, b.byteOffset, b.byteLength), at[i]!),
    );
    const instance = new WebAssembly.Instance(binary, { env: { memory } });
    const call = (cuts: readonly number[]): void => {
      for (const phase of code.phases) {
        const edges = [0, ...cuts.map((c) => Math.floor(c * phase.units)).sort((a, b) => a - b), phase.units];
        const f = instance.exports[phase.exportName] as (...args: number[]) => void;
        for (let i = edges.length - 2; i >= 0; i--) f(edges[i]!, edges[i + 1]!, shared, thread, ...at);
      }
    };
    return { memory, at, end: pages * 65536, call };
  };

  return {
    code,
    run(buffers, cuts = []) {
      const { memory, at, end, call } = prepare(buffers);
      call(cuts);
      const all = new Uint8Array(memory.buffer);
      buffers.forEach((b, i) => {
        for (let k = 1; k <= CANARY; k++)
          if (
            at[i]! + b.byteLength + k - 1 < end &&
            all[at[i]! + b.byteLength + k - 1] !== 0xa5 &&
            !at.some((o) => Math.abs(o - at[i]! - b.byteLength) < CANARY)
          )
            throw new Error(`argument ${i} was written past its end`);
      });
      return buffers.map((b, i) => {
        const copy = all.slice(at[i]!, at[i]! + b.byteLength);
        return new (b.constructor as new (buffer: ArrayBuffer) => TypedArray)(copy.buffer);
      });
    },
    time(buffers, repeats) {
      const { call } = prepare(buffers);
      for (let i = 0; i < 20; i++) call([]);
      const samples: number[] = [];
      for (let i = 0; i < repeats; i++) {
        const start = performance.now();
        call([]);
        samples.push(performance.now() - start);
      }
      return samples.sort((a, b) => a - b)[Math.floor(repeats / 2)]!;
    },
  };
}
