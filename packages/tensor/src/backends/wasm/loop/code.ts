/**
 * Writing WebAssembly as expressions. A `Push` emits code that leaves one value on the stack; `let`/`keep` emit it now and remember
 * the value in a local, so whatever is used twice must be kept first. Thin: opcodes go through by name.
 */
import { AddressCode, type Address, type AddressLocal } from "../address.ts";
import type { FunctionBuilder, ModuleBuilder } from "../asm/index.ts";
import type { Emitter, Local, Push, WasmType } from "./push.ts";

export interface CodeOptions {
  /** Whether exp, tanh, … are calls of one function per module (short code) or written out where they are used (fast). Default: written out. */
  readonly mathCalls?: boolean;
  /** Whether `madd` may be relaxed SIMD's multiply-add. Default: a product and a sum. */
  readonly fma?: boolean;
}

export class Code implements Emitter {
  readonly #f: FunctionBuilder;
  readonly #module: ModuleBuilder;
  readonly #options: CodeOptions;
  /** Where a kernel's arguments are. */
  readonly args: readonly AddressLocal[];
  /** Arithmetic on addresses. */
  readonly at: AddressCode;

  constructor(module: ModuleBuilder, f: FunctionBuilder, args: readonly AddressLocal[], options: CodeOptions = {}) {
    this.#module = module;
    this.#f = f;
    this.args = args;
    this.#options = options;
    this.at = new AddressCode(this);
  }

  /** A function of the signature in `kernel-code.ts`: (begin, end, shared, thread, ...args). */
  static kernel(module: ModuleBuilder, name: string, argCount: number, options: CodeOptions = {}): Code {
    const f = module.func(
      name,
      Array.from({ length: 4 + argCount }, () => "i32" as const),
      [],
    );
    return new Code(
      module,
      f,
      Array.from({ length: argCount }, (_, i) => ({ address: 4 + i })),
      options,
    );
  }

  end(): void {
    /* nothing to close */
  }

  get begin(): Push {
    return this.get(0);
  }
  get finish(): Push {
    return this.get(1);
  }
  get shared(): Address {
    return this.at.get({ address: 2 });
  }
  get thread(): Address {
    return this.at.get({ address: 3 });
  }

  // --- values

  op(name: string, ...args: readonly Push[]): Push {
    return () => {
      for (const a of args) a();
      this.#f.op(name);
    };
  }

  f4(name: string, ...args: readonly Push[]): Push {
    return this.op(`f32x4.${name}`, ...args);
  }
  i4(name: string, ...args: readonly Push[]): Push {
    return this.op(`i32x4.${name}`, ...args);
  }
  v(name: string, ...args: readonly Push[]): Push {
    return this.op(`v128.${name}`, ...args);
  }
  /** x·y + sum on four lanes, rounded once where the machine has a fused multiply-add. */
  madd(x: Push, y: Push, sum: Push): Push {
    return this.#options.fma ? this.f4("relaxed_madd", x, y, sum) : this.f4("add", sum, this.f4("mul", x, y));
  }
  shift(name: "shl" | "shr_s" | "shr_u", x: Push, by: number): Push {
    return this.op(`i32x4.${name}`, x, this.i32(by));
  }

  i32(x: number): Push {
    return () => this.#f.i32(x | 0);
  }
  f32(x: number): Push {
    return () => this.#f.f32(x);
  }
  i4lanes(lanes: readonly number[]): Push {
    return () => this.#f.v128(new Uint8Array(Int32Array.from(lanes, (x) => x | 0).buffer));
  }
  i4const(x: number): Push {
    return this.i4lanes([x, x, x, x]);
  }
  f4const(x: number): Push {
    return () => this.#f.v128(new Uint8Array(Float32Array.from([x, x, x, x]).buffer));
  }
  f64x2const(x: number): Push {
    return () => this.#f.v128(new Uint8Array(Float64Array.from([x, x]).buffer));
  }

  select(a: Push, b: Push, cond: Push): Push {
    return this.op("select", a, b, cond);
  }
  /** Of counts: signed. */
  minimum(a: Push, b: Push): Push {
    const x = this.let("i32", a);
    const y = this.let("i32", b);
    return this.select(x, y, this.op("i32.lt_s", x, y));
  }

  lane(name: string, x: Push, at: number): Push {
    return () => {
      x();
      this.#f.op(name, at);
    };
  }

  replaceLane(name: string, x: Push, at: number, value: Push): Push {
    return () => {
      x();
      value();
      this.#f.op(name, at);
    };
  }

  /** 32-bit lanes `lanes[i]` of (a, b): 0–3 from a, 4–7 from b. */
  shuffle(a: Push, b: Push, lanes: readonly [number, number, number, number]): Push {
    return () => {
      a();
      b();
      this.#f.op("i8x16.shuffle", ...lanes.flatMap((l) => [4 * l, 4 * l + 1, 4 * l + 2, 4 * l + 3]));
    };
  }

  /** Bytes `lanes[i]` of (a, b): 0–15 from a, 16–31 from b. */
  bytes(a: Push, b: Push, lanes: readonly number[]): Push {
    return () => {
      a();
      b();
      this.#f.op("i8x16.shuffle", ...lanes);
    };
  }

  // --- locals

  local(type: WasmType): Local {
    return this.#f.local(type);
  }
  get(local: Local): Push {
    return () => this.#f.get(local);
  }

  set(local: Local, value: Push): void {
    value();
    this.#f.set(local);
  }

  keep(type: WasmType, value: Push): Local {
    const local = this.local(type);
    this.set(local, value);
    return local;
  }

  let(type: WasmType, value: Push): Push {
    return this.get(this.keep(type, value));
  }
  let4(value: Push): Push {
    return this.let("v128", value);
  }

  // --- memory

  load(name: string, base: Address, offset: number): Push {
    return () => {
      base.push();
      this.#f.mem(name, 0, offset);
    };
  }

  store(name: string, base: Address, offset: number, value: Push): void {
    base.push();
    value();
    this.#f.mem(name, 0, offset);
  }

  loadLane(name: string, base: Address, offset: number, at: number, into: Push): Push {
    return () => {
      base.push();
      into();
      this.#f.mem(name, 0, offset, at);
    };
  }

  storeLane(name: string, base: Address, offset: number, at: number, value: Push): void {
    base.push();
    value();
    this.#f.mem(name, 0, offset, at);
  }

  fill(start: Address, byte: Push, length: Address): void {
    for (const x of [start.push, byte, length.push]) x();
    this.#f.raw(0xfc, 11, 0);
  }

  // --- control

  if(cond: Push, then: () => void, otherwise?: () => void): void {
    cond();
    this.#f.raw(0x04, 0x40);
    then();
    if (otherwise !== undefined) {
      this.#f.raw(0x05);
      otherwise();
    }
    this.#f.raw(0x0b);
  }

  return(): void {
    this.#f.op("return");
  }

  /** while (more) { body }; `more` is evaluated before each round. */
  while(more: Push, body: () => void): void {
    this.if(more, () => {
      this.#f.raw(0x03, 0x40);
      body();
      more();
      this.#f.raw(0x0d, 0);
      this.#f.raw(0x0b);
    });
  }

  /** while (counter < end) { body; counter += step } with signed i32: for counts, not for addresses. */
  loop(counter: Local, end: Push, step: number, body: () => void): void {
    this.while(this.op("i32.lt_s", this.get(counter), end), () => {
      body();
      this.set(counter, this.op("i32.add", this.get(counter), this.i32(step)));
    });
  }

  /** `loop` that starts the counter at `from`. */
  for(counter: Local, from: Push, end: Push, step: number, body: () => void): void {
    this.set(counter, from);
    this.loop(counter, end, step, body);
  }

  // --- functions

  /** f(x): written out here or, with `mathCalls`, a call of one function per module and `name`. */
  math(name: string, f: (inside: Code, x: Push) => Push, x: Push): Push {
    if (!this.#options.mathCalls) return f(this, x);
    let helper = this.#module.helpers.get(name);
    if (helper === undefined) {
      helper = this.#module.func(undefined, ["v128"], ["v128"]);
      this.#module.helpers.set(name, helper);
      const inside = new Code(this.#module, helper, [], this.#options);
      f(inside, inside.get(0))();
    }
    const called = helper;
    return () => {
      x();
      this.#f.call(called);
    };
  }
}
