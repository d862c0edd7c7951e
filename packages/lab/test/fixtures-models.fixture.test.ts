/**
 * Golden numbers of torch, transformers and PEFT: models and training trajectories. Everything is read from the folder's manifest,
 * so another folder with other sizes must pass as well. What is not built is a named skip.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { architectures, fromPretrained, tokenLosses, type PretrainedModel } from "@lowrank/models";
import { grad, init, type SafetensorsFile, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { followTrajectory, goldenOf, misses, withTensors, type TrajectoryCase } from "./trajectory-case.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "models",
);
const present = existsSync(join(folder, "manifest.json"));

interface Case {
  readonly folder: string;
  readonly kind: string;
}
interface ModelCase {
  readonly generate?: string;
  readonly architecture: string;
  readonly checkpoint: string;
  readonly inputs: readonly string[];
  readonly f32Error: Readonly<Record<string, { readonly maxAbs: number }>>;
}
const cases: readonly Case[] = present
  ? (JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { cases: Case[] }).cases
  : [];
const casesOf = (kind: string): Case[] => cases.filter((c) => c.kind === kind);
const readCase = <T>(c: Case): T => JSON.parse(readFileSync(join(folder, c.folder, "case.json"), "utf8")) as T;
const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

const withData = <T>(c: Case, body: (file: SafetensorsFile) => Promise<T>): Promise<T> =>
  withTensors(join(folder, c.folder, "data.safetensors"), body);

/** The largest difference, and 4 units in the last place of the largest value in f32. */
function difference(got: Float64Array, want: Float64Array): { worst: number; fourUlp: number } {
  let [worst, scale] = [0, 0];
  want.forEach((v, i) => {
    worst = Math.max(worst, Math.abs(v - got[i]!));
    scale = Math.max(scale, Math.abs(v));
  });
  return { worst, fourUlp: 4 * scale * 2 ** -23 };
}

function outputsOf(out: ReturnType<PretrainedModel["forward"]>): Record<string, Tensor | undefined> {
  const named: Record<string, Tensor | undefined> = { loss: out.loss };
  if ("logits" in out) named["logits"] = out.logits;
  if ("startLogits" in out) Object.assign(named, { start_logits: out.startLogits, end_logits: out.endLogits });
  out.hiddenStates.forEach((h, i) => {
    named[`hidden_states.${i}`] = h;
  });
  out.attentions.forEach((a, i) => {
    named[`attentions.${i}`] = a;
  });
  return named;
}

describe.each([["reference"], ["wasm"]] as const)("golden models on %s", (name) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
    expect(present).toBe(true);
  });

  it.for(casesOf("model"))("$folder: outputs and gradients", async (c, { skip }) => {
    const spec = readCase<ModelCase>(c);
    const architecture = architectures[spec.architecture];
    if (architecture === undefined) return skip(`${spec.architecture} is not built yet`);
    const { model } = await fromPretrained(join(folder, c.folder, spec.checkpoint), architecture, { device });
    await withData(c, async (file) => {
      const inputs: Record<string, Tensor> = {};
      for (const input of spec.inputs) {
        const { data, shape } = await file.read(`in.${input}`);
        inputs[camel(input)] = device.tensor(data, shape, "i32");
      }
      const out = model.forward(inputs as unknown as Parameters<typeof model.forward>[0]);
      const named = outputsOf(out);
      if (file.has("out.token_nll") && "logits" in out)
        named["token_nll"] = tokenLosses(out.logits, inputs["inputIds"]!);
      for (const key of file.names.filter((n) => n.startsWith("out."))) {
        const short = key.slice("out.".length);
        const mine = named[short];
        expect(mine, `output ${short}`).toBeDefined();
        const [got, want] = [await mine!.floats(), await goldenOf(file, key)];
        if (name === "reference") {
          expect(misses(got, want, 1e-9, 1e-12), short).toBe(0);
        } else {
          const { worst, fourUlp } = difference(got, want);
          expect(worst, short).toBeLessThanOrEqual(Math.max(fourUlp, 4 * (spec.f32Error[short]?.maxAbs ?? 0)));
        }
      }
      const weights = [...model.namedWeights()].filter(([n]) => file.has(`grad.${n}`));
      expect(weights.length).toBe(file.names.filter((n) => n.startsWith("grad.")).length);
      const grads = grad(
        out.loss!,
        weights.map(([, w]) => w.parameter),
      );
      for (const [i, [weight]] of weights.entries()) {
        const [got, want] = [await grads[i]!.floats(), await goldenOf(file, `grad.${weight}`)];
        // torch recorded no f32 error of gradients: 1e-5 of the largest entry is some hundred roundings of a chain this deep
        if (name === "reference") expect(misses(got, want, 1e-9, 1e-12), weight).toBe(0);
        else
          expect(misses(got, want, 0, 1e-6 + 1e-5 * want.reduce((m, v) => Math.max(m, Math.abs(v)), 0)), weight).toBe(
            0,
          );
      }
    });
    model.dispose();
  });

  it.for(casesOf("model").filter((c) => readCase<ModelCase>(c).generate !== undefined))(
    "$folder: greedy continuation",
    async (c, { skip }) => {
      const spec = readCase<ModelCase>(c);
      const architecture = architectures[spec.architecture];
      if (architecture === undefined) return skip(`${spec.architecture} is not built yet`);
      const { model } = await fromPretrained(join(folder, c.folder, spec.checkpoint), architecture, { device });
      await withData(c, async (file) => {
        const { data, shape } = await file.read("generate.tokens");
        const [tokens, given] = [
          await goldenOf(file, "generate.tokens"),
          (await goldenOf(file, "generate.prompt")).length,
        ];
        const inputs = { inputIds: device.tensor(data, shape, "i32") };
        const out = model.forward(inputs as unknown as Parameters<typeof model.forward>[0]);
        const logits = await outputsOf(out)["logits"]!.floats();
        const vocab = logits.length / tokens.length;
        // Later tokens do not reach earlier logits, so one pass over the finished text shows every choice that led to it.
        const choices = Array.from({ length: tokens.length - given }, (_, i) =>
          logits.subarray((given - 1 + i) * vocab, (given + i) * vocab),
        );
        // in f32 two logits may change places where they are closer than the errors of both
        const slack = name === "reference" ? 0 : 8 * (spec.f32Error["logits"]?.maxAbs ?? 0);
        for (const [i, row] of choices.entries())
          expect(row[tokens[given + i]!]!, `token ${i + 1}`).toBeGreaterThanOrEqual(
            row.reduce((a, b) => Math.max(a, b)) - slack,
          );
      });
      model.dispose();
    },
  );

  it.for(casesOf("trajectory"))("$folder: every step and the final weights", async (c, { skip }) => {
    const why = await followTrajectory(join(folder, c.folder), readCase<TrajectoryCase>(c), device);
    if (why !== undefined) skip(why);
  });
});
