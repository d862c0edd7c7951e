/** Predictions as a file of a run. */
import { createHash } from "node:crypto";
import type { Scored } from "../records/task.ts";

/** `predictions.jsonl` and its hashes. */
export function predictionLines({ predictions, decisions }: Scored): {
  text: string;
  sha256: string;
  labelsSha256: string;
} {
  const text = `${predictions.join("\n")}\n`;
  const sha = (content: string): string => createHash("sha256").update(content).digest("hex");
  return { text, sha256: sha(text), labelsSha256: sha(decisions) };
}
