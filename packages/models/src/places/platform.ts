/** What the platform gives under any runtime, as far as it is used here: TypeScript knows it by the DOM's or Node's types only. */

export interface WebHeaders {
  get(name: string): string | null;
}

export interface WebReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array }>;
  cancel(): Promise<void>;
}

export interface WebResponse {
  readonly status: number;
  readonly type: string;
  readonly url: string;
  readonly headers: WebHeaders;
  readonly body: { getReader(): WebReader } | null;
}

export interface WebRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly redirect?: "follow" | "manual";
  readonly signal?: unknown;
}

export interface WebUrl {
  readonly href: string;
  readonly origin: string;
  pathname: string;
  search: string;
  hash: string;
  username: string;
  password: string;
}

interface Platform {
  fetch(url: string, init: WebRequest): Promise<WebResponse>;
  readonly AbortController: new () => { readonly signal: unknown; abort(): void };
  setTimeout(body: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  readonly URL: new (url: string, base?: string) => WebUrl;
  readonly location?: { readonly href: string };
  readonly caches?: { open(name: string): Promise<WebCache> };
  readonly Response: new (body: Uint8Array) => unknown;
}

/** A named cache of the browser. */
export interface WebCache {
  match(url: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | undefined>;
  put(url: string, response: unknown): Promise<void>;
}

export const web: Platform = globalThis as unknown as Platform;

interface NodeProcess {
  readonly pid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  getBuiltinModule?(name: string): unknown;
  kill(pid: number, signal: number): boolean;
}

/** Absent in browsers. */
export const nodeProcess: NodeProcess | undefined = (globalThis as unknown as { readonly process?: NodeProcess })
  .process;

/** A module of Node, where there is one. */
export function nodeModule<T>(name: string): T | undefined {
  return nodeProcess?.getBuiltinModule?.(name) as T | undefined;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => void web.setTimeout(resolve, ms));
}
