/** The wasm backend: one shared memory, kernels compiled from the IR once per kernel, plans run by all threads in step. */
import type { Backend, BackendInfo, DeviceBuffer, Executable, MemoryInfo, StepTiming } from "../backend.ts";
import { now } from "../../clock.ts";
import type { TypedArray } from "../../dtype.ts";
import { invariant, LowrankError } from "../../errors.ts";
import type { Target } from "../../ir/target.ts";
import type { Template } from "../../ir/template.ts";
import { kernelKey } from "../../plan/build-plan.ts";
import type { BufferRef, Plan } from "../../plan/plan.ts";
import { wordAt } from "./address.ts";
import { ModuleBuilder } from "./asm/index.ts";
import { emitKernel, type WasmFeatures } from "./emit.ts";
import { Heap } from "./heap.ts";
import type { KernelCode } from "./kernel-code.ts";
import { instantiate, type LoadedModule, type WasmFunction } from "./platform.ts";
import { WorkerPool } from "./pool.ts";
import { runTable } from "./run-table.ts";
import { wasmTarget } from "./target.ts";
import { wasmTemplates } from "./templates.ts";
import { SPINS } from "./worker-source.ts";

interface HeapBuffer extends DeviceBuffer {
  readonly at: number;
}

/** A kernel with its functions' places in every thread's function list. */
interface CompiledKernel {
  readonly code: KernelCode;
  readonly first: number;
}

interface WasmExecutable extends Executable {
  readonly kernels: readonly CompiledKernel[];
  /** Address of the dispatch table, and its words. */
  readonly table: number;
  readonly words: number;
  readonly scratch: Scratch;
  /** Estimated nanoseconds of one thread. */
  readonly cost: number;
}

/** Below this much work in a whole plan, waking other threads costs more than it brings (nanoseconds): by message, and when they are near. */
const WORTH_MESSAGES = 150_000;
const WORTH_THREADS = 20_000;
/** Below this much work a single phase is done by one thread. */
const WORTH_SPLIT = 6_000;
/** The least work that a thread takes at a time: many times what taking it costs, and no longer than threads may wait for the last of them. */
const GRAIN = 10_000;
/** A table is freed with the executable it belongs to. */
const registry = new FinalizationRegistry<() => void>((release) => release());

/** @param hook see `workerSource` */
export async function createWasmBackend(threads: number, features: WasmFeatures, hook?: string): Promise<WasmBackend> {
  const heap = new Heap(threads > 1);
  return new WasmBackend(heap, await WorkerPool.start(heap, threads - 1, hook), features);
}

/** A region of the heap that plans share; its contents do not outlive a run. */
interface Region {
  readonly at: number;
  readonly bytes: number;
}

const NOTHING: Region = { at: 0, bytes: 0 };

/** Bytes that kernels work in beside the arena: of all threads together, and of each. */
interface Scratch {
  readonly shared: number;
  readonly each: number;
}

function scratchOf(code: readonly KernelCode[]): Scratch {
  const most = (bytes: (c: KernelCode) => number): number => Math.ceil(Math.max(0, ...code.map(bytes)) / 64) * 64;
  return { shared: most((c) => c.sharedScratch), each: most((c) => c.threadScratch) };
}

export class WasmBackend implements Backend {
  readonly name = "wasm";
  readonly synchronous = true;
  readonly target: Target;
  readonly templates: readonly Template[] = wasmTemplates;
  readonly #heap: Heap;
  readonly #pool: WorkerPool;
  readonly #features: WasmFeatures;
  readonly #functions: WasmFunction[] = [];
  readonly #compiled = new Map<string, CompiledKernel>();
  readonly #live = new Set<HeapBuffer>();
  #arena = NOTHING;
  #scratch = NOTHING;
  /** Why nothing can be done any more. */
  #gone: LowrankError | undefined;

  constructor(heap: Heap, pool: WorkerPool, features: WasmFeatures) {
    this.#heap = heap;
    this.#pool = pool;
    this.#features = features;
    this.target = wasmTarget(features);
  }

  get threads(): number {
    return this.#pool.size + 1;
  }

  alloc(bytes: number): DeviceBuffer {
    this.#check();
    const buffer: HeapBuffer = { bytes, at: this.#heap.alloc(bytes) };
    this.#live.add(buffer);
    return buffer;
  }

  free(buffer: DeviceBuffer): void {
    const mine = buffer as HeapBuffer;
    if (this.#live.delete(mine)) this.#heap.free(mine.at, mine.bytes);
  }

  ensureRoom(bytes: number): void {
    this.#check();
    this.#heap.ensureRoom(bytes);
  }

  upload(buffer: DeviceBuffer, bytes: Uint8Array): void {
    this.#check();
    invariant(bytes.length <= buffer.bytes, `upload of ${bytes.length} bytes into a buffer of ${buffer.bytes}`);
    this.#heap.bytes((buffer as HeapBuffer).at, bytes.length).set(bytes);
  }

  readSync(buffer: DeviceBuffer): Uint8Array {
    this.#check();
    const { at, bytes } = buffer as HeapBuffer;
    // a copy into memory of its own: views of shared memory cannot be used everywhere, and would change under the reader
    const out = new Uint8Array(bytes);
    out.set(this.#heap.bytes(at, bytes));
    return out;
  }

  async read(buffer: DeviceBuffer): Promise<Uint8Array> {
    return this.readSync(buffer);
  }

  /** At once, but where the platform compiles so much code only beside its main thread. */
  prepare(plan: Plan): Executable | Promise<Executable> {
    this.#check();
    const compiling = this.#compileMissing(plan);
    if (compiling === undefined) return this.#link(plan);
    return compiling.then(() => {
      this.#check();
      return this.#link(plan);
    });
  }

  /** Code that is there, and a dispatch table for it. */
  #link(plan: Plan): Executable {
    const kernels = plan.kernels.map((k) => this.#compiled.get(kernelKey(k))!);
    const code = kernels.map((k) => k.code);
    const words = 1 + plan.steps.reduce((n, s) => n + code[s.kernel]!.phases.length * (5 + s.args.length), 0);
    const table = this.#heap.alloc(words * 4);
    const executable: WasmExecutable = {
      plan,
      kernels,
      table,
      words,
      scratch: scratchOf(code),
      cost: plan.steps.reduce((sum, s) => sum + code[s.kernel]!.phases.reduce((n, p) => n + p.cost, 0), 0),
    };
    const heap = this.#heap;
    registry.register(executable, () => heap.free(table, words * 4));
    return executable;
  }

  scratchBytes(plan: Plan): number {
    const builder = new ModuleBuilder({ shared: this.#heap.shared });
    const { shared, each } = scratchOf(plan.kernels.map((k, i) => emitKernel(k, builder, `k${i}_`, this.#features)));
    return shared + each * this.threads;
  }

  run(
    executable: Executable,
    uploads: readonly TypedArray[],
    bound: readonly DeviceBuffer[],
    timings?: StepTiming[],
  ): void {
    this.#check();
    const exe = executable as WasmExecutable;
    const { plan } = exe;
    const { shared: sharedScratch, each: threadScratch } = exe.scratch;
    this.#makeRoom(plan.arenaBytes, sharedScratch + threadScratch * this.threads);
    const address = (ref: BufferRef): number =>
      ref.kind === "arena" ? this.#arena.at + ref.offset : (bound[ref.slot] as HeapBuffer).at + ref.offset;
    plan.uploads.forEach(({ ref, size }, i) => {
      const data = uploads[i]!;
      if (size > 0)
        this.#heap
          .bytes(address(ref), data.byteLength)
          .set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    });
    const parallel = this.threads > 1 && exe.cost >= WORTH_THREADS && (exe.cost >= WORTH_MESSAGES || this.#pool.near);
    const labels = this.#writeTable(exe, address, this.#scratch.at, timings !== undefined);
    const run = {
      table: wordAt(exe.table),
      threads: parallel ? this.threads : 1,
      scratch: this.#scratch.at + sharedScratch,
      threadScratch,
    };
    const { control, claims, watch } = this.#pool;
    const times: number[] | undefined = timings === undefined ? undefined : [];
    try {
      if (parallel) this.#pool.begin(run);
      const own = { ...run, control, claims, tid: 0, spins: SPINS };
      const recorder = times === undefined ? undefined : { times, clock: now };
      runTable(this.#heap.memory.buffer, this.#functions, own, watch, recorder);
    } catch (cause) {
      throw this.#lose(cause);
    }
    if (times !== undefined && timings !== undefined) {
      const end = now();
      times.forEach((start, i) =>
        timings.push({ label: labels[i]!, start: start - times[0]!, duration: (times[i + 1] ?? end) - start }),
      );
    }
  }

  memory(): MemoryInfo {
    let persistent = 0;
    for (const { bytes } of this.#live) persistent += bytes;
    return {
      persistent,
      arena: this.#arena.bytes,
      scratch: this.#scratch.bytes,
      reserved: this.#heap.memory.buffer.byteLength,
      buffers: this.#live.size,
    };
  }

  info(): BackendInfo {
    const simd = this.#features.fma ? "128-bit SIMD with relaxed multiply-add" : "128-bit SIMD";
    return {
      name: "wasm",
      description: `WebAssembly, ${simd}, ${this.threads} ${this.threads === 1 ? "thread" : "threads"}`,
      threads: this.threads,
    };
  }

  close(): void {
    this.#gone ??= new LowrankError("DisposedError", "wasm: the device was closed; open another with init");
    this.#pool.stop();
    this.#live.clear();
  }

  /** Throws where the device was closed, or a thread is known to have ended. */
  #check(): void {
    if (this.#gone !== undefined) throw new LowrankError(this.#gone.code, this.#gone.message, { cause: this.#gone });
    try {
      this.#pool.check();
    } catch (cause) {
      throw this.#lose(cause);
    }
  }

  /** Gives up: memory holds part of a run. The other threads may be waiting inside it and are ended too. */
  #lose(cause: unknown): LowrankError {
    this.#pool.stop();
    this.#gone =
      cause instanceof LowrankError && cause.code === "DeviceLostError"
        ? cause
        : new LowrankError(
            "DeviceLostError",
            `wasm: a run failed half-way (${String(cause)}): what the device held is lost; open another with init`,
            { cause },
          );
    return this.#gone;
  }

  #compileMissing(plan: Plan): undefined | Promise<void> {
    const missing = plan.kernels.filter((k) => !this.#compiled.has(kernelKey(k)));
    if (missing.length === 0) return undefined;
    const builder = new ModuleBuilder({ shared: this.#heap.shared });
    const emitted = missing.map((kernel, i) => ({
      key: kernelKey(kernel),
      code: emitKernel(kernel, builder, `k${i}_`, this.#features),
    }));
    const loaded = instantiate(builder.toBytes(), { env: { memory: this.#heap.memory } });
    const add = ({ module, instance }: LoadedModule): undefined => {
      const names = emitted.flatMap(({ code }) => code.phases.map((p) => p.exportName));
      let next = this.#functions.length;
      for (const { key, code } of emitted) {
        this.#compiled.set(key, { code, first: next });
        next += code.phases.length;
      }
      for (const name of names) this.#functions.push(instance.exports[name] as WasmFunction);
      this.#pool.load(module, names);
      return undefined;
    };
    return loaded instanceof Promise ? loaded.then(add) : add(loaded);
  }

  #writeTable(exe: WasmExecutable, address: (ref: BufferRef) => number, shared: number, wantLabels: boolean): string[] {
    const words = new Int32Array(this.#heap.memory.buffer, exe.table, exe.words);
    const labels: string[] = [];
    let p = 1;
    let count = 0;
    for (const step of exe.plan.steps) {
      const { code, first } = exe.kernels[step.kernel]!;
      code.phases.forEach((phase, i) => {
        words[p] = first + i;
        words[p + 1] = phase.units;
        words[p + 2] =
          phase.cost >= WORTH_SPLIT && phase.units > 1
            ? Math.max(1, Math.round((GRAIN * phase.units) / phase.cost))
            : 0;
        words[p + 3] = shared;
        words[p + 4] = step.args.length;
        p += 5;
        for (const ref of step.args) words[p++] = address(ref);
        count++;
        if (wantLabels) labels.push(step.label);
      });
    }
    words[0] = count;
    return labels;
  }

  /** Regions of at least these sizes. Where they do not fit, there are none afterwards: the next run asks again. */
  #makeRoom(arena: number, scratch: number): void {
    const [small, narrow] = [this.#arena.bytes < arena, this.#scratch.bytes < scratch];
    const release = ({ at, bytes }: Region): Region => {
      if (bytes > 0) this.#heap.free(at, bytes);
      return NOTHING;
    };
    const region = (bytes: number): Region => ({ at: this.#heap.alloc(bytes), bytes });
    if (small) this.#arena = release(this.#arena);
    if (narrow) this.#scratch = release(this.#scratch);
    this.#heap.ensureRoom((small ? arena : 0) + (narrow ? scratch : 0));
    if (small) this.#arena = region(arena);
    if (narrow) this.#scratch = region(scratch);
  }
}
