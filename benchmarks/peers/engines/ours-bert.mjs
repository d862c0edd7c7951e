/** The BERT tasks in lowrank. */
import { BertForSequenceClassification, parseBertConfig } from "@lowrank/models";
import { AdamW, clipGradNorm, Rngs, grad } from "@lowrank/nn";
import { adapt } from "@lowrank/peft";
import { compile, init } from "@lowrank/tensor";
import { bertBatch, bertWeights } from "../bert.mjs";

export async function prepare(work, threads) {
  const training = work.kind === "step";
  const device = await init({ device: "wasm", threads });
  const model = new BertForSequenceClassification(
    parseBertConfig({
      hidden_size: work.hidden,
      num_hidden_layers: work.layers,
      num_attention_heads: work.heads,
      intermediate_size: work.inner,
      vocab_size: work.vocabulary,
      max_position_embeddings: work.positions,
      layer_norm_eps: work.epsilon,
      hidden_dropout_prob: work.dropout,
      attention_probs_dropout_prob: work.dropout,
    }),
  );
  await model.materialize({ device, seed: 1 });
  if (training)
    await adapt(
      model,
      {
        r: work.rank,
        alpha: work.alpha,
        dropout: work.dropout,
        targetModules: ["query", "key", "value", "dense"],
        taskType: "SEQ_CLS",
      },
      { device, seed: 1 },
    );
  const weights = new Map(
    [...bertWeights(work, training)].map(([name, { values, shape }]) => [name, { data: values, shape, dtype: "f32" }]),
  );
  const { unexpected } = model.loadStateDict(weights, { strict: false });
  if (unexpected.length > 0) throw new Error(`the model has no ${unexpected.join(", ")}`);
  if (training) model.train(new Rngs(device, 1));
  const optimizer = training
    ? new AdamW(model.trainableWeights(), {
        lr: work.rate,
        betas: [work.beta1, work.beta2],
        eps: work.adamEpsilon,
        weightDecay: work.decay,
      })
    : undefined;
  const replay = compile(device, ({ ids, mask, labels }) => {
    const { loss, logits } = model.forward({ inputIds: ids, attentionMask: mask, labels });
    if (optimizer === undefined) return { logits };
    optimizer.step(clipGradNorm(grad(loss, optimizer.parameters), work.maxNorm).grads);
    return { loss };
  });
  const { ids, labels } = bertBatch(work);
  const { batch, length } = work;
  const inputs = {
    ids: { data: ids, shape: [batch, length] },
    mask: { data: new Uint8Array(batch * length).fill(1), shape: [batch, length], dtype: "bool" },
    labels: { data: labels, shape: [batch] },
  };
  let last;
  const run = async () => {
    const { loss, logits } = await replay(inputs);
    last = loss ?? logits;
  };
  return {
    run,
    async read() {
      if (!training) return last.data();
      const losses = [];
      for (let i = 0; i < work.losses; i++) {
        losses.push((await last.data())[0]);
        if (i < work.losses - 1) await run();
      }
      return losses;
    },
    close: () => device.close(),
  };
}
