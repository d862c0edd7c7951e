/**
 * Memory that a model would take on a device, before any of it is there: plans of steps that are traced on a device which only plans.
 *
 * A step's intermediates grow by the same bytes with every layer from the second of a kind on, however weights are kept. So a deep model is
 * planned with two layers (three, where some have a window), once with one more, and the rest is counted up. Weights are counted one by one.
 */
import type { PretrainedModel, WeightFacts } from "@lowrank/models";
import { attach, type TaskType } from "@lowrank/peft";
import { bytesOf, LowrankError, type Device } from "@lowrank/tensor";
import { planningDevice } from "@lowrank/tensor/backend";
import { kindsOf, shallow } from "../bases/shallow.ts";
import { deviceBytes } from "../study/needs.ts";
import { asStored, heldBytes, inFourBits, place, type Keeping } from "../bases/kept.ts";
import { forwardBytes, trainingBytes, type StepBytes } from "./steps.ts";

/** Peak of one step, weights and optimizer state with it. */
export interface StepMemory {
  readonly rows: number;
  readonly peakBytes: number;
  /** Whether that is within what the device addresses and what is free here; null where nobody knows what is free. */
  readonly fits: boolean | null;
}

/** Weights kept in one way. */
export interface KeptMemory {
  /** "file": as the file has them; "f16"; "nf4": linear layers in NF4, the rest in f16. */
  readonly kept: "file" | "f16" | "nf4";
  readonly weightBytes: number;
  readonly forward: StepMemory;
  /** With LoRA on the modules that are its default; empty for a model without a loss, and where no adapter fits. */
  readonly training: readonly StepMemory[];
}

export interface MemoryFacts {
  readonly device: string;
  /** What the device can address at most. */
  readonly addressable: number;
  /** Free when asked; null where the device's memory is not the machine's. */
  readonly available: number | null;
  /** Tokens of a row. */
  readonly length: number;
  /** Of the LoRA that is planned. */
  readonly rank: number;
  /** Layers that were planned; fewer than the model's where the rest is counted up. */
  readonly plannedLayers: readonly number[];
  readonly ways: readonly KeptMemory[];
}

export const LENGTH = 128;
export const RANK = 8;
const ROWS = [1, 8];
/** Deeper models are counted up from the first layers. */
const WHOLE = 4;

/** What planning one way to keep weights tells, at one number of layers. */
interface Planned {
  /** Values that train. */
  readonly trainable: number;
  readonly forward: StepBytes;
  readonly training: readonly { readonly rows: number; readonly bytes: StepBytes }[];
}

export interface MemoryQuestion {
  readonly device: Device;
  /** PEFT's word for what the model is for. */
  readonly task: string | null;
  /** Bytes that are free; null where nobody knows. */
  readonly available: number | null;
  /** Models of up to so many layers are planned whole. */
  readonly whole?: number;
}

/** @param weights how the file keeps each */
export async function planMemory(
  model: PretrainedModel,
  weights: readonly WeightFacts[],
  { device, task, available, whole = WHOLE }: MemoryQuestion,
): Promise<MemoryFacts> {
  const { numHiddenLayers: layers, maxPositionEmbeddings } = model.config;
  const length = Math.min(LENGTH, maxPositionEmbeddings);
  const enough = 1 + Math.max(1, kindsOf(model).length);
  const few = layers <= whole ? [layers] : [enough, enough + 1];
  const addressable = deviceBytes(device.name);
  const fits = (bytes: number): boolean | null =>
    bytes > addressable ? false : available === null ? null : bytes <= available;
  const plan = (n: number, keeping: Keeping): Promise<Planned> =>
    planWith(shallow(model, n), keeping, task, device, length);
  const ways: KeptMemory[] = [];
  let more: { readonly one: Planned; readonly two: Planned } | undefined;
  for (const [kept, keeping] of keepings(model, weights)) {
    const here = await plan(few[0]!, keeping);
    // what a layer adds is the same, however weights are kept
    more ??= { one: here, two: few[1] === undefined ? here : await plan(few[1], keeping) };
    const { one, two } = more;
    const at = (bytes: (plan: Planned) => number): number =>
      bytes(here) + (bytes(two) - bytes(one)) * (layers - few[0]!);
    const step = (rows: number, held: number, of: (plan: Planned) => StepBytes): StepMemory => {
      const peakBytes = held + at((p) => of(p).arena) + at((p) => of(p).constants + of(p).scratch);
      return { rows, peakBytes, fits: fits(peakBytes) };
    };
    const weightBytes = heldBytes(model, keeping, planningDevice(device));
    // values of an adapter, and two moments of each
    const state = 3 * bytesOf(device.defaultFloat) * at((p) => p.trainable);
    ways.push({
      kept,
      weightBytes,
      forward: step(1, weightBytes, (p) => p.forward),
      training: here.training.map(({ rows }, i) => step(rows, weightBytes + state, (p) => p.training[i]!.bytes)),
    });
  }
  return { device: device.name, addressable, available, length, rank: RANK, plannedLayers: few, ways };
}

function keepings(model: PretrainedModel, weights: readonly WeightFacts[]): [KeptMemory["kept"], Keeping][] {
  const [stored, fourBits] = [weights.length === 0 ? undefined : asStored(weights), inFourBits(model)];
  return [
    ...(stored === undefined ? [] : [["file", stored] as ["file", Keeping]]),
    ["f16", () => "f16"],
    ...(fourBits === undefined ? [] : [["nf4", fourBits] as ["nf4", Keeping]]),
  ];
}

async function planWith(
  model: PretrainedModel,
  keeping: Keeping,
  task: string | null,
  device: Device,
  length: number,
): Promise<Planned> {
  const planner = planningDevice(device);
  place(model, keeping, planner);
  const forward = forwardBytes(model, planner, length);
  const adapter = unlessRefused(() =>
    attach(model, { r: RANK, ...(task === null ? {} : { taskType: task as TaskType }) }),
  );
  await adapter?.materialize({ device: planner });
  const training = ROWS.flatMap((rows) => {
    const bytes = adapter && unlessRefused(() => trainingBytes(model, planner, { rows, length }));
    return bytes === undefined ? [] : [{ rows, bytes }];
  });
  planner.close();
  return { trainable: adapter === undefined ? 0 : adapter.report().trainable, forward, training };
}

/** Undefined where the model has no such thing: no modules by default, no padding for several rows. */
function unlessRefused<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (error instanceof LowrankError && error.kind === "input") return undefined;
    throw error;
  }
}
