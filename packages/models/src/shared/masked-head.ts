/** Masked language models: a score of every word, everywhere or where it is asked for. */
import { ops, type Tensor } from "@lowrank/tensor";
import type { ModelConfig } from "./config.ts";
import { anyTensor, type InputRules, type TextInputs } from "./inputs.ts";
import { ModelWithHead } from "./model-with-head.ts";
import type { WordHead } from "./output-layer.ts";
import type { HiddenOutputs, WordOutputs } from "./outputs.ts";
import { wordOutputs } from "./word-losses.ts";

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
> extends ModelWithHead<Config, Inputs, Hidden, Hidden & WordOutputs> {
  override get extraInputs(): InputRules {
    return { ...super.extraInputs, positions: anyTensor };
  }

  /** […, hidden] → […, hidden]: what is compared with words. */
  protected abstract turn(hidden: Tensor): Tensor;

  /** […, hidden] → […, vocab]. */
  protected abstract get words(): WordHead;

  /** logits [batch, length, vocab], or [slots, vocab] with `positions`. */
  compute(inputs: Inputs): Hidden & WordOutputs {
    const base = this.base.compute(inputs);
    const hidden = base.lastHiddenState;
    const wanted =
      inputs.positions === undefined
        ? hidden
        : ops.gatherRows(ops.reshape(hidden, [-1, this.config.hiddenSize]), inputs.positions);
    return { ...base, ...wordOutputs(this.turn(wanted), this.words, inputs.labels) };
  }
}
