/**
 * @module
 * Quantised weights: NF4, FP4 and int8, on the host and inside products, with bitsandbytes' file formats.
 */
export { BLOCK_SIZES, checkBlockSize, dequantiseBlocks, quantiseBlocks, type Blocks } from "./blockwise.ts";
export { fromEntries, isFourBit, quantizationConfig, toEntries } from "./bnb-file.ts";
export { fourBit, FourBitWeight, quantiseFourBit, type FourBitOptions, type FourBitState } from "./four-bit.ts";
export { dequantiseRows, int8, Int8Weight, llmInt8, quantiseRows, type Int8Rows } from "./int8.ts";
export { NESTED_BLOCK, nestScales, unnestScales, type NestedScales } from "./nested.ts";
export { codesPerBlock, planQuantisation, quantise, quantisedModules, type QuantisationPlan, type QuantisedModule, type QuantiseOptions } from "./quantise.ts";
export { codeBooks, dynamicMap, type FourBitType } from "./tables.ts";
