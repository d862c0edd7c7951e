/** The few things of the host that the wasm backend touches, typed by hand: the engine is compiled without DOM or Node types. */
import { DeviceError } from "../../errors.ts";

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

export type WasmFunction = (...args: number[]) => void;

export interface WasmModule { readonly wasmModule?: never }

interface WasmInstance { readonly exports: Record<string, unknown> }

interface WasmApi {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: boolean }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (module: WasmModule, imports: Record<string, Record<string, unknown>>) => WasmInstance;
  validate(bytes: Uint8Array): boolean;
}

interface Host {
  readonly WebAssembly?: WasmApi;
  readonly crossOriginIsolated?: boolean;
  readonly navigator?: { readonly hardwareConcurrency?: number };
  readonly performance?: { now(): number };
  readonly process?: { getBuiltinModule?(name: string): unknown };
  readonly Worker?: new (url: string) => BrowserWorker;
  readonly Blob?: new (parts: string[], options: { type: string }) => unknown;
  readonly URL?: { createObjectURL(blob: unknown): string; revokeObjectURL(url: string): void };
}

interface BrowserWorker {
  postMessage(message: unknown): void;
  terminate(): void;
  onmessage: ((event: { data: unknown }) => void) | null;
  onerror: ((event: unknown) => void) | null;
}

interface NodeWorker {
  postMessage(message: unknown): void;
  terminate(): void;
  unref(): void;
  ref(): void;
  on(event: "message" | "error", listener: (value: unknown) => void): void;
}

const host = globalThis as unknown as Host;

export function wasmApi(): WasmApi {
  if (host.WebAssembly === undefined) throw new DeviceError("wasm: this JavaScript engine has no WebAssembly");
  return host.WebAssembly;
}

export function now(): number {
  return host.performance?.now() ?? 0;
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
  return builtin<{ availableParallelism?(): number }>("node:os")?.availableParallelism?.() ?? host.navigator?.hardwareConcurrency ?? 1;
}

/** A worker that runs `source`, a plain script. */
export interface ComputeWorker {
  post(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Whether the worker keeps the process alive. */
  hold(alive: boolean): void;
  stop(): void;
}

export function startWorker(source: string): ComputeWorker {
  const threads = builtin<{ Worker: new (code: string, options: { eval: true }) => NodeWorker }>("node:worker_threads");
  if (threads !== undefined) {
    const worker = new threads.Worker(source, { eval: true });
    worker.unref();
    return {
      post: (m) => worker.postMessage(m), stop: () => worker.terminate(),
      onMessage: (f) => worker.on("message", f), hold: (alive) => (alive ? worker.ref() : worker.unref()),
    };
  }
  const url = host.URL!.createObjectURL(new host.Blob!([source], { type: "text/javascript" }));
  const worker = new host.Worker!(url);
  return { post: (m) => worker.postMessage(m), stop: () => worker.terminate(), onMessage: (f) => { worker.onmessage = (e) => f(e.data); }, hold: () => {} };
}
