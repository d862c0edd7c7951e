/** A device: an engine, the writes waiting for it, and the ways to make tensors on it. */
import { AnomalyDetector } from "./anomaly.ts";
import type { BackendInfo, MemoryInfo, StepTiming } from "./backends/backend.ts";
import { dtypes, type DType, type TypedArray } from "./dtype.ts";
import type { Engine, Planned, Result } from "./engine.ts";
import { DTypeError, LowrankError, sameDevice } from "./errors.ts";
import { Executor, type RunOptions } from "./executor.ts";
import { Cell } from "./graph/cell.ts";
import { Constants } from "./graph/constant.ts";
import { Node, type Leaf } from "./graph/node.ts";
import { buildProgram, type Assignment, type Program } from "./graph/program.ts";
import { checkDType, checkShape, hostValue, inferShape, naturalDType, type HostData } from "./host-values.ts";
import { floatsOf } from "./memory-form.ts";
import { scalar } from "./ops/make.ts";
import { cast, iota } from "./ops/sources.ts";
import { expand } from "./ops/views.ts";
import { Parameter, type ParameterHost, type PendingWrite } from "./parameter.ts";
import { leaf as leafPrimitive } from "./primitives/sources.ts";
import { makeProfile, type Profile } from "./profile.ts";
import { formatShape } from "./shape.ts";
import { addMethods } from "./tensor-methods.ts";
import { Tensor } from "./tensor.ts";
import { refuseInTrace } from "./tracing.ts";

addMethods();

declare module "./tensor.ts" {
  /** What a tensor's device is to whoever holds the tensor: all of it. */
  interface TensorHost extends Device {}
}

export class Device implements ParameterHost {
  readonly engine: Engine;
  /** Parameters assigned since the last run. */
  readonly pending: Map<Cell, PendingWrite> = new Map();
  /** When set, every operation's result is checked before each run and the first non-finite one is named. Results have the same bits. */
  anomalyDetection = false;
  readonly #steps: Executor;
  readonly #anomalies: AnomalyDetector;
  readonly #constants: Constants;
  #profiled: StepTiming[][] | undefined;

  constructor(engine: Engine) {
    this.engine = engine;
    this.#steps = new Executor(engine);
    this.#anomalies = new AnomalyDetector(engine, this);
    this.#constants = new Constants(engine);
  }

  get name(): string {
    return this.engine.name;
  }
  get defaultFloat(): DType {
    return this.engine.defaultFloat;
  }

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

  /**
   * Host values that never change, in device memory once for all plans: a table that every step reads. Equal values of one dtype and
   * shape are one constant of the device. It is copied there when a run first reads it, and its memory is freed once neither a tensor nor
   * a compiled function refers to it.
   * @param dtype default and conversions as for `tensor`
   * @throws ShapeError, DTypeError
   */
  constant(values: HostData, shape?: readonly number[], dtype?: DType): Tensor {
    const dims = shape ?? inferShape("constant", values);
    const wanted = dtype ?? this.storable("constant", values);
    const memory = hostValue("constant", wanted, dims, values);
    this.checkUsable();
    this.#checkSupport("constant", wanted);
    const constant = this.#constants.of(wanted, dims, memory === values ? memory.slice() : memory);
    return this.#leaf("constant", { kind: "constant", constant }, dims, wanted);
  }

  full(shape: readonly number[], value: number, dtype: DType = this.defaultFloat): Tensor {
    checkShape("full", shape);
    hostValue("full", dtype, [], value);
    return expand(scalar(value, this.#anchor("full", dtype), dtype), shape);
  }

  zeros(shape: readonly number[], dtype: DType = this.defaultFloat): Tensor {
    return this.full(shape, 0, dtype);
  }

  /** 0, 1, … n − 1. */
  arange(n: number, dtype: DType = "i32"): Tensor {
    return cast(iota(this.full([n], 0, "i32"), 0), dtype);
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
    const storage = this.#steps.use(() => this.engine.allocate(wanted, memory.length));
    // the cell first: whatever happens while writing, the storage has an owner
    const cell = new Cell(this.engine, wanted, [...dims], storage);
    this.#steps.use(() => {
      this.engine.write(storage, wanted, memory);
    });
    return new Parameter(this, cell);
  }

  /**
   * Throws when so many bytes of parameters cannot be had beside what the device holds: what does not fit is said before half of it is there.
   * @throws DeviceError
   */
  ensureRoom(bytes: number): void {
    this.#steps.use(() => {
      this.engine.ensureRoom(bytes);
    });
  }

  /**
   * Host values produced anew at every execution of a plan that reads them, replays included, once each.
   * @param revoke takes the last production back: the execution it was made for did not happen. Needed where `produce` moves something on
   */
  live(shape: readonly number[], dtype: DType, produce: () => HostData, revoke: () => void = () => undefined): Tensor {
    const dims = [...shape];
    return this.#leaf(
      "live",
      {
        kind: "live",
        revoke,
        produce: () => {
          const values = produce();
          try {
            return hostValue("a live value", dtype, dims, values);
          } catch (error) {
            revoke();
            throw error;
          }
        },
      },
      dims,
      dtype,
    );
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

  /**
   * Runs everything these tensors and all assigned parameters need, in one step: it happens as a whole or not at all, and assignments
   * of a step that failed are dropped.
   */
  async realize(...tensors: readonly Tensor[]): Promise<void> {
    refuseInTrace("values are read or realized");
    this.checkUsable();
    for (const x of tensors) sameDevice("realize", this, x.device);
    const outputs = tensors.map((x) => x.node).filter((n) => n.leaf === undefined);
    if (outputs.length === 0 && this.pending.size === 0) return;
    const program = this.#eagerProgram(outputs);
    const results = await this.launch(this.plan(program), new Map(), { eager: true });
    this.checkUsable();
    program.outputs.forEach((node, i) => {
      node.leaf = this.resultLeaf(results[i]!, node);
    });
  }

  #eagerProgram(outputs: readonly Node[]): Program {
    const assignments = [...this.pending].map(([cell, { value }]) => ({ cell, value }));
    let program: Program;
    try {
      program = buildProgram(outputs, assignments);
    } catch (error) {
      // where what was asked for is at fault, the assignments wait for the next step
      try {
        buildProgram([], assignments);
      } catch {
        this.takePending();
      }
      throw error;
    }
    this.takePending();
    return program;
  }

  /** Pending writes as assignments; parameters then read from memory again. */
  takePending(): Assignment[] {
    const assignments = [...this.pending].map(([cell, { value }]) => ({ cell, value }));
    for (const { parameter } of this.pending.values()) parameter.settle();
    this.pending.clear();
    return assignments;
  }

  plan(program: Program): Planned {
    return this.#steps.use(() => this.engine.plan(program));
  }

  /** Begins to make what runs it. Undefined where that is done when this returns. */
  prepare(planned: Planned): void | Promise<void> {
    return this.#steps.use(() => this.engine.prepare(planned));
  }

  /**
   * Runs a planned program, as soon as it is prepared; what the outputs are is returned, in order.
   * @param options.eager see `RunOptions`
   */
  launch(
    planned: Planned,
    inputs: ReadonlyMap<string, TypedArray>,
    { timings: wanted, eager }: Pick<RunOptions, "timings" | "eager"> = {},
  ): Result[] | Promise<Result[]> {
    const { program } = planned;
    const timings = wanted ?? (this.#profiled === undefined ? undefined : []);
    if (timings !== undefined) this.#profiled?.push(timings);
    const step = program.assignments.length === 0 ? "" : `, in step ${this.#steps.updates + 1}`;
    // planned now: what its nodes are may change while it waits for its turn
    const inspect = this.anomalyDetection
      ? this.#steps.use(() => this.#anomalies.inspection(program, step))
      : undefined;
    return this.#steps.run(planned, inputs, { timings, inspect, eager });
  }

  resultLeaf(result: Result, node: Node): Leaf {
    if (result.kind === "host") return { kind: "host", data: result.data };
    const cell = new Cell(this.engine, node.dtype, node.shape, result.storage);
    return { kind: "cell", cell, version: cell.version };
  }

  async read(x: Tensor): Promise<TypedArray> {
    await this.realize(x);
    const leaf = x.node.leaf!;
    if (leaf.kind === "host") return leaf.data.slice();
    if (leaf.kind === "constant") return leaf.constant.data.slice();
    if (leaf.kind === "live") {
      const values = leaf.produce();
      // a look counts for nothing
      leaf.revoke();
      return values;
    }
    if (leaf.kind === "input")
      throw new LowrankError(
        "CompileError",
        `compile: input "${leaf.name}" has values only inside the function that it is an input of`,
      );
    const { cell } = leaf;
    if (cell.held > 0) await this.#steps.settled(cell);
    if (cell.disposed)
      throw new LowrankError("DisposedError", `tensor ${formatShape(x.shape)} was disposed before it was read`);
    return this.#steps.during((async () => this.engine.read(cell.storage, x.dtype, x.size))());
  }

  async readFloats(x: Tensor): Promise<Float64Array> {
    return floatsOf(x.dtype, await this.read(x));
  }

  /** Runs `body` and tells where the time of its kernels went, and how much was copied to the device. */
  async profile(body: () => Promise<unknown>): Promise<Profile> {
    const runs: StepTiming[][] = [];
    const before = this.engine.uploadedBytes;
    this.#profiled = runs;
    try {
      await body();
    } finally {
      this.#profiled = undefined;
    }
    return makeProfile(runs, this.engine.uploadedBytes - before);
  }

  /** @throws DisposedError after `close`, DeviceLostError after a run that died half-way; so does every use of the device and of its parameters */
  checkUsable(): void {
    this.#steps.checkUsable();
  }

  /** Writes host values into the storage of a parameter, now. */
  writeCell(cell: Cell, memory: TypedArray): void {
    if (cell.held > 0)
      throw new LowrankError(
        "RunError",
        `write: a step that uses parameter ${formatShape(cell.shape)} was started and has not run yet; await it first`,
      );
    this.#steps.use(() => {
      this.engine.write(cell.storage, cell.dtype, memory);
    });
    cell.overwritten();
  }

  memory(): MemoryInfo {
    return this.#steps.use(() => this.engine.memory());
  }
  info(): BackendInfo {
    return this.engine.info();
  }

  /** Frees everything. Steps and reads that have not ended are rejected. */
  close(): void {
    this.#steps.close();
  }

  #anchor(name: string, dtype: DType): Tensor {
    checkDType(name, dtype);
    return this.#leaf(
      name,
      { kind: "host", data: new dtypes[dtype].array(new ArrayBuffer(dtypes[dtype].bytes)) },
      [],
      dtype,
    );
  }

  #checkSupport(name: string, dtype: DType): void {
    checkDType(name, dtype);
    if (!this.engine.supports(dtype))
      throw new DTypeError(`${name}: the ${this.name} device has no ${dtype}; use ${this.defaultFloat}`);
  }

  #leaf(name: string, leaf: Leaf, shape: readonly number[], dtype: DType): Tensor {
    this.checkUsable();
    checkShape(name, shape);
    this.#checkSupport(name, dtype);
    return new Tensor(new Node(leafPrimitive, [], {}, [...shape], dtype, leaf), this);
  }
}
