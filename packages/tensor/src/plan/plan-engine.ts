/** Runs programs on a backend: lowers them once per structure, keeps the plans, binds buffers at every run. */
import type { Backend, BackendInfo, DeviceBuffer, Executable, MemoryInfo } from "../backends/backend.ts";
import { bytesOf, viewAs, type DType, type TypedArray } from "../dtype.ts";
import type { Engine, ExecuteOptions, Planned, Result } from "../engine.ts";
import type { Storage } from "../graph/storage.ts";
import { DeviceError, invariant, LowrankError } from "../errors.ts";
import type { Node } from "../graph/node.ts";
import { signatureOf } from "../graph/signature.ts";
import type { Program } from "../graph/program.ts";
import { formatShape, sizeOf } from "../shape.ts";
import { buildPlan } from "./build-plan.ts";
import { productFlops } from "./flops.ts";
import type { Plan } from "./plan.ts";
import { Recent } from "./recent.ts";

export interface PlanOptions {
  readonly fusion: boolean;
  readonly planCache: boolean;
}

interface ResultBuffer {
  readonly node: Node;
  readonly small: boolean;
  readonly buffer: DeviceBuffer;
}

/** A plan and what runs it, shared by equal programs. */
interface Entry {
  readonly plan: Plan;
  readonly flops: number;
  executable: Executable | undefined;
  /** While the backend makes the executable: whoever else wants it waits for the same. */
  preparing: Promise<void> | undefined;
}

interface EntryPlanned extends Planned {
  readonly entry: Entry;
}

export class PlanEngine implements Engine {
  readonly name: string;
  readonly defaultFloat: DType = "f32";
  readonly backend: Backend;
  readonly #options: PlanOptions;
  readonly #plans = new Recent<Entry>();
  /** Reused for small results, by size. */
  readonly #spare = new Map<number, DeviceBuffer[]>();
  uploadedBytes = 0;

  constructor(backend: Backend, options: PlanOptions) {
    this.backend = backend;
    this.name = backend.name;
    this.#options = options;
  }

  supports(dtype: DType): boolean {
    return dtype !== "f64";
  }

  allocate(dtype: DType, size: number): Storage {
    return this.backend.alloc(size * bytesOf(dtype));
  }

  ensureRoom(bytes: number): void {
    this.backend.ensureRoom?.(bytes);
  }

  write(storage: Storage, _dtype: DType, data: TypedArray): void {
    this.backend.upload(storage, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    this.uploadedBytes += data.byteLength;
  }

  read(storage: Storage, dtype: DType, size: number): TypedArray | Promise<TypedArray> {
    const view = (bytes: Uint8Array): TypedArray => viewAs(dtype, bytes.subarray(0, size * bytesOf(dtype)));
    return this.backend.synchronous ? view(this.backend.readSync!(storage)) : this.backend.read(storage).then(view);
  }

  release(storage: Storage): void {
    this.backend.free(storage);
  }

  plan(program: Program): Planned {
    const entry = this.#entryOf(program);
    const { plan, flops } = entry;
    const { arenaBytes, kernels, steps } = plan;
    const planned: EntryPlanned = { program, entry, arenaBytes, flops, kernels: kernels.length, steps: steps.length };
    return planned;
  }

  #entryOf(program: Program): Entry {
    const key = this.#options.planCache ? signatureOf(program) : "";
    const known = key === "" ? undefined : this.#plans.get(key);
    if (known !== undefined) return known;
    const { target, templates = [] } = this.backend;
    const plan = buildPlan(program, { fusion: this.#options.fusion, target, templates });
    const entry: Entry = { plan, flops: productFlops(plan), executable: undefined, preparing: undefined };
    if (key !== "") this.#plans.set(key, entry);
    return entry;
  }

  prepare(planned: Planned): void | Promise<void> {
    const { entry } = planned as EntryPlanned;
    if (entry.executable !== undefined) return undefined;
    return (entry.preparing ??= this.#make(entry));
  }

  #make(entry: Entry): Promise<void> | undefined {
    let made: Executable | Promise<Executable>;
    try {
      made = this.backend.prepare(entry.plan);
    } catch (error) {
      throw unpreparedUnlessSaid(this.name, error);
    }
    if (!(made instanceof Promise)) {
      entry.executable = made;
      return undefined;
    }
    const done = (): void => {
      entry.preparing = undefined;
    };
    return made
      .then(
        (executable) => {
          entry.executable = executable;
        },
        (error: unknown) => {
          throw unpreparedUnlessSaid(this.name, error);
        },
      )
      .finally(done);
  }

  execute(
    planned: Planned,
    values: readonly TypedArray[],
    storages: readonly Storage[],
    { timings, ran }: ExecuteOptions,
  ): Result[] | Promise<Result[]> {
    const { entry, program } = planned as EntryPlanned;
    const { executable } = entry;
    invariant(executable !== undefined, "a plan runs before it was prepared");
    program.hostLeaves.forEach((node, i) => {
      invariant(
        values[i]!.byteLength === sizeOf(node.shape) * bytesOf(node.dtype),
        `host values of ${node.dtype}${formatShape(node.shape)} take ${values[i]!.byteLength} bytes`,
      );
    });
    const results = this.#resultBuffers(program);
    const failed = (error: unknown): unknown => {
      this.#giveBack(results);
      return error;
    };
    const finish = (): Result[] => {
      ran();
      for (const { ref } of executable.plan.uploads) this.uploadedBytes += ref.bytes;
      return this.#collect(results);
    };
    let running: void | Promise<void>;
    try {
      running = this.backend.run(
        executable,
        values,
        [...(storages as DeviceBuffer[]), ...results.map((r) => r.buffer)],
        timings,
      );
    } catch (error) {
      throw failed(lostUnlessSaid(this.name, error));
    }
    return running === undefined
      ? finish()
      : running.then(finish, (error: unknown) => {
          throw failed(lostUnlessSaid(this.name, error));
        });
  }

  #resultBuffers(program: Program): ResultBuffer[] {
    const results: ResultBuffer[] = [];
    try {
      for (const node of program.outputs) {
        const bytes = sizeOf(node.shape) * bytesOf(node.dtype);
        const small = this.backend.synchronous && bytes <= this.backend.target.hostResultBytes;
        results.push({
          node,
          small,
          buffer: (small ? this.#spare.get(bytes)?.pop() : undefined) ?? this.backend.alloc(bytes),
        });
      }
      return results;
    } catch (error) {
      this.#giveBack(results);
      throw error;
    }
  }

  #collect(results: readonly ResultBuffer[]): Result[] {
    let data: (TypedArray | undefined)[];
    try {
      data = results.map(({ node, small, buffer }) =>
        small ? viewAs(node.dtype, this.backend.readSync!(buffer)) : undefined,
      );
    } catch (error) {
      this.#giveBack(results);
      throw error;
    }
    return results.map((result, i): Result => {
      if (data[i] === undefined) return { kind: "storage", storage: result.buffer };
      this.#keep(result.buffer);
      return { kind: "host", data: data[i] };
    });
  }

  #keep(buffer: DeviceBuffer): void {
    const pool = this.#spare.get(buffer.bytes);
    if (pool === undefined) this.#spare.set(buffer.bytes, [buffer]);
    else pool.push(buffer);
  }

  /** After a failure, which is what its caller must hear of. */
  #giveBack(results: readonly ResultBuffer[]): void {
    for (const { small, buffer } of results) {
      try {
        if (small) this.#keep(buffer);
        else this.backend.free(buffer);
      } catch {
        /* the first error tells */
      }
    }
  }

  memory(): MemoryInfo {
    return this.backend.memory();
  }
  info(): BackendInfo {
    return this.backend.info();
  }
  close(): void {
    this.backend.close();
  }
}

/** Nothing has run yet, so the device is as good as before. */
function unpreparedUnlessSaid(name: string, error: unknown): unknown {
  if (error instanceof LowrankError) return error;
  return new DeviceError(`${name}: the code of a plan could not be made (${String(error)}); nothing was run`, {
    cause: error,
  });
}

/** What a backend did not throw on purpose came from the middle of a run, for all that anybody knows. */
function lostUnlessSaid(name: string, error: unknown): unknown {
  if (error instanceof LowrankError && error.kind !== "bug") return error;
  return new LowrankError(
    "DeviceLostError",
    `${name}: a run failed half-way (${String(error)}): what the device held is lost; open another with init`,
    { cause: error },
  );
}
