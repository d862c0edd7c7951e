/** What evaluations decide of a training: when it ends, and which weights are kept. Its parts belong to the training's state. */
import type { TrainOptions } from "../config/study.ts";
import { metricOf } from "../metrics/of-evaluation.ts";
import type { Metric } from "../records/metric.ts";
import type { Evaluation } from "../store/result.ts";
import type { AdaptedBase } from "./adapt.ts";
import { BestWeights } from "./best-weights.ts";
import { EarlyStop } from "./early-stop.ts";
import { judgeOf, type Judge } from "./judge.ts";
import type { Stateful } from "./state.ts";

export class Selection {
  readonly judge: Judge;
  /** Undefined where the last weights are kept. */
  readonly best: BestWeights | undefined;
  readonly #stop: EarlyStop | undefined;
  readonly #allocator: AdaptedBase["allocator"];

  constructor(
    { earlyStop, keep }: Pick<TrainOptions, "earlyStop" | "keep">,
    metrics: readonly Metric[],
    { trainable, allocator }: Pick<AdaptedBase, "trainable" | "allocator">,
  ) {
    this.judge = judgeOf(metrics, earlyStop?.metric);
    this.best = keep === "best" ? new BestWeights(this.judge, trainable) : undefined;
    this.#stop = earlyStop === undefined ? undefined : new EarlyStop(this.judge, earlyStop);
    this.#allocator = allocator;
  }

  get parts(): Readonly<Record<string, Stateful>> {
    return {
      ...(this.#stop === undefined ? {} : { earlyStop: this.#stop }),
      ...(this.best === undefined ? {} : { best: this.best }),
    };
  }

  /** Before ranks are final an evaluation is of another adapter than the one that the run will leave: it decides nothing. */
  async saw(now: Evaluation): Promise<void> {
    if (this.#allocator?.settled === false) return;
    this.#stop?.saw(metricOf(now, this.judge.name));
    await this.best?.saw(now);
  }

  get stops(): boolean {
    return this.#stop?.stops ?? false;
  }
}
