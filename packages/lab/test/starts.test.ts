/** Starts and rates that a config of LoRA may ask for: a study with them, and what is refused. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { shareOut } from "@lowrank/peft";
import { init } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { loadStudy } from "../src/config/load.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy } from "../src/study/plan-study.ts";
import { runStudy } from "../src/study/run-study.ts";

const SMALL = [
  "task={name: planted-rank, train: 64, dev: 16, length: 6, ranks: {query: 1}}",
  "train={epochs: 1, batchSize: 16}",
  "model={hidden: 16, layers: 2, heads: 2, intermediate: 32, dropout: 0.1, initializerRange: 0.3, seed: 1}",
];
const LORA = "method: lora, r: 3, alpha: 6, target: [query, value, intermediate.dense]";

describe("starts and rates of LoRA", () => {
  it("are on where a config asks for them: EVA's ranks and directions, LoRA+'s rates, a base without dropout", async () => {
    const device = await init({ device: "wasm", threads: 1 });
    const out = mkdtempSync(join(tmpdir(), "lowrank-starts-"));
    const environment = { dataFolder: "none", cacheFolder: join(out, ".cache") };
    const configs = `{eva: {${LORA}, init: eva}, plus: {${LORA}, loraPlus: 16, baseDropout: 0}, olora: {${LORA}, init: olora}, loftq: {method: lora, r: 3, alpha: 3, target: [query, value, intermediate.dense], init: loftq, loftqIterations: 2, storage: nf4}, rows: {${LORA}, trainableTokenIndices: [1, 3]}}`;
    const study = await loadStudy("planted", { set: [...SMALL, `configs=${configs}`], seeds: [1] });
    const store = new RunStore(out);
    const runs = await planStudy(study, store, { environment, code: "test", device: device.name, reuse: false });
    const { results, failures } = await runStudy(runs, {
      out,
      device,
      store,
      environment,
      machine: {} as never,
      progress: "quiet",
      say: () => {},
    });
    device.close();
    expect(failures).toEqual([]);
    const proof = (config: string, name: string): Record<string, unknown> | undefined =>
      results.find((r) => r.config === config)!.proofs.find((p) => p.name === name)?.detail;
    expect(proof("eva", "starts-with-directions")).toMatchObject({ budget: 18, given: 18 });
    const { modules, name } = results.find((r) => r.config === "eva")!;
    expect(modules.reduce((sum, { rank }) => sum + rank!, 0)).toBe(18);
    expect(new Set(modules.map(({ scale }) => scale))).toEqual(new Set([2]));
    // as PEFT reads it: ranks and alphas by path
    const file = JSON.parse(readFileSync(join(store.path(name), "adapter/adapter_config.json"), "utf8")) as {
      rank_pattern: Record<string, number>;
    };
    expect(Object.values(file.rank_pattern)).toEqual(modules.map(({ rank }) => rank));
    expect(proof("plus", "learning-rates")).toMatchObject({ ratio: 16, ofB: 6, scaled: 7 });
    expect(proof("plus", "base-dropout")).toMatchObject({ wanted: 0, rates: [0] });
    expect(proof("olora", "learning-rates")).toMatchObject({ ratio: 1, scaled: 0 });
    expect(proof("olora", "starts-with-directions")).toBeUndefined();
    const start = proof("loftq", "starts-with-what-quantization-lost") as Record<string, number>;
    expect(start["modules"]).toBe(6);
    expect(start["after"]).toBeLessThanOrEqual(1.000001 * start["before"]! * start["worst"]!);
    expect(start["worst"]).toBeLessThan(1);
    expect(proof("rows", "trains-rows-of-tables")).toEqual({ "bert.embeddings.word_embeddings": 2 });
    expect(proof("eva", "trains-rows-of-tables")).toBeUndefined();
    expect(proof("eva", "starts-with-what-quantization-lost")).toBeUndefined();
  }, 120_000);

  it.each([
    ["rho: 2", `"configs.x.rho" is for init: eva, which shares ranks out; leave it out`],
    [
      "init: pissa, storage: nf4",
      `"configs.x.init" is pissa, which writes what is left over into the base, and "storage" is nf4; it needs f32`,
    ],
    [
      "init: eva, dora: true",
      `"configs.x.init" is eva, and "dora" is on: magnitudes belong to ranks that are not known yet; leave one of them out`,
    ],
    ["loraPlus: 0.5", `"configs.x.loraPlus" is 0.5; expected at least 1: B learns faster than A`],
    [
      "init: loftq",
      `"configs.x.init" is loftq, which makes up for what four bits lose, and "storage" is f32; it needs nf4`,
    ],
    ["trainableTokenIndices: []", `"configs.x.trainableTokenIndices"`],
    [
      "init: loftq, storage: nf4",
      `"configs.x.init" is loftq, whose product allows for no scale (PEFT's neither), and that of alpha 6 and r 3 is 2; set alpha to r`,
    ],
    [
      "loftqIterations: 2",
      `"configs.x.loftqIterations" is for init: loftq, which takes turns with quantization; leave it out`,
    ],
  ])("refuse what means nothing: %s", async (words, message) => {
    await expect(loadStudy("planted", { set: [...SMALL, `configs={x: {${LORA}, ${words}}}`] })).rejects.toThrow(
      message,
    );
  });

  const list = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 6 });
  test.prop([fc.array(list, { minLength: 1, maxLength: 5 }), fc.nat(8), fc.boolean()])(
    "EVA gives as many ranks as there were, to the largest shares, and of equal inputs most to the first",
    (lists, wanted, twice) => {
      const sorted = lists.map((values) => Float64Array.from(values).sort().reverse());
      const all = twice ? [...sorted, sorted[0]!] : sorted;
      const ratios = new Map(all.map((values, i): [string, Float64Array] => [`m${i}`, values]));
      const budget = Math.min(
        wanted,
        all.reduce((sum, { length }) => sum + length, 0),
      );
      const ranks = shareOut(ratios, budget);
      expect([...ranks.values()].reduce((a, b) => a + b, 0)).toBe(budget);
      const kept = [...ranks].flatMap(([name, rank]) => Array.from(ratios.get(name)!.slice(0, rank)));
      const left = [...ranks].flatMap(([name, rank]) => Array.from(ratios.get(name)!.slice(rank)));
      // every one that is kept is at least as large as every one that is not
      if (kept.length > 0 && left.length > 0) expect(Math.min(...kept)).toBeGreaterThanOrEqual(Math.max(...left));
      if (twice) expect(ranks.get("m0")).toBeGreaterThanOrEqual(ranks.get(`m${all.length - 1}`)!);
    },
  );
});
