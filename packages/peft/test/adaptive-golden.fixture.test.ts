/** PEFT's own AdaLoRA run and budgets, reproduced: losses, gradients, masks, E, averages, final parameters. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adaLora, BudgetSchedule } from "../src/index.ts";
import { Pair, trainer, write } from "./adaptive.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "peft",
);
const present = existsSync(join(folder, "adalora_trace.json"));
const read = <T>(name: string): T => JSON.parse(readFileSync(join(folder, name), "utf8")) as T;
const sha = (text: string): string => createHash("sha256").update(text).digest("hex");

type Nested = number | Nested[];
const flat = (values: Nested): number[] => [values].flat(Infinity as 1) as unknown as number[];

interface Trace {
  readonly config: {
    readonly lora_alpha: number;
    readonly target_r: number;
    readonly init_r: number;
    readonly tinit: number;
    readonly tfinal: number;
    readonly deltaT: number;
    readonly beta1: number;
    readonly beta2: number;
    readonly orth_reg_weight: number;
    readonly total_step: number;
  };
  readonly base: Readonly<Record<string, Nested>>;
  readonly init: Readonly<Record<string, Nested>>;
  readonly final: Readonly<Record<string, Nested>>;
  readonly lr: number;
  readonly x: number[][];
  readonly y: number[][];
  readonly steps: readonly {
    readonly step: number;
    readonly loss_total: number;
    readonly loss_task: number;
    readonly budget: number;
    readonly mask_ind: boolean;
    readonly rank_pattern: Readonly<Record<string, boolean[]>> | null;
    readonly E: Readonly<Record<string, number[]>>;
    readonly exp_avg_ipt_E: Readonly<Record<string, number[]>>;
    readonly exp_avg_unc_E: Readonly<Record<string, number[]>>;
  }[];
}

interface Schedule {
  readonly init_bgt: number;
  readonly target_bgt: number;
  readonly tinit: number;
  readonly tfinal: number;
  readonly total_step: number;
  readonly deltaT: number;
  readonly budgets_sha256_csv: string;
  readonly mask_sha256: string;
  readonly at: Readonly<Record<string, number>>;
}

describe.skipIf(!present)("golden AdaLoRA", () => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: "reference" });
  });
  afterAll(() => device.close());

  it("follows PEFT's budgets and mask flags, by checksum", () => {
    for (const s of read<readonly Schedule[]>("budget_schedule.json")) {
      const schedule = new BudgetSchedule({
        totalSteps: s.total_step,
        tinit: s.tinit,
        tfinal: s.tfinal,
        deltaT: s.deltaT,
      });
      const steps = Array.from({ length: s.total_step }, (_, i) => schedule.at(i + 1, s.init_bgt, s.target_bgt));
      expect(sha(steps.map((x) => x.budget).join(","))).toBe(s.budgets_sha256_csv);
      expect(sha(steps.map((x) => Number(x.mask)).join(""))).toBe(s.mask_sha256);
      for (const [t, budget] of Object.entries(s.at)) expect(steps[Number(t) - 1]!.budget).toBe(budget);
    }
  });

  it.each(["peft", "strict"] as const)("reproduces every step of the trace, compat %s", async (compat) => {
    const trace = read<Trace>("adalora_trace.json");
    const { config: c } = trace;
    const size = (name: string): [number, number] => [
      (trace.base[name] as number[][]).length,
      (trace.base[name] as number[][])[0]!.length,
    ];
    const [[hidden, inputs], [outputs]] = [size("a.base_layer.weight"), size("b.base_layer.weight")];
    const model = new Pair([inputs, hidden, outputs], [c.init_r, c.init_r], c.lora_alpha);
    await model.materialize({ device });
    const peftName = (module: string, part: string): string => `base_model.model.${module}.lora_${part}.default`;
    for (const { name, a, b, e } of model.layers) {
      const layer = model[name as "a" | "b"];
      write(layer.weight, flat(trace.base[`${name}.base_layer.weight`]!));
      write(layer.bias!, flat(trace.base[`${name}.base_layer.bias`]!));
      for (const [part, w] of [
        ["A", a],
        ["B", b],
        ["E", e],
      ] as const)
        write(w, flat(trace.init[peftName(name, part)]!));
    }
    const method = adaLora(model.layers, {
      totalSteps: c.total_step,
      tinit: c.tinit,
      tfinal: c.tfinal,
      deltaT: c.deltaT,
      targetRank: c.target_r,
      beta1: c.beta1,
      beta2: c.beta2,
      orthRegWeight: c.orth_reg_weight,
      compat,
    });
    const { run } = trainer(model, method, device, trace.lr);
    const host = (rows: number[][]): { data: Float64Array; shape: number[] } => ({
      data: Float64Array.from(rows.flat()),
      shape: [rows.length, rows[0]!.length],
    });
    const near = (got: ArrayLike<number>, want: readonly number[], what: string): void => {
      expect(got.length, what).toBe(want.length);
      want.forEach((v, i) => {
        expect(Math.abs(got[i]! - v), `${what}[${i}]`).toBeLessThanOrEqual(1e-10 * Math.abs(v));
      });
    };
    for (const golden of trace.steps) {
      const at = `step ${golden.step}`;
      const { total, task, report } = await run(host(trace.x), host(trace.y));
      near([total, task], [golden.loss_total, golden.loss_task], `${at} loss`);
      expect(method.schedule.at(golden.step, method.initialBudget, method.targetBudget).budget, at).toBe(golden.budget);
      const masks = await method.masks();
      for (const { name, e } of model.layers) {
        if (golden.rank_pattern !== null)
          expect(masks.get(name), at).toEqual(golden.rank_pattern[`${name}.lora_E.default`]);
        const got = await e.parameter.data();
        near(got as Float64Array, golden.E[peftName(name, "E")]!, `${at} ${name}.E`);
        // what is masked is zero, not small
        golden.E[peftName(name, "E")]!.forEach((v, i) => {
          if (v === 0) expect(got[i]).toBe(0);
        });
      }
      if (golden.rank_pattern !== null && golden.mask_ind) expect(report[0]).toBe(golden.budget);
      const state = method.state();
      for (const [kind, want] of [
        ["sensitivity", golden.exp_avg_ipt_E],
        ["uncertainty", golden.exp_avg_unc_E],
      ] as const) {
        if (Object.keys(want).length > 0)
          near(
            (await state.get(`${kind}.lora_E`)!.data()) as Float64Array,
            model.layers.flatMap(({ name }) => want[`${name}.lora_E.default`]!),
            `${at} ${kind}`,
          );
      }
    }
    for (const { name, a, b, e } of model.layers)
      for (const [part, w] of [
        ["A", a],
        ["B", b],
        ["E", e],
      ] as const) {
        near(
          (await w.parameter.data()) as Float64Array,
          flat(trace.final[peftName(name, part)]!),
          `final ${name}.${part}`,
        );
      }
    expect(await method.finish()).toMatchObject({
      calls: trace.steps.length,
      kept: method.targetBudget,
      finalizedAt: c.total_step - c.tfinal,
    });
    method.dispose();
    model.dispose();
  });
});
