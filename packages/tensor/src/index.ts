/**
 * @module
 * Lazy tensors with symbolic gradients on WebAssembly and WebGPU.
 */
export { tolerateNonFinite } from "./anomaly.ts";
export { grad, valueAndGrad, checkpoint } from "./autodiff.ts";
export type { BackendInfo, MemoryInfo, StepTiming } from "./backends/backend.ts";
export {
  compile,
  type Compiled,
  type CompiledInfo,
  type CompileInputs,
  type HostTensor,
  type RanPlan,
} from "./compile.ts";
export { Device } from "./device.ts";
export { bytesOf, dtypes, isFloat, promote, viewAs, type DType, type TypedArray } from "./dtype.ts";
export {
  DeviceError,
  DTypeError,
  FormatError,
  invariant,
  InvariantError,
  LowrankError,
  NumericsError,
  printable,
  quote,
  ShapeError,
  type ErrorCode,
  type ErrorKind,
} from "./errors.ts";
export { withScope } from "./graph/node.ts";
export type { HostData, NestedArray } from "./host-values.ts";
export { init, type DeviceName, type InitOptions, type KnownDevice } from "./init.ts";
export { erf, erfc } from "./math/erf.ts";
export { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "./math/half.ts";
export { addProduct, bestFactors, type MatrixFactors } from "./math/factors.ts";
export { transposeOf } from "./math/transpose.ts";
export { svd, topSvd, type Svd } from "./math/svd.ts";
export { floatsOf, roundTo, toMemory } from "./memory-form.ts";
export { WHOLE_ATTENTION, type AttentionOptions, type AttentionWeightsOptions } from "./ops/attention.ts";
export { largestIndex, type IndexRange } from "./graph/index-checks.ts";
export type { LinearCrossEntropyOptions } from "./ops/linear-cross-entropy.ts";
export type { CrossEntropyOptions, Reduction } from "./ops/losses.ts";
export { composite, customVjp, type Operand } from "./ops/make.ts";
export type { DropoutLayout, RandomKey } from "./ops/random.ts";
export * as ops from "./ops/registry.ts";
export type { Sorted } from "./ops/sorting.ts";
export { Parameter, type ParameterHost } from "./parameter.ts";
export type { Profile, ProfileRow } from "./profile.ts";
export { measureFmaPeak, type PeakMeasurement } from "./backends/wasm/peak.ts";
export { RandomStream, type RandomState } from "./random/stream.ts";
export { directory } from "./files/directory.ts";
export { openFile } from "./files/open-file.ts";
export { fromBlob, fromBytes, type RandomAccess } from "./files/random-access.ts";
export type { ByteSink, Files, WritableFiles } from "./files/store.ts";
export {
  fromTensors,
  readTensor,
  type StoredTensor,
  type TensorInfo,
  type TensorSource,
} from "./files/tensor-source.ts";
export { SafetensorsFile } from "./safetensors/file.ts";
export { writeShards, type ShardOptions } from "./safetensors/shard-writer.ts";
export { openShards, shardNames, type ShardedSource } from "./safetensors/shards.ts";
export {
  entryBytes,
  serialize,
  writeEntries,
  writeSafetensors,
  type FileEntry,
  type TensorPlan,
  type WrittenTensor,
} from "./safetensors/writer.ts";
export { decodeUtf8, encodeUtf8, tryDecodeUtf8 } from "./utf8.ts";
export { attentionLayout, type RandomLayout } from "./random/layout.ts";
export { threefry2x32 } from "./random/threefry.ts";
export { broadcastShapes, formatShape, resolveDim, sameShape, sizeOf, stridesOf } from "./shape.ts";
export { structureChanged, structureSwitch, structureSwitched, type StructureSwitch } from "./structure.ts";
export { Tensor, type TensorHost } from "./tensor.ts";
// its declaration file is what gives Tensor its methods in the eyes of who compiles against the package
export type { TensorMethods } from "./tensor-methods.ts";
export { inStream } from "./ops/in-precision.ts";
export { mixedBf16, mixedF16, withPrecision, type PrecisionClass, type PrecisionPolicy } from "./precision.ts";
export type { DTypeTrace, ProductTrace } from "./graph/dtype-trace.ts";
