/**
 * Golden numbers of torch, transformers and PEFT: models and training trajectories. Everything is read from the folder's manifest,
 * so another folder with other sizes must pass as well. What is not built is a named skip.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { architectures, directory, fromPretrained, tokenLosses, type PretrainedModel } from "@lowrank/models";
import { AdamW, clipGradNorm, linearSchedule, type Weight } from "@lowrank/nn";
import {
  compile,
  floatsOf,
  grad,
  init,
  openFile,
  ops,
  SafetensorsFile,
  type Device,
  type HostTensor,
  type Tensor,
} from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adalora, adaLora, adaLoraOptions, loadAdapter, tripletsOf } from "@lowrank/peft";

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
interface TrajectoryCase {
  readonly architecture: string;
  readonly method: string;
  readonly checkpoint: string;
  readonly initialAdapter: string | null;
  readonly optimizer: {
    readonly name: string;
    readonly lr: number;
    readonly weightDecay: number;
    readonly betas: [number, number];
    readonly eps: number;
  };
  readonly schedule: { readonly name: string; readonly warmupSteps: number; readonly totalSteps: number };
  readonly clip: number;
  readonly batches: number;
  readonly steps: readonly {
    readonly step: number;
    readonly lr: number;
    readonly loss: number;
    readonly gradNorm: number;
    /** AdaLoRA only; the regularizer without its weight. */
    readonly taskLoss?: number;
    readonly budget?: number;
    readonly mask?: boolean;
    readonly rankPattern?: Readonly<Record<string, boolean[]>> | null;
  }[];
}

const cases: readonly Case[] = present
  ? (JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { cases: Case[] }).cases
  : [];
const casesOf = (kind: string): Case[] => cases.filter((c) => c.kind === kind);
const readCase = <T>(c: Case): T => JSON.parse(readFileSync(join(folder, c.folder, "case.json"), "utf8")) as T;
const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

async function withData<T>(c: Case, body: (file: SafetensorsFile) => Promise<T>): Promise<T> {
  const source = await openFile(join(folder, c.folder, "data.safetensors"));
  try {
    return await body(await SafetensorsFile.open(source));
  } finally {
    await source.close?.();
  }
}

async function goldenOf(file: SafetensorsFile, name: string): Promise<Float64Array> {
  const { data, dtype } = await file.read(name);
  return floatsOf(dtype, data);
}

/** Elements where |got − want| > relative·|want| + absolute. */
function misses(got: Float64Array, want: Float64Array, relative: number, absolute: number): number {
  expect(got.length).toBe(want.length);
  return want.reduce((n, v, i) => n + (Math.abs(got[i]! - v) <= relative * Math.abs(v) + absolute ? 0 : 1), 0);
}

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
    const spec = readCase<TrajectoryCase>(c);
    const architecture = architectures[spec.architecture];
    if (architecture === undefined) return skip(`${spec.architecture} is not built yet`);
    if (!["full", "lora", "dora", "adalora"].includes(spec.method))
      return skip(`method ${spec.method} is not built yet`);
    if (spec.optimizer.name !== "AdamW" || spec.schedule.name !== "linear")
      return skip(`${spec.optimizer.name} with a ${spec.schedule.name} schedule is not built yet`);
    const { model } = await fromPretrained(join(folder, c.folder, spec.checkpoint), architecture, { device });
    const adapter =
      spec.initialAdapter === null
        ? undefined
        : await loadAdapter(model, directory(join(folder, c.folder, spec.initialAdapter)), { device });
    const ada = adapter?.configOf(adalora)?.adaLora;
    // In a run whose ranknum moved, ranknum was trained like any other weight
    await withData(c, async (file) => {
      for (const [n, w] of model.namedWeights()) {
        const [before, after] = ["initial", "final"].map((when) => `${when}.base_model.model.${n}`) as [string, string];
        if (n.includes(".ranknum.") && file.has(after))
          w.trainable = (await goldenOf(file, before))[0] !== (await goldenOf(file, after))[0];
      }
    });
    const allocator =
      ada === undefined ? undefined : adaLora(tripletsOf(adapter!), { ...adaLoraOptions(ada), compat: "peft" });
    const { optimizer: o } = spec;
    const factor = linearSchedule({ ...spec.schedule, name: "linear" });
    const optimizer = new AdamW(model.trainableWeights(), {
      lr: (step) => o.lr * factor(step),
      betas: o.betas,
      eps: o.eps,
      weightDecay: o.weightDecay,
    });
    const step = compile(device, (x) => {
      const inputs = Object.fromEntries(Object.entries(x).map(([key, value]) => [camel(key), value]));
      const out = model.forward(inputs as unknown as Parameters<typeof model.forward>[0]);
      const regularizer = allocator?.regularizer();
      const loss = regularizer === undefined ? out.loss! : ops.add(out.loss!, regularizer);
      const { grads, norm } = clipGradNorm(grad(loss, optimizer.parameters), spec.clip);
      optimizer.step(grads);
      const clipped = new Map(optimizer.weights.map((w, i) => [w, grads[i]!]));
      const report: Tensor | undefined = allocator?.afterStep({ raw: clipped, clipped });
      return { loss, norm, task: out.loss!, ...(report === undefined ? {} : { report }) };
    });
    await withData(c, async (file) => {
      const relative = name === "reference" ? 1e-9 : 2e-5;
      for (const golden of spec.steps) {
        expect(o.lr * factor(golden.step - 1), `lr of step ${golden.step}`).toBeCloseTo(golden.lr, 15);
        const prefix = `batch.${(golden.step - 1) % spec.batches}.`;
        const batch: Record<string, HostTensor> = {};
        for (const key of file.names.filter((n) => n.startsWith(prefix))) {
          const { data, shape } = await file.read(key);
          batch[key.slice(prefix.length)] = { data, shape, dtype: "i32" };
        }
        const { loss, norm, task, report } = await step(batch);
        expect(Math.abs((await loss.item()) - golden.loss), `loss of step ${golden.step}`).toBeLessThanOrEqual(
          relative * golden.loss,
        );
        expect(
          Math.abs((await norm.item()) - golden.gradNorm),
          `gradient norm of step ${golden.step}`,
        ).toBeLessThanOrEqual(relative * golden.gradNorm);
        if (allocator === undefined || report === undefined) continue;
        expect(
          Math.abs((await task.item()) - golden.taskLoss!),
          `task loss of step ${golden.step}`,
        ).toBeLessThanOrEqual(relative * golden.taskLoss!);
        const { step: finished, budget, kept } = allocator.check(await report.floats());
        expect([finished, budget]).toEqual([golden.step, golden.budget]);
        const masks = await allocator.masks();
        if (golden.rankPattern != null)
          expect(
            Object.fromEntries([...masks].map(([path, mask]) => [`${path}.lora_E`, mask])),
            `masks of step ${golden.step}`,
          ).toEqual(golden.rankPattern);
        expect(kept).toBe([...masks.values()].flat().filter(Boolean).length);
        for (const { name: path, e } of tripletsOf(adapter!)) {
          const [got, want] = [
            await e.value.floats(),
            await goldenOf(file, `step${golden.step}.base_model.model.${path}.lora_E.default`),
          ];
          if (name === "reference")
            expect(misses(got, want, 1e-9, 1e-12), `${path}.lora_E of step ${golden.step}`).toBe(0);
          want.forEach((v, k) => {
            if (v === 0) expect(got[k], `rank ${k} of ${path} in step ${golden.step}`).toBe(0);
          });
        }
      }
      if (allocator !== undefined)
        expect(await allocator.finish()).toMatchObject({
          calls: spec.steps.length,
          finalizedAt: allocator.schedule.finalStep,
        });
      const finals = file.names.filter((n) => n.startsWith("final."));
      const weights = new Map<string, Weight>(
        [...model.namedWeights()]
          .filter(([n, w]) => w.trainable || n.includes(".ranknum."))
          .flatMap(([n, w]): [string, Weight][] => [
            [`final.${n}`, w],
            [`final.base_model.model.${n}`, w],
          ]),
      );
      for (const key of finals) {
        const weight = weights.get(key);
        expect(weight, key).toBeDefined();
        const [got, want] = [
          floatsOf(weight!.parameter.dtype, await weight!.parameter.data()),
          await goldenOf(file, key),
        ];
        // Adam divides by √v: where a gradient is rounding noise its sign is too, and f32 may take a whole step the other way. Losses hold that path.
        if (name === "reference") expect(misses(got, want, 1e-9, 1e-12), key).toBe(0);
      }
    });
    allocator?.dispose();
    optimizer.dispose();
    model.dispose();
  });
});
