/** Forms of ggml's blocks that are built, a line each. */
import type { QuantizableFormat } from "../../format.ts";
import { blockFormat } from "./format.ts";
import { Q4_K, Q5_K, Q6_K } from "./k-quants.ts";
import { Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 } from "./legacy.ts";

export const ggmlFormats: readonly QuantizableFormat[] = [Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K].map(
  blockFormat,
);
