/** What a code generator hands to the runtime: functions already emitted into a module, and how to call them. */

/**
 * One function of a kernel. Signature `(begin, end, shared, thread, arg0, arg1, …) → void`: two i32, then addresses in the one linear
 * memory (`address.ts`), of scratch and of the kernel's args. It does work units [begin, end) of `units`.
 * A unit's result never depends on which thread runs it or on where the range was cut: same bits for any number of threads.
 */
export interface Phase {
  readonly exportName: string;
  readonly units: number;
  /** Rough cost of the whole phase in nanoseconds of one thread; small phases are not worth waking other threads for. */
  readonly cost: number;
}

/** Phases run in order with a barrier between them. */
export interface KernelCode {
  readonly phases: readonly Phase[];
  /** Bytes of scratch all threads share for the duration of the kernel (packed operands), passed as `shared`. 64-byte aligned. */
  readonly sharedScratch: number;
  /** Bytes of scratch of each thread (a cached row), passed as `thread`. 64-byte aligned. */
  readonly threadScratch: number;
}
