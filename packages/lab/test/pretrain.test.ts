import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BertForMaskedLM, fromPretrained } from "@lowrank/models";
import { compile, init, type CompileInputs, type Tensor } from "@lowrank/tensor";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { drawBase } from "../src/bases/make.ts";
import { drawnPlan } from "../src/bases/plan.ts";
import { loadPretrainConfig } from "../src/pretrain/config.ts";
import { pretrain, type PretrainOutcome } from "../src/pretrain/pretrain.ts";
import type { Disk } from "../src/store/checkpoints.ts";
import { maskedCorpora } from "../src/tasks/masked-corpora.ts";
import { Killed, mortalDisk } from "./mortal-disk.ts";
import { writeToyData } from "./toy-data.ts";

const TINY = [
  "model={hidden: 8, layers: 1, heads: 2, intermediate: 16, positions: 16}",
  "corpus={sources: [books, sst2-text], length: 16}",
  "train={steps: 4, tokensPerBatch: 64, checkpointMinutes: 0.0000001}",
];
const temporary = (name: string): string => mkdtempSync(join(tmpdir(), `lowrank-${name}-`));

/** Trains in `out`; `onCheckpoint` may throw, as a killed process would. */
async function train(
  out: string,
  data: string,
  onCheckpoint: (step: number) => void = () => {},
  set: readonly string[] = [],
  disk?: Disk,
): Promise<PretrainOutcome> {
  const device = await init({ device: "reference" });
  try {
    return await pretrain(loadPretrainConfig("small", [...TINY, ...set]), {
      device,
      out,
      dataFolder: data,
      cacheFolder: join(out, ".cache"),
      minutes: undefined,
      machine: {} as never,
      progress: "quiet",
      say: () => {},
      onCheckpoint,
      ...(disk && { disk }),
    });
  } finally {
    device.close();
  }
}

async function weights(out: string): Promise<Map<string, number[]>> {
  const device = await init({ device: "reference" });
  const { model, report } = await fromPretrained(out, BertForMaskedLM, { device });
  expect(report).toEqual({ fresh: [], unused: [], forms: new Map() });
  const values = new Map([...(await model.stateDict())].map(([name, { data }]) => [name, Array.from(data)]));
  device.close();
  return values;
}

describe("masked pre-training", () => {
  const data = writeToyData(temporary("data"));

  it("scores positions, not batches: the sum over a long and a short batch is that over both", async () => {
    const device = await init({ device: "reference" });
    const sizes = { hidden: 8, layers: 1, heads: 2, intermediate: 16, dropout: 0.1, initializerRange: 0.02, seed: 1 };
    const plan = drawnPlan(sizes, "MASKED_LM", { vocab: 20, positions: 16, labels: 2 });
    const base = await drawBase(plan, "MASKED_LM", 1, device);
    const score = compile(device, (inputs: Record<string, Tensor>) => {
      base.model.eval();
      return maskedCorpora.outputs(base, inputs);
    });
    const batch = (rows: number, labels: number[]): CompileInputs => ({
      inputIds: { data: Int32Array.from({ length: rows * 4 }, (_, i) => (3 * i) % 20), shape: [rows, 4] },
      attentionMask: { data: new Uint8Array(rows * 4).fill(1), shape: [rows, 4], dtype: "bool" },
      positions: { data: Int32Array.from(labels.keys()), shape: [labels.length] },
      labels: { data: Int32Array.from(labels), shape: [labels.length] },
    });
    const sum = async (inputs: CompileInputs): Promise<number> => (await score(inputs))["loss"]!.item();
    // the second row alone, and the first alone: rows do not see each other, an ignored position counts for nothing
    const both = await sum(batch(2, [5, 6, 7, -100, 8, 9, 10, 11]));
    const first = await sum(batch(1, [5, 6, 7, -100]));
    const second = await sum({
      ...batch(2, [8, 9, 10, 11]),
      positions: { data: Int32Array.of(4, 5, 6, 7), shape: [4] },
    });
    expect(both).toBeCloseTo(first + second, 10);
    base.dispose();
    device.close();
  });

  it("writes a Hugging Face folder with its tokenizer, and continues bit-identically after a kill", async () => {
    const [straight, killed] = [temporary("straight"), temporary("killed")];
    const whole = await train(straight, data);
    for (const file of ["config.json", "model.safetensors", "tokenizer.json", "pretraining.json", "pretraining.csv"])
      expect(existsSync(join(straight, file)), file).toBe(true);

    const kill = (step: number): void => {
      if (step === 2) throw new Error("killed");
    };
    await expect(train(killed, data, kill)).rejects.toThrow("killed");
    expect(readdirSync(join(killed, "checkpoints"))).toEqual(["step-000001", "step-000002"]);
    expect(readdirSync(killed)).not.toContain("model.safetensors");
    const resumed = await train(killed, data);
    expect(resumed).toMatchObject({ steps: 4, heldOutLoss: whole.heldOutLoss });
    expect(await weights(killed)).toEqual(await weights(straight));
  });

  const kill = fc.oneof(
    fc.record({ step: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ call: fc.integer({ min: 1, max: 110 }) }),
  );
  let straight: { readonly files: Buffer[]; readonly loss: number } | undefined;
  test.prop([fc.array(kill, { minLength: 1, maxLength: 4 })], { numRuns: 8 })(
    "has the bytes of an uninterrupted one, after whichever steps and in whichever calls of the file system it is killed",
    async (kills) => {
      const set = ["train.steps=6"];
      const left = (out: string): Buffer[] =>
        ["model.safetensors", "config.json", "tokenizer.json"].map((file) => readFileSync(join(out, file)));
      if (straight === undefined) {
        const whole = temporary("whole");
        const { heldOutLoss } = await train(whole, data, undefined, set);
        straight = { files: left(whole), loss: heldOutLoss };
      }
      const out = temporary("killed");
      for (const { step, call } of kills as { step?: number; call?: number }[]) {
        const die = (at: number): void => {
          if (at === step) throw new Killed();
        };
        const disk = call === undefined ? undefined : mortalDisk(call);
        await train(out, data, die, set, disk).catch((error: unknown) => expect(error).toBeInstanceOf(Killed));
      }
      const { heldOutLoss, steps } = await train(out, data, undefined, set);
      expect([heldOutLoss, steps]).toEqual([straight.loss, 6]);
      expect(left(out)).toEqual(straight.files);
      const curve = readFileSync(join(out, "pretraining.csv"), "utf8").trim().split("\n");
      expect(curve.map((line) => line.split(",")[0])).toEqual(["step", "1", "2", "3", "4", "5", "6"]);
    },
  );

  it("passes over a damaged state with a line", async () => {
    const out = temporary("damaged");
    const whole = await train(out, data);
    writeFileSync(join(out, "checkpoints", "step-000004", "state.json"), "{}");
    expect(await train(out, data)).toMatchObject({ steps: 4, heldOutLoss: whole.heldOutLoss });
  });

  it("refuses the state of an older version, which it would ignore", async () => {
    const out = temporary("old");
    mkdirSync(join(out, "state"));
    await expect(train(out, data)).rejects.toThrow(
      /state is the state of an older version, which this one cannot go on from/,
    );
  });

  it("is refused where another one is under way", async () => {
    const out = temporary("locked");
    let second: unknown;
    const during = async (): Promise<void> => {
      second = await train(out, data).catch((error: unknown) => error);
    };
    let waiting: Promise<void> | undefined;
    await train(
      out,
      data,
      () => {
        waiting ??= during();
      },
      ["train.steps=2"],
    );
    await waiting;
    expect(String(second)).toMatch(/^InputError: .*: is in use by process \d+; wait for it or choose another folder$/);
    expect(existsSync(join(out, ".lock"))).toBe(false);
  });

  it("refuses to continue with another configuration", async () => {
    const out = temporary("other");
    await train(out, data, undefined, ["train.steps=1"]);
    await expect(train(out, data)).rejects.toThrow(
      /checkpoints.step-000001: is the state of another configuration, other data or another version; move it away or delete it to begin anew/,
    );
  });
});

describe("a pre-training configuration", () => {
  it.each([
    [["model.hiden=8"], `preset small: unknown key "model.hiden"; did you mean "hidden"?`],
    [["model.heads=3"], `preset small: "model.hidden" 128 is not a multiple of "model.heads" 3`],
    [["corpus.length=512"], `preset small: "corpus.length" 512 is more than "model.positions" 128`],
    [["corpus.sources=[book]"], `preset small: "corpus.sources.0" is "book"; did you mean "books"?`],
  ])("with %j is refused", (set, message) => {
    expect(() => loadPretrainConfig("small", set)).toThrow(message);
  });
});
