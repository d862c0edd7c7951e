/**
 * @module
 * For authors of devices. There are two seams:
 *
 * * `Backend` (plan level) owns memory and runs plans: kernels of scalar instructions, in order, over one arena. Fusion, memory planning and
 *   everything above comes with it; `Target` says what the device can and what things cost there. wasm and webgpu are such.
 * * `Engine` (graph level) takes a program, the graph itself, and does with it what it likes. The reference is one.
 *
 * `registerBackend(name, open)` makes either a device that `init({ device: name })` opens. `interpretKernel` is the meaning of every kernel:
 * a new backend may start from it and replace one kind of kernel after another, held to it by the parity suite of `@lowrank/numerics`.
 */
export type { Backend, BackendInfo, DeviceBuffer, Executable, MemoryInfo, StepTiming } from "./backends/backend.ts";
export { blockRow } from "./backends/wasm/block-row/block-row.ts";
export { openOptions, type CommonOptions } from "./backends/open-options.ts";
export { registerBackend, type OpenBackend } from "./backends/registry.ts";
export { bytesOf, dtypes, viewAs, type DType, type TypedArray } from "./dtype.ts";
export type { Engine, ExecuteOptions, Planned, Result } from "./engine.ts";
export { DeviceError, invariant, LowrankError } from "./errors.ts";
export type { Cell } from "./graph/cell.ts";
export type { IndexCheck, IndexRange } from "./graph/index-checks.ts";
export type { Composite, Leaf, Node } from "./graph/node.ts";
export type { Storage, StorageOwner } from "./graph/storage.ts";
export type { Constant } from "./graph/constant.ts";
export { storagesOf, type Assignment, type Program } from "./graph/program.ts";
export { interpretKernel, type InterpretOptions } from "./ir/interpret.ts";
export type {
  Arg,
  BinaryOp,
  DynamicTerm,
  GemmKernel,
  Guard,
  Index,
  Instr,
  Kernel,
  LoopKernel,
  NativeKernel,
  Operand,
  Product,
  ScatterKernel,
  Store,
  UnaryOp,
  ValueId,
  ValueType,
} from "./ir/kernel.ts";
export { baseTarget, type Target } from "./ir/target.ts";
export type { CompositeCall, OperandPart, Phase, Phases, Template, TensorForm } from "./ir/template.ts";
export { floatsOf, roundTo, toMemory } from "./memory-form.ts";
export { kernelKey } from "./plan/build-plan.ts";
export { planningDevice } from "./planning.ts";
export type { BufferRef, Plan, Step, Upload } from "./plan/plan.ts";
export type { Attrs, Lowering, NdArray, Primitive } from "./primitives/primitive.ts";
