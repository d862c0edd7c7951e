/** What emitted code is written in terms of: values on the stack, locals, and the few instructions that arithmetic on addresses needs. */

/** Emits code that leaves one value on the stack. */
export type Push = () => void;
export type WasmType = "i32" | "f32" | "v128";

/** A local of the function under construction. */
export type Local = number;

/** The part of `Code` that does not know addresses. */
export interface Emitter {
  op(name: string, ...args: readonly Push[]): Push;
  i32(x: number): Push;
  select(a: Push, b: Push, cond: Push): Push;
  local(type: WasmType): Local;
  get(local: Local): Push;
  set(local: Local, value: Push): void;
  while(more: Push, body: () => void): void;
}
