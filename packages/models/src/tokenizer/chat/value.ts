/** A value as the interpreter holds it; lists and maps hold such values again. */
export interface Value {
  readonly type: string;
  readonly value: unknown;
}
