/** Every op there is, by name. Its name here is all that adding a composed op takes besides its own file. */
export { gelu, relu, sigmoid, silu, square } from "./activations.ts";
export { attention, attentionWeights } from "./attention.ts";
export { add, div, eq, ge, gt, le, logicalAnd, logicalOr, lt, maximum, minimum, mul, ne, sub } from "./binary.ts";
export { checkIndices } from "./indices.ts";
export { linearCrossEntropy } from "./linear-cross-entropy.ts";
export { binaryCrossEntropy, crossEntropy, mse } from "./losses.ts";
export { matmul } from "./matmul.ts";
export { layerNorm, rmsNorm } from "./norms.ts";
export { dequantize } from "./quantized.ts";
export { dynamicUpdate } from "./dynamic-update.ts";
export { dropout, randomBits } from "./random.ts";
export { concat, flatten, squeeze, stack, unsqueeze } from "./rearrange.ts";
export { amax, amin, cumsum, mean, sum } from "./reductions.ts";
export { embedding, gather, gatherRows, indexSelect, scatterAdd, scatterRows } from "./rows.ts";
export { logSoftmax, logsumexp, softmax } from "./softmax.ts";
export { argmax, argmin, sort, topk } from "./sorting.ts";
export { cast, iota, where } from "./sources.ts";
export { linear, rope } from "./transformer.ts";
export {
  abs,
  cos,
  erf,
  exp,
  floor,
  isfinite,
  isnan,
  log,
  log1p,
  logicalNot,
  neg,
  normalCdf,
  reciprocal,
  rsqrt,
  sin,
  sqrt,
  tanh,
} from "./unary.ts";
export { barrier, detach, expand, pad, permute, reshape, slice, transpose } from "./views.ts";
