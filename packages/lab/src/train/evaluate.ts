/** Evaluation: what the task reads of every example, metrics over all of them, and the task's loss from the device beside one recomputed in f64. */
import { compile, type CompiledInfo, type CompileInputs, type Device, type Tensor } from "@lowrank/tensor";
import type { Base } from "../bases/base.ts";
import type { Batch } from "../data/examples.ts";
import { measured, type Metric } from "../records/metric.ts";
import type { Scored, Scorer, Task } from "../records/task.ts";
import { breather } from "../text/breath.ts";
import { specsOf } from "./step.ts";

export interface Scores {
  /** Mean over all that counts, as the device has it. */
  readonly loss: number;
  readonly examples: number;
  /** Metrics by name, in order, each with what it says beside its value. */
  readonly metrics: Readonly<Record<string, unknown>>;
  readonly scored: Scored;
}

export interface Evaluator {
  /** Scores of the model as it is now. */
  run(): Promise<Scores>;
  /** The plan for inputs of these shapes, known without running. */
  plan(inputs: CompileInputs): CompiledInfo;
  /** One plan per batch shape so far. */
  plans(): readonly CompiledInfo[];
}

/** What is evaluated, and by what. */
export interface EvaluationParts {
  readonly task: Pick<Task, "outputs">;
  readonly base: Base;
  readonly metrics: readonly Metric[];
  /** The same batches at every evaluation. */
  batches(): Iterable<Batch>;
  scorer(base: Base): Scorer;
}

/** Plans are captured once per batch shape. */
export function evaluator({ task, base, metrics, batches, scorer }: EvaluationParts, device: Device): Evaluator {
  const forward = compile(device, (inputs: Record<string, Tensor>) => {
    base.model.eval();
    return task.outputs(base, inputs);
  });
  const run = async (): Promise<Scores> => {
    const [scores, counts] = [scorer(base), new Map<Metric, unknown>()];
    const count = (items: unknown): void => {
      if (items === undefined) return;
      for (const metric of metrics) counts.set(metric, metric.update(counts.get(metric), items));
    };
    const breathe = breather();
    let [total, counted, examples] = [0, 0, 0];
    for (const batch of batches()) {
      await breathe();
      const outputs = await forward(batch.inputs);
      const values: Record<string, Float64Array> = {};
      for (const [name, tensor] of Object.entries(outputs)) values[name] = await tensor.floats();
      total += values["loss"]![0]!;
      counted += batch.counted;
      examples += batch.members.length;
      count(scores.take(batch, values));
    }
    const scored = await scores.finish();
    count(scored.items);
    return { loss: total / counted, examples, metrics: measured(metrics, counts), scored };
  };
  return { run, plan: (inputs) => forward.plan(specsOf(inputs)), plans: () => forward.info() };
}
