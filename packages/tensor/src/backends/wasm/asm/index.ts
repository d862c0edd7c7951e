/**
 * A small WebAssembly assembler. A module is functions over one imported memory (`env.memory`); a function is bytes appended one
 * instruction at a time, by text-format name. Nothing is checked here: `WebAssembly.Module` validates. `loop/code.ts` puts
 * expressions and structured control on top.
 */
import { InvariantError } from "../../../errors.ts";
import { OPCODES, sleb, uleb } from "./opcodes.ts";

export type ValType = "i32" | "f32" | "v128";

const VAL_TYPES: Readonly<Record<ValType, number>> = { i32: 0x7f, f32: 0x7d, v128: 0x7b };
/** Pages of 64 KiB that a shared memory import must name: all of wasm32. */
const MAX_PAGES = 65536;

export class FunctionBuilder {
  readonly index: number;
  readonly params: readonly ValType[];
  readonly results: readonly ValType[];
  /** Export name; undefined for helpers. */
  readonly name: string | undefined;
  readonly locals: ValType[] = [];
  readonly bytes: number[] = [];

  constructor(index: number, params: readonly ValType[], results: readonly ValType[], name?: string) {
    this.index = index;
    this.params = params;
    this.results = results;
    this.name = name;
  }

  /** A new local; returns its index. */
  local(type: ValType): number {
    this.locals.push(type);
    return this.params.length + this.locals.length - 1;
  }

  raw(...bytes: readonly number[]): void {
    for (const b of bytes) this.bytes.push(b);
  }

  /** An instruction with immediate bytes. */
  op(name: string, ...immediates: readonly number[]): void {
    const code = OPCODES.get(name);
    if (code === undefined) throw new InvariantError(`no opcode for ${name}`);
    this.raw(...code, ...immediates);
  }

  /** A memory access: alignment exponent, constant offset, lane if it has one. */
  mem(name: string, align: number, offset: number, ...lane: readonly number[]): void {
    this.op(name, ...uleb(align), ...uleb(offset), ...lane);
  }

  get(local: number): void {
    this.raw(0x20, ...uleb(local));
  }
  set(local: number): void {
    this.raw(0x21, ...uleb(local));
  }
  i32(value: number): void {
    this.raw(0x41, ...sleb(value));
  }
  f32(value: number): void {
    this.raw(0x43, ...new Uint8Array(Float32Array.of(value).buffer));
  }
  v128(bytes: Uint8Array): void {
    this.op("v128.const", ...bytes);
  }
  call(target: FunctionBuilder): void {
    this.raw(0x10, ...uleb(target.index));
  }
}

export class ModuleBuilder {
  /** Whether the imported memory is shared between threads. */
  readonly shared: boolean;
  /** Functions that several kernels call, by name. */
  readonly helpers: Map<string, FunctionBuilder> = new Map();
  readonly #functions: FunctionBuilder[] = [];

  constructor(options: { shared?: boolean } = {}) {
    this.shared = options.shared ?? false;
  }

  /** A new function; exported when it has a name. */
  func(name: string | undefined, params: readonly ValType[], results: readonly ValType[]): FunctionBuilder {
    const f = new FunctionBuilder(this.#functions.length, params, results, name);
    this.#functions.push(f);
    return f;
  }

  toBytes(): Uint8Array {
    const functions = this.#functions;
    const types = functions.map((f) => [
      0x60,
      ...vector(f.params.map((t) => [VAL_TYPES[t]])),
      ...vector(f.results.map((t) => [VAL_TYPES[t]])),
    ]);
    const memory = [
      ...text("env"),
      ...text("memory"),
      0x02,
      ...(this.shared ? [0x03, 0x01, ...uleb(MAX_PAGES)] : [0x00, 0x01]),
    ];
    const exported = functions.flatMap((f) =>
      f.name === undefined ? [] : [[...text(f.name), 0x00, ...uleb(f.index)]],
    );
    const bodies = functions.map((f) => {
      const body = concat(vector(f.locals.map((t) => [1, VAL_TYPES[t]])), f.bytes, [0x0b]);
      return concat(uleb(body.length), body);
    });
    return Uint8Array.from(
      concat(
        [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        section(1, vector(types)),
        section(2, vector([memory])),
        section(3, vector(functions.map((_, i) => uleb(i)))),
        section(7, vector(exported)),
        section(10, vector(bodies)),
      ),
    );
  }
}

/** Function bodies are too long to be spread into a call. */
function concat(...parts: readonly (readonly number[])[]): number[] {
  const out: number[] = [];
  for (const part of parts) for (const b of part) out.push(b);
  return out;
}

function vector(items: readonly (readonly number[])[]): number[] {
  return concat(uleb(items.length), ...items);
}

function section(id: number, body: readonly number[]): number[] {
  return concat([id], uleb(body.length), body);
}

/** Names here are ASCII. */
function text(name: string): number[] {
  return [...uleb(name.length), ...Array.from(name, (ch) => ch.charCodeAt(0))];
}
