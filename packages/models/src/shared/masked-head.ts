/** Masked language models: a score of every word, everywhere or where it is asked for. */
import { ops, type Tensor } from "@lowrank/tensor";
import type { ModelConfig } from "./config.ts";
import { anyTensor, type InputRules, type TextInputs } from "./inputs.ts";
import { flatCrossEntropy } from "./losses.ts";
import { ModelWithHead } from "./model-with-head.ts";
import type { HeadOutputs, HiddenOutputs } from "./outputs.ts";

export interface MaskedWords {
  /** i32 [batch, length], −100 where nothing is predicted; or [slots] together with `positions`. */
  readonly labels?: Tensor;
  /** i32 [slots]: flat positions (row · length + column) whose vocabulary logits are wanted. Saves the projection everywhere else. */
  readonly positions?: Tensor;
}

/** Subclasses say how hidden states are compared with words. */
export abstract class MaskedHead<
  Config extends ModelConfig,
  Inputs extends TextInputs & MaskedWords,
  Hidden extends HiddenOutputs,
> extends ModelWithHead<Config, Inputs, Hidden, Hidden & HeadOutputs> {
  override get extraInputs(): InputRules {
    return { ...super.extraInputs, positions: anyTensor };
  }

  /** […, hidden] → […, vocab]. */
  protected abstract score(hidden: Tensor): Tensor;

  /** logits [batch, length, vocab], or [slots, vocab] with `positions`. */
  compute(inputs: Inputs): Hidden & HeadOutputs {
    const base = this.base.compute(inputs);
    const hidden = base.lastHiddenState;
    const wanted =
      inputs.positions === undefined
        ? hidden
        : ops.gatherRows(ops.reshape(hidden, [-1, this.config.hiddenSize]), inputs.positions);
    const logits = this.score(wanted);
    return { ...base, logits, loss: flatCrossEntropy(logits, inputs.labels) };
  }
}
