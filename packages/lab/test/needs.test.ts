/** Runs that need other runs: frozen ranks and rates that are swept, whose results are which, and what is refused. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it, vi } from "vitest";
import { main } from "../src/cli/main.ts";
import { loadStudy } from "../src/config/load.ts";
import { methods } from "../src/methods/registry.ts";
import type { RunResult } from "../src/store/result.ts";
import { leastLoss } from "../src/study/settle.ts";

const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-needs-"));

const STUDY = `
name: needs
task: { name: planted-rank, train: 48, dev: 16, length: 6, ranks: { 0.attention.self.query: 4 } }
model: { hidden: 8, layers: 2, heads: 2, intermediate: 8, initializerRange: 0.3 }
seeds: [1, 2]
train: { epochs: 1, batchSize: 6, evalStart: true }
configs:
  b-ada: { method: adalora, initR: 4, targetR: 1, target: [query, value], tinit: 1, tfinal: 1, deltaT: 1, train: { lr: 1e-1 } }
  b-fp: { method: lora, r: 1, target: [query, value], rate: { sweep: { rates: [1e-3, 1e-2], seed: 7, task: { seed: 9 } } } }
  b-frozen: { method: lora, target: [query, value], from: { config: b-ada }, rate: { from: b-fp } }
`;

function studyFile(text = STUDY): string {
  const path = join(temporary(), "study.yaml");
  writeFileSync(path, text);
  return path;
}

async function run(...args: string[]): Promise<{ code: number; stderr: string; stdout: string }> {
  const said = { stderr: "", stdout: "" };
  const spies = (["stderr", "stdout"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      said[name] += String(text);
      return true;
    }),
  );
  try {
    return { code: await main(["run", ...args, "--device", "reference"]), ...said };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

const json = (...path: string[]): Record<string, any> => JSON.parse(readFileSync(join(...path), "utf8"));
const stem = (name: string): string => name.replace(/-[0-9a-f]{8}$/, "");
const runsIn = (out: string): string[] => readdirSync(join(out, "runs")).sort();

describe("a study whose runs need others", () => {
  const out = temporary();
  const file = studyFile();

  it("pulls in what a part needs, says so, and gives it ranks and rate", async () => {
    const { code, stderr, stdout } = await run(file, "--out", out, "--configs", "b-frozen", "--seeds", "1");
    expect(code, stderr).toBe(0);
    const names = runsIn(out);
    expect(names.map(stem)).toEqual(["b-ada-s1", "b-fp@0.001-s7", "b-fp@0.01-s7", "b-frozen-s1"]);
    const [ada, slow, fast, frozen] = names as [string, string, string, string];
    expect(stderr).toContain(`[1/4] b-ada · seed 1: made for ${frozen}\n`);
    const result = (name: string): RunResult => json(out, "runs", name, "result.json") as RunResult;
    // what AdaLoRA kept is what plain LoRA has, and a module that kept nothing is left out
    const kept = result(ada).allocation!.modules.map(({ module, kept: rank }) => [module, rank] as const);
    expect(kept.some(([, rank]) => rank === 0)).toBe(true);
    expect(result(frozen).modules.map(({ module, rank }) => [module, rank])).toEqual(
      kept.filter(([, rank]) => rank > 0),
    );
    expect(json(out, "runs", frozen, "adapter", "adapter_config.json")["rank_pattern"]).toBeDefined();
    // the rate of the least loss
    const best = result(slow).final.loss < result(fast).final.loss ? 0.001 : 0.01;
    const config = json(out, "runs", frozen, "config.json");
    expect(config["train"].lr).toBe(best);
    expect(config["sources"]).toEqual([ada, slow, fast].map((name) => ({ name, id: result(name).id })));
    expect(json(out, "runs", slow, "config.json")).toMatchObject({ seed: 7, task: { seed: 9 }, train: { lr: 0.001 } });
    // what is evaluated before the first step is what the study tells of
    expect([ada, slow, fast, frozen].map((name) => result(name).start?.step)).toEqual([0, undefined, undefined, 0]);
    // runs that tried rates are no results of the study
    const { results, sweeps } = json(out, "results.json");
    expect(results.map(({ name }: RunResult) => name)).toEqual([ada, frozen]);
    expect(sweeps).toEqual([
      {
        config: "b-fp",
        seed: 7,
        rates: [slow, fast].map((name, i) => ({ lr: [0.001, 0.01][i], run: name, loss: result(name).final.loss })),
        lr: best,
      },
    ]);
    expect(stdout).toContain(`b-fp: rate ${best}, by loss: 0.001 `);
  });

  it("is continued by the whole study, which makes only what is missing", async () => {
    const before = runsIn(out);
    expect((await run(file, "--out", out, "--quiet")).code).toBe(0);
    expect(runsIn(out)).toEqual(expect.arrayContaining(before));
    expect(runsIn(out).map(stem)).toEqual([
      "b-ada-s1",
      "b-ada-s2",
      "b-fp-s1",
      "b-fp-s2",
      "b-fp@0.001-s7",
      "b-fp@0.01-s7",
      "b-frozen-s1",
      "b-frozen-s2",
    ]);
    // of what is done the sources need not be there any more
    rmSync(join(out, "runs", before[0]!), { recursive: true });
    const again = await run(file, "--out", out, "--configs", "b-frozen");
    expect(again.stderr).not.toContain("b-ada · seed 1");
    expect(existsSync(join(out, "runs", before[0]!))).toBe(false);
  });

  it("is another run where its source is another one", async () => {
    const other = temporary();
    await run(
      file,
      "--out",
      other,
      "--configs",
      "b-frozen",
      "--seeds",
      "1",
      "--quiet",
      "--set",
      "configs.b-ada.deltaT=2",
    );
    const frozen = (folder: string): string => runsIn(folder).find((name) => name.startsWith("b-frozen-s1"))!;
    expect(frozen(other)).not.toBe(frozen(out));
    expect(json(other, "runs", frozen(other), "result.json")["cell"]).not.toBe(
      json(out, "runs", frozen(out), "result.json")["cell"],
    );
  });

  it("fails by name where a source failed, and the others are made", async () => {
    const folder = temporary();
    const { code, stderr } = await run(
      file,
      "--out",
      folder,
      "--seeds",
      "1",
      "--set",
      "configs.b-ada.train.lr=1e30",
      "--set",
      "configs.b-ada.train.clip=null",
    );
    expect(code).toBe(1);
    const { failures, results } = json(folder, "results.json");
    const [ada, frozen] = failures as { name: string; message: string }[];
    expect(frozen!.message).toBe(`not made: it needs ${ada!.name}, which failed`);
    expect(stderr).toContain(`b-frozen · seed 1: not made: it needs ${ada!.name}, which failed\n`);
    expect(results.map(({ config }: RunResult) => config)).toEqual(["b-fp"]);
  });

  it("fails by name where a source is damaged, and the others are made", async () => {
    const folder = temporary();
    expect((await run(file, "--out", folder, "--seeds", "1", "--configs", "b-ada", "--quiet")).code).toBe(0);
    const [ada] = runsIn(folder) as [string];
    writeFileSync(join(folder, "runs", ada, "more.txt"), "x");
    const { code, stderr } = await run(file, "--out", folder, "--seeds", "1");
    expect(code).toBe(1);
    expect(stderr).toContain(`b-ada · seed 1: DAMAGED: ${join(folder, "runs", ada)}: more.txt is not listed`);
    expect(stderr).toContain(`b-frozen · seed 1: not made: it needs ${ada}, which failed\n`);
    const { failures, results } = json(folder, "results.json");
    expect(failures.map(({ config }: RunResult) => config)).toEqual(["b-ada", "b-frozen"]);
    expect(results.map(({ config }: RunResult) => config)).toEqual(["b-fp"]);
    expect(runsIn(folder).map(stem)).toEqual(["b-ada-s1", "b-fp-s1", "b-fp@0.001-s7", "b-fp@0.01-s7"]);
  });

  it("takes a rate that diverged for an answer, unless all did", async () => {
    const folder = temporary();
    const set = (rates: string): string[] => [
      "--set",
      `configs={b-fp: {method: lora, r: 1, target: [query], train: {clip: null}, rate: {sweep: {rates: ${rates}, seed: 7, task: {seed: 9}}}}}`,
    ];
    const one = await run(file, "--out", folder, "--seeds", "1", ...set("[1e-3, 1e200]"));
    expect(one.code, one.stderr).toBe(0);
    expect(one.stdout).toMatch(/b-fp: rate 0\.001, by loss: 0\.001 [\d.]+, 1e\+200 diverged/);
    const none = await run(file, "--out", folder, "--seeds", "1", ...set("[1e200, 1e201]"));
    expect(none.code).toBe(1);
    expect(none.stderr).toContain("not made: it needs a rate, and every one that was tried diverged (1e+200, 1e+201)");
  });
});

describe("refused when the study is read", () => {
  const FROZEN = "configs.b-frozen";
  it.each([
    [
      `${FROZEN}.from.config=b-adda`,
      `"configs.b-frozen.from.config": there is no config "b-adda"; did you mean "b-ada"?`,
    ],
    [`${FROZEN}.rate.from=b-pf`, `"configs.b-frozen.rate.from": there is no config "b-pf"; did you mean "b-fp"?`],
    [`${FROZEN}.from.config=b-frozen`, "configs need each other in a circle: b-frozen → b-frozen"],
    ["configs.b-fp.rate={from: b-frozen}", "configs need each other in a circle: b-fp → b-frozen → b-fp"],
    [`${FROZEN}.rate.from=b-ada`, `"configs.b-frozen.rate.from": the rate of "b-ada" is not chosen by a sweep`],
    [`${FROZEN}.r=4`, `"configs.b-frozen.from" brings the rank of every module; leave "r" out`],
    [`${FROZEN}.rankPattern={query: 2}`, `"configs.b-frozen.from" brings the ranks that`],
    [`${FROZEN}.train.lr=1`, `"configs.b-frozen.rate" decides the rate that "train.lr" says`],
    ["configs.b-fp.rate.sweep.seed=2", "is 2, one of the study's seeds"],
    ["configs.b-fp.rate.sweep.rates=[1, 1]", `"configs.b-fp.rate.sweep.rates" has duplicates`],
    ["configs.b-fp.rate.sweep.task={sede: 3}", `unknown key "sede"; did you mean "seed"?`],
    ["configs.b-ada.from={config: b-fp}", `unknown key "configs.b-ada.from"`],
    ["configs.b-fp.rate=3", `"configs.b-fp.rate" is 3`],
  ])("%s", async (set, message) => {
    const said = loadStudy(studyFile(), { set: [set] });
    await expect(said).rejects.toThrow(message);
    await expect(said).rejects.toThrow(/^[^\n]+$/);
  });

  it("a source without ranks, or with other modules, before anything is written", async () => {
    const out = temporary();
    const head = await run(studyFile(), "--out", out, "--set", "configs.b-ada={method: head}");
    expect(head).toMatchObject({ code: 2, stderr: expect.stringContaining(`"from" "b-ada": a head run has no ranks`) });
    const other = await run(studyFile(), "--out", out, "--set", "configs.b-ada.target=[query]");
    expect(other.stderr).toMatch(/"from" "b-ada": only one of the two adapts "[\w.]+value"/);
    expect(existsSync(join(out, "runs"))).toBe(false);
  });
});

describe("ranks of another run", () => {
  const { withRanks, schema } = methods.get("lora");
  const module = fc.tuple(fc.constantFrom("query", "value"), fc.nat(20)).map(([name, layer]) => `m.${layer}.${name}`);
  test.prop([
    fc.uniqueArray(module, { minLength: 1, maxLength: 8 }),
    fc.array(fc.nat(3), { minLength: 8, maxLength: 8 }),
  ])("are those of the modules that are left, each by its own path", (modules, ranks) => {
    const found = new Map(modules.map((name, i) => [name, ranks[i]!]));
    const options = schema({ head: [] }).parse({ method: "lora", target: ["query", "value"] }) as never;
    const kept = modules.filter((name) => found.get(name)! > 0);
    if (kept.length === 0) {
      expect(() => withRanks!(options, found)).toThrow("nothing to adapt");
      return;
    }
    const {
      rankPattern,
      alphaPattern,
      exclude = [],
    } = withRanks!(options, found) as never as {
      rankPattern: Record<string, number>;
      alphaPattern: Record<string, number>;
      exclude?: string[];
    };
    for (const name of modules) {
      // PEFT: (.*\.)?(key)$, the first that matches; exclude: whole names or what ends in them
      const key = Object.keys(rankPattern).find((one) => new RegExp(`^(.*\\.)?(${one})$`).test(name));
      const left = exclude.some((one) => name === one || name.endsWith(`.${one}`));
      expect([left, left ? 0 : rankPattern[key!]]).toEqual([found.get(name) === 0, found.get(name)]);
      // alpha 16 at rank 8: every module keeps its scale
      if (!left) expect(alphaPattern[key!]! / rankPattern[key!]!).toBeCloseTo(2, 12);
    }
  });
});

describe("the rate that is chosen", () => {
  const loss = fc.oneof(fc.constant(null), fc.constantFrom(0.25, 0.5, 1));
  test.prop([fc.array(loss, { maxLength: 6 })])("has the least loss, and is the smallest of equals", (losses) => {
    const tried = losses.map((of, i) => ({ lr: i + 1, loss: of, run: `r${i}` }));
    const finite = losses.filter((of) => of !== null);
    const least = Math.min(...finite);
    expect(leastLoss([...tried].reverse())?.lr).toBe(finite.length === 0 ? undefined : losses.indexOf(least as 1) + 1);
  });
});
