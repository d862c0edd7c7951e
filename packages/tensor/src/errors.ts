/** Base of every error the packages throw on purpose. `code` is stable; the message names the thing, the shapes and the fix. */
export class LowrankError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = code;
    this.code = code;
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

/** A file whose bytes are not what its format promises. */
export class FormatError extends LowrankError {
  constructor(message: string, options?: ErrorOptions) {
    super("FormatError", message, options);
  }
}

/** A non-finite value, with the first operation that produced one. */
export class NumericsError extends LowrankError {
  constructor(message: string) {
    super("NumericsError", message);
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
