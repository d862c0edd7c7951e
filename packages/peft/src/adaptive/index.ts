/** Methods that decide ranks while they train. */
export { adaLora, SensitivityRule, type AdaLoraOptions } from "./adalora.ts";
export { BudgetAllocator, type AllocatorOptions } from "./allocator.ts";
export type { AdaptiveMethod, AllocationRecord, AllocationStep, ModuleAllocation, StepGradients, Triplets } from "./method.ts";
export { orthogonality } from "./orthogonality.ts";
export type { ScoreContext, ScoreRule } from "./rule.ts";
export { BudgetSchedule, type ScheduledStep, type ScheduleOptions } from "./schedule.ts";
