/** Rules for values of a `config.json`. */
import { flag, leaf, probability, real, type Rule } from "@lowrank/tensor/check";

/** For keys whose type in transformers is "… or None". */
export function orNull<T>(rule: Rule<T>): Rule<T | null> {
  return { expects: `${rule.expects} or null`, read: (value, at) => (value === null ? null : rule.read(value, at)) };
}

/** More layers than any model has; each takes memory for itself. */
const MOST_LAYERS = 8192;
export const depth: Rule<number> = leaf(
  `a positive whole number up to ${MOST_LAYERS}, beyond which no memory holds the layers`,
  (v) => Number.isSafeInteger(v) && (v as number) >= 1 && (v as number) <= MOST_LAYERS,
);
/** transformers' files write −1 for "none" too. */
export const tokenId: Rule<number | null> = orNull(leaf("a whole number", Number.isSafeInteger));
export const spread: Rule<number> = real({ min: 0 });
export { flag, probability };

/** transformers' names of activations. */
const ACTIVATIONS = [
  "gelu",
  "gelu_10",
  "gelu_fast",
  "gelu_new",
  "gelu_python",
  "gelu_pytorch_tanh",
  "gelu_python_tanh",
  "gelu_accurate",
  "laplace",
  "hardswish",
  "leaky_relu",
  "linear",
  "mish",
  "quick_gelu",
  "relu",
  "relu2",
  "relu6",
  "sigmoid",
  "silu",
  "sqrtsoftplus",
  "swish",
  "tanh",
  "prelu",
  "xielu",
];
export const activationName: Rule<string> = leaf(
  `the name of an activation, such as ${ACTIVATIONS.slice(0, 4)
    .map((a) => `"${a}"`)
    .join(", ")}`,
  (v) => ACTIVATIONS.includes(v as string),
);
