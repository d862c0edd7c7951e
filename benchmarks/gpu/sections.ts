/**
 * What is done, in which order, and the most seconds that each part may take. Together they stay below four minutes: what those before the last
 * take at most leaves it 47 s, and what they do not take is its too.
 */
import { describeAdapter } from "./adapter.ts";
import { checkOps } from "./parity.ts";
import { timeProducts } from "./products.ts";
import { measureRoofline } from "./roofline.ts";
import type { Context } from "./row.ts";
import { timeBaseStep, timeNarrowStep } from "./steps.ts";
import { timeTorch } from "./torch.ts";
import { compareTrajectories } from "./trajectory.ts";
import { timeTransfers } from "./transfer.ts";

export interface Choices {
  readonly python: string;
  readonly torchDevice: "cuda" | "cpu";
}

export interface Section {
  readonly name: string;
  readonly title: string;
  /** Its process is ended then. No new work is begun a little before. */
  readonly seconds: number;
  /** False: nothing of it is small enough for a software device. */
  readonly small: boolean;
  run(context: Context, choices: Choices): Promise<void>;
}

export const SECTIONS: readonly Section[] = [
  { name: "adapter", title: "adapter, features, limits", seconds: 12, small: true, run: describeAdapter },
  { name: "roofline", title: "what hand-written kernels reach", seconds: 14, small: true, run: measureRoofline },
  { name: "ops", title: "every op beside the reference", seconds: 42, small: true, run: checkOps },
  { name: "trajectory", title: "training on three devices", seconds: 20, small: true, run: compareTrajectories },
  { name: "transfer", title: "bytes to the card and back", seconds: 12, small: true, run: timeTransfers },
  { name: "products", title: "products, f32", seconds: 23, small: true, run: timeProducts },
  {
    name: "step",
    title: "a LoRA step",
    seconds: 20,
    small: true,
    run: timeNarrowStep,
  },
  {
    name: "step-base",
    title: "a LoRA step of BERT-base",
    seconds: 44,
    small: false,
    run: timeBaseStep,
  },
  {
    name: "torch",
    title: "PyTorch on the same card",
    seconds: 90,
    small: false,
    run: (context, { python, torchDevice }) => timeTorch(context, python, torchDevice),
  },
];
