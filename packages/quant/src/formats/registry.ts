/** Every form that a checkpoint may keep weights in besides plain numbers. A new one is a file of its own and a line here. */
import type { Format } from "@lowrank/nn";
import type { TensorSource } from "@lowrank/tensor";
import { bnbFourBit } from "./bnb-four-bit.ts";
import { bnbInt8 } from "./bnb-int8.ts";
import { ggmlFormats } from "./ggml/index.ts";
import type { QuantizableFormat } from "../format.ts";

export const formats: readonly QuantizableFormat[] = [
  bnbFourBit("nf4"),
  bnbFourBit("fp4"),
  // a line each
  bnbInt8,
  ...ggmlFormats,
];

/**
 * The form that a source keeps a weight in; undefined where these are plain numbers, or nothing that is known.
 * @param own forms of the user's, asked first
 */
export function formatOf(source: TensorSource, name: string, own: readonly Format[] = []): Format | undefined {
  return [...own, ...formats].find((format) => format.matches(source, name) !== undefined);
}
