/**
 * @module
 * Generators, oracles and tolerances: does a device compute what it should?
 */
export { type Arithmetic } from "./bounds/arithmetic.ts";
export { type Enclosure } from "./bounds/enclosure.ts";
export { errorBound, type ErrorBoundOptions } from "./bounds/error-bound.ts";
export {
  checkDevice,
  formatDeviceReport,
  type DeviceCheckOptions,
  type DeviceReport,
  type OpCheck,
} from "./check-device.ts";
export { checkGradient } from "./gradcheck.ts";
export { allRecords, runOp, type AnyRecord, type OpResult } from "./op-case.ts";
export { checkOpParity, checkOpTails, type ParityOptions } from "./op-parity.ts";
export { sampleSource, type Gen, type SampleOptions } from "./sample-source.ts";
export { findOutside, findTailMismatch, GRADIENT_TOLERANCE, TOLERANCES, type Mismatch } from "./tolerance.ts";
export { formatUlpHistogram, ULP_OPS, ulpHistogram, type UlpHistogram, type UlpOp, type UlpOptions } from "./ulps.ts";
