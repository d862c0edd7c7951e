/**
 * A device that somebody else brings: `registerToy()`, then `init({ device: "toy" })`. Memory is byte arrays, kernels run by their definition,
 * and everything above (ops, gradients, fusion, memory plans, training) comes with the seam. It takes a while to prepare, to show that it may.
 */
import { checkOptions, flag, optional } from "@lowrank/tensor/check";
import {
  baseTarget,
  interpretKernel,
  openOptions,
  registerBackend,
  viewAs,
  type Backend,
  type BackendInfo,
  type BufferRef,
  type DeviceBuffer,
  type Executable,
  type MemoryInfo,
  type Plan,
  type Target,
  type Template,
  type TypedArray,
} from "@lowrank/tensor/backend";
import { softmax, type ToyCode } from "./softmax.ts";

export interface ToyOptions {
  /** Off: softmax runs as the kernels that it is made of. Default on. */
  readonly templates?: boolean;
}

interface ToyBuffer extends DeviceBuffer {
  readonly data: Uint8Array;
}

export class ToyBackend implements Backend {
  readonly name = "toy";
  readonly synchronous = true;
  readonly target: Target = { ...baseTarget, maxArguments: 16 };
  readonly templates: readonly Template[];
  /** How often each kernel of its own ran, by label. */
  readonly ran: Map<string, number> = new Map();
  readonly #live = new Set<DeviceBuffer>();
  #arena = new Uint8Array(0);

  constructor({ templates = true }: ToyOptions = {}) {
    this.templates = templates ? [softmax] : [];
  }

  alloc(bytes: number): DeviceBuffer {
    const buffer: ToyBuffer = { bytes, data: new Uint8Array(bytes) };
    this.#live.add(buffer);
    return buffer;
  }
  free(buffer: DeviceBuffer): void {
    this.#live.delete(buffer);
  }
  upload(buffer: DeviceBuffer, bytes: Uint8Array): void {
    (buffer as ToyBuffer).data.set(bytes);
  }
  readSync(buffer: DeviceBuffer): Uint8Array {
    return (buffer as ToyBuffer).data.slice();
  }
  read(buffer: DeviceBuffer): Promise<Uint8Array> {
    return Promise.resolve(this.readSync(buffer));
  }

  async prepare(plan: Plan): Promise<Executable> {
    await Promise.resolve();
    return { plan };
  }

  run({ plan }: Executable, uploads: readonly TypedArray[], bound: readonly DeviceBuffer[]): void {
    if (this.#arena.length < plan.arenaBytes) this.#arena = new Uint8Array(plan.arenaBytes);
    const memory = (ref: BufferRef): Uint8Array =>
      ref.kind === "arena"
        ? this.#arena.subarray(ref.offset, ref.offset + ref.bytes)
        : (bound[ref.slot] as ToyBuffer).data.subarray(ref.offset, ref.offset + ref.bytes);
    plan.uploads.forEach(({ ref, size }, i) => {
      const { buffer, byteOffset, byteLength } = uploads[i]!;
      if (size > 0) memory(ref).set(new Uint8Array(buffer, byteOffset, byteLength));
    });
    for (const step of plan.steps) {
      const kernel = plan.kernels[step.kernel]!;
      const buffers = step.args.map((ref, i) => viewAs(kernel.args[i]!.dtype, memory(ref)));
      if (kernel.kind === "native") {
        (kernel.code as ToyCode)(buffers);
        this.ran.set(kernel.label, (this.ran.get(kernel.label) ?? 0) + 1);
      } else interpretKernel(kernel, buffers, { precision: "f32" });
    }
  }

  memory(): MemoryInfo {
    const persistent = [...this.#live].reduce((sum, { bytes }) => sum + bytes, 0);
    const arena = this.#arena.length;
    return { persistent, arena, scratch: 0, reserved: persistent + arena, buffers: this.#live.size };
  }
  info(): BackendInfo {
    return { name: "toy", description: "byte arrays and definitions", threads: 1 };
  }
  close(): void {
    this.#live.clear();
  }
}

const rules = openOptions<ToyOptions>({ templates: optional(flag) });

/** The backend of the device that was opened last, for those who want to look inside. */
export let opened: ToyBackend;

export function registerToy(): void {
  registerBackend("toy", open);
}

function open(options: Readonly<Record<string, unknown>>): ToyBackend {
  return (opened = new ToyBackend(checkOptions("init", rules, options)));
}
