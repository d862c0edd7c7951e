/**
 * @module
 * The records of all ops, by name: what tests and tools want to know of an op and what no program needs at run time.
 */
import { activationsRecords } from "./ops/activations.ts";
import { attentionRecords } from "./ops/attention.ts";
import { binaryRecords } from "./ops/binary.ts";
import { indicesRecords } from "./ops/indices.ts";
import { linearCrossEntropyRecords } from "./ops/linear-cross-entropy.ts";
import { lossesRecords } from "./ops/losses.ts";
import { matmulRecords } from "./ops/matmul.ts";
import { normsRecords } from "./ops/norms.ts";
import { quantizedRecords } from "./ops/quantized.ts";
import { dynamicUpdateRecords } from "./ops/dynamic-update.ts";
import { randomRecords } from "./ops/random.ts";
import { rearrangeRecords } from "./ops/rearrange.ts";
import { reductionsRecords } from "./ops/reductions.ts";
import { rowsRecords } from "./ops/rows.ts";
import { softmaxRecords } from "./ops/softmax.ts";
import { sortingRecords } from "./ops/sorting.ts";
import { sourcesRecords } from "./ops/sources.ts";
import { transformerRecords } from "./ops/transformer.ts";
import { unaryRecords } from "./ops/unary.ts";
import { viewsRecords } from "./ops/views.ts";
import type { OpRecords } from "./ops/record.ts";

export { ALL_DTYPES, FLOATS, NUMBERS } from "./ops/record.ts";
export type {
  OpRecord,
  OpRecords,
  Refusal,
  SampleSource,
  ScalarPromise,
  ScalarShape,
  TensorSample,
  TensorSpec,
  ToleranceClass,
} from "./ops/record.ts";

export const records: OpRecords = {
  ...activationsRecords,
  ...attentionRecords,
  ...binaryRecords,
  ...indicesRecords,
  ...linearCrossEntropyRecords,
  ...lossesRecords,
  ...matmulRecords,
  ...normsRecords,
  ...quantizedRecords,
  ...dynamicUpdateRecords,
  ...randomRecords,
  ...rearrangeRecords,
  ...reductionsRecords,
  ...rowsRecords,
  ...softmaxRecords,
  ...sortingRecords,
  ...sourcesRecords,
  ...transformerRecords,
  ...unaryRecords,
  ...viewsRecords,
};
