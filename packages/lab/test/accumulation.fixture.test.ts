/** Accumulation against torch: losses, gradient norms and weights of twelve steps of three parts each; the mean of means stands beside them. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { architectures, fromPretrained } from "@lowrank/models";
import { linearSchedule } from "@lowrank/nn";
import { init, type SafetensorsFile } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { Base } from "../src/bases/base.ts";
import { CausalExamples } from "../src/data/causal-examples.ts";
import type { Batch } from "../src/data/examples.ts";
import { TokenSetBuilder } from "../src/data/token-set.ts";
import { causalLm } from "../src/tasks/causal-lm.ts";
import { fileTask } from "../src/tasks/rows/from-files.ts";
import { TrainingStep } from "../src/train/step.ts";
import { goldenOf, misses, withTensors } from "./trajectory-case.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "families",
);
const present = existsSync(join(folder, "manifest.json"));
const cases = present
  ? (
      JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { cases: { folder: string; kind: string }[] }
    ).cases.filter(({ kind }) => kind === "accumulation")
  : [];

interface Step {
  readonly loss: number;
  readonly gradNorm: number;
  readonly countedTokens: readonly number[];
  readonly lr: number;
}
interface Case {
  readonly architecture: string;
  readonly checkpoint: string;
  readonly groups: number;
  readonly microBatches: number;
  readonly clip: number;
  readonly optimizer: { lr: number; weightDecay: number; betas: [number, number]; eps: number; decayAll: boolean };
  readonly schedule: { name: string; warmupSteps: number; totalSteps: number };
  readonly steps: readonly Step[];
  readonly wrongMeanOfMeans: readonly Step[];
}

/** A part made of its texts, which must be what torch was given but for each text's first label, which nothing is asked for. */
async function partOf(file: SafetensorsFile, prefix: string): Promise<Batch> {
  const read = async (name: string): Promise<{ data: number[]; shape: readonly number[] }> => {
    const { data, shape } = await file.read(`${prefix}.${name}`);
    return { data: Array.from(data as unknown as ArrayLike<bigint>, Number), shape };
  };
  const [ids, mask, labels] = [await read("input_ids"), await read("attention_mask"), await read("labels")];
  const [rows, length] = ids.shape as [number, number];
  const tokens = new TokenSetBuilder();
  for (let row = 0; row < rows; row++)
    tokens.push(ids.data.slice(row * length, (row + 1) * length).filter((_, i) => mask.data[row * length + i] === 1));
  const learnt = labels.data.filter((_, i) => mask.data[i] === 1).map((label) => Number(label !== -100));
  const examples = new CausalExamples(
    { tokens: tokens.build(), learnt: Uint8Array.from(learnt) },
    { padId: 0, maxLength: length },
  );
  const members = Int32Array.from({ length: rows }, (_, i) => i);
  const part = examples.batch(members, { rows, multiple: 1 });
  expect([...(part.inputs["inputIds"]!.data as Int32Array)]).toEqual(ids.data);
  expect([...(part.inputs["labels"]!.data as Int32Array)]).toEqual(
    labels.data.map((label, i) => (i % length === 0 ? -100 : label)),
  );
  return part;
}

describe("accumulation, torch", () => {
  it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
    expect(present).toBe(true);
  });

  it.for(cases)("$folder", async ({ folder: name }) => {
    const at = join(folder, name);
    const spec = JSON.parse(readFileSync(join(at, "case.json"), "utf8")) as Case;
    const device = await init({ device: "reference" });
    const { model } = await fromPretrained(join(at, spec.checkpoint), architectures[spec.architecture]!, { device });
    const base = new Base(model, "CAUSAL_LM", device);
    const trainable = base.weights();
    const { optimizer, schedule } = spec;
    const factor = linearSchedule({ warmupSteps: schedule.warmupSteps, totalSteps: schedule.totalSteps });
    const step = new TrainingStep(
      fileTask(causalLm),
      { base, trainable },
      {
        ...optimizer,
        decay: optimizer.decayAll ? "all" : "matrices",
        clip: spec.clip,
        lr: (finished) => optimizer.lr * factor(finished),
        dropoutSeed: 1,
      },
      device,
    );
    await withTensors(join(at, "data.safetensors"), async (file) => {
      for (const [s, golden] of spec.steps.entries()) {
        const parts: Batch[] = [];
        for (let micro = 0; micro < spec.microBatches; micro++)
          parts.push(await partOf(file, `batch.${s % spec.groups}.${micro}`));
        expect(parts.map(({ counted }) => counted)).toEqual(golden.countedTokens);
        const { loss, norm } = await step.run(parts);
        expect(Math.abs(loss - golden.loss), `loss of step ${s + 1}`).toBeLessThanOrEqual(1e-9 * golden.loss);
        expect(Math.abs(norm - golden.gradNorm), `norm of step ${s + 1}`).toBeLessThanOrEqual(1e-9 * golden.gradNorm);
        // the wrong way is another number by far
        expect(Math.abs(loss - spec.wrongMeanOfMeans[s]!.loss)).toBeGreaterThan(1e-4);
      }
      for (const { name: weight, weight: w } of trainable) {
        const key = `final.tokens.${weight}`;
        if (file.has(key)) expect(misses(await w.value.floats(), await goldenOf(file, key), 1e-9, 1e-12), key).toBe(0);
      }
    });
    step.dispose();
    model.dispose();
    device.close();
  });
});
