/** A small task whose rows have very different numbers of targets: labels of tokens, of which few or many count. */
import { ops, RandomStream, type Device } from "@lowrank/tensor";
import { drawBase } from "../src/bases/make.ts";
import { drawnPlan } from "../src/bases/plan.ts";
import type { MethodConfig } from "../src/config/study.ts";
import { TRAIN_DEFAULTS } from "../src/config/train.ts";
import { IGNORED } from "../src/data/classification.ts";
import type { Batch, BatchShape, Examples } from "../src/data/examples.ts";
import { paddedLength, type Group } from "../src/data/length-groups.ts";
import { methods } from "../src/methods/registry.ts";
import type { Task } from "../src/records/task.ts";
import { adaptBase, type AdaptedBase } from "../src/train/adapt.ts";
import type { StepOptions } from "../src/train/step.ts";

const [VOCAB, LABELS] = [30, 3];

export class TokenToy implements Examples {
  readonly count: number;
  readonly lengths: Int32Array;

  constructor(lengths: readonly number[]) {
    this.count = lengths.length;
    this.lengths = Int32Array.from(lengths);
  }

  batch(members: Group, { rows, multiple }: BatchShape): Batch {
    const length = paddedLength(Math.max(...members.map((m) => this.lengths[m]!)), multiple);
    const ids = new Int32Array(rows * length);
    const mask = new Uint8Array(rows * length);
    const labels = new Int32Array(rows * length).fill(IGNORED);
    members.forEach((member, row) => {
      const stream = new RandomStream(member, "token-toy");
      for (let i = 0; i < this.lengths[member]!; i++) {
        ids[row * length + i] = 1 + stream.integer(VOCAB - 1);
        mask[row * length + i] = 1;
        // of every third row one token counts, of the others all
        if (member % 3 !== 0 || i === 0) labels[row * length + i] = stream.integer(LABELS);
      }
    });
    for (let row = members.length; row < rows; row++) mask[row * length] = 1;
    return {
      rows,
      length,
      members,
      counted: labels.filter((label) => label !== IGNORED).length,
      inputs: {
        inputIds: { data: ids, shape: [rows, length], dtype: "i32" },
        attentionMask: { data: mask, shape: [rows, length], dtype: "bool" },
        labels: { data: labels, shape: [rows * length], dtype: "i32" },
      },
    };
  }
}

export const tokenTask: Pick<Task, "loss"> = {
  loss(base, { inputIds, attentionMask, labels }, reduction) {
    const logits = base.logits({ inputIds: inputIds!, attentionMask: attentionMask! });
    return ops.crossEntropy(ops.reshape(logits, [-1, LABELS]), labels!, { reduction });
  },
};

/** A method on a small base for it, always the same. */
export async function adaptedToy(
  words: Partial<MethodConfig> & Readonly<Record<string, unknown>>,
  device: Device,
  totalSteps: number,
): Promise<AdaptedBase> {
  const model = { hidden: 8, layers: 1, heads: 2, intermediate: 12, dropout: 0.2, initializerRange: 0.3, seed: 3 };
  const plan = drawnPlan(model, "TOKEN_CLS", { vocab: VOCAB, positions: 16, labels: LABELS });
  const base = await drawBase(plan, "TOKEN_CLS", 3, device);
  const method = methods.get(String(words.method));
  const options = method.schema({ head: base.head }).parse(words) as unknown as MethodConfig;
  return adaptBase(base, method, options, { seed: 7, totalSteps, data: {} as never, task: {} as never });
}

export const STEP: Omit<StepOptions, "lr"> = { ...TRAIN_DEFAULTS, clip: 0.5, dropoutSeed: 11 };

/** Values of everything that trains, by name. */
export async function valuesOf({ trainable }: Pick<AdaptedBase, "trainable">): Promise<Map<string, Float64Array>> {
  const values = new Map<string, Float64Array>();
  for (const { name, weight } of trainable) values.set(name, await weight.value.floats());
  return values;
}
