/** Follows a golden training run of torch and PEFT step by step: losses, gradient norms, budgets and masks, and the weights in the end. */
import { join } from "node:path";
import { architectures, directory, fromPretrained, type PretrainedModel } from "@lowrank/models";
import { AdamW, clipGradNorm, linearSchedule, type Optimizer, type Weight } from "@lowrank/nn";
import { adalora, adaLora, adaLoraOptions, loadAdapter, loraPlusGroups, tripletsOf, type Adapter } from "@lowrank/peft";
import {
  compile,
  floatsOf,
  grad,
  openFile,
  ops,
  SafetensorsFile,
  toMemory,
  type Device,
  type HostTensor,
  type Tensor,
} from "@lowrank/tensor";
import { expect } from "vitest";

export interface TrajectoryCase {
  readonly architecture: string;
  readonly method: string;
  readonly checkpoint: string;
  readonly initialAdapter: string | null;
  readonly optimizer: {
    readonly name: string;
    readonly lr: number;
    readonly weightDecay?: number;
    /** LoRA+: how much faster B learns, and PEFT's groups by their weights' names in memory. */
    readonly loraplusLrRatio?: number;
    readonly groups?: readonly {
      readonly lr: number;
      readonly weightDecay: number;
      readonly params: readonly string[];
    }[];
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

export async function withTensors<T>(path: string, body: (file: SafetensorsFile) => Promise<T>): Promise<T> {
  const source = await openFile(path);
  try {
    return await body(await SafetensorsFile.open(source));
  } finally {
    await source.close?.();
  }
}

export async function goldenOf(file: SafetensorsFile, name: string): Promise<Float64Array> {
  const { data, dtype } = await file.read(name);
  return floatsOf(dtype, data);
}

/** PEFT's names in memory have its wrappers in them, where ours have them in other places or none. */
const plainName = (name: string): string =>
  name.replace(/^base_model\.model\./, "").replace(/\.(base_layer|modules_to_save\.default)(?=\.)/g, "");

/** Each weight learns as fast as the group that PEFT puts it into. */
function expectGroups(optimizer: Optimizer, { lr, groups = [] }: TrajectoryCase["optimizer"]): void {
  const want = groups.flatMap((group) => group.params.map((name): [string, number] => [plainName(name), group.lr]));
  const got = [...optimizer.lrScales()].map(([{ name }, scale]): [string, number] => [plainName(name), lr * scale]);
  expect(new Map(got)).toEqual(new Map(want));
}

/**
 * Bases that a start changed: what we left over is theirs to the precision of a decomposition of f32 matrices; then theirs is written, from
 * which the trajectory is exact.
 */
export async function sameChangedBase(model: PretrainedModel, file: SafetensorsFile): Promise<void> {
  const weights = new Map([...model.namedWeights()].map(([name, weight]) => [plainName(name), weight]));
  for (const key of file.names.filter((n) => n.startsWith("base-initial."))) {
    const weight = weights.get(plainName(key.slice("base-initial.".length)))!;
    const want = await goldenOf(file, key);
    const size = Math.hypot(...want);
    const apart = Math.hypot(...(await weight.value.floats()).map((v, i) => v - want[i]!));
    expect(apart, key).toBeLessThanOrEqual(CHANGED_BASE * size);
    weight.parameter.write(toMemory(weight.parameter.dtype, want, "f64"));
  }
}

/** torch's singular vectors in f32 are off by ε·σ₁/(σᵣ − σᵣ₊₁), which is some tens of ε on these matrices. */
const CHANGED_BASE = 1e-5;

const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Elements where |got − want| > relative·|want| + absolute. */
export function misses(got: Float64Array, want: Float64Array, relative: number, absolute: number): number {
  expect(got.length).toBe(want.length);
  return want.reduce((n, v, i) => n + (Math.abs(got[i]! - v) <= relative * Math.abs(v) + absolute ? 0 : 1), 0);
}

/** What a trajectory is followed on, and what it left. */
export interface Followed {
  readonly model: PretrainedModel;
  readonly adapter: Adapter | undefined;
  /** Kept ranks by module, where they were decided while training. */
  readonly masks: ReadonlyMap<string, readonly boolean[]> | undefined;
}

/**
 * @param folder of the case
 * @param after runs with the trained model, before it is freed
 * @returns why the case cannot be run, or undefined
 */
export async function followTrajectory(
  folder: string,
  spec: TrajectoryCase,
  device: Device,
  after?: (followed: Followed) => Promise<void>,
): Promise<string | undefined> {
  const reference = device.name === "reference";
  const plus = spec.optimizer.loraplusLrRatio;
  const architecture = architectures[spec.architecture];
  if (architecture === undefined) return `${spec.architecture} is not built yet`;
  if ((spec.optimizer.name !== "AdamW" && plus === undefined) || spec.schedule.name !== "linear")
    return `${spec.optimizer.name} with a ${spec.schedule.name} schedule is not built yet`;
  const { model } = await fromPretrained(join(folder, spec.checkpoint), architecture, { device });
  const adapter =
    spec.initialAdapter === null
      ? undefined
      : await loadAdapter(model, directory(join(folder, spec.initialAdapter)), { device });
  const ada = adapter?.configOf(adalora)?.adaLora;
  await withTensors(join(folder, "data.safetensors"), (file) => sameChangedBase(model, file));
  // In a run whose ranknum moved, ranknum was trained like any other weight
  await withTensors(join(folder, "data.safetensors"), async (file) => {
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
  const options = { lr: (step: number) => o.lr * factor(step), betas: o.betas, eps: o.eps };
  const optimizer =
    plus === undefined
      ? new AdamW(model.trainableWeights(), { ...options, weightDecay: o.weightDecay! })
      : new AdamW(loraPlusGroups(adapter!, { lr: o.lr, ratio: plus }), options);
  if (plus !== undefined) expectGroups(optimizer, o);
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
  await withTensors(join(folder, "data.safetensors"), async (file) => {
    const relative = reference ? 1e-9 : 2e-5;
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
      expect(Math.abs((await task.item()) - golden.taskLoss!), `task loss of step ${golden.step}`).toBeLessThanOrEqual(
        relative * golden.taskLoss!,
      );
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
        if (reference) expect(misses(got, want, 1e-9, 1e-12), `${path}.lora_E of step ${golden.step}`).toBe(0);
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
    const weights = new Map(
      [...model.namedWeights()]
        .filter(([n, w]) => w.trainable || n.includes(".ranknum."))
        .map(([n, w]): [string, Weight] => [plainName(n), w]),
    );
    for (const key of finals) {
      const weight = weights.get(plainName(key.slice("final.".length)));
      expect(weight, key).toBeDefined();
      const [got, want] = [
        floatsOf(weight!.parameter.dtype, await weight!.parameter.data()),
        await goldenOf(file, key),
      ];
      // Adam divides by √v: where a gradient is rounding noise its sign is too, and f32 may take a whole step the other way. Losses hold that path.
      if (reference) expect(misses(got, want, 1e-9, 1e-12), key).toBe(0);
    }
  });
  const masks = await allocator?.masks();
  allocator?.dispose();
  optimizer.dispose();
  await after?.({ model, adapter, masks });
  model.dispose();
  return undefined;
}
