/** The few things of the host that the wasm backend touches, typed by hand: the engine is compiled without DOM or Node types. */
import { DeviceError } from "../../errors.ts";

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

export type WasmFunction = (...args: number[]) => void;

export interface WasmModule {
  readonly wasmModule?: never;
}

interface WasmInstance {
  readonly exports: Record<string, unknown>;
}

type WasmImports = Record<string, Record<string, unknown>>;

interface WasmApi {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: boolean }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (module: WasmModule, imports: WasmImports) => WasmInstance;
  compile(bytes: Uint8Array): Promise<WasmModule>;
  instantiate(module: WasmModule, imports: WasmImports): Promise<WasmInstance>;
  validate(bytes: Uint8Array): boolean;
}

interface Host {
  readonly WebAssembly?: WasmApi;
  readonly crossOriginIsolated?: boolean;
  readonly navigator?: { readonly hardwareConcurrency?: number };
  readonly process?: { getBuiltinModule?(name: string): unknown; readonly execArgv?: readonly string[] };
  readonly Worker?: new (url: string) => BrowserWorker;
  readonly Blob?: new (parts: string[], options: { type: string }) => unknown;
  readonly URL?: { createObjectURL(blob: unknown): string; revokeObjectURL(url: string): void };
}

interface BrowserWorker {
  postMessage(message: unknown): void;
  terminate(): void;
  onmessage: ((event: { data: unknown }) => void) | null;
  onerror: ((event: { message?: string }) => void) | null;
}

interface NodeWorkerOptions {
  readonly eval: true;
  readonly execArgv?: readonly string[];
}

interface NodeWorker {
  postMessage(message: unknown): void;
  terminate(): void;
  unref(): void;
  ref(): void;
  on(event: "message" | "error" | "exit", listener: (value: unknown) => void): void;
  readonly performance?: { eventLoopUtilization?(): { readonly idle: number } };
}

const host = globalThis as unknown as Host;

export function wasmApi(): WasmApi {
  if (host.WebAssembly === undefined) throw new DeviceError("wasm: this JavaScript engine has no WebAssembly");
  return host.WebAssembly;
}

export interface LoadedModule {
  readonly module: WasmModule;
  readonly instance: WasmInstance;
}

/** At once where the platform allows it: a browser's main thread compiles no large module so, but with a RangeError sends us to the other way. */
export function instantiate(bytes: Uint8Array, imports: WasmImports): LoadedModule | Promise<LoadedModule> {
  const api = wasmApi();
  try {
    const module = new api.Module(bytes);
    return { module, instance: new api.Instance(module, imports) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return api.compile(bytes).then(async (module) => ({ module, instance: await api.instantiate(module, imports) }));
}

/** A built-in module of Node, Deno or Bun; undefined in browsers. */
export function builtin<T>(name: string): T | undefined {
  return host.process?.getBuiltinModule?.(name) as T | undefined;
}

/** Whether memory can be shared with workers here: in browsers only where the page is cross-origin isolated. */
export function canShareMemory(): boolean {
  return typeof SharedArrayBuffer !== "undefined" && (host.process !== undefined || host.crossOriginIsolated === true);
}

export function availableThreads(): number {
  return (
    builtin<{ availableParallelism?(): number }>("node:os")?.availableParallelism?.() ??
    host.navigator?.hardwareConcurrency ??
    1
  );
}

/** A worker that runs `source`, a plain script. */
export interface ComputeWorker {
  post(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Called with the reason when the worker has ended, as far as the platform tells. */
  onEnd(listener: (why: string) => void): void;
  /** False once it has surely ended. Needs no event loop where the platform allows that, and is always true elsewhere. */
  alive(): boolean;
  /** Whether the worker keeps the process alive. */
  hold(alive: boolean): void;
  stop(): void;
}

export function startWorker(source: string): ComputeWorker {
  const threads = builtin<{ Worker: new (code: string, options: NodeWorkerOptions) => NodeWorker }>(
    "node:worker_threads",
  );
  if (threads === undefined) return browserWorker(source);
  // `node --input-type=module -e …`: the worker would take its script for a module too
  const { execArgv = [] } = host.process ?? {};
  const asModule = execArgv.some(
    (flag) => flag.startsWith("--input-type") || flag === "--experimental-default-type=module",
  );
  return nodeWorker(new threads.Worker(source, { eval: true, ...(asModule ? { execArgv: [] } : {}) }));
}

function nodeWorker(worker: NodeWorker): ComputeWorker {
  worker.unref();
  return {
    post: (m) => worker.postMessage(m),
    stop: () => worker.terminate(),
    onMessage: (f) => worker.on("message", f),
    hold: (alive) => (alive ? worker.ref() : worker.unref()),
    onEnd: (f) => {
      worker.on("error", (error) => f(String(error)));
      worker.on("exit", (code) => f(`it exited with code ${String(code)}`));
    },
    alive: () => !hasStopped(worker),
  };
}

/** Node tells of a thread's end by an event; but the idle time of its event loop, which can be asked for at any time, is −1 from then on. */
function hasStopped(worker: NodeWorker): boolean {
  try {
    return (worker.performance?.eventLoopUtilization?.().idle ?? 0) < 0;
  } catch {
    return false;
  }
}

function browserWorker(source: string): ComputeWorker {
  const url = host.URL!.createObjectURL(new host.Blob!([source], { type: "text/javascript" }));
  const worker = new host.Worker!(url);
  return {
    post: (m) => worker.postMessage(m),
    stop: () => worker.terminate(),
    onMessage: (f) => {
      worker.onmessage = (e) => f(e.data);
    },
    hold: () => {},
    onEnd: (f) => {
      worker.onerror = (e) => f(e.message ?? "its script did not load");
    },
    alive: () => true,
  };
}
