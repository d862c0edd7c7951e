/** BERT with its masked-language-modelling head, the step that trains it and its files. */
import { BertForMaskedLM, parseBertConfig, savePretrained } from "@lowrank/models";
import { AdamW, clipGradNorm, decayGroups, Rngs, gradNorm } from "@lowrank/nn";
import { grad, ops, type Device, type Parameter, type Tensor } from "@lowrank/tensor";
import { IGNORED } from "../data/classification.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { PretrainConfig } from "./config.ts";

export class MaskedModel {
  readonly model: BertForMaskedLM;
  readonly optimizer: AdamW;
  private readonly rngs: Rngs;
  private readonly clip: number | null;

  private constructor(model: BertForMaskedLM, config: PretrainConfig, lr: (step: number) => number, device: Device) {
    this.model = model;
    const { betas, eps, weightDecay, clip } = config.train;
    this.optimizer = new AdamW(decayGroups(model.namedWeights(), weightDecay), { lr, betas, eps });
    this.rngs = new Rngs(device, deriveSeed(config.seed, "dropout"));
    this.clip = clip;
  }

  /** @param lr learning rate after that many finished steps */
  static async create(
    config: PretrainConfig,
    vocabSize: number,
    lr: (step: number) => number,
    device: Device,
  ): Promise<MaskedModel> {
    const { hidden, layers, heads, intermediate, dropout, positions, initializerRange } = config.model;
    const model = new BertForMaskedLM(
      parseBertConfig({
        vocab_size: vocabSize,
        hidden_size: hidden,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        intermediate_size: intermediate,
        hidden_dropout_prob: dropout,
        attention_probs_dropout_prob: dropout,
        max_position_embeddings: positions,
        initializer_range: initializerRange,
      }),
    );
    await model.materialize({ device, seed: deriveSeed(config.seed, "init") });
    return new MaskedModel(model, config, lr, device);
  }

  get parameterCount(): number {
    return [...new Set(this.model.weights())].reduce((sum, weight) => sum + weight.size, 0);
  }

  /** Mean cross-entropy at the masked positions; `positions` and `labels` i32 [slots]. */
  loss(inputs: Record<string, Tensor>): Tensor {
    const { inputIds, attentionMask, positions, labels } = inputs as {
      [K in "inputIds" | "attentionMask" | "positions" | "labels"]: Tensor;
    };
    return this.model.forward({ inputIds, attentionMask, positions, labels }).loss!;
  }

  /** One optimizer step; for `compile`. */
  trainStep(inputs: Record<string, Tensor>): { loss: Tensor; norm: Tensor } {
    this.model.train(this.rngs);
    const loss = this.loss(inputs);
    const gradients = grad(loss, this.optimizer.parameters);
    const { grads, norm } =
      this.clip === null ? { grads: gradients, norm: gradNorm(gradients) } : clipGradNorm(gradients, this.clip);
    this.optimizer.step(grads);
    return { loss, norm };
  }

  /** Summed loss without dropout, so that batches of different size weigh by their positions; for `compile`. */
  score(inputs: Record<string, Tensor>): { sum: Tensor } {
    this.model.eval();
    const { inputIds, attentionMask, positions, labels } = inputs as {
      [K in "inputIds" | "attentionMask" | "positions" | "labels"]: Tensor;
    };
    const { logits } = this.model.forward({ inputIds, attentionMask, positions });
    return { sum: ops.crossEntropy(logits, labels, { reduction: "sum", ignoreIndex: IGNORED }) };
  }

  /** Everything that training changes, by name. */
  state(): Map<string, Parameter> {
    const weights = [...this.model.namedWeights()].map(
      ([name, weight]) => [`model.${name}`, weight.parameter] as const,
    );
    return new Map([
      ...weights,
      ...[...this.optimizer.state()].map(([name, parameter]) => [`optimizer.${name}`, parameter] as const),
    ]);
  }

  /** Continues counting where a saved state stopped. */
  resume(step: number): void {
    this.optimizer.steps = step;
    this.rngs.step = step;
  }

  /** Hugging Face files in `folder`. */
  save(folder: string): Promise<void> {
    return savePretrained(this.model, folder);
  }

  dispose(): void {
    this.optimizer.dispose();
    this.model.dispose();
  }
}
