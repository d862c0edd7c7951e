/** Rank patterns in words, for people who think of attention and feed-forward parts rather than of module names. */
import { LowrankError } from "@lowrank/tensor";
import { checkOptions, fields, optional, size } from "@lowrank/tensor/check";

export interface PartRanks {
  /** Query, key, value and the projection after them. */
  readonly attention?: number;
  /** The two (or three) projections of the feed-forward part. */
  readonly ffn?: number;
}

/** Ends of module paths, as regular expressions, by `model_type`. Both parts of BERT end in "output.dense": the dotted boundary tells them apart. */
const PARTS: Readonly<Record<string, { readonly attention: readonly string[]; readonly ffn: readonly string[] }>> = {
  bert: {
    attention: ["attention\\.self\\.(query|key|value)", "attention\\.output\\.dense"],
    ffn: ["layer\\.\\d+\\.(intermediate|output)\\.dense"],
  },
  distilbert: { attention: ["attention\\.(q_lin|k_lin|v_lin|out_lin)"], ffn: ["ffn\\.lin[12]"] },
  gpt2: { attention: ["attn\\.c_(attn|proj)"], ffn: ["mlp\\.c_(fc|proj)"] },
  llama: { attention: ["self_attn\\.[qkvo]_proj"], ffn: ["mlp\\.(gate|up|down)_proj"] },
};

/** A `rank_pattern` for a model family. Give it to `rankPattern` (or, for alphas, to `alphaPattern`); targets that match neither part keep the default rank. */
export function familyRanks(modelType: string, ranks: PartRanks): Record<string, number> {
  checkOptions(
    "familyRanks",
    fields<PartRanks>(
      { attention: optional(size), ffn: optional(size) },
      { spelt: { feedForward: "ffn", mlp: "ffn" } },
    ),
    ranks,
  );
  const parts = PARTS[modelType === "roberta" ? "bert" : modelType];
  if (parts === undefined)
    throw new LowrankError(
      "PatternError",
      `no words for the parts of "${modelType}"; known are ${[...Object.keys(PARTS), "roberta"].join(", ")}. Write a rank pattern of module names instead`,
    );
  return Object.fromEntries(
    (["attention", "ffn"] as const).flatMap((part) =>
      ranks[part] === undefined ? [] : parts[part].map((pattern) => [pattern, ranks[part]!]),
    ),
  );
}
