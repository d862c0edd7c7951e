/**
 * @module
 * Quantized weights: NF4, FP4 and int8, on the host and inside products, with bitsandbytes' file formats.
 */
export { BLOCK_SIZES, checkBlockSize, dequantizeBlocks, quantizeBlocks, type Blocks } from "./blockwise.ts";
export { fromEntries, isFourBit, toEntries, type ReadOptions } from "./bnb-file.ts";
export {
  quantizeCheckpoint,
  selectFrom,
  writeQuantizedCheckpoint,
  type CheckpointPart,
  type QuantizeCheckpointOptions,
} from "./checkpoint.ts";
export { CONFIG_FLOATS, quantizationConfig, readQuantizationConfig, type QuantizationChoice } from "./bnb-config.ts";
export { FOREIGN_FILES, foreignEntries, foreignMethod, foreignRefusal } from "./foreign.ts";
export type { QuantizableFormat, QuantizedFormat, QuantizerOptions } from "./format.ts";
export { decodeGgml, encodedForms, encodeGgml } from "./formats/ggml/encode.ts";
export { formatOf, formats } from "./formats/registry.ts";
export { loadQuantized, type LoadQuantizedOptions } from "./load.ts";
export { fourBit, FourBitWeight } from "./four-bit.ts";
export type { Factors } from "./init/factors.ts";
export { loftq, type LoftqOptions } from "./init/loftq.ts";
export { pissa, quantizedPissa, type PissaOptions, type PissaStart } from "./init/pissa.ts";
export { dequantizeRows, eightBit, Int8Weight, llmInt8, quantizeRows, type Int8Rows } from "./int8.ts";
export { NESTED_BLOCK, nestScales, unnestScales, type NestedScales } from "./nested.ts";
export { quantizeBlocksOnDevice, quantizeFourBitOnDevice, type BlockTensors } from "./on-device.ts";
export {
  codesPerBlock,
  planQuantization,
  quantize,
  quantizedModules,
  type QuantizationPlan,
  type QuantizedModule,
  type QuantizeOptions,
} from "./quantize.ts";
export { sizeReport, type SizeReport, type WeightSize } from "./size-report.ts";
export { dequantizeFourBit, fourBitBytes, quantizeFourBit, type FourBitState } from "./state.ts";
export type { FourBitOptions } from "./options.ts";
export { codeBooks, dynamicMap, type FourBitType } from "./tables.ts";
export {
  quantizedConfigFile,
  skipModules,
  writeQuantizedModel,
  writtenModel,
  type QuantizedConfigOptions,
  type WriteOptions,
  type WrittenFloat,
  type WrittenModel,
} from "./written.ts";
