/** The built-in methods' learning rates where nothing is said. Batches are of 16 to 64 rows; schedules fall to 0. */
import type { RateAnchor } from "../records/rates.ts";

const HERE = "one pass over 8,000 rows of SST-2 on a MiniLM of 6 layers, batch 32";

/** Low-rank adapters at a scale of alpha / r about 2. */
export const LORA_RATES: readonly RateAnchor[] = [
  { steps: 250, lr: 2e-3, source: `${HERE}: 86.5 %; 1e-3 84.6 %, 5e-4 83.7 % (PEFT)` },
  { steps: 2100, lr: 1e-3, source: "one pass over all 67,349 rows of the same: 87.7 % (PEFT)" },
  { steps: 50_000, lr: 5e-4, source: "Hu et al. 2021, table D.9: RoBERTa base on GLUE, 4e-4 to 5e-4" },
];

/** Updates begin at zero in E and small in A and B, so that the same rate moves them a fiftieth as far as LoRA's. */
export const ADALORA_RATES: readonly RateAnchor[] = [
  { steps: 250, lr: 5e-3, source: `${HERE}: 83.6 %; 1e-2 83.1 %, 5e-4 50.9 %, the majority class (PEFT)` },
  { steps: 50_000, lr: 8e-4, source: "Zhang et al. 2023, appendix: DeBERTa v3 base on SST-2, 8e-4 in 50,520 steps" },
];

/** Every weight of a checkpoint. */
export const FULL_RATES: readonly RateAnchor[] = [
  { steps: 250, lr: 1e-4, source: `${HERE}: 85.0 % at 5e-5 and at 2e-4, with a dev loss of 0.358 and 0.335 (PyTorch)` },
  { steps: 6300, lr: 2e-5, source: "Devlin et al. 2019, appendix A.3: 2e-5 to 5e-5; transformers' run_glue: 2e-5" },
];

/** A head on a base that stays as it is: logistic regression, which takes large steps. */
export const HEAD_RATES: readonly RateAnchor[] = [
  { steps: 250, lr: 3e-2, source: `${HERE}: 66.7 %; 1e-3 52.5 %, which is the majority class (PyTorch)` },
  { steps: 50_000, lr: 1e-3, source: "no measurement: Adam's usual rate" },
];

/** Factors on activations, which begin at one. */
export const IA3_RATES: readonly RateAnchor[] = [
  { steps: 250, lr: 1e-2, source: "no measurement: the next anchor's, for a quarter of the steps" },
  { steps: 1000, lr: 3e-3, source: "Liu et al. 2022, section 3.3: T-Few, 3e-3 in 1,000 steps" },
];

/** Vectors on random projections that all layers share. */
export const VERA_RATES: readonly RateAnchor[] = [
  { steps: 145, lr: 2e-2, source: "PEFT's example on MRPC: five passes, batch 128, 2e-2, the head 1e-2" },
  { steps: 15_800, lr: 4e-3, source: "Kopiczko et al. 2024, table 8: RoBERTa base on SST-2, 60 passes, 4e-3" },
];
