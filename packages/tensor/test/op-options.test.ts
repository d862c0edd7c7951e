/** What an op is told is heeded or refused, by name, when the op is built. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { init, ops, type Device, type Tensor } from "../src/index.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => {
  device.close();
});

const x = (...shape: number[]): Tensor => device.full(shape, 1);
const labels = (): Tensor => device.tensor(Int32Array.of(0, 1));
const key = (): unknown => ({ words: device.tensor(Uint32Array.of(1, 2)), site: 0 });

it.each<[string, () => unknown, string]>([
  [
    "a foreign spelling",
    () => ops.crossEntropy(x(2, 3), labels(), { label_smoothing: 0.1 } as never),
    'crossEntropy: has an unknown key "label_smoothing"; did you mean "labelSmoothing"?',
  ],
  [
    "a slip",
    () => ops.crossEntropy(x(2, 3), labels(), { reducton: "sum" } as never),
    'crossEntropy: has an unknown key "reducton"; did you mean "reduction"?',
  ],
  [
    "an unknown reduction",
    () => ops.crossEntropy(x(2, 3), labels(), { reduction: "batchmean" as never }),
    'crossEntropy: "reduction" must be one of "mean", "sum", "none", got "batchmean"',
  ],
  [
    "a smoothing that is none",
    () => ops.crossEntropy(x(2, 3), labels(), { labelSmoothing: 1.5 }),
    'crossEntropy: "labelSmoothing" must be a number at least 0 and at most 1, got 1.5',
  ],
  [
    "an ignored label that is none",
    () => ops.crossEntropy(x(2, 3), labels(), { ignoreIndex: "-100" as never }),
    'crossEntropy: "ignoreIndex" must be a whole number, got "-100"',
  ],
  [
    "a reduction of mse",
    () => ops.mse(x(2), x(2), "avg" as never),
    'mse: "reduction" must be one of "mean", "sum", "none", got "avg"',
  ],
  [
    "options where a word is meant",
    () => ops.binaryCrossEntropy(x(2), x(2), { reduction: "sum" } as never),
    'binaryCrossEntropy: "reduction" must be one of',
  ],
  [
    "an unknown form of GELU",
    () => ops.gelu(x(2), "erf" as never),
    'gelu: "approximate" must be one of "none", "tanh", got "erf"',
  ],
  [
    "options of attention",
    () => ops.attention(x(1, 1, 2, 2), x(1, 1, 2, 2), x(1, 1, 2, 2), { isCausal: true } as never),
    'attention: has an unknown key "isCausal"; did you mean "causal"?',
  ],
  [
    "a mask that is no tensor",
    () => ops.attention(x(1, 1, 2, 2), x(1, 1, 2, 2), x(1, 1, 2, 2), { mask: [[true]] as never }),
    'attention: "mask" must be a tensor',
  ],
  [
    "dropout of weights alone",
    () => ops.attentionWeights(x(1, 1, 2, 2), x(1, 1, 2, 2), { dropout: { p: 0.1, key: key() } } as never),
    'attentionWeights: has an unknown key "dropout"',
  ],
  [
    "a dropout that drops all",
    () => ops.attention(x(1, 1, 2, 2), x(1, 1, 2, 2), x(1, 1, 2, 2), { dropout: { p: 1, key: key() as never } }),
    '"dropout.p" must be',
  ],
  ["a key of dropout", () => ops.dropout(x(2), 0.5, { seed: 1 } as never), 'dropout: "key" has an unknown key "seed"'],
  [
    "a dimension in an object",
    () => ops.sum(x(2), { dim: 0 } as never),
    'sum: dims must be a whole number or a list of them, got {"dim":0}',
  ],
  ["keepdim", () => ops.amax(x(2, 2), 0, { keepdim: true } as never), 'amax: "keepdim" must be true or false'],
  [
    "descending",
    () => ops.sort(x(2), 0, "descending" as never),
    'sort: "descending" must be true or false, got "descending"',
  ],
])("%s", (_, build, message) => {
  expect(build).toThrow(message);
});
