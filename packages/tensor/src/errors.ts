/**
 * Every error the packages throw on purpose. A code is stable; its kind says who can mend it, and the command line's exit code follows
 * from the kind. The message is one line that names the thing, the shapes or the key, and the fix.
 */

/**
 * `input`: what was given is wrong. `state`: right in itself, but not now (closed, merged, captured; a run that diverged).
 * `environment`: the machine cannot. `bug`: ours.
 */
export type ErrorKind = "input" | "state" | "environment" | "bug";

const CODES = {
  input: [
    "AdapterError",
    "ConfigError",
    "DTypeError",
    "FileError",
    "FormatError",
    "InputError",
    "NameError",
    "NotBuiltError",
    "PatternError",
    "PrecisionError",
    "QuantizationError",
    "RandomError",
    "ShapeError",
    "ValueError",
  ],
  state: [
    "AllocatorError",
    "CompileError",
    "DisposedError",
    "MergeError",
    "MetaError",
    "NumericsError",
    "QuantizedError",
    "RunError",
    "StaleError",
  ],
  environment: ["DeviceError", "DeviceLostError", "NetworkError"],
  bug: ["InvariantError"],
} as const;

export type ErrorCode = (typeof CODES)[ErrorKind][number];

/** Base of every error thrown on purpose. */
export class LowrankError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(printable(message), options);
    this.name = code;
    this.code = code;
  }

  get kind(): ErrorKind {
    return (Object.keys(CODES) as ErrorKind[]).find((kind) => (CODES[kind] as readonly string[]).includes(this.code))!;
  }
}

/** One line without control characters: what a file or a user put into a name must not write to a terminal. */
export function printable(text: string): string {
  return text
    .replace(/\s*[\r\n\u2028\u2029]+\s*/g, " ")
    .replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (c) => `\\u${c.codePointAt(0)!.toString(16).padStart(4, "0")}`);
}

/** Longest piece of somebody's value in a message. */
const QUOTED = 80;

/** A value as a message shows it: JSON where that says it, cut at 80 characters. */
export function quote(value: unknown): string {
  const text = shown(value);
  return text.length <= QUOTED ? text : `${text.slice(0, QUOTED - 1)}…`;
}

function shown(value: unknown): string {
  // a value may be huge, deep or cyclic: only its beginning is wanted
  if (typeof value === "string") return JSON.stringify(value.slice(0, QUOTED));
  if (typeof value !== "object" || value === null) return typeof value === "function" ? "a function" : String(value);
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  if (!/^(Object|Array)$/.test(kind)) return `a ${kind}`;
  try {
    return (
      JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? `${inner}n` : inner)) ?? "an object"
    );
  } catch {
    return Array.isArray(value) ? "a list" : "an object";
  }
}

/** Shapes that do not fit: `ShapeError: matmul: inner dimensions differ: [4, 3] · [5, 2] (3 ≠ 5)`. */
export class ShapeError extends LowrankError {
  constructor(message: string) {
    super("ShapeError", message);
  }
}

/** A dtype an operation or device does not take. */
export class DTypeError extends LowrankError {
  constructor(message: string) {
    super("DTypeError", message);
  }
}

/** A device that cannot be had or cannot do what was asked. */
export class DeviceError extends LowrankError {
  constructor(message: string, options?: ErrorOptions) {
    super("DeviceError", message, options);
  }
}

/** @throws DeviceError naming both unless they are one */
export function sameDevice(what: string, a: { readonly name: string }, b: { readonly name: string }): void {
  if (a !== b)
    throw new DeviceError(`${what}: operands live on different devices (${a.name} and ${b.name}); make both on one`);
}

/** A file whose bytes are not what its format promises. */
export class FormatError extends LowrankError {
  constructor(message: string, options?: ErrorOptions) {
    super("FormatError", message, options);
  }
}

/** A non-finite value, with the first operation that produced one. */
export class NumericsError extends LowrankError {
  /** Where anomaly detection found it: operation, module, value and place, without the device's count of steps. */
  readonly found: string | undefined;

  constructor(message: string, found?: string) {
    super("NumericsError", message);
    this.found = found;
  }
}

/** A bug of ours. The message begins with `internal:`. */
export class InvariantError extends LowrankError {
  constructor(message: string) {
    super("InvariantError", `internal: ${message}`);
  }
}

export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
