import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BertForSequenceClassification, directory, fromPretrained, metaModel, savePretrained } from "@lowrank/models";
import { loadAdapter } from "@lowrank/peft";
import { init, openFile, RandomStream, SafetensorsFile, serialize, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { count } from "../src/cli/params-command.ts";
import { loadStudy, plannedRuns, type StudyOptions } from "../src/config/load.ts";
import { loadSst2 } from "../src/data/sst2.ts";
import { InputError } from "../src/errors.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy, type StudyRun } from "../src/study/plan-study.ts";
import { dryRun } from "../src/study/dry-run.ts";
import type { StudyOutcome } from "../src/study/outcome.ts";
import { runStudy } from "../src/study/run-study.ts";
import { plantedUpdate, preparePlantedRank, type PlantedRankTask } from "../src/tasks/planted-rank.ts";
import { writeToyData } from "./toy-data.ts";

const SMALL = [
  "task.train=48",
  "task.dev=32",
  "task.length=6",
  "train.epochs=1",
  "train.batchSize=16",
  "model={hidden: 8, layers: 1, heads: 2, intermediate: 8, initializerRange: 0.3}",
  "task.ranks={query: 1}",
];

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-study-"));

async function plan(
  out: string,
  name: string,
  options: StudyOptions,
  data = "none",
  code = "test",
): Promise<StudyRun[]> {
  return planStudy(await loadStudy(name, options), new RunStore(out), {
    environment: { dataFolder: data, cacheFolder: join(out, ".cache") },
    code,
    device: device.name,
    reuse: code === "other",
  });
}

async function execute(out: string, runs: StudyRun[], data = "none"): Promise<StudyOutcome & { said: string[] }> {
  const said: string[] = [];
  const outcome = await runStudy(runs, {
    out,
    device,
    store: new RunStore(out),
    environment: { dataFolder: data, cacheFolder: join(out, ".cache") },
    machine: {} as never,
    progress: "quiet",
    say: (line) => said.push(line),
  });
  return { ...outcome, said };
}

describe("a study", () => {
  it("gives the same numbers when it is run again elsewhere, and every proof holds", async () => {
    const [first, second] = [temporary(), temporary()];
    const a = await execute(first, await plan(first, "planted", { set: SMALL, seeds: [1] }));
    await execute(second, await plan(second, "planted", { set: SMALL, seeds: [1] }));
    expect(a.failures).toEqual([]);
    // what is determined has the same bytes; what is measured is elsewhere
    for (const { name } of a.results)
      for (const file of ["result.json", "predictions.jsonl"])
        expect(readFileSync(join(second, "runs", name, file))).toEqual(readFileSync(join(first, "runs", name, file)));
    expect(a.results.every(({ measures }) => measures.seconds.total > 0)).toBe(true);
    expect(a.results.flatMap((run) => run.proofs.filter((proof) => !proof.holds))).toEqual([]);
    const lora = a.results.find((run) => run.config === "lora")!;
    // query, key, value, attention.output [8→8], intermediate [8→8], output [8→8], pooler [8→8]: 7 modules of 8·(8 + 8); the head has 8·2 + 2.
    expect(lora.parameters).toMatchObject({ trainable: 7 * 8 * 16 + 18, effective: 7 * 8 * 16 + 18 });
    expect(
      readFileSync(join(first, "runs", lora.name, "predictions.jsonl"), "utf8")
        .trim()
        .split("\n"),
    ).toHaveLength(32);

    // The adapter directory loads into a model of the same shape.
    const model = metaModel("BertForSequenceClassification", {
      vocab_size: 64,
      hidden_size: 8,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      intermediate_size: 8,
      max_position_embeddings: 6,
    });
    await model.materialize({ device });
    const adapter = await loadAdapter(model, directory(join(first, "runs", lora.name, "adapter")), { device });
    expect(adapter.table).toHaveLength(7);
    model.dispose();
  });

  it("runs with IA³ and VeRA: every proof holds, and what they save loads as what was trained", async () => {
    const out = temporary();
    const set = [
      ...SMALL,
      // λ_d of VeRA has no gradient before λ_b has moved, which the first step, at rate 0, does not do
      "train.epochs=2",
      "configs={ia3: {method: ia3, target: [key, value, output.dense]}, outputs: {method: ia3, target: [query], feedforward: []}, vera: {method: vera, r: 4, target: all-linear}, drawn: {method: vera, r: 4, target: [query, intermediate.dense], saveProjection: false, dropout: 0.1}}",
    ];
    const { results, failures } = await execute(out, await plan(out, "planted", { set, seeds: [1] }));
    expect(failures).toEqual([]);
    expect(results.flatMap((run) => run.proofs.filter((proof) => !proof.holds))).toEqual([]);
    // the head has 8·2 + 2
    expect(Object.fromEntries(results.map((run) => [run.config, run.parameters.trainable - 18]))).toEqual({
      ia3: 4 * 8,
      outputs: 8,
      vera: 7 * (4 + 8),
      drawn: 2 * (4 + 8),
    });
    for (const run of results) {
      const model = metaModel("BertForSequenceClassification", {
        vocab_size: 64,
        hidden_size: 8,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 8,
        max_position_embeddings: 6,
      });
      await model.materialize({ device });
      const adapter = await loadAdapter(model, directory(join(out, "runs", run.name, "adapter")), { device });
      expect(adapter.table.map(({ module }) => module)).toEqual(run.modules.map(({ module }) => module));
      expect(adapter.warnings).toEqual([]);
      model.dispose();
    }
  });

  it("says where an allocator that chose among equal scores kept fewer ranks than it may", async () => {
    const out = temporary();
    // the first step is at rate 0: after it every score is 0, and PEFT then cuts all
    const ada = "method: adalora, initR: 3, targetR: 1, target: [query, value], tinit: 0, tfinal: 2, deltaT: 1";
    const set = [...SMALL, `configs={peft: {${ada}, compat: peft}, strict: {${ada}, compat: strict}}`];
    const { results, failures } = await execute(out, await plan(out, "planted", { set, seeds: [1] }));
    const [run] = results;
    expect([run!.config, run!.allocation!.kept]).toEqual(["peft", 0]);
    expect(run!.warnings).toContain(
      'the allocator kept no rank of the 2 that it may keep, so that the adapter changes nothing: scores were equal when it chose for good, at step 1 of 3; train for more steps, or choose later (a smaller "tfinal")',
    );
    // where nothing has to be as PEFT has it this is an error
    expect(failures.map(({ config, message }) => [config, message])).toEqual([
      ["strict", expect.stringMatching(/^adalora, step 1: all scores are zero/)],
    ]);
  });

  it("trains to the same bits with anomaly detection on, and names what goes wrong", async () => {
    const set = [
      ...SMALL,
      "configs={lora: {method: lora, target: [query, value], dropout: 0.1}, ada: {method: adalora, initR: 3, targetR: 1, target: [value, intermediate.dense], tinit: 1, tfinal: 1, deltaT: 1}}",
    ];
    const outcomes: StudyOutcome[] = [];
    for (const detect of [false, true]) {
      const out = temporary();
      device.anomalyDetection = detect;
      try {
        outcomes.push(await execute(out, await plan(out, "planted", { set, seeds: [1] })));
      } finally {
        device.anomalyDetection = false;
      }
    }
    expect(outcomes.map((o) => o.failures)).toEqual([[], []]);
    expect(outcomes[1]!.results.map((run) => run.predictions)).toEqual(
      outcomes[0]!.results.map((run) => run.predictions),
    );
    const out = temporary();
    device.anomalyDetection = true;
    try {
      const bad = await execute(
        out,
        await plan(out, "planted", {
          set: [...SMALL, "configs={bad: {method: full, train: {lr: 1e308}}}"],
          seeds: [1],
        }),
      );
      expect(bad.failures[0]!.message).toMatch(/^step \d: .+ the first non-finite value, .+; /);
    } finally {
      device.anomalyDetection = false;
    }
  });

  it("finds two configs that compute the same thing", async () => {
    const out = temporary();
    const set = [...SMALL, "configs={a: {method: head}, b: {method: head, train: {lr: 3e-2}}}"];
    const outcome = await execute(out, await plan(out, "planted", { set, seeds: [1] }));
    expect(outcome.indistinguishable).toEqual([{ seed: 1, configs: ["a", "b"], identical: "logits" }]);
  });

  it("keeps the last good weights of a run that diverges, names the step, and runs the others", async () => {
    const out = temporary();
    // Adam moves every weight by about lr: 1e200 overflows to infinity within two steps, also in f64.
    const set = [
      ...SMALL,
      "train.evalEvery=1",
      "train.warmup=0.4",
      "train.clip=null",
      "configs={bad: {method: full, train: {lr: 1e308}}, good: {method: head}}",
    ];
    const outcome = await execute(out, await plan(out, "planted", { set, seeds: [1] }));
    expect(outcome.results.map((run) => run.config)).toEqual(["good"]);
    expect(outcome.failures[0]!.message).toMatch(
      /^step \d: the (loss|gradient norm|evaluation loss) is (NaN|Infinity); last-good\.safetensors holds step \d; --detect-anomaly names the operation$/,
    );
    expect(readdirSync(outcome.failures[0]!.kept!)).toEqual(
      expect.arrayContaining(["error.json", "last-good.safetensors", "events.jsonl"]),
    );
    expect(existsSync(join(out, "results.json"))).toBe(true);
  });

  it("names the operation that leaves half precision, in the step and in the evaluation, and keeps what was good", async () => {
    const out = temporary();
    const half = (evalEvery: string) =>
      `{method: full, precision: mixed-f16, train: {lr: 1e3, warmup: 0.4, clip: null, evalEvery: ${evalEvery}}}`;
    const set = [
      ...SMALL,
      `configs={evaluated: ${half("1")}, stepped: ${half("end")}, bf16: {method: full, precision: mixed-bf16}}`,
    ];
    const outcome = await execute(out, await plan(out, "planted", { set, seeds: [1] }));
    expect(outcome.results.map((run) => run.config)).toEqual(["bf16"]);
    const [evaluated, stepped] = outcome.failures;
    const made = "\\w+\\[[\\d, ]+\\] in bert\\.\\S+ made the first non-finite value, -?(Infinity|NaN) at element \\d+";
    expect(evaluated!.message).toMatch(
      new RegExp(`^step \\d: the evaluation loss is NaN: ${made}; last-good.safetensors holds step 1$`),
    );
    expect(readdirSync(evaluated!.kept!)).toContain("last-good.safetensors");
    expect(stepped!.message).toMatch(new RegExp(`^step 3: ${made}; no evaluation had succeeded before$`));
  });

  it("skips finished runs, and those of other code only with --reuse", async () => {
    const out = temporary();
    await execute(out, await plan(out, "planted", { set: SMALL, seeds: [1] }));
    const again = await execute(out, await plan(out, "planted", { set: SMALL, seeds: [1] }));
    expect(again.said).toEqual([
      expect.stringMatching(/head · seed 1: already done/),
      expect.stringMatching(/lora · seed 1: already done/),
      expect.stringMatching(/full · seed 1: already done/),
    ]);
    expect(
      (await plan(out, "planted", { set: SMALL, seeds: [1] }, "none", "new")).every((run) => run.done === undefined),
    ).toBe(true);
    expect(
      (await plan(out, "planted", { set: SMALL, seeds: [1] }, "none", "other")).every((run) => run.done !== undefined),
    ).toBe(true);
  });

  it("on SST-2 trains on the texts, and a dry run says what it would do and writes no run", async () => {
    const [data, out] = [writeToyData(temporary()), temporary()];
    const set = [
      "model={hidden: 8, layers: 1, heads: 2, intermediate: 8}",
      "train.epochs=1",
      "train.batchSize=8",
      "task.maxLength=16",
    ];
    const runs = await plan(out, "sst2", { set, seeds: [1] }, data);
    const forecast = await dryRun(runs, { dataFolder: data, cacheFolder: join(out, ".cache") }, device);
    expect(forecast.data.map(({ config, steps, runs: count, done }) => ({ config, steps, count, done }))).toEqual(
      ["head", "lora", "full"].map((config) => ({ config, steps: 3, count: 1, done: 0 })),
    );
    expect(forecast.text).toContain("3 of 3 runs to do");
    expect(existsSync(join(out, "runs"))).toBe(false);
    // what is left out of a file is said, where it is read and where it would be
    const file = join(data, "sst2-glue", "dev.tsv");
    writeFileSync(file, `\ufeff${readFileSync(file, "utf8")}`);
    const said: string[] = [];
    await dryRun(runs, { dataFolder: data, cacheFolder: join(out, ".cache"), say: (line) => said.push(line) }, device);
    expect(said).toEqual([`${file}: begins with a byte order mark, which is no part of the text; it is left out`]);
    const outcome = await execute(out, runs, data);
    expect(outcome.failures).toEqual([]);
    expect(outcome.results.map((run) => [run.config, run.final.examples, run.steps])).toEqual([
      ["head", 4, 3],
      ["lora", 4, 3],
      ["full", 4, 3],
    ]);
  });

  it("refuses a config that does not fit its base before anything is written", async () => {
    const out = temporary();
    await expect(plan(out, "planted", { set: [...SMALL, "configs.lora.target=[querry]"] })).rejects.toThrow(
      `config "lora": "target" "querry" matches no module; did you mean "query"?`,
    );
    await expect(plan(out, "planted", { set: [...SMALL, "configs.lora.target=[query, vlaue]"] })).rejects.toThrow(
      `config "lora": "target" "vlaue" matches no module; did you mean "value"?`,
    );
    await expect(plan(out, "planted", { set: [...SMALL, "configs.lora.exclude=[keys]"] })).rejects.toThrow(
      `config "lora": "exclude" "keys" matches no module; did you mean "key"?`,
    );
    await expect(plan(out, "planted", { set: [...SMALL, `configs.lora.target=".*X"`] })).rejects.toThrow(
      `config "lora": "target" ".*X" matches no module`,
    );
    await expect(plan(out, "planted", { set: [...SMALL, `configs.lora.target="("`] })).rejects.toThrow(
      /^config "lora": target/,
    );
    // JavaScript's own matcher would take 2^60 steps
    await expect(
      plan(out, "planted", { set: [...SMALL, `configs.lora.target="(a|a|[a-z._0-9]+)+X"`] }),
    ).rejects.toThrow(`config "lora": "target" "(a|a|[a-z._0-9]+)+X" matches no module`);
    await expect(plan(out, "planted", { set: [...SMALL, "configs.head.modules=[classifier, poler]"] })).rejects.toThrow(
      `config "head": there is no linear module "poler"`,
    );
    await expect(plan(out, "planted", { set: [...SMALL, "configs.head.modules=[poler]"] })).rejects.toThrow(
      /config "head": there is no linear module "poler"/,
    );
    expect(readdirSync(out)).toEqual([]);
  });

  it("refuses a rank far above what a module can have before another config has trained", async () => {
    const out = temporary();
    for (const [set, message] of [
      ["configs={first: {method: head}, wide: {method: lora, target: [query], r: 5000}}", /^config "wide": .*5000/],
      [
        "configs={first: {method: head}, wide: {method: lora, target: [query], r: 2, rankPattern: {query: 600}}}",
        /^config "wide": .*600/,
      ],
      [
        "configs={first: {method: head}, wide: {method: adalora, target: [query], initR: 5000, targetR: 2}}",
        /^config "wide": .*5000/,
      ],
    ] as const) {
      const act = plan(out, "planted", { set: [...SMALL, set] });
      await expect(act).rejects.toThrow(InputError);
      await expect(act).rejects.toThrow(message);
    }
    // the widest that fits
    expect(
      await plan(out, "planted", {
        set: [...SMALL, "configs={wide: {method: lora, target: [query], r: 8}}"],
        seeds: [1],
      }),
    ).toHaveLength(1);
    expect(readdirSync(out)).toEqual([]);
  });
});

describe("before the first run", () => {
  it("a rank schedule that does not fit the steps is wrong input, and nothing is trained", async () => {
    const out = temporary();
    const set = [
      ...SMALL,
      "configs={first: {method: head}, ada: {method: adalora, target: [query], initR: 4, targetR: 2, tinit: 900, tfinal: 1}}",
    ];
    await expect(execute(out, await plan(out, "planted", { set, seeds: [1] }))).rejects.toThrow(
      /^config "ada": .*tinit/,
    );
    await expect(execute(out, await plan(out, "planted", { set, seeds: [1] }))).rejects.toThrow(InputError);
    expect(existsSync(join(out, "runs"))).toBe(false);
  });
});

describe("a run's folder", () => {
  const set = ["train.epochs=1", "train.batchSize=8", "task.maxLength=16", "task.devLimit=2"];

  /** A base with words in another order than the data folder's tokenizer has them. */
  async function base(data: string): Promise<string> {
    const folder = temporary();
    const model = metaModel("BertForSequenceClassification", {
      model_type: "bert",
      vocab_size: 16,
      hidden_size: 8,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      intermediate_size: 8,
      max_position_embeddings: 16,
    });
    await model.materialize({ device, seed: 3 });
    await savePretrained(model, folder);
    model.dispose();
    const json = JSON.parse(readFileSync(join(data, "bert-base-uncased-tokenizer", "tokenizer.json"), "utf8"));
    const words = Object.keys(json.model.vocab);
    json.model.vocab = Object.fromEntries(
      [...words.slice(0, 5), ...words.slice(5).reverse()].map((word, id) => [word, id]),
    );
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(json));
    return folder;
  }

  it("holds the base's own tokenizer, says what was drawn fresh and counts predictions by the file's rows", async () => {
    const data = writeToyData(temporary());
    const [out, checkpoint] = [temporary(), await base(data)];
    const outcome = await execute(out, await plan(out, "sst2", { set, seeds: [1], base: checkpoint }, data), data);
    expect(outcome.failures).toEqual([]);
    for (const [config, part] of [
      ["head", "checkpoint"],
      ["lora", "adapter"],
      ["full", "checkpoint"],
    ] as const) {
      const { name } = outcome.results.find((run) => run.config === config)!;
      const folder = join(out, "runs", name, part);
      expect(readFileSync(join(folder, "tokenizer.json"), "utf8")).toBe(
        readFileSync(join(checkpoint, "tokenizer.json"), "utf8"),
      );
      expect(JSON.parse(readFileSync(join(folder, "tokenizer_config.json"), "utf8"))).toMatchObject({
        tokenizer_class: "PreTrainedTokenizerFast",
        pad_token: "[PAD]",
      });
      const indices = readFileSync(join(out, "runs", name, "predictions.jsonl"), "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).index);
      const { dev } = await loadSst2({
        dataFolder: data,
        base: checkpoint,
        cacheFolder: temporary(),
        maxLength: 16,
        devLimit: 2,
      });
      expect(indices).toEqual([...dev.rows!]);
    }
    // another tokenizer is another run, although the vocabulary has the same size
    const ids = (runs: StudyRun[]): string[] => runs.map((run) => run.id);
    const before = ids(await plan(out, "sst2", { set, seeds: [1], base: checkpoint }, data));
    copyFileSync(join(data, "bert-base-uncased-tokenizer", "tokenizer.json"), join(checkpoint, "tokenizer.json"));
    expect(
      ids(await plan(out, "sst2", { set, seeds: [1], base: checkpoint }, data)).filter((id) => before.includes(id)),
    ).toEqual([]);
    rmSync(join(checkpoint, "tokenizer.json"));
    await expect(plan(out, "sst2", { set, seeds: [1], base: checkpoint }, data)).rejects.toThrow(
      `${checkpoint}: there is no tokenizer.json; copy the one that this checkpoint was trained with next to it`,
    );
  });

  it("tells which weights the checkpoint did not have", async () => {
    const data = writeToyData(temporary());
    const [out, checkpoint] = [temporary(), await base(data)];
    const file = await SafetensorsFile.open(await openFile(join(checkpoint, "model.safetensors")));
    const kept = file.names.filter((name) => !/pooler|classifier/.test(name));
    const tensors = new Map(await Promise.all(kept.map(async (name) => [name, await file.read(name)] as const)));
    await file.close();
    writeFileSync(join(checkpoint, "model.safetensors"), serialize(tensors));
    const fresh = ["bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"];
    const outcome = await execute(
      out,
      await plan(out, "sst2", { set: [...set, "configs={full: {method: full}}"], seeds: [1], base: checkpoint }, data),
      data,
    );
    expect(outcome.results.map((run) => [...run.fresh].sort())).toEqual([fresh.sort()]);
  });

  it.each([
    "{method: lora, target: [query], r: 1}",
    "{method: adalora, target: [query], initR: 2, targetR: 1}",
    "{method: lora, target: [query], r: 1, storage: nf4}",
  ])("holds the base that was drawn for %s, and the adapter names it", async (config) => {
    const out = temporary();
    const {
      results: [run],
      failures,
    } = await execute(out, await plan(out, "planted", { set: [...SMALL, `configs={one: ${config}}`], seeds: [1] }));
    expect(failures).toEqual([]);
    const folder = join(out, "runs", run!.name);
    expect(JSON.parse(readFileSync(join(folder, "adapter", "adapter_config.json"), "utf8"))).toMatchObject({
      base_model_name_or_path: "../base",
    });
    expect(readFileSync(join(folder, "SHA256SUMS"), "utf8")).toContain("  base/model.safetensors\n");
    // base and adapter make the predictions that the run made
    const { model } = await fromPretrained(join(folder, "adapter", "../base"), BertForSequenceClassification, {
      device,
    });
    await loadAdapter(model, directory(join(folder, "adapter")), { device });
    model.eval();
    const { dev } = await preparePlantedRank(run!.resolved.task as PlantedRankTask, run!.resolved, undefined, device);
    const { logits } = model.forward({ inputIds: device.tensor(Int32Array.from(dev.tokens.ids), [32, 6]) });
    const [said] = readFileSync(join(folder, "predictions.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).logits);
    const digits = config.includes("nf4") ? 0 : 5;
    expect((await logits.floats())[0]).toBeCloseTo(said[0], digits);
    model.dispose();
  });

  it("that was edited is not taken for a finished run, --reuse or not", async () => {
    const out = temporary();
    const options = { set: [...SMALL, "configs={head: {method: head}}"], seeds: [1] };
    const {
      results: [run],
    } = await execute(out, await plan(out, "planted", options));
    const path = join(out, "runs", run!.name, "result.json");
    writeFileSync(path, readFileSync(path, "utf8").replace(/"accuracy": [0-9.]+/g, '"accuracy": 0.999'));
    await expect(plan(out, "planted", options)).rejects.toThrow(InputError);
    await expect(plan(out, "planted", options, "none", "other")).rejects.toThrow(
      /result\.json is not what was written/,
    );
  });
});

describe("the planted-rank task", () => {
  const prepare = async (set: string[] = []) => {
    const { config } = plannedRuns(await loadStudy("planted", { set: [...SMALL, ...set] }))[0]!;
    return preparePlantedRank(config.task as PlantedRankTask, config, undefined, device);
  };

  it("is decided by its seed, has balanced labels and learnable noise", async () => {
    const [a, b, other] = [await prepare(), await prepare(), await prepare(["task.seed=9"])];
    expect(b.train).toEqual(a.train);
    expect(b.dev).toEqual(a.dev);
    expect(other.train.labels).not.toEqual(a.train.labels);
    const ones = [...a.train.labels, ...a.dev.labels].filter((label) => label === 1).length;
    expect(ones).toBe((48 + 32) / 2);
    const noisy = await prepare(["task.noise=1"]);
    expect([...noisy.train.labels]).toEqual([...a.train.labels].map((label) => 1 - label));
    expect(noisy.dev.labels).toEqual(a.dev.labels);
  });

  it("plants updates of exactly the rank and size that it says", () => {
    const weight = Float32Array.from({ length: 48 }, (_, i) => Math.sin(i));
    const update = plantedUpdate(weight, 6, 8, 2, 0.5, new RandomStream(1, "x"));
    const norm = (values: Float32Array): number => Math.hypot(...values);
    // f32 rounding of 48 elements: relative 2⁻²⁴·√48 ≈ 4e-7
    expect(norm(update) / norm(weight)).toBeCloseTo(0.5, 6);
    expect(numericalRank(update, 6, 8)).toBe(2);
  });

  it("names ranks that belong to no module, or that a module cannot have", async () => {
    await expect(prepare(["task.ranks={querry: 2}"])).rejects.toThrow(/"task\.ranks\.querry" matches no linear module/);
    await expect(prepare(["task.ranks={query: 9}"])).rejects.toThrow(
      /"task\.ranks\.query" is 9, more than bert\.encoder\.layer\.0\.attention\.self\.query \[8, 8\] can have/,
    );
  });
});

describe("counting without weights", () => {
  it("gives PEFT's numbers for BERT-base", () => {
    const adapter = {
      peft_type: "LORA",
      task_type: "SEQ_CLS",
      r: 8,
      lora_alpha: 16,
      target_modules: ["query", "key", "value", "dense"],
    };
    // Printed by PEFT's print_trainable_parameters for bert-base-uncased with two labels.
    expect(count({ model_type: "bert" }, adapter)).toMatchObject({
      architecture: "BertForSequenceClassification",
      trainable: 1_340_930,
      effective: 1_340_930,
      total: 110_824_708,
      modules: { length: 73 },
    });
    expect(count({ model_type: "bert" }, { ...adapter, rank_pattern: { attention: 6 } })).toMatchObject({
      trainable: 1_340_930,
      warnings: [expect.stringContaining('rank_pattern "attention" matches no target module')],
    });
  });
});

/** Pivots above 1e-4 of the largest in Gaussian elimination with full pivoting; f32 noise is about 1e-7. */
function numericalRank(values: Float32Array, rows: number, columns: number): number {
  const m = Float64Array.from(values);
  let first = 0;
  for (let rank = 0; rank < Math.min(rows, columns); rank++) {
    let [pivotRow, pivotColumn] = [rank, rank];
    for (let r = rank; r < rows; r++)
      for (let c = rank; c < columns; c++)
        if (Math.abs(m[r * columns + c]!) > Math.abs(m[pivotRow * columns + pivotColumn]!))
          [pivotRow, pivotColumn] = [r, c];
    const pivot = Math.abs(m[pivotRow * columns + pivotColumn]!);
    if (rank === 0) first = pivot;
    if (pivot < 1e-4 * first) return rank;
    for (let c = 0; c < columns; c++)
      [m[rank * columns + c], m[pivotRow * columns + c]] = [m[pivotRow * columns + c]!, m[rank * columns + c]!];
    for (let r = 0; r < rows; r++)
      [m[r * columns + rank], m[r * columns + pivotColumn]] = [m[r * columns + pivotColumn]!, m[r * columns + rank]!];
    for (let r = rank + 1; r < rows; r++) {
      const factor = m[r * columns + rank]! / m[rank * columns + rank]!;
      for (let c = rank; c < columns; c++) m[r * columns + c]! -= factor * m[rank * columns + c]!;
    }
  }
  return Math.min(rows, columns);
}
