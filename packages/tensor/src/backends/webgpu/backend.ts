/**
 * The WebGPU device: plans become pipelines, a run is one command buffer with one compute pass, and the plan's arena is one buffer.
 * Queue order is the only synchronization: uploads, runs and reads happen in the order they were asked for. What is wrong with a
 * call is told by that call, or by whoever uses its buffer, and by nobody else.
 */
import { now } from "../../clock.ts";
import type { TypedArray } from "../../dtype.ts";
import { DeviceError, invariant, LowrankError } from "../../errors.ts";
import type { Target } from "../../ir/target.ts";
import type { Template } from "../../ir/template.ts";
import type { BufferRef, Plan } from "../../plan/plan.ts";
import type { Backend, BackendInfo, DeviceBuffer, Executable, MemoryInfo, StepTiming } from "../backend.ts";
import { readBuffer, requestGpuDevice, type OpenDevice } from "./device.ts";
import { inErrorScope } from "./error-scope.ts";
import { BufferUsage, type GpuBindGroup, type GpuBinding, type GpuBuffer, type GpuComputePass } from "./gpu-types.ts";
import { PipelineCache, type Pipeline } from "./pipelines.ts";
import { webGpuTarget } from "./target.ts";
import { webGpuTemplates } from "./templates.ts";

interface WebGpuBuffer extends DeviceBuffer {
  readonly gpu: GpuBuffer;
  /** Why it has no memory, or did not get what was written; known a little after. */
  failure: Promise<string | undefined> | undefined;
}

interface WebGpuExecutable extends Executable {
  /** One per step; undefined where there is nothing to do. */
  readonly pipelines: readonly (Pipeline | undefined)[];
  /** The last bind group of each step, with the buffers it binds: most steps bind the arena alone, run after run. */
  readonly groups: ({ readonly buffers: readonly GpuBuffer[]; readonly group: GpuBindGroup } | undefined)[];
}

const STORAGE = BufferUsage.storage | BufferUsage.copySrc | BufferUsage.copyDst;

/** Opens the device; throws DeviceError where there is none. */
export async function createWebGpuBackend(): Promise<WebGpuBackend> {
  return new WebGpuBackend(await requestGpuDevice());
}

export class WebGpuBackend implements Backend {
  readonly name = "webgpu";
  readonly synchronous = false;
  readonly target: Target;
  readonly templates: readonly Template[] = webGpuTemplates;
  readonly #open: OpenDevice;
  readonly #pipelines: PipelineCache;
  readonly #live = new Set<WebGpuBuffer>();
  /** Small buffers that were freed, by size: a loss per step then costs no new buffer and no new bind group. */
  readonly #spare = new Map<number, GpuBuffer[]>();
  #arena: GpuBuffer | undefined;
  /** Stands in for arguments without elements, each with its own bytes. */
  #empty: GpuBuffer | undefined;
  /** Why nothing can be done any more. */
  #gone: LowrankError | undefined;
  /** A mistake outside of every scope: told once, by the next call. */
  #stray: string | undefined;

  constructor(open: OpenDevice) {
    this.#open = open;
    this.target = webGpuTarget(open.device);
    this.#pipelines = new PipelineCache(open.device);
    open.device.onuncapturederror = (event) => {
      // reported by the next call instead of on the console
      event.preventDefault();
      this.#stray ??= event.error.message;
    };
    void open.device.lost.then(({ reason, message }) => {
      this.#gone ??= lost(`${reason}: ${message}`);
    });
  }

  alloc(bytes: number): DeviceBuffer {
    this.#checkUsable();
    const spare = this.#spare.get(wholeWords(bytes))?.pop();
    const made =
      spare === undefined
        ? inErrorScope(this.#open.device, () => this.#create(bytes))
        : { value: spare, failure: undefined };
    const buffer: WebGpuBuffer = { bytes, gpu: made.value, failure: undefined };
    this.#watch(buffer, made.failure);
    this.#live.add(buffer);
    return buffer;
  }

  /** Work that was queued before may still use the buffer: destroying it waits for that, and so does whoever gets it next. */
  free(buffer: DeviceBuffer): void {
    const { gpu } = buffer as WebGpuBuffer;
    if (!this.#live.delete(buffer as WebGpuBuffer)) return;
    // one that may have no memory is not handed on
    const spare =
      gpu.size > SPARE_BYTES || (buffer as WebGpuBuffer).failure !== undefined
        ? undefined
        : (this.#spare.get(gpu.size) ?? []);
    if (spare === undefined || spare.length >= SPARE_BUFFERS) gpu.destroy();
    else this.#spare.set(gpu.size, [...spare, gpu]);
  }

  upload(buffer: DeviceBuffer, bytes: Uint8Array): void {
    this.#checkUsable();
    invariant(bytes.length <= buffer.bytes, `upload of ${bytes.length} bytes into a buffer of ${buffer.bytes}`);
    const mine = buffer as WebGpuBuffer;
    this.#watch(
      mine,
      inErrorScope(this.#open.device, () => {
        this.#write(mine.gpu, 0, bytes);
      }).failure,
    );
  }

  async read(buffer: DeviceBuffer): Promise<Uint8Array> {
    this.#checkUsable();
    const mine = buffer as WebGpuBuffer;
    const { value, failure } = inErrorScope(this.#open.device, () =>
      readBuffer(this.#open.device, mine.gpu, wholeWords(buffer.bytes)),
    );
    // a reading that fails and its scope tell of the same thing
    const bytes = await value.catch(() => undefined);
    const wrong = (await mine.failure) ?? (await failure);
    this.#checkUsable();
    if (bytes === undefined || wrong !== undefined)
      throw new DeviceError(
        `webgpu: reading ${buffer.bytes} bytes failed: ${wrong ?? "the buffer could not be mapped"}`,
      );
    return bytes.subarray(0, buffer.bytes);
  }

  /** At once where all its kernels were compiled before. */
  prepare(plan: Plan): Executable | Promise<Executable> {
    this.#checkUsable();
    for (const step of plan.steps) checkAliases(step.args, step.label);
    const kernels = plan.kernels.map((kernel) => this.#pipelines.get(kernel));
    const made = (ready: readonly (Pipeline | undefined)[]): WebGpuExecutable => ({
      plan,
      pipelines: plan.steps.map((step) => ready[step.kernel]),
      groups: plan.steps.map(() => undefined),
    });
    if (kernels.some((kernel) => kernel instanceof Promise))
      return Promise.all(kernels.map((kernel) => Promise.resolve(kernel))).then(made);
    return made(kernels as readonly (Pipeline | undefined)[]);
  }

  /** One submission, which runs as a whole or, where anything about it is wrong, not at all. Resolves when it is known to be right. */
  async run(
    executable: Executable,
    uploads: readonly TypedArray[],
    bound: readonly DeviceBuffer[],
    timings?: StepTiming[],
  ): Promise<void> {
    this.#checkUsable();
    const prepared = executable as WebGpuExecutable;
    const { plan } = prepared;
    const { value, failure } = inErrorScope(this.#open.device, () => {
      this.#reserveArena(plan.arenaBytes);
      plan.uploads.forEach(({ ref, size }, i) => {
        if (size === 0) return;
        const { buffer, offset } = this.#binding(ref, bound, i);
        const data = uploads[i]!;
        this.#write(buffer, offset, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      });
      if (timings === undefined)
        this.#submit((pass) =>
          plan.steps.forEach((_, i) => {
            this.#encode(pass, prepared, i, bound);
          }),
        );
      return timings === undefined ? undefined : this.#runTimed(prepared, bound, timings);
    });
    // looked at below; until then it may fail
    value?.catch(() => undefined);
    const wrong = await failure;
    await value;
    this.#checkUsable();
    if (wrong === undefined) return;
    this.#forget(prepared);
    throw new DeviceError(`webgpu: ${wrong}`);
  }

  memory(): MemoryInfo {
    let persistent = 0;
    for (const { bytes } of this.#live) persistent += bytes;
    const arena = this.#arena?.size ?? 0;
    return { persistent, arena, scratch: 0, reserved: persistent + arena, buffers: this.#live.size };
  }

  info(): BackendInfo {
    return { name: "webgpu", description: this.#open.description, threads: 1 };
  }

  close(): void {
    if (this.#gone?.code === "DisposedError") return;
    this.#gone = new LowrankError("DisposedError", "webgpu: the device was closed; open another with init");
    for (const { gpu } of this.#live) gpu.destroy();
    this.#live.clear();
    for (const gpu of [...this.#spare.values()].flat()) gpu.destroy();
    this.#arena?.destroy();
    this.#empty?.destroy();
    // Dawn's compiler threads use the device until they are done
    const compiling = this.#pipelines.settled();
    if (compiling === undefined) this.#open.close();
    else
      void compiling.then(() => {
        this.#open.close();
      });
  }

  /** One submission per step, each waited for: slower than a real run, but every step's time is its own. */
  async #runTimed(executable: WebGpuExecutable, bound: readonly DeviceBuffer[], timings: StepTiming[]): Promise<void> {
    const { device } = this.#open;
    const { queue } = device;
    await queue.onSubmittedWorkDone();
    const origin = now();
    for (const [i, step] of executable.plan.steps.entries()) {
      const start = now();
      const { failure } = inErrorScope(device, () => {
        this.#submit((pass) => {
          this.#encode(pass, executable, i, bound);
        });
      });
      await queue.onSubmittedWorkDone();
      const wrong = await failure;
      // the steps before it have run
      if (wrong !== undefined) throw (this.#gone = lost(`${step.label}: ${wrong}`));
      timings.push({ label: step.label, start: start - origin, duration: now() - start });
    }
  }

  #submit(encode: (pass: GpuComputePass) => void): void {
    const encoder = this.#open.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    encode(pass);
    pass.end();
    this.#open.device.queue.submit([encoder.finish()]);
  }

  #encode(pass: GpuComputePass, executable: WebGpuExecutable, index: number, bound: readonly DeviceBuffer[]): void {
    const pipeline = executable.pipelines[index];
    if (pipeline === undefined) return;
    const bindings = executable.plan.steps[index]!.args.map((ref, i) => this.#binding(ref, bound, i));
    let known = executable.groups[index];
    if (known === undefined || bindings.some(({ buffer }, i) => known!.buffers[i] !== buffer)) {
      const group = this.#open.device.createBindGroup({
        layout: pipeline.layout,
        entries: bindings.map((resource, binding) => ({ binding, resource })),
      });
      known = executable.groups[index] = { buffers: bindings.map((b) => b.buffer), group };
    }
    pass.setPipeline(pipeline.pipeline);
    pass.setBindGroup(0, known.group);
    pass.dispatchWorkgroups(pipeline.grid[0], pipeline.grid[1]);
  }

  #binding(ref: BufferRef, bound: readonly DeviceBuffer[], arg: number): GpuBinding {
    if (ref.bytes === 0)
      return { buffer: (this.#empty ??= this.#create(EMPTY_BYTES)), offset: arg * EMPTY_STRIDE, size: 4 };
    const size = wholeWords(ref.bytes);
    if (ref.kind === "arena") return { buffer: this.#arena!, offset: ref.offset, size };
    return { buffer: (bound[ref.slot] as WebGpuBuffer).gpu, offset: ref.offset, size };
  }

  /** The arena only grows. The old one is destroyed when the work that uses it is done. */
  #reserveArena(bytes: number): void {
    if (bytes === 0 || (this.#arena !== undefined && this.#arena.size >= bytes)) return;
    this.#arena?.destroy();
    this.#arena = this.#create(bytes);
  }

  #create(bytes: number): GpuBuffer {
    const { device } = this.#open;
    const size = wholeWords(bytes);
    if (size > device.limits.maxBufferSize)
      throw new DeviceError(
        `webgpu: a buffer of ${size} bytes is more than this adapter's ${device.limits.maxBufferSize}; use a smaller batch or the \`wasm\` device`,
      );
    return device.createBuffer({ size, usage: STORAGE });
  }

  /** Writes are whole words; the bytes that fill up the last one lie in padding. */
  #write(buffer: GpuBuffer, offset: number, bytes: Uint8Array): void {
    let words = bytes;
    if (bytes.byteLength % 4 !== 0) {
      words = new Uint8Array(wholeWords(bytes.byteLength));
      words.set(bytes);
    }
    if (bytes.byteLength > 0) this.#open.device.queue.writeBuffer(buffer, offset, words);
  }

  /** After a run that went wrong: what it made may be broken, and the next one makes its own. */
  #forget(executable: WebGpuExecutable): void {
    executable.groups.fill(undefined);
    this.#arena?.destroy();
    this.#arena = undefined;
  }

  /** Notes what becomes known of a buffer. */
  #watch(buffer: WebGpuBuffer, failure: Promise<string | undefined> | undefined): void {
    if (failure === undefined) return;
    const before = buffer.failure;
    const known = Promise.all([before, failure]).then(([first, second]) => {
      const wrong = first ?? second;
      if (wrong === undefined && buffer.failure === known) buffer.failure = undefined;
      return wrong;
    });
    buffer.failure = known;
  }

  /** @throws DisposedError, DeviceLostError; or what went wrong outside of all calls, once */
  #checkUsable(): void {
    if (this.#gone !== undefined) throw new LowrankError(this.#gone.code, this.#gone.message, { cause: this.#gone });
    const stray = this.#stray;
    this.#stray = undefined;
    if (stray !== undefined) throw new DeviceError(`webgpu: ${stray}`);
  }
}

function lost(why: string): LowrankError {
  return new LowrankError(
    "DeviceLostError",
    `webgpu: the device was lost (${why}): what it held is gone; open another with init`,
  );
}

/** Freed buffers up to this size are kept, so many of each size. */
const SPARE_BYTES = 1 << 16;
const SPARE_BUFFERS = 16;

const EMPTY_STRIDE = 256;
const EMPTY_BYTES = EMPTY_STRIDE * 32;

/** Storage buffers are arrays of words, and none is empty. */
function wholeWords(bytes: number): number {
  return Math.max(4, Math.ceil(bytes / 4) * 4);
}

/** Within a dispatch two writable bindings must not overlap; the memory plan never lets two arguments of a step. */
function checkAliases(args: readonly BufferRef[], label: string): void {
  args.forEach((a, i) =>
    args.slice(0, i).forEach((b) => {
      const apart =
        a.bytes === 0 ||
        b.bytes === 0 ||
        a.kind !== b.kind ||
        (a.kind === "arena" && b.kind === "arena"
          ? a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset
          : a.kind === "bound" && b.kind === "bound" && a.slot !== b.slot);
      invariant(apart, `webgpu: two arguments of ${label} share bytes`);
    }),
  );
}
