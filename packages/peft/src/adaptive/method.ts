/** What a training loop must know of a method that decides ranks while it trains. The loop calls it the same way whatever the method is. */
import type { Weight } from "@lowrank/nn";
import type { Parameter, Tensor } from "@lowrank/tensor";

/** One module's update as a sum of rank-one parts: Σ_k e_k · b_k a_kᵀ with A [r, in], B [out, r], E [r, 1]. */
export interface Triplets {
  /** Path of the module. */
  readonly name: string;
  readonly a: Weight;
  readonly b: Weight;
  readonly e: Weight;
}

/** Gradients of one step by weight, unscaled. */
export interface StepGradients {
  readonly raw: ReadonlyMap<Weight, Tensor>;
  /** After clipping; the same map where nothing is clipped. */
  readonly clipped: ReadonlyMap<Weight, Tensor>;
}

/** Ranks of one module. */
export interface ModuleAllocation {
  readonly module: string;
  readonly initial: number;
  readonly kept: number;
  readonly mask: readonly boolean[];
}

/** What an allocator did, for records and proofs. */
export interface AllocationRecord {
  readonly method: string;
  readonly reference: string;
  readonly compat: "strict" | "peft";
  /** Times the allocator ran; equals the optimizer's steps. */
  readonly calls: number;
  /** Budget after each step. */
  readonly budgets: readonly number[];
  /** Kept triplets after each step that chose, as [step, kept]. */
  readonly choices: readonly (readonly [number, number])[];
  readonly initialBudget: number;
  readonly targetBudget: number;
  /** Step of the final choice, or null where training ended before it. */
  readonly finalizedAt: number | null;
  readonly kept: number;
  readonly modules: readonly ModuleAllocation[];
}

/** What the report of one step says. */
export interface AllocationStep {
  readonly step: number;
  readonly budget: number;
  /** Whether ranks were chosen in this step. */
  readonly selected: boolean;
  readonly kept: number;
}

export interface AdaptiveMethod {
  readonly kind: string;
  readonly layers: readonly Triplets[];

  /** What is added to the training loss, and never to an evaluation loss. Undefined: nothing. */
  regularizer(): Tensor | undefined;

  /**
   * To be called in the training step, after the optimizer's update, with the gradients of that step. Builds graph only: what depends
   * on the step is fed live, so the step may be compiled.
   * @param when bool scalar: where it is false nothing changes; tell `revoke` afterwards
   * @returns a report to be returned from the compiled step and given to `check`
   */
  afterStep(gradients: StepGradients, when?: Tensor): Tensor;

  /** Reads the report of the step that has just run. Throws what the device found wrong. */
  check(report: ArrayLike<number>): AllocationStep;

  /** Takes back the last step: the device skipped it. */
  revoke(): void;

  /** Which triplets live now, by module; read from the device. */
  masks(): Promise<ReadonlyMap<string, readonly boolean[]>>;

  /** What was done so far. After training, `strict` throws where no final choice was made. */
  finish(): Promise<AllocationRecord>;

  /** Whether ranks are final: what is dropped stays dropped, and nothing more will be. */
  readonly settled: boolean;

  /** Everything that training changes besides weights, by name. */
  state(): Map<string, Parameter>;

  /** Finished steps; to be restored together with `state`. */
  steps: number;

  /** Kept triplets after each step that chose, as [step, kept]; to be restored together with `state`. */
  choices: readonly (readonly [number, number])[];

  dispose(): void;
}
