/**
 * The least memory that sizes ask for, before any of it is taken: a batch of 1e8 or a rank of a million is one line that names memory,
 * not a hang. Lower bounds on purpose, so that nothing is refused that would run; what a run really takes is told by `peak-rss.ts`.
 */
import { endsIn } from "@lowrank/nn";
import type { BaseShape } from "../bases/shape.ts";
import type { Storage } from "../config/study.ts";
import { InputError } from "../errors.ts";
import { formatBytes, formatCount } from "../text/format.ts";
import type { Prediction } from "../records/method.ts";

const GIB = 2 ** 30;
/** WebAssembly addresses four; elsewhere no machine that we know of holds more. */
export function deviceBytes(device: string): number {
  return device === "wasm" ? 4 * GIB : 256 * GIB;
}

/** Bytes of a frozen weight, without scales. What a file keeps has a quarter of a byte at least, in GGUF's two-bit blocks. */
const STORED: Readonly<Record<Storage, number>> = {
  keep: 0.25,
  f32: 4,
  f16: 2,
  bf16: 2,
  int8: 1,
  nf4: 0.5,
  fp4: 0.5,
};
/** A weight that trains, its gradient and Adam's two moments, each f32. */
const TRAINED = 16;

/** @throws InputError when `bytes` are more than the device can have; `what` says what asks for them */
export function requireMemory(bytes: number, device: string, what: string): void {
  const most = deviceBytes(device);
  if (!(bytes <= most))
    throw new InputError(
      `${what} take at least ${formatBytes(bytes)} of memory; the device ${device} has ${formatBytes(most)} at most`,
    );
}

/** The base as it is kept, told from its shape alone. */
export function requireBaseMemory(
  { architecture, total }: Pick<BaseShape, "architecture" | "total">,
  storage: Storage,
  device: string,
): void {
  requireMemory(STORED[storage] * total, device, `the ${formatCount(total)} weights of a ${architecture}`);
}

/** What trains, and one activation of the widest layer for the whole batch. */
export function requireTrainingMemory(
  { trainable, total, modules }: Prediction,
  { linears, head, outputs }: BaseShape,
  batch: { rows: number; length: number },
  storage: Storage,
  device: string,
): void {
  const rank = modules.reduce((most, module) => Math.max(most, module.rank ?? 0), 0);
  const weights = TRAINED * trainable + STORED[storage] * (total - trainable);
  requireMemory(weights, device, `${formatCount(trainable)} trainable parameters with gradients and Adam's moments`);
  // heads and scores of words need not be computed for every token
  const widest = linears
    .filter(({ path }) => !head.includes(path) && !endsIn(path, outputs))
    .reduce((most, { in: inner, out }) => Math.max(most, inner, out), rank);
  requireMemory(
    weights + 4 * batch.rows * batch.length * widest,
    device,
    `the weights and a batch of ${formatCount(batch.rows)} rows, ${formatCount(widest)} wide,`,
  );
}
