/**
 * Addresses of the linear memory. They are unsigned and 32 bits wide; both is known here and nowhere else, in TypeScript and in emitted code, so that
 * a wider memory (memory64) is another `AddressCode` and another `Table` layout.
 *
 * In TypeScript an address is a non-negative number. Half of them do not fit into a signed 32-bit integer, so bit operators must not touch them. Tables
 * that threads share hold word indices, which do fit, where TypeScript goes on with them, and addresses only to be handed to kernels.
 *
 * In emitted code an `Address` is not a `Push`: instructions cannot be put on it by mistake, only what `AddressCode` offers. Distances in bytes are
 * addresses too. Sums wrap around, so partial sums may be anything as long as the whole is an address.
 */
import type { Emitter, Local, Push } from "./loop/push.ts";

/** What can be addressed, in bytes. */
export const ADDRESS_SPACE: number = 2 ** 32;

const WORD = 4;

/** Index of the word at `address` in an `Int32Array` over the whole memory: below 2³⁰, so itself fit for a word. */
export function wordAt(address: number): number {
  return address / WORD;
}

/** Emitted code that leaves an address on the stack. */
export interface Address {
  readonly push: Push;
}

/** A local that holds an address. */
export interface AddressLocal {
  readonly address: Local;
}

/** Arithmetic on addresses in emitted code. Indices and counts are i32. */
export class AddressCode {
  readonly #c: Emitter;

  constructor(code: Emitter) {
    this.#c = code;
  }

  bytes(count: number): Address {
    return this.index(this.#c.i32(count));
  }

  /** An i32 as a distance. */
  index(x: Push): Address {
    return { push: x };
  }

  plus(a: Address, b: Address): Address {
    return this.index(this.#c.op("i32.add", a.push, b.push));
  }
  minus(a: Address, b: Address): Address {
    return this.index(this.#c.op("i32.sub", a.push, b.push));
  }

  /** `a` plus a constant that may be 0. */
  moved(a: Address, bytes: number): Address {
    return bytes === 0 ? a : this.plus(a, this.bytes(bytes));
  }

  /** x · stride. */
  times(x: Push, stride: number): Address {
    return this.index(this.#c.op("i32.mul", x, this.#c.i32(stride)));
  }

  /** x · stride, as a shift where it is one. */
  scaled(x: Push, stride: number): Address {
    if (stride === 1) return this.index(x);
    const power = Math.log2(stride);
    return Number.isInteger(power) ? this.index(this.#c.op("i32.shl", x, this.#c.i32(power))) : this.times(x, stride);
  }

  minimum(a: Address, b: Address): Address {
    const x = this.let(a);
    const y = this.let(b);
    return this.index(this.#c.select(x.push, y.push, this.below(x, y)));
  }

  /** Whether a < b. */
  below(a: Address, b: Address): Push {
    return this.#c.op("i32.lt_u", a.push, b.push);
  }

  /** The low 32 bits on four lanes. */
  lanes(a: Address): Push {
    return this.#c.op("i32x4.splat", a.push);
  }

  // --- locals

  local(): AddressLocal {
    return { address: this.#c.local("i32") };
  }
  get(local: AddressLocal): Address {
    return this.index(this.#c.get(local.address));
  }
  set(local: AddressLocal, value: Address): void {
    this.#c.set(local.address, value.push);
  }

  keep(value: Address): AddressLocal {
    const local = this.local();
    this.set(local, value);
    return local;
  }

  let(value: Address): Address {
    return this.get(this.keep(value));
  }

  /** local += bytes. */
  advance(local: AddressLocal, bytes: number): void {
    this.set(local, this.plus(this.get(local), this.bytes(bytes)));
  }

  /**
   * while (local ≠ end) { body; local += step }; whole steps must lead to `end`. Not "while below": of a walk that stops where memory does, the end
   * is address 0.
   */
  walk(local: AddressLocal, end: Address, step: number, body: () => void): void {
    this.#c.while(this.#c.op("i32.ne", this.get(local).push, end.push), () => {
      body();
      this.advance(local, step);
    });
  }
}
