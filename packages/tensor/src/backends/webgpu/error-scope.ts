/**
 * WebGPU tells of mistakes late and elsewhere. Here each call has a scope of its own: what is wrong with it becomes known a little
 * later, and concerns nothing else.
 */
import type { GpuDevice, GpuErrorFilter } from "./gpu-types.ts";

const FILTERS: readonly GpuErrorFilter[] = ["validation", "out-of-memory", "internal"];

export interface Scoped<T> {
  readonly value: T;
  /** What was wrong, once that is known; never rejects. */
  readonly failure: Promise<string | undefined>;
}

/** Runs the synchronous part of `body` in error scopes. */
export function inErrorScope<T>(device: GpuDevice, body: () => T): Scoped<T> {
  for (const filter of FILTERS) device.pushErrorScope(filter);
  let errors: readonly Promise<{ readonly message: string } | null>[] = [];
  const close = (): void => {
    errors = FILTERS.map(() => device.popErrorScope());
  };
  let value: T;
  try {
    value = body();
  } catch (error) {
    close();
    for (const e of errors) e.catch(() => undefined);
    throw error;
  }
  close();
  return {
    value,
    failure: Promise.all(errors).then(
      (found) => found.find((e) => e !== null)?.message,
      (cause: unknown) => String(cause),
    ),
  };
}
