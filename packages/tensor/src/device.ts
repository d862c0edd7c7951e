/** A device: an engine, the writes waiting for it, and the ways to make tensors on it. */
import type { BackendInfo, MemoryInfo, StepTiming } from "./backends/backend.ts";
import { dtypes, isFloat, type DType, type TypedArray } from "./dtype.ts";
import { DTypeError, invariant, LowrankError, NumericsError } from "./errors.ts";
import type { Engine, Prepared, Result } from "./engine.ts";
import { Cell } from "./graph/cell.ts";
import { checkIndices } from "./graph/index-checks.ts";
import { Node, type Leaf } from "./graph/node.ts";
import { buildProgram, type Assignment, type Program } from "./graph/program.ts";
import { checkDType, checkShape, hostValue, inferShape, naturalDType, type HostData } from "./host-values.ts";
import { floatsOf } from "./memory-form.ts";
import { leafPrimitive } from "./ops/sources.ts";
import { Parameter } from "./parameter.ts";
import { makeProfile, type Profile } from "./profile.ts";
import { formatShape, sizeOf } from "./shape.ts";
import { ops, Tensor } from "./tensor.ts";

export interface PendingWrite { readonly parameter: Parameter; readonly value: Node }

export class Device {
  readonly engine: Engine;
  /** Parameters assigned since the last run. */
  readonly pending: Map<Cell, PendingWrite> = new Map();
  /** When set, every operation's result is checked and the first non-finite one is named. */
  anomalyDetection = false;
  #profiled: StepTiming[][] | undefined;
  #tracing = false;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  get name(): string { return this.engine.name; }
  get defaultFloat(): DType { return this.engine.defaultFloat; }

  /**
   * Host values as a tensor; copied to the device by each plan that reads it.
   * Lists become the device's float dtype, Int32Array i32, Uint8Array u8 and so on unless `dtype` says otherwise. Conversions are those of
   * `hostValue`: whole numbers must fit, a Uint16Array needs a dtype, of which it holds the bits.
   * @throws ShapeError, DTypeError
   */
  tensor(values: HostData, shape?: readonly number[], dtype?: DType): Tensor {
    const dims = shape ?? inferShape("tensor", values);
    const wanted = dtype ?? this.storable("tensor", values);
    const memory = hostValue("tensor", wanted, dims, values);
    // the caller's array may change before the tensor is read
    return this.#leaf("tensor", { kind: "host", data: memory === values ? memory.slice() : memory }, dims, wanted);
  }

  full(shape: readonly number[], value: number, dtype: DType = this.defaultFloat): Tensor {
    checkShape("full", shape);
    return ops.expand(ops.make.scalar(value, this.#anchor("full", dtype), dtype), shape);
  }

  zeros(shape: readonly number[], dtype: DType = this.defaultFloat): Tensor {
    return this.full(shape, 0, dtype);
  }

  /** 0, 1, … n − 1. */
  arange(n: number, dtype: DType = "i32"): Tensor {
    return ops.cast(ops.coordinate(this.full([n], 0, "i32"), 0), dtype);
  }

  /**
   * Persistent storage, updated in place by `Parameter.assign`.
   * @param from dtype of `values` where the array type does not say it: raw f16 or bf16 bits, bool bytes
   * @throws ShapeError, DTypeError
   */
  parameter(values: HostData, shape?: readonly number[], dtype?: DType, from?: DType): Parameter {
    const dims = shape ?? inferShape("parameter", values);
    const wanted = dtype ?? this.storable("parameter", values, from);
    const memory = hostValue("parameter", wanted, dims, values, from);
    this.#checkSupport("parameter", wanted);
    const storage = this.engine.allocate(wanted, memory.length);
    this.engine.write(storage, wanted, memory);
    return new Parameter(this, new Cell(this.engine, wanted, [...dims], storage));
  }

  /**
   * Throws when so many bytes of parameters cannot be had beside what the device holds: what does not fit is said before half of it is there.
   * @throws DeviceError
   */
  ensureRoom(bytes: number): void { this.engine.ensureRoom(bytes); }

  /** Host values produced anew at every execution of a plan that reads them, replays included. */
  live(shape: readonly number[], dtype: DType, produce: () => HostData): Tensor {
    const dims = [...shape];
    return this.#leaf("live", { kind: "live", produce: () => hostValue("a live value", dtype, dims, produce()) }, dims, dtype);
  }

  /** A placeholder of a compiled function. */
  input(name: string, shape: readonly number[], dtype: DType): Tensor {
    return this.#leaf(`compiled input "${name}"`, { kind: "input", name }, shape, dtype);
  }

  /** The dtype these values get when nobody says one: what their type suggests, or the device's float where it has no such dtype. */
  storable(name: string, values: HostData, from?: DType): DType {
    const natural = from ?? naturalDType(name, values, this.defaultFloat);
    return this.engine.supports(natural) ? natural : this.defaultFloat;
  }

  /** Runs everything these tensors and all assigned parameters need. */
  async realize(...tensors: readonly Tensor[]): Promise<void> {
    this.refuseInTrace("values are read or realised");
    const outputs = tensors.map((x) => x.node).filter((n) => n.leaf === undefined);
    if (outputs.length === 0 && this.pending.size === 0) return;
    const program = buildProgram(outputs, this.takePending());
    if (this.anomalyDetection) await this.#checkEveryNode(program);
    await this.execute(this.engine.prepare(program), program, new Map());
  }

  /** Runs the body of a compiled function: whatever would happen once, now, instead of at every call is refused in it. */
  trace<T>(body: () => T): T {
    this.refuseInTrace("another compiled function is called");
    this.#tracing = true;
    try {
      return body();
    } finally {
      this.#tracing = false;
    }
  }

  refuseInTrace(what: string): void {
    if (this.#tracing) throw new LowrankError("CompileError", `compile: ${what} inside the function, which would happen while it is captured and never again; do it outside`);
  }

  /** Pending writes as assignments; parameters then read from memory again. */
  takePending(): Assignment[] {
    const assignments = [...this.pending].map(([cell, { value }]) => ({ cell, value }));
    for (const { parameter } of this.pending.values()) parameter.settle();
    this.pending.clear();
    return assignments;
  }

  /** Runs a prepared program; results land in the outputs' nodes, or are returned for replays. */
  async execute(prepared: Prepared, program: Program, inputs: ReadonlyMap<string, TypedArray>, timings?: StepTiming[]): Promise<void> {
    const results = await this.launch(prepared, program, inputs, timings);
    program.outputs.forEach((node, i) => { node.leaf = this.resultLeaf(results[i]!, node); });
  }

  launch(prepared: Prepared, program: Program, inputs: ReadonlyMap<string, TypedArray>, wanted?: StepTiming[]): Result[] | Promise<Result[]> {
    const timings = wanted ?? (this.#profiled === undefined ? undefined : []);
    if (timings !== undefined) this.#profiled?.push(timings);
    const values = program.hostLeaves.map((node) => leafValues(node, inputs));
    checkIndices(program.indexChecks, values);
    const running = this.engine.execute(prepared, values, program.cells.map((c) => c.storage), timings);
    for (const { cell } of program.assignments) cell.version++;
    return running;
  }

  resultLeaf(result: Result, node: Node): Leaf {
    if (result.kind === "host") return { kind: "host", data: result.data };
    const cell = new Cell(this.engine, node.dtype, node.shape, result.storage);
    return { kind: "cell", cell, version: 0 };
  }

  async read(x: Tensor): Promise<TypedArray> {
    await this.realize(x);
    const leaf = x.node.leaf!;
    if (leaf.kind === "host") return leaf.data.slice();
    if (leaf.kind === "live") return leaf.produce();
    invariant(leaf.kind === "cell", "an input of a compiled function has no values of its own");
    return this.engine.read(leaf.cell.storage, x.dtype, x.size);
  }

  async readFloats(x: Tensor): Promise<Float64Array> {
    return floatsOf(x.dtype, await this.read(x));
  }

  /** Runs `body` and tells where the time of its kernels went. */
  async profile(body: () => Promise<unknown>): Promise<Profile> {
    const runs: StepTiming[][] = [];
    this.#profiled = runs;
    try {
      await body();
    } finally {
      this.#profiled = undefined;
    }
    return makeProfile(runs);
  }

  memory(): MemoryInfo { return this.engine.memory(); }
  info(): BackendInfo { return this.engine.info(); }
  close(): void { this.engine.close(); }

  /** Realises node by node in order; slow, and names the first operation that makes a NaN or an infinity out of finite inputs. */
  async #checkEveryNode(program: Program): Promise<void> {
    const bad = new Set<Node>();
    const constants = new Set<Node>();
    for (const node of program.nodes) {
      // a mask's −∞ is meant: constants and views of them made nothing
      if (node.leaf === undefined && (node.record.lowering.class === "constant" || (node.record.lowering.class === "view" && constants.has(node.inputs[0]!)))) constants.add(node);
      if (!isFloat(node.dtype) || constants.has(node)) continue;
      const probe = buildProgram([copyOf(node)], []);
      const [result] = await this.launch(this.engine.prepare(probe), probe, new Map());
      const data = result!.kind === "host" ? result!.data : await this.engine.read(result!.storage, node.dtype, sizeOf(node.shape));
      if (result!.kind === "storage") this.engine.release(result!.storage);
      const at = floatsOf(node.dtype, data).findIndex((v) => !Number.isFinite(v));
      if (at < 0) continue;
      bad.add(node);
      if (node.inputs.some((input) => bad.has(input))) continue;
      if (node.leaf === undefined && node.record.lowering.class !== "select") {
        throw new NumericsError(`${node.record.name}${formatShape(node.shape)} in ${node.scope || "(top level)"} made the first non-finite value, ${floatsOf(node.dtype, data)[at]} at element ${at}`);
      }
    }
  }

  #anchor(name: string, dtype: DType): Tensor {
    checkDType(name, dtype);
    return this.#leaf(name, { kind: "host", data: new dtypes[dtype].array(new ArrayBuffer(dtypes[dtype].bytes)) }, [], dtype);
  }

  #checkSupport(name: string, dtype: DType): void {
    checkDType(name, dtype);
    if (!this.engine.supports(dtype)) throw new DTypeError(`${name}: the ${this.name} device has no ${dtype}; use ${this.defaultFloat}`);
  }

  #leaf(name: string, leaf: Leaf, shape: readonly number[], dtype: DType): Tensor {
    checkShape(name, shape);
    this.#checkSupport(name, dtype);
    return new Tensor(new Node(leafPrimitive, [], {}, [...shape], dtype, leaf), this);
  }
}

/** A fresh node with the same meaning, so that probing does not mark the original as realised. */
function copyOf(node: Node): Node {
  return new Node(node.record, node.inputs, node.attrs, node.shape, node.dtype, node.leaf);
}

function leafValues(node: Node, inputs: ReadonlyMap<string, TypedArray>): TypedArray {
  const leaf = node.leaf!;
  switch (leaf.kind) {
    case "host": return leaf.data;
    case "live": return leaf.produce();
    case "input": {
      const value = inputs.get(leaf.name);
      invariant(value !== undefined, `no value for compiled input "${leaf.name}"`);
      return value;
    }
    case "cell": return invariantNever();
  }
}

function invariantNever(): never {
  invariant(false, "a cell is not a host leaf");
}
