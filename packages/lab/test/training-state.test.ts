/** The state of a training is all of it: saved at any step, through JSON and a file of tensors, a fresh trainer goes on to the same bits. */
import { fc, test } from "@fast-check/vitest";
import { init, type Device, type StoredTensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { acrossLengths } from "../src/data/orders.ts";
import { RunError } from "../src/errors.ts";
import type { AdaptedBase } from "../src/train/adapt.ts";
import { paceBySteps } from "../src/train/pace.ts";
import { TrainingState, type Json, type State } from "../src/train/state.ts";
import { Trainer } from "../src/train/trainer.ts";
import { throughFiles } from "./through-files.ts";
import { adaptedToy, STEP, tokenTask, TokenToy } from "./token-toy.ts";

const STEPS = 9;
const TARGET = { target: ["query", "dense"] };
const SHORT = { tinit: 1, tfinal: 2, deltaT: 2, initR: 3, targetR: 1 };
const METHODS: Readonly<Record<string, Readonly<Record<string, unknown>> & { readonly method: string }>> = {
  lora: { method: "lora", r: 2, dropout: 0.2, ...TARGET },
  adalora: { method: "adalora", dropout: 0.2, ...TARGET, ...SHORT },
  // the first scale is so large that steps are skipped, before the cut and after it
  half: { method: "lora", r: 2, ...TARGET, precision: "mixed-f16", alpha: 300 },
};
const LENGTHS = [3, 9, 1, 4, 7, 2, 8, 5, 6, 3, 2];

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

interface Run {
  readonly trainer: Trainer;
  readonly adapted: AdaptedBase;
  /** Loss and norm of each step that counts. */
  readonly curve: [number, number][];
}

async function fresh(name: string, parts: number, optimizer: "adamw" | "sgd" = "adamw"): Promise<Run> {
  const adapted = await adaptedToy(METHODS[name]!, device, STEPS);
  const examples = new TokenToy(LENGTHS);
  const trainer = new Trainer(
    {
      task: tokenTask,
      trainable: adapted,
      examples,
      cursor: {
        order: acrossLengths(examples.lengths, 4, 2),
        multiple: 4,
        seed: 2,
        cut: parts === 1 ? {} : { rows: Math.ceil(4 / parts) },
      },
      step: { ...STEP, optimizer, ...(optimizer === "sgd" ? { momentum: 0.9 } : {}) },
      pace: (record) => paceBySteps({ lr: 0.01, schedule: "cosine", warmup: 0.3 }, STEPS, record),
    },
    device,
  );
  return { trainer, adapted, curve: [] };
}

class Stopped extends Error {}

/** Trains to the end, or to a step. */
async function train({ trainer, curve }: Run, until = Infinity): Promise<void> {
  try {
    await trainer.run({
      diverged: ({ what }) => new RunError(what),
      stepped({ loss, norm }) {
        curve.push([loss, norm]);
        if (trainer.record.step === until) throw new Stopped();
      },
    });
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
  }
}

const bitsOf = async (run: Run): Promise<Uint8Array> => run.adapted.trainableBytes();

async function close(...runs: readonly Run[]): Promise<void> {
  for (const { trainer, adapted } of runs) {
    trainer.dispose();
    adapted.base.dispose();
  }
}

describe("a training's state", () => {
  test.prop(
    [
      fc.constantFrom(...Object.keys(METHODS)),
      fc.integer({ min: 1, max: STEPS - 1 }),
      fc.constantFrom(1, 2),
      fc.boolean(),
    ],
    { numRuns: 6 },
  )(
    "saved at any step goes on to the same bits in a fresh trainer",
    async (name, cut, parts, sgd) => {
      const optimizer = sgd ? "sgd" : "adamw";
      const [straight, before, after] = [
        await fresh(name, parts, optimizer),
        await fresh(name, parts, optimizer),
        await fresh(name, parts, optimizer),
      ];
      await train(straight);
      await train(before, cut);
      await after.trainer.state.restore(await throughFiles(before.trainer.state.state()));
      expect(after.trainer.record.step).toBe(cut);
      await train(after);
      expect([...before.curve, ...after.curve]).toEqual(straight.curve);
      expect(await bitsOf(after)).toEqual(await bitsOf(straight));
      expect(await throughFiles(withoutTimes(after.trainer.state.state()))).toEqual(
        await throughFiles(withoutTimes(straight.trainer.state.state())),
      );
      if (name === "adalora")
        expect(await after.adapted.allocator!.finish()).toEqual(await straight.adapted.allocator!.finish());
      if (name === "half") expect(straight.trainer.cursor.taken).toBeGreaterThan(STEPS);
      await close(straight, before, after);
    },
    240_000,
  );

  it("needs each of its parts", async () => {
    const cut = 5;
    for (const name of ["adalora", "half"]) {
      const [straight, before] = [await fresh(name, 1), await fresh(name, 1)];
      await train(straight);
      await train(before, cut);
      const saved = await throughFiles(before.trainer.state.state());
      const want = await throughFiles(withoutTimes(straight.trainer.state.state()));
      // what the first step was is the same in any process that begins with the same batch
      for (const part of Object.keys(before.trainer.state.parts).filter((one) => one !== "dtypes")) {
        const after = await fresh(name, 1);
        const { [part]: _, ...rest } = after.trainer.state.parts;
        const values = Object.fromEntries(Object.entries(saved.values as object).filter(([key]) => key !== part));
        await new TrainingState(rest).restore({ values: values as Json, tensors: saved.tensors });
        // without the record a training is longer
        const outcome = await train(after).then(
          async () => throughFiles(withoutTimes(after.trainer.state.state())),
          (error: unknown) => error,
        );
        expect(outcome, `${name} without ${part}`).not.toEqual(want);
        await close(after);
      }
      await close(straight, before);
    }
  }, 240_000);

  it("of another configuration is refused by name", async () => {
    const [lora, ada] = [await fresh("lora", 1), await fresh("adalora", 1)];
    const saved = await throughFiles(lora.trainer.state.state());
    await expect(ada.trainer.state.restore(saved)).rejects.toThrow(
      /the state has the parts weights, optimizer, dtypes, random, cursor, record, and this training weights, .*allocator/,
    );
    const [[name]] = [...saved.tensors] as [[string, StoredTensor]];
    const tensors = new Map(saved.tensors);
    tensors.delete(name);
    await expect(lora.trainer.state.restore({ ...saved, tensors })).rejects.toThrow(/the state has no tensor "/);
    await close(lora, ada);
  });
});

/** Seconds are measured and differ. */
function withoutTimes({ values, tensors }: State): State {
  const { record, ...rest } = values as { record: Readonly<Record<string, Json>> };
  return { values: { ...rest, record: { ...record, seconds: 0 } }, tensors };
}
