/** The weights of the best evaluation so far, on the host. Part of a training's state: one that is resumed must be able to go back to them. */
import { LowrankError, quote, type StoredTensor } from "@lowrank/tensor";
import type { NamedWeight } from "../bases/base.ts";
import { metricOf } from "../metrics/of-evaluation.ts";
import type { Evaluation } from "../store/result.ts";
import { bestOf, type Judge } from "./judge.ts";
import type { Json, Saved, State, Stateful } from "./state.ts";

export class BestWeights implements Stateful {
  readonly judge: Judge;
  readonly #weights: readonly NamedWeight[];
  #evaluation: Evaluation | undefined;
  #values: ReadonlyMap<string, StoredTensor> = new Map();

  constructor(judge: Judge, weights: readonly NamedWeight[]) {
    this.judge = judge;
    this.#weights = weights;
  }

  /** Of the weights that are held; undefined before the first. */
  get evaluation(): Evaluation | undefined {
    return this.#evaluation;
  }

  /** An evaluation of the weights as they are now: kept where there is no better one. */
  async saw(now: Evaluation): Promise<void> {
    if (this.#evaluation !== undefined && bestOf(this.judge, [this.#evaluation, now]) !== now) return;
    const values = new Map<string, StoredTensor>();
    for (const { name, weight } of this.#weights) {
      const { dtype, shape } = weight.parameter;
      values.set(name, { dtype, shape, data: await weight.parameter.data() });
    }
    [this.#evaluation, this.#values] = [now, values];
  }

  /** Puts them back into the model. */
  putBack(): void {
    for (const { name, weight } of this.#weights) weight.parameter.write(this.#values.get(name)!.data);
  }

  /** Whether an evaluation is of the same weights: the same numbers come of them. */
  isSame(again: Evaluation): boolean {
    return ["loss", this.judge.name].every((name) =>
      Object.is(metricOf(again, name), metricOf(this.#evaluation!, name)),
    );
  }

  state(): State {
    const entries = [...this.#values].map(
      ([name, { data, ...plan }]) => [name, { ...plan, load: () => data }] as const,
    );
    return { values: (this.#evaluation ?? null) as unknown as Json, tensors: new Map(entries) };
  }

  /** @throws LowrankError where the state lacks one of the weights */
  restore({ values, tensors }: Saved): void {
    const missing = values === null ? undefined : this.#weights.find(({ name }) => !tensors.has(name));
    if (missing !== undefined)
      throw new LowrankError(
        "FormatError",
        `the state has no best ${quote(missing.name)}; it is another configuration's`,
      );
    this.#evaluation = (values ?? undefined) as Evaluation | undefined;
    this.#values = tensors;
  }
}
