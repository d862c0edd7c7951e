/** A backend that fails at a chosen call, for the tests of what a failure leaves behind. */
import type { Backend } from "../../src/backends/backend.ts";

export interface Fault {
  /** Counted from 1, over all calls of the interface from `arm` on. */
  readonly call: number;
  /** Before the call does anything, or when it has done everything. */
  readonly when: "before" | "after";
  readonly error: Error;
}

/** Without `free`: it may not fail, and collected tensors call it at times that no count could foresee. */
const CALLS = ["alloc", "upload", "read", "readSync", "prepare", "run"] as const;

export class Faulty {
  readonly backend: Backend;
  #fault: Fault | undefined;
  #calls = 0;
  /** Name of the call that failed. */
  failed: (typeof CALLS)[number] | undefined;
  /** Whether a plan has run since `arm`. */
  ran = false;

  constructor(inner: Backend) {
    this.backend = new Proxy(inner, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        const call = (value as (...args: unknown[]) => unknown).bind(target);
        return (CALLS as readonly unknown[]).includes(name)
          ? (...args: unknown[]) => this.#call(name as (typeof CALLS)[number], () => call(...args))
          : call;
      },
    });
  }

  arm(fault: Fault | undefined): void {
    this.#fault = fault;
    this.#calls = 0;
    this.failed = undefined;
    this.ran = false;
  }

  #call(name: (typeof CALLS)[number], body: () => unknown): unknown {
    this.#calls++;
    const hit = this.#fault?.call === this.#calls ? this.#fault : undefined;
    if (hit?.when === "before") return this.#fail(name, hit);
    const value = body();
    const done = (out: unknown): unknown => {
      if (hit !== undefined) return this.#fail(name, hit);
      if (name === "run") this.ran = true;
      return out;
    };
    return value instanceof Promise ? value.then(done) : done(value);
  }

  #fail(name: (typeof CALLS)[number], { error }: Fault): never {
    this.failed = name;
    throw error;
  }
}
