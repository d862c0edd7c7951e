/** Packed texts against torch: the loss of each text, of all of them, and the gradients; three wrong ways give other numbers. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { architectures, fromPretrained } from "@lowrank/models";
import { grad, init } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { Base } from "../src/bases/base.ts";
import { CausalExamples } from "../src/data/causal-examples.ts";
import { TokenSetBuilder } from "../src/data/token-set.ts";
import { causalLm } from "../src/tasks/causal-lm.ts";
import { TextLosses } from "../src/tasks/next-token.ts";
import { fileTask } from "../src/tasks/rows/from-files.ts";
import { evaluationBatches } from "../src/train/batches.ts";
import { goldenOf, misses, withTensors } from "./trajectory-case.ts";

interface Case {
  readonly architecture: string;
  readonly checkpoint: string;
  readonly documents: readonly { row: number; start: number; length: number; loss: number; counted: number }[];
  readonly unpackedLoss: number;
  readonly wrong: Readonly<Record<string, number>>;
}

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
    ).cases.filter(({ kind }) => kind === "packing")
  : [];

const task = fileTask(causalLm);

describe("packed texts, torch", () => {
  it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
    expect(present).toBe(true);
  });

  it.for(cases)("$folder", async ({ folder: name }) => {
    const at = join(folder, name);
    const spec = JSON.parse(readFileSync(join(at, "case.json"), "utf8")) as Case;
    const device = await init({ device: "reference" });
    const { model } = await fromPretrained(join(at, spec.checkpoint), architectures[spec.architecture]!, { device });
    const base = new Base(model, "CAUSAL_LM", device);
    await withTensors(join(at, "data.safetensors"), async (file) => {
      const { data, shape } = await file.read("in.input_ids");
      const ids = Array.from(data as unknown as ArrayLike<bigint>, Number);
      const [rows, length] = shape as [number, number];
      const tokens = new TokenSetBuilder();
      for (const { row, start, length: size } of spec.documents)
        tokens.push(ids.slice(row * length + start, row * length + start + size));
      // every token is learnt: that each text's first one is not is the examples' own rule
      const set = { tokens: tokens.build(), learnt: new Uint8Array(ids.length).fill(1) };
      const weights = base.weights().filter((w) => file.has(`grad.${w.name}`));
      expect(weights.length).toBe(file.names.filter((n) => n.startsWith("grad.")).length);

      for (const packed of [true, false]) {
        const examples = new CausalExamples(set, { padId: 0, maxLength: length, packed });
        const losses = new TextLosses(examples);
        // one batch: its mean is that of all
        const [batch] = [...evaluationBatches(examples, { rows: packed ? rows : spec.documents.length, multiple: 1 })];
        const inputs = Object.fromEntries(
          Object.entries(batch!.inputs).map(([key, value]) => [
            key,
            device.tensor(value.data as Int32Array, value.shape, value.dtype),
          ]),
        );
        const loss = task.loss(base, inputs, "mean");
        const gradients = grad(
          loss,
          weights.map(({ weight }) => weight.parameter),
        );
        const outputs = task.outputs(base, inputs);
        expect(Math.abs((await loss.item()) - spec.unpackedLoss)).toBeLessThanOrEqual(1e-9 * spec.unpackedLoss);
        losses.take(batch!, { tokenLosses: await outputs["tokenLosses"]!.floats() });
        for (const [i, golden] of spec.documents.entries()) {
          expect(examples.targets[i]).toBe(golden.counted);
          expect(Math.abs(losses.sums[i]! / golden.counted - golden.loss)).toBeLessThanOrEqual(1e-9 * golden.loss);
        }
        for (const [i, { name: weight }] of weights.entries())
          expect(
            misses(await gradients[i]!.floats(), await goldenOf(file, `grad.${weight}`), 1e-9, 1e-12),
            weight,
          ).toBe(0);
      }
    });
    // positions of a rotary model are relative: counted through they give the same
    const wrong = Object.values(spec.wrong).filter((loss) => Math.abs(loss - spec.unpackedLoss) > 1e-3);
    expect(wrong.length).toBeGreaterThanOrEqual(2);
    model.dispose();
    device.close();
  });
});
