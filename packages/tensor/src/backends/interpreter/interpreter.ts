/** A device that runs plans through the kernel IR's definition: the scheduler, the memory plan and the IR, without a code generator. For tests and debugging. */
import type { Backend, BackendInfo, DeviceBuffer, Executable, MemoryInfo, StepTiming } from "../backend.ts";
import { threadOptions } from "../open-options.ts";
import { checkOptions } from "../../check/rules.ts";
import { viewAs, type TypedArray } from "../../dtype.ts";
import { interpretKernel } from "../../ir/interpret.ts";
import { baseTarget, type Target } from "../../ir/target.ts";
import type { BufferRef, Plan } from "../../plan/plan.ts";

interface HostBuffer extends DeviceBuffer {
  readonly data: Uint8Array;
}

export class InterpreterBackend implements Backend {
  readonly name: string = "interpreter";
  /** It has no limits of its own: its plans are those of the narrowest device. */
  readonly target: Target = baseTarget;
  readonly synchronous = true;
  #arena = new Uint8Array(0);
  readonly #live = new Set<DeviceBuffer>();

  alloc(bytes: number): DeviceBuffer {
    const buffer: HostBuffer = { bytes, data: new Uint8Array(bytes) };
    this.#live.add(buffer);
    return buffer;
  }

  free(buffer: DeviceBuffer): void {
    this.#live.delete(buffer);
  }

  upload(buffer: DeviceBuffer, bytes: Uint8Array): void {
    (buffer as HostBuffer).data.set(bytes);
  }

  read(buffer: DeviceBuffer): Promise<Uint8Array> {
    return Promise.resolve(this.readSync(buffer));
  }

  readSync(buffer: DeviceBuffer): Uint8Array {
    return (buffer as HostBuffer).data.slice();
  }

  prepare(plan: Plan): Executable {
    return { plan };
  }

  run(
    executable: Executable,
    uploads: readonly TypedArray[],
    bound: readonly DeviceBuffer[],
    _timings?: StepTiming[],
  ): void {
    const { plan } = executable;
    if (this.#arena.length < plan.arenaBytes) this.#arena = new Uint8Array(plan.arenaBytes);
    const bytesOf = (ref: BufferRef): Uint8Array =>
      ref.kind === "arena"
        ? this.#arena.subarray(ref.offset, ref.offset + ref.bytes)
        : (bound[ref.slot] as HostBuffer).data.subarray(ref.offset, ref.offset + ref.bytes);
    plan.uploads.forEach(({ ref, size }, i) => {
      const data = uploads[i]!;
      if (size > 0) bytesOf(ref).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    });
    for (const step of plan.steps) {
      const kernel = plan.kernels[step.kernel]!;
      interpretKernel(
        kernel,
        step.args.map((ref, i) => viewAs(kernel.args[i]!.dtype, bytesOf(ref))),
        { precision: "f32" },
      );
    }
  }

  memory(): MemoryInfo {
    let persistent = 0;
    for (const { bytes } of this.#live) persistent += bytes;
    return {
      persistent,
      arena: this.#arena.length,
      scratch: 0,
      reserved: persistent + this.#arena.length,
      buffers: this.#live.size,
    };
  }

  info(): BackendInfo {
    return { name: "interpreter", description: "kernel IR in plain loops", threads: 1 };
  }

  close(): void {
    this.#live.clear();
  }
}

export function openInterpreter(options: Readonly<Record<string, unknown>>): InterpreterBackend {
  checkOptions("init", threadOptions, options);
  return new InterpreterBackend();
}
