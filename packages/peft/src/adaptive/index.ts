/** Methods that decide ranks while they train. */
export { adaLora, adaLoraOptions, SensitivityRule } from "./adalora.ts";
export { BudgetAllocator } from "./allocator.ts";
export type { AdaLoraOptions, AllocatorOptions, ScheduleOptions, ScoredOptions } from "./options.ts";
export { beginWithDirections, evaShares, shareOut, type EvaModule, type EvaOptions, type EvaShare } from "./eva.ts";
export {
  explainedVariance,
  ExplainedVarianceRule,
  inputDirections,
  type CalibrationOptions,
  type InputDirections,
  type InputModule,
} from "./explained-variance.ts";
export { fixedScores, FixedScoresRule, type FixedScores } from "./fixed-scores.ts";
export { givenRanks, GivenRanksRule, type GivenRanks } from "./given-ranks.ts";
export { beginWithGradients, compressedGradient } from "./gora-start.ts";
export { goraBounds, goraRanks, type GradedModule } from "./gora.ts";
export { magnitudeBudget, MagnitudeRule } from "./magnitude.ts";
export type {
  AdaptiveMethod,
  AllocationRecord,
  AllocationStep,
  ModuleAllocation,
  StepGradients,
  Triplets,
} from "./method.ts";
export { orthogonality } from "./orthogonality.ts";
export { resizeAdapter, tripletsOf } from "./resize.ts";
export type { ScoreContext, ScoreRule } from "./rule.ts";
export { BudgetSchedule, type ScheduledStep } from "./schedule.ts";
