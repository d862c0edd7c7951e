/** A named place in device memory that training updates in place. */
import type { DType, TypedArray } from "./dtype.ts";
import { DTypeError, LowrankError, sameDevice, ShapeError } from "./errors.ts";
import type { Cell } from "./graph/cell.ts";
import { Node } from "./graph/node.ts";
import { hostValue, type HostData } from "./host-values.ts";
import { dynamicUpdate } from "./ops/dynamic-update.ts";
import { leaf } from "./primitives/sources.ts";
import { formatShape, sameShape, sizeOf } from "./shape.ts";
import { Tensor, type TensorHost } from "./tensor.ts";
import { checkTrace, refuseInTrace } from "./tracing.ts";

export interface PendingWrite {
  readonly parameter: Parameter;
  readonly value: Node;
}

/** Where a parameter lives, as far as it cares: who knows what waits to be written, and whether anything may be. */
export interface ParameterHost extends TensorHost {
  /** Parameters assigned since the last run. */
  readonly pending: Map<Cell, PendingWrite>;
  checkUsable(): void;
  writeCell(cell: Cell, memory: TypedArray): void;
}

export class Parameter {
  readonly device: ParameterHost;
  readonly cell: Cell;
  #current: Tensor;

  constructor(device: ParameterHost, cell: Cell) {
    this.device = device;
    this.cell = cell;
    this.#current = this.#stored();
  }

  get shape(): readonly number[] {
    return this.cell.shape;
  }
  get dtype(): DType {
    return this.cell.dtype;
  }
  get size(): number {
    return sizeOf(this.cell.shape);
  }

  /** What a reader sees now: the stored values, or the value last assigned in the step being built. */
  get value(): Tensor {
    this.#checkUsable("value");
    const from = this.#current.node.leaf;
    if (from?.kind === "cell" && from.cell === this.cell && from.version !== this.cell.version)
      this.#current = this.#stored();
    return this.#current;
  }

  /** Makes `value` the parameter's value from here on. Memory is written at the next realize or compiled run, in place. */
  assign(value: Tensor): void {
    this.#checkUsable("assign");
    sameDevice("assign", this.device, value.device);
    checkTrace("assign in a compiled function", this.device);
    if (!sameShape(value.shape, this.shape))
      throw new ShapeError(`assign: parameter ${formatShape(this.shape)} cannot hold ${formatShape(value.shape)}`);
    if (value.dtype !== this.dtype)
      throw new DTypeError(`assign: parameter is ${this.dtype}, value is ${value.dtype}; cast it first`);
    this.#current = value;
    this.device.pending.set(this.cell, { parameter: this, value: value.node });
  }

  /**
   * Replaces `rows` of the parameter from position `at` on; the rest stays where it is, untouched. The position is a value, so a compiled
   * function serves all positions: what a cache of keys and values needs.
   * @param at integer, [] or [1]; see `ops.dynamicUpdate` for positions at which the rows do not fit
   * @param rows of the parameter's dtype and shape, but for its size along `dim`
   */
  assignRows(at: Tensor, rows: Tensor, dim: number = 0): void {
    this.assign(dynamicUpdate(this.value, rows, at, dim));
  }

  /** Forgets a pending value and returns to what memory holds. */
  settle(): void {
    this.#current = this.#stored();
  }

  /**
   * Copies host values in, now. A pending assignment is dropped.
   * @param data as many numbers as it has elements; another type than the parameter's is converted
   * @throws ShapeError, DTypeError as `hostValue` does; RunError while a step that uses it waits to run, which devices that compute later may let it
   */
  write(data: HostData): void {
    this.#checkUsable("write");
    refuseInTrace("a parameter is written");
    const memory = hostValue(`write: parameter ${formatShape(this.shape)}`, this.dtype, this.shape, data);
    this.device.writeCell(this.cell, memory);
    this.device.pending.delete(this.cell);
    this.#current = this.#stored();
  }

  async data(): Promise<TypedArray> {
    return this.value.data();
  }

  /** Frees the memory, for good: reading and writing throw from here on. A pending assignment is dropped. */
  dispose(): void {
    this.device.pending.delete(this.cell);
    this.cell.dispose();
  }

  #checkUsable(what: string): void {
    this.device.checkUsable();
    if (this.cell.disposed)
      throw new LowrankError(
        "DisposedError",
        `${what}: parameter ${formatShape(this.shape)} was disposed; a disposed parameter can be neither read nor written`,
      );
  }

  #stored(): Tensor {
    return new Tensor(
      new Node(leaf, [], {}, this.cell.shape, this.cell.dtype, {
        kind: "cell",
        cell: this.cell,
        version: this.cell.version,
      }),
      this.device,
    );
  }
}
