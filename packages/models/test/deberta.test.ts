/** DeBERTa beyond the golden numbers: what distances share a row, long texts in blocks, and what config.json may say. */
import { grad, init, ops, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DebertaV2ForSequenceClassification, parseDebertaV2Config } from "../src/index.ts";
import { Distances } from "../src/deberta-v2/relative.ts";
import { mergeHeads, splitHeads } from "../src/shared/attention.ts";
import { SMALL } from "./small-models.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

const SIZES = { vocab: 19, heads: 2, width: 4, layers: 1, positions: 600 };
const config = (more: object = {}) =>
  parseDebertaV2Config({ ...SMALL["DebertaV2ForSequenceClassification"]!(SIZES), ...more });

it("distances share rows as in transformers 5.24 (make_log_bucket_position)", () => {
  const rows = (more: object, at: readonly number[]): number[] => {
    const distances = new Distances(config(more));
    return at.map((d) => distances.row(d) - distances.rows / 2);
  };
  const base = { position_buckets: 256, max_position_embeddings: 512 };
  expect(rows(base, [0, 1, -127, 128, 129, 130, 200, -300, 400, 511, 512, -2900])).toEqual([
    0, 1, -127, 128, 129, 130, 169, -207, 233, 255, 255, -256,
  ]);
  const few = { position_buckets: 4, max_position_embeddings: 40 };
  expect(rows(few, [0, 1, 2, 3, 39, 40, 100, -3, -40, -100])).toEqual([0, 1, 2, 3, 3, 3, 3, -3, -4, -4]);
  expect(rows({ position_buckets: -1, max_relative_positions: 7 }, [0, 6, 7, 9, -7, -9])).toEqual([0, 6, 6, 6, -7, -7]);
});

describe.each([
  ["both", { pos_att_type: "p2c|c2p" }],
  ["queries to distances", { pos_att_type: ["c2p"], share_att_key: true }],
  ["distances to keys", { pos_att_type: ["p2c"], position_buckets: -1, max_relative_positions: 50 }],
])("attention of 530 tokens in blocks, %s", (_, more) => {
  it("gives what it gives in one piece, gradients too", async () => {
    const model = new DebertaV2ForSequenceClassification(config({ conv_kernel_size: 0, ...more }));
    const wasm = await init({ device: "wasm", threads: 1 });
    await model.materialize({ device: wasm, seed: 3 });
    const length = 530;
    const each = (f: (i: number) => number): number[] => Array.from({ length }, (__, i) => f(i));
    const inputs = {
      inputIds: wasm.tensor(
        each((i) => 2 + ((7 * i) % 17)),
        [1, length],
        "i32",
      ),
      attentionMask: wasm.tensor(Uint8Array.from(each((i) => Number(i < 520))), [1, length], "bool"),
    };
    const { hiddenStates, attentions } = model.forward(inputs);
    const { self, output } = model.deberta.encoder.layer[0]!.attention;
    // what the whole matrix of weights, which the layer also gives, makes of the values
    const [before, after] = [hiddenStates[0]!, hiddenStates[1]!];
    const values = splitHeads(self.value_proj.forward(before), SIZES.heads);
    const direct = mergeHeads(ops.matmul(attentions[0]!, values));
    const layer = model.deberta.encoder.layer[0]!;
    const attended = output.forward(direct, before);
    const want = layer.output.forward(layer.intermediate.forward(attended), attended);
    const weights = ["rel_embeddings.weight", "query_proj.weight", "key_proj.bias"].map(
      (end) => [...model.namedWeights()].find(([name]) => name.endsWith(end))![1].parameter,
    );
    const results = (y: Tensor): Tensor[] => [y, ...grad(ops.sum(ops.mul(y, ops.sin(y))), weights)];
    const [got, expected] = [results(after), results(want)];
    for (const [i, g] of got.entries()) {
      const [a, b] = [await g.floats(), await expected[i]!.floats()];
      const scale = b.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      // f32 sums of some hundred thousand terms that nearly cancel, in other groups
      a.forEach((x, j) => expect(Math.abs(x - b[j]!)).toBeLessThanOrEqual(1e-6 + 1e-4 * scale));
    }
    wasm.close();
  });
});

it("reads what config.json says of distances, and refuses what would not fit", () => {
  expect(config({ pos_att_type: "P2C | c2p" }).posAttType).toEqual(["p2c", "c2p"]);
  expect(config({ norm_rel_ebd: "none|layer_norm" }).normRelEbd).toBe(true);
  expect(() => config({ conv_kernel_size: 4 })).toThrow(/"conv_kernel_size" must be 0 or an odd whole number/);
  expect(() => config({ attention_head_size: 7 })).toThrow(
    "attention_head_size 7 is not hidden_size / num_attention_heads",
  );
  expect(() => config({ pooler_hidden_size: 7 })).toThrow("pooler_hidden_size 7 is not hidden_size, which is 8");
});

it("takes float labels of a config without problem_type for shares, as transformers' class does", async () => {
  const model = new DebertaV2ForSequenceClassification(config({ num_labels: 3 }));
  await model.materialize({ device, seed: 3 });
  const labels = [0.2, 0.5, 0.3];
  const { logits, loss } = model.forward({
    inputIds: device.tensor([2, 3, 4], [1, 3], "i32"),
    labels: device.tensor(labels, [1, 3]),
  });
  const scores = await logits.floats();
  const total = Math.log(scores.reduce((sum, v) => sum + Math.exp(v), 0));
  const want = labels.reduce((sum, share, i) => sum + share * (total - scores[i]!), 0);
  expect(Math.abs((await loss!.item()) - want)).toBeLessThanOrEqual(1e-14);
});
