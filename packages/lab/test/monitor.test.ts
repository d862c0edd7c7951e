/** What is told of each step: the numbers themselves, and that telling them changes nothing. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { acrossLengths } from "../src/data/orders.ts";
import { RunError } from "../src/errors.ts";
import type { StepScalars } from "../src/records/sink.ts";
import { steps } from "../src/sinks/steps.ts";
import { gradientGroup } from "../src/bases/gradient-groups.ts";
import { Monitor } from "../src/train/monitor.ts";
import { paceBySteps } from "../src/train/pace.ts";
import { Trainer } from "../src/train/trainer.ts";
import { adaptedToy, STEP, tokenTask, TokenToy } from "./token-toy.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

const STEPS = 6;
const ADALORA = { method: "adalora", initR: 2, targetR: 1, target: ["query", "dense"], tinit: 1, tfinal: 1, deltaT: 1 };

async function follow(words: Parameters<typeof adaptedToy>[0], microBatch?: number) {
  const adapted = await adaptedToy(words, device, STEPS);
  const examples = new TokenToy([3, 9, 1, 4, 7, 2, 8, 5, 6, 3, 2]);
  const trainer: Trainer = new Trainer(
    {
      task: tokenTask,
      trainable: adapted,
      examples,
      cursor: {
        order: acrossLengths(examples.lengths, 4, 2),
        multiple: 4,
        seed: 2,
        ...(microBatch === undefined ? {} : { microBatch }),
      },
      step: STEP,
      pace: (record) => paceBySteps({ lr: 0.01, schedule: "linear", warmup: 0 }, STEPS, record),
    },
    device,
  );
  const monitor = new Monitor(trainer.record, trainer.step, device);
  const told: StepScalars[] = [];
  await trainer.run({
    diverged: ({ what }) => new RunError(what),
    stepped: (result, lr) => void told.push(monitor.step(result, lr)),
  });
  const plans = trainer.step.plans();
  trainer.dispose();
  adapted.base.dispose();
  return { told, monitor, trainer, plans };
}

describe("what is told of a step", () => {
  it("holds time, rates and memory, and the norms of groups make the norm of all", async () => {
    const { told, monitor, trainer, plans } = await follow(ADALORA);
    expect(told).toHaveLength(STEPS);
    for (const [i, values] of told.entries()) {
      expect(values.tokens).toBeGreaterThan(0);
      expect(values.step_seconds).toBe(trainer.record.durations[i]);
      expect(values.tokens_per_second).toBe(values.tokens / values.step_seconds);
      expect(plans.map(({ flops }) => flops)).toContain(Math.round(values.gflops! * values.step_seconds * 1e9));
      expect(plans.map(({ arenaBytes }) => arenaBytes)).toContain(values.arena_bytes);
      expect(values.rss_bytes).toBeGreaterThan(1e7);
      expect(values.device_bytes).toBeGreaterThan(0);
      expect(values.budget).toBeGreaterThanOrEqual(values.ranks_kept! - 1);
      const groups = ["A", "B", "E", "head"] as const;
      const squares = groups.reduce((sum, group) => sum + values[`grad_norm/${group}`]! ** 2, 0);
      // sums of a few hundred f32 squares, in two orders
      expect(Math.abs(Math.sqrt(squares) / values.grad_norm - 1)).toBeLessThan(1e-5);
      expect(Object.keys(values).filter((name) => name.startsWith("grad_norm/"))).toHaveLength(groups.length);
    }
    expect(told.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(trainer.record.tokens);
    const { tokensPerSecond, gflops } = monitor.speed();
    const rates = told.map((values) => values.tokens_per_second);
    expect(tokensPerSecond!).toBeGreaterThanOrEqual(Math.min(...rates));
    expect(tokensPerSecond!).toBeLessThanOrEqual(Math.max(...rates));
    expect(gflops!).toBeGreaterThan(0);
  });

  it("counts all parts of a batch", async () => {
    const [whole, parts] = [await follow({ method: "full" }), await follow({ method: "full" }, 1)];
    for (const [i, values] of parts.told.entries()) {
      const { tokens, gflops, step_seconds: seconds } = whole.told[i]!;
      expect(values.tokens).toBe(tokens);
      // products by rows come to the same, whatever is computed at a time
      expect(Math.round(values.gflops! * values.step_seconds * 1e9)).toBe(Math.round(gflops! * seconds * 1e9));
    }
  });

  it("has one norm where everything is of one group", async () => {
    const { told } = await follow({ method: "head" });
    expect(Object.keys(told[0]!)).not.toContain("grad_norm/head");
  });

  it("counts steps that had to plan first only where there are no others", () => {
    const record = { tokens: 100, durations: [] as number[] };
    const monitor = new Monitor(
      record,
      { scaler: undefined },
      { name: "none", memory: () => ({ reserved: 1 }) as never },
    );
    const step = (seconds: number, fresh: boolean): StepScalars => {
      record.tokens += 10;
      record.durations.push(seconds);
      const plan = { flops: 4e9, arenaBytes: 7, fresh };
      return monitor.step(
        { loss: 1, norm: 2, norms: {}, regularizer: 0, skipped: false, allocation: undefined, plan },
        0.1,
      );
    };
    expect(monitor.speed()).toEqual({ tokensPerSecond: null, gflops: null });
    // tokens from before count for nobody
    expect(step(4, true)).toMatchObject({ tokens: 10, tokens_per_second: 2.5, gflops: 1, arena_bytes: 7 });
    expect(monitor.speed()).toEqual({ tokensPerSecond: 2.5, gflops: 1 });
    step(1, false);
    step(3, false);
    expect(monitor.speed()).toEqual({ tokensPerSecond: 5, gflops: 2 });
  });
});

describe("the group of a gradient", () => {
  it.each([
    ["bert.encoder.layer.0.attention.self.query.lora_A.default.weight", "A"],
    ["bert.encoder.layer.0.attention.self.query.lora_E.default", "E"],
    ["bert.embeddings.word_embeddings.lora_embedding_B.default", "B"],
    ["x.lora_magnitude_vector.default.weight", "magnitude"],
    ["x.vera_lambda_b.default", "vera_lambda_b"],
    ["x.ia3_l.default", "ia3_l"],
    ["classifier.modules_to_save.default.weight", "head"],
    ["classifier.weight", "head"],
    ["x.modules_to_save.default.weight", "base"],
    ["bert.embeddings.LayerNorm.weight", "base"],
    ["classifiers.weight", "base"],
  ])("of %s is %s", (name, group) => expect(gradientGroup(name, ["classifier"])).toBe(group));
});

describe("steps.csv", () => {
  const read = (folder: string): string[][] =>
    readFileSync(join(folder, "steps.csv"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => line.split(","));
  const HEADER = "step,loss,grad_norm,lr,loss_scale,budget,tokens,seconds,tokens_per_second,gflops,rss_bytes".split(
    ",",
  );

  test.prop([fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 9 }), fc.nat(9)])(
    "has a line for each step, read back exactly, also of a run that goes on",
    (losses, cut) => {
      const folder = mkdtempSync(join(tmpdir(), "lowrank-steps-"));
      let sink = steps.open({ folder, out: folder, say: () => {} });
      sink.start({} as never);
      for (const [i, loss] of losses.entries()) {
        if (i === cut) {
          void sink.finish("interrupted");
          sink = steps.open({ folder, out: folder, say: () => {} });
          sink.start({} as never);
        }
        sink.scalar(i + 1, { loss, grad_norm: 2 * i, lr: 0.5, tokens: 7, step_seconds: 0.25, tokens_per_second: 28 });
        sink.scalar(i + 1, { eval_loss: 1, seconds: 9 });
      }
      void sink.finish("finished");
      const [header, ...lines] = read(folder);
      expect(header).toEqual(HEADER);
      expect(lines.map((line) => line.slice(2))).toEqual(
        losses.map((_, i) => [String(2 * i), "0.5", "", "", "7", "0.25", "28", "", ""]),
      );
      expect(lines.map(([step, loss]) => [Number(step), Number(loss)])).toEqual(
        losses.map((loss, i) => [i + 1, loss === 0 ? 0 : loss]),
      );
    },
  );
});
