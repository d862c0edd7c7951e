/** A small study in which everything that a checkpoint must hold moves, and what of its runs is determined. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Rank allocation with patience and the best weights, loss scaling that skips steps, parts of batches, dropout of both kinds, all weights. */
export const RESUME_STUDY = `name: resumes
task: { name: planted-rank, train: 64, dev: 32, length: 6, ranks: { query: 1 } }
model: { hidden: 16, layers: 1, heads: 2, intermediate: 16, initializerRange: 0.3 }
seeds: [1]
train: { epochs: 6, batchSize: 16, evalEvery: 3, evalStart: true, lr: 0.01 }
configs:
  ada: { method: adalora, initR: 3, targetR: 1, target: [query, value, intermediate.dense], tinit: 3, tfinal: 8, deltaT: 3, dropout: 0.1, train: { keep: best, earlyStop: { patience: 1 }, microBatch: 6 } }
  half: { method: lora, r: 2, target: [query, value], precision: mixed-f16, alpha: 4000, dropout: 0.2, baseDropout: 0.1, train: { microBatch: 6 } }
  full: { method: full, train: { keep: best } }
`;
export const STEPS = 24;

/** Files of a run that one identity determines, with their bytes. */
export function determined(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((file) => /^(result\.json|predictions\.jsonl|ranks\.csv|(adapter|base|checkpoint)\/.*)$/.test(file));
  return new Map(files.sort().map((file) => [file, readFileSync(join(folder, file), "latin1")]));
}
