/** Studies that are made to fit: which way is chosen, from plans that are those of the runs, and that whoever goes on keeps to it. */
import { fc, test } from "@fast-check/vitest";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { resolvedConfigs } from "../src/config/cells.ts";
import { loadStudy } from "../src/config/load.ts";
import type { Study } from "../src/config/study.ts";
import { parseBytes } from "../src/memory/budget.ts";
import { fitStudy, studyInWay } from "../src/memory/fit-study.ts";
import { fittedRuns, type FittedOptions } from "../src/memory/fitted-runs.ts";
import { StudyPeaks } from "../src/memory/peak.ts";
import { planConfig } from "../src/memory/plan-config.ts";
import { fastest, rowsToTry, timeOf, type Way } from "../src/memory/ways.ts";
import type { TaskData } from "../src/records/task.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy } from "../src/study/plan-study.ts";
import { prepareTask } from "../src/tasks/prepare.ts";
import { PreparedTasks } from "../src/tasks/prepared.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-memory-"));
const environment = { dataFolder: "none", cacheFolder: join(folder, ".cache") };
/** A process that takes nothing else. */
const START = { processBytes: 0, deviceBytes: 0 };
let device: Device;
/** Of one layer, planned whole, and of many, counted up. */
let study: Study;
let deep: Study;
let data: TaskData;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  const load = (layers: number, configs: string): Promise<Study> =>
    loadStudy("planted", {
      seeds: [1],
      set: [
        "task={name: planted-rank, train: 32, dev: 8, length: 64, ranks: {query: 1}}",
        `model={hidden: 32, layers: ${layers}, heads: 2, intermediate: 128, dropout: 0.1}`,
        "train={epochs: 1, batchSize: 32, lr: 1e-3}",
        `configs={${configs}}`,
      ],
    });
  const lora = "lora: {method: lora, r: 2, target: [query], dropout: 0.1}";
  study = await load(1, `${lora}, head: {method: head}`);
  deep = await load(6, lora);
  data = await prepareTask(resolvedConfigs(study)[0]!, environment, device);
}, 120_000);
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("a size", () => {
  it("is a number with a unit", () => {
    expect(["700MB", "2GB", "1.5GiB", "64 MiB"].map(parseBytes("--memory"))).toEqual([
      700e6,
      2e9,
      1.5 * 2 ** 30,
      64 * 2 ** 20,
    ]);
    for (const bad of ["700", "MB", "-1GB", "0MB", "2TB"])
      expect(() => parseBytes("--memory")(bad)).toThrow(/^--memory .*: expected a size such as 700MB/);
  });
});

test.prop([
  fc.integer({ min: 1, max: 70 }),
  fc.integer({ min: 1, max: 512 }),
  fc.integer({ min: 0, max: 80 }),
  fc.integer({ min: 0, max: 80 }),
])("the fastest way that fits is found as by trying all of them", async (batch, length, keeping, again) => {
  const rows = rowsToTry([{ train: { batchSize: batch } as never }]);
  expect([rows[0], rows.at(-1)]).toEqual([batch, 1]);
  // recomputation never takes more
  const most = (recompute: boolean): number => (recompute ? Math.max(keeping, again) : keeping);
  const time = (way: Way): number => timeOf(way, length, "wasm");
  const all = [false, true].flatMap((recompute) =>
    rows.filter((n) => n <= most(recompute)).map((n): Way => ({ rows: n, recompute })),
  );
  const best = all.reduce((least, way) => Math.min(least, time(way)), Infinity);
  let asked = 0;
  const found = await fastest(rows, time, async (way) => {
    asked++;
    return way.rows <= most(way.recompute);
  });
  expect(found === undefined ? Infinity : time(found)).toBe(best);
  expect(asked).toBeLessThanOrEqual(2 * (1 + Math.ceil(Math.log2(rows.length + 1))));
});

describe("a plan", () => {
  const lora = (way: Way): ReturnType<typeof resolvedConfigs>[number] => resolvedConfigs(studyInWay(deep, way))[0]!;

  it("of a deep model is counted up from few layers", async () => {
    for (const way of [
      { rows: 32, recompute: false },
      { rows: 4, recompute: true },
    ]) {
      const [few, whole] = [
        await planConfig(lora(way), { data, device }),
        await planConfig(lora(way), { data, device, whole: 6 }),
      ];
      expect(few.persistentBytes).toBe(whole.persistentBytes);
      expect(few.plans).toHaveLength(whole.plans.length);
      few.plans.forEach((plan, i) => {
        const ratio = (plan.arenaBytes + 1) / (whole.plans[i]!.arenaBytes + 1);
        expect(ratio).toBeGreaterThan(0.9);
        expect(ratio).toBeLessThan(1.1);
      });
    }
  });

  it("takes as much less with layers computed again where gradients are added up", async () => {
    const arena = async (way: Way): Promise<number> =>
      (await planConfig(lora(way), { data, device, whole: 6 })).plans[0]!.arenaBytes;
    const [parts, again] = [await arena({ rows: 16, recompute: false }), await arena({ rows: 16, recompute: true })];
    // six layers, of which one at a time is there whole, and a hidden state of each
    expect(again).toBeLessThan(parts / 2);
  });
});

describe("a study", () => {
  const peak = async (way: Way): Promise<number> =>
    (await new StudyPeaks(resolvedConfigs(study), { data, device }, START).of(way)).bytes;
  const fit = (bytes: number): ReturnType<typeof fitStudy> =>
    fitStudy(study, { device, data, start: START, budget: { bytes, said: true } });

  it("stays as it is where it fits, and else is computed in the fewest parts that do", async () => {
    const [all, some] = [await peak({ rows: 32, recompute: false }), await peak({ rows: 8, recompute: false })];
    const roomy = await fit(1.2 * all);
    expect(roomy.way).toBeNull();
    expect(roomy.text).toMatch(
      /^memory: \d.* \(--memory\): batches of 32 rows are computed at once, a planned peak of /,
    );
    const tight = await fit(1.11 * some);
    expect(tight.way).toEqual({ rows: 8, recompute: false });
    expect(tight.text).toMatch(/computed 8 at a time, their gradients added up, .*; as the study says it would be /);
    const configs = resolvedConfigs(studyInWay(study, tight.way));
    expect(
      configs.map(({ train, method }) => [train.batchSize, train.microBatch, method.gradientCheckpointing]),
    ).toEqual([
      [32, 8, false],
      [32, 8, false],
    ]);
  });

  it("that fits in no way is refused with what would fit", async () => {
    await expect(fit(20e6)).rejects.toThrow(
      /^memory: 20 MB \(--memory\): nothing fits; a row at a time with layers computed again takes \d+ MB; it needs --memory \d+MB/,
    );
  });

  it("keeps to the way it was begun in, which is part of its runs' identity", async () => {
    const out = join(folder, "out");
    const said: string[] = [];
    const options = (memory?: number): FittedOptions => ({
      out,
      device,
      data: new PreparedTasks(environment, device),
      memory,
      start: START,
      plan: (one) => planStudy(one, new RunStore(out), { environment, code: "test", device: "wasm", reuse: false }),
      say: (line) => void said.push(line),
      keep: true,
    });
    const bytes = Math.round(1.11 * (await peak({ rows: 8, recompute: false })));
    const free = await fittedRuns(study, { ...options(), out: join(folder, "free") });
    expect(existsSync(join(folder, "free", "memory.json"))).toBe(true);
    expect(said).toEqual([]);
    const first = await fittedRuns(study, options(bytes));
    expect(first.map(({ config }) => config.train.microBatch)).toEqual([8, 8]);
    expect(first.map(({ id }) => id)).not.toEqual(free.map(({ id }) => id));
    const kept = JSON.parse(readFileSync(join(out, "memory.json"), "utf8"));
    expect(kept).toMatchObject({ memoryBytes: bytes, said: true, way: { rows: 8, recompute: false } });
    // another worker, or a resume: whatever is free then
    const again = await fittedRuns(study, options());
    expect(again.map(({ id }) => id)).toEqual(first.map(({ id }) => id));
    expect(said.at(-1)).toBe(`${kept.text} (memory.json)`);
    // and beside lines of finished runs, for machines that have nothing else of the study
    const results = join(folder, "results");
    await fittedRuns(study, { ...options(), results });
    const elsewhere = await fittedRuns(study, { ...options(), out: join(folder, "elsewhere"), results });
    expect(elsewhere.map(({ id }) => id)).toEqual(first.map(({ id }) => id));
    expect(existsSync(join(results, `${study.name}.memory.json`))).toBe(true);
    await expect(fittedRuns(study, options(2 * bytes))).rejects.toThrow(/^--memory: the study in .* was begun for /);
    writeFileSync(join(out, "memory.json"), JSON.stringify({ ...kept, way: { rows: 0, recompute: false } }));
    await expect(fittedRuns(study, options())).rejects.toThrow(/memory\.json: "way\.rows" is 0/);
  });
});
