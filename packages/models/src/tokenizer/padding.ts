/** Padding: rows of a batch made equally long. */
import { LowrankError } from "@lowrank/tensor";
import { joined, type Encoding } from "./encoding.ts";
import type { Padding } from "./options.ts";
import type { TruncationSide } from "./truncation.ts";

export interface PaddingPlan {
  readonly padding: Padding;
  readonly multipleOf: number;
  readonly side: TruncationSide;
  readonly token: string;
  readonly id: number;
  readonly typeId: number;
  /** What `maxLength` means. */
  readonly maxLength: number | undefined;
}

/** Number of tokens that rows are padded to; longer ones stay as they are. */
function target(encodings: readonly Encoding[], { padding, multipleOf, maxLength }: PaddingPlan): number {
  const length =
    padding === "longest"
      ? encodings.reduce((most, { ids }) => Math.max(most, ids.length), 0)
      : padding === "maxLength"
        ? maxLength
        : padding;
  if (length === undefined)
    throw new LowrankError(
      "ConfigError",
      'encodeBatch: padding "maxLength" needs maxLength, which neither the call nor tokenizer_config.json gives',
    );
  return Math.ceil(length / multipleOf) * multipleOf;
}

export function pad(
  encodings: readonly Encoding[],
  plan: PaddingPlan,
): { readonly encodings: Encoding[]; readonly attentionMask: number[][] } {
  const length = target(encodings, plan);
  const fill = <T>(value: T, n: number): T[] => Array.from({ length: n }, () => value);
  const missing = encodings.map(({ ids }) => Math.max(0, length - ids.length));
  return {
    encodings: encodings.map((encoding, i) => {
      const n = missing[i]!;
      if (n === 0) return encoding;
      const padding: Encoding = {
        ids: fill(plan.id, n),
        tokens: fill(plan.token, n),
        typeIds: fill(plan.typeId, n),
        specialTokensMask: fill(1, n),
        offsets: Array.from({ length: n }, () => [0, 0]),
        wordIds: fill(null, n),
        sequenceIds: fill(null, n),
      };
      return joined(plan.side === "right" ? [encoding, padding] : [padding, encoding]);
    }),
    attentionMask: encodings.map(({ ids }, i) => {
      const [ones, zeros] = [fill(1, ids.length), fill(0, missing[i]!)];
      return plan.side === "right" ? [...ones, ...zeros] : [...zeros, ...ones];
    }),
  };
}
