/** Rank patterns in words, for people who think of attention and feed-forward parts rather than of module names. */
import type { FamilyFacts } from "@lowrank/nn";
import { LowrankError } from "@lowrank/tensor";
import { checkOptions, fields, optional, size } from "@lowrank/tensor/check";

export interface PartRanks {
  /** Query, key, value and the projection after them. */
  readonly attention?: number;
  /** The two (or three) projections of the feed-forward part. */
  readonly ffn?: number;
}

/**
 * A `rank_pattern` for a model's family. Give it to `rankPattern` (or, for alphas, to `alphaPattern`); targets that match neither part keep
 * the default rank.
 * @param of a model, or its class
 * @throws LowrankError (PatternError) where the model is of no known family
 */
export function familyRanks(
  of: { readonly family: Pick<FamilyFacts, "parts"> | undefined },
  ranks: PartRanks,
): Record<string, number> {
  checkOptions(
    "familyRanks",
    fields<PartRanks>(
      { attention: optional(size), ffn: optional(size) },
      { spelt: { feedForward: "ffn", mlp: "ffn" } },
    ),
    ranks,
  );
  const parts = of?.family?.parts;
  if (parts === undefined)
    throw new LowrankError(
      "PatternError",
      "familyRanks: the model says no family, so its parts have no words; write a rank pattern of module names instead",
    );
  return Object.fromEntries(
    (["attention", "ffn"] as const).flatMap((part) =>
      ranks[part] === undefined ? [] : parts[part].map((pattern) => [pattern, ranks[part]!]),
    ),
  );
}
