/**
 * @module
 * Quantised weights: NF4, FP4 and int8, on the host and inside products, with bitsandbytes' file formats.
 */
export { BLOCK_SIZES, checkBlockSize, dequantiseBlocks, quantiseBlocks, type Blocks } from "./blockwise.ts";
export { fromEntries, isFourBit, toEntries, type ReadOptions } from "./bnb-file.ts";
export {
  loadFourBit,
  quantiseCheckpoint,
  selectFrom,
  writeQuantisedCheckpoint,
  writeQuantisedModel,
  type CheckpointPart,
  type LoadFourBitOptions,
  type QuantiseCheckpointOptions,
  type TensorReader,
} from "./checkpoint.ts";
export {
  CONFIG_FLOATS,
  quantizationConfig,
  quantizedConfigFile,
  readQuantizationConfig,
  skipModules,
  type QuantisationChoice,
  type QuantizedConfigOptions,
} from "./config-file.ts";
export type { QuantisedFormat } from "./format.ts";
export { fourBit, FourBitWeight } from "./four-bit.ts";
export type { Factors } from "./init/factors.ts";
export { loftq, type LoftqOptions } from "./init/loftq.ts";
export { pissa, quantisedPissa, type PissaOptions, type PissaStart } from "./init/pissa.ts";
export { dequantiseRows, eightBit, Int8Weight, llmInt8, quantiseRows, type Int8Rows } from "./int8.ts";
export { NESTED_BLOCK, nestScales, unnestScales, type NestedScales } from "./nested.ts";
export { quantiseBlocksOnDevice, quantiseFourBitOnDevice, type BlockTensors } from "./on-device.ts";
export {
  codesPerBlock,
  planQuantisation,
  quantise,
  quantisedModules,
  type QuantisationPlan,
  type QuantisedModule,
  type QuantiseOptions,
} from "./quantise.ts";
export { sizeReport, type SizeReport, type WeightSize } from "./size-report.ts";
export { dequantiseFourBit, fourBitBytes, quantiseFourBit, type FourBitOptions, type FourBitState } from "./state.ts";
export { codeBooks, dynamicMap, type FourBitType } from "./tables.ts";
