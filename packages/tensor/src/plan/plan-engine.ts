/** Runs programs on a backend: lowers them once per structure, keeps the plans, binds buffers at every run. */
import type { Backend, BackendInfo, DeviceBuffer, Executable, MemoryInfo, StepTiming } from "../backends/backend.ts";
import { bytesOf, viewAs, type DType, type TypedArray } from "../dtype.ts";
import type { Engine, Prepared, Result, Storage } from "../engine.ts";
import { signatureOf } from "../graph/signature.ts";
import type { Program } from "../graph/program.ts";
import { sizeOf } from "../shape.ts";
import { buildPlan } from "./build-plan.ts";
import { Recent } from "./recent.ts";

export interface PlanOptions {
  readonly fusion: boolean;
  readonly planCache: boolean;
  readonly maxArgs: number;
}

interface PlanPrepared extends Prepared { readonly executable: Executable }

/** Results up to this size come straight to the host where memory is shared: a loss needs no buffer of its own. */
const HOST_RESULT_BYTES = 4096;

export class PlanEngine implements Engine {
  readonly name: string;
  readonly defaultFloat: DType = "f32";
  readonly backend: Backend;
  readonly #options: PlanOptions;
  readonly #plans = new Recent<Executable>();
  /** Reused for small results, by size. */
  readonly #spare = new Map<number, DeviceBuffer[]>();

  constructor(backend: Backend, options: PlanOptions) {
    this.backend = backend;
    this.name = backend.name;
    this.#options = options;
  }

  supports(dtype: DType): boolean { return dtype !== "f64"; }

  allocate(dtype: DType, size: number): Storage { return this.backend.alloc(size * bytesOf(dtype)); }

  ensureRoom(bytes: number): void { this.backend.ensureRoom?.(bytes); }

  write(storage: Storage, _dtype: DType, data: TypedArray): void {
    this.backend.upload(storage, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }

  async read(storage: Storage, dtype: DType, size: number): Promise<TypedArray> {
    const bytes = this.backend.readSync?.(storage) ?? await this.backend.read(storage);
    return viewAs(dtype, bytes.subarray(0, size * bytesOf(dtype)));
  }

  release(storage: Storage): void { this.backend.free(storage); }

  prepare(program: Program): Prepared {
    const key = this.#options.planCache ? signatureOf(program) : "";
    const known = key === "" ? undefined : this.#plans.get(key);
    const executable = known ?? this.backend.prepare(buildPlan(program, this.#options));
    if (known === undefined && key !== "") this.#plans.set(key, executable);
    const { plan } = executable;
    return { program, executable, arenaBytes: plan.arenaBytes, kernels: plan.kernels.length, steps: plan.steps.length } as PlanPrepared;
  }

  execute(prepared: Prepared, values: readonly TypedArray[], storages: readonly Storage[], timings?: StepTiming[]): Result[] | Promise<Result[]> {
    const { executable, program } = prepared as PlanPrepared;
    const buffers = program.outputs.map((node) => {
      const bytes = sizeOf(node.shape) * bytesOf(node.dtype);
      const small = this.backend.synchronous && bytes <= HOST_RESULT_BYTES;
      return { node, small, buffer: (small ? this.#spare.get(bytes)?.pop() : undefined) ?? this.backend.alloc(bytes) };
    });
    const collect = (): Result[] => buffers.map(({ node, small, buffer }) => {
      if (!small) return { kind: "storage", storage: buffer };
      const data = viewAs(node.dtype, this.backend.readSync!(buffer));
      const pool = this.#spare.get(buffer.bytes);
      if (pool === undefined) this.#spare.set(buffer.bytes, [buffer]);
      else pool.push(buffer);
      return { kind: "host", data };
    });
    const running = this.backend.run(executable, values, [...(storages as DeviceBuffer[]), ...buffers.map((b) => b.buffer)], timings);
    return running === undefined ? collect() : running.then(collect);
  }

  memory(): MemoryInfo { return this.backend.memory(); }
  info(): BackendInfo { return this.backend.info(); }
  close(): void { this.backend.close(); }
}
