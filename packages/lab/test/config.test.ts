import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { canonicalHash, canonicalJson } from "../src/config/canonical.ts";
import { loadStudy, plannedRuns } from "../src/config/load.ts";
import { fileURLToPath } from "node:url";
import { loadPretrainConfig } from "../src/pretrain/config.ts";
import { PRESETS } from "../src/config/presets.ts";
import { TOY_SIZES } from "./toy-checkpoint.ts";
import { codeVersion, runId, type RunIdentity } from "../src/store/identity.ts";

function studyFile(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "lowrank-config-")), "study.yaml");
  writeFileSync(path, text);
  return path;
}

const MINIMAL = `
name: small
task: { name: sst2 }
base: somewhere
seeds: [1, 2]
configs:
  lora: { method: lora, target: [query] }
  head: { method: head }
`;

/** Message without the temporary folder. */
async function errorOf(text: string, set: string[] = []): Promise<string> {
  const path = studyFile(text);
  try {
    await loadStudy(path, { set });
  } catch (error) {
    return (error as Error).message.replace(path, "study.yaml");
  }
  throw new Error("no error");
}

describe("a study file", () => {
  it("gets every default filled in and multiplies configs by seeds", async () => {
    const runs = plannedRuns(
      await loadStudy(studyFile(MINIMAL), { set: ["train.lr=1e-3", "configs.lora.train.lr=2e-3"] }),
    );
    expect(runs.map((run) => [run.config.name, run.seed, run.config.train.lr])).toEqual([
      ["lora", 1, 2e-3],
      ["head", 1, 1e-3],
      ["lora", 2, 2e-3],
      ["head", 2, 1e-3],
    ]);
    expect(runs[0]!.config.method).toMatchObject({ method: "lora", r: 8, alpha: 16, modulesToSave: ["classifier"] });
    expect(runs[0]!.config.train).toMatchObject({ epochs: 3, batchSize: 32, schedule: "linear", clip: 1 });
  });

  it("accepts every preset", async () => {
    for (const name of Object.keys(PRESETS))
      expect(
        plannedRuns(await loadStudy(name, /^(sst2|wikitext2|ner|qa|split)/.test(name) ? { base: "x" } : {})).length,
      ).toBeGreaterThan(1);
  });

  it("of the experiments folder is valid, and the planted-rank one is the preset of that name", async () => {
    const folder = fileURLToPath(new URL("../../../experiments/configs/", import.meta.url));
    expect(plannedRuns(await loadStudy(join(folder, "planted-rank.yaml")))).toEqual(
      plannedRuns(await loadStudy("planted-rank")),
    );
    expect(plannedRuns(await loadStudy(join(folder, "sst2-small.yaml"), { base: "x" }))).toHaveLength(15);
    expect(loadPretrainConfig(join(folder, "pretrain-small.yaml"), [])).toEqual(loadPretrainConfig("small", []));
  });

  it("says in one line what is wrong and what to write instead", async () => {
    expect(await errorOf(MINIMAL, ["train.lrr=3"])).toMatchInlineSnapshot(
      `"study.yaml: unknown key "train.lrr"; did you mean "lr"?"`,
    );
    expect(await errorOf(MINIMAL, ["configs.lora.rank=3"])).toMatchInlineSnapshot(
      `"study.yaml: unknown key "configs.lora.rank"; known: method, r, alpha, dropout, target, exclude, modulesToSave, storage, precision, gradientCheckpointing, embeddings, baseDropout, dora, rankPattern, alphaPattern, rsLora, allocator, init, rho, goraStep, loftqIterations, trainableTokenIndices, loraPlus, train, rate, from"`,
    );
    expect(await errorOf(MINIMAL, ["configs.lora.rankpatern={}"])).toMatchInlineSnapshot(
      `"study.yaml: unknown key "configs.lora.rankpatern"; did you mean "rankPattern"?"`,
    );
    expect(await errorOf(MINIMAL, ["task.name=sts2"])).toMatchInlineSnapshot(
      `"study.yaml: "task.name" is "sts2"; did you mean "sst2"?"`,
    );
    expect(await errorOf(MINIMAL, ["configs.lora.method=lorra"])).toMatchInlineSnapshot(
      `"study.yaml: "configs.lora.method" is "lorra"; did you mean "lora"?"`,
    );
    expect(await errorOf(MINIMAL, ["configs.head.method=adapters"])).toMatchInlineSnapshot(
      `"study.yaml: "configs.head.method" is "adapters"; known: head, lora, adalora, ia3, vera, full"`,
    );
    expect(await errorOf(MINIMAL, ["configs.v={method: vera, target: [query], alpha: 3}"])).toMatchInlineSnapshot(
      `"study.yaml: unknown key "configs.v.alpha"; known: method, r, dropout, dInitial, projectionPrngKey, saveProjection, target, modulesToSave, storage, precision, gradientCheckpointing, embeddings, baseDropout, train, rate"`,
    );
    expect(
      await errorOf(MINIMAL, ["configs.i={method: ia3, target: [query], feedforward: null}"]),
    ).toMatchInlineSnapshot(
      `"study.yaml: "configs.i.feedforward" is null; expected a list of module names, which may be empty, or one regular expression"`,
    );
    expect(await errorOf(MINIMAL, ["train.lr=fast"])).toMatchInlineSnapshot(
      `"study.yaml: "train.lr" is "fast"; expected number, received string"`,
    );
    expect(await errorOf(MINIMAL, ["train.schedule=linaer"])).toMatchInlineSnapshot(
      `"study.yaml: "train.schedule" is "linaer"; did you mean "linear"?"`,
    );
    expect(await errorOf(MINIMAL, ["configs.lora.target=null"])).toMatchInlineSnapshot(
      `"study.yaml: "configs.lora.target" is null; expected a list of module names or one regular expression"`,
    );
    expect(await errorOf(MINIMAL, ["seeds=[1, 1]"])).toMatchInlineSnapshot(
      `"study.yaml: "seeds" has duplicates: 1, 1"`,
    );
    expect(await errorOf(MINIMAL, ["train.batchSize=1.5"])).toMatchInlineSnapshot(
      `"study.yaml: "train.batchSize" is 1.5; expected a whole number"`,
    );
    expect(await errorOf(MINIMAL, ["train.evalEvery=often"])).toMatchInlineSnapshot(
      `"study.yaml: "train.evalEvery" is "often"; expected "epoch", "end" or a number of steps"`,
    );
    expect(await errorOf(MINIMAL, ["base=null"])).toMatchInlineSnapshot(
      `"study.yaml: "base" is null; expected string, received null"`,
    );
    expect(await errorOf(MINIMAL, ["configs.a b={method: head}"])).toMatchInlineSnapshot(
      `"study.yaml: key "a b" of "configs": use letters, digits, _ and -"`,
    );
    expect(await errorOf(MINIMAL, ["=3"])).toMatchInlineSnapshot(
      `"--set =3: expected key=value, for example --set train.lr=2e-4"`,
    );
    expect(await errorOf("name: [")).toMatchInlineSnapshot(
      `"study.yaml: not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ] at line 1, column 8"`,
    );
    await expect(loadStudy("planted-rnak")).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: no study "planted-rnak": neither a file nor a preset; did you mean "planted-rank"?]`,
    );
    await expect(loadStudy("./missing.yaml")).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: ./missing.yaml: no such study file]`,
    );
  });
});

describe("how a study trains", () => {
  it("is the same run whether the usual is said or left out, and another where something else is", async () => {
    const path = studyFile(MINIMAL);
    const sets = [
      [],
      ["train.grouping=across", "train.optimizer=adamw", "train.decay=matrices"],
      ["train.grouping=none"],
      ["train.optimizer=sgd", "train.momentum=0.9", "train.lr=5e-4"],
      ["train.decay=all"],
      ["train.microBatch=8"],
    ];
    const [plain, ...others] = await Promise.all(
      sets.map(async (set) => canonicalHash(plannedRuns(await loadStudy(path, { set }))[0]!.config)),
    );
    expect(others.map((hash) => hash === plain)).toEqual([true, false, false, false, false]);
    expect(new Set(others).size).toBe(5);
  });

  it("finds a base in the folder with the data sets where the working directory has none", async () => {
    const dataFolder = mkdtempSync(join(tmpdir(), "lowrank-config-"));
    const [file, inData] = [studyFile(MINIMAL), join(dataFolder, "somewhere")];
    expect((await loadStudy(file, { dataFolder })).base).toBe("somewhere");
    mkdirSync(inData);
    writeFileSync(join(inData, "config.json"), JSON.stringify(TOY_SIZES));
    expect((await loadStudy(file, { dataFolder })).base).toBe(inData);
    // what is said in its place is meant as it is
    expect((await loadStudy(file, { dataFolder, base: "elsewhere" })).base).toBe("elsewhere");
  });

  it("keeps tables and the base's dropout as it is said", async () => {
    const four = ["configs.lora.storage=nf4"];
    const path = studyFile(MINIMAL);
    const sets = [
      four,
      [...four, "configs.lora.embeddings=f16"],
      [...four, "configs.lora.embeddings=f32"],
      [...four, "configs.lora.baseDropout=0"],
    ];
    const hashes = await Promise.all(
      sets.map(async (set) => canonicalHash(plannedRuns(await loadStudy(path, { set }))[0]!.config)),
    );
    expect(hashes.map((hash) => hash === hashes[0])).toEqual([true, true, false, false]);
    expect(new Set(hashes).size).toBe(3);
    expect(await errorOf(MINIMAL, ["configs.lora.embeddings=f32"])).toBe(
      `study.yaml: "configs.lora.embeddings" is for tables beside quantized layers, and "storage" is f32; leave it out`,
    );
  });

  it.each([
    [["train.microBatch=32"], `"train.microBatch" is 32, and a batch has 32 rows; it must be less`],
    [["train.momentum=0.9"], `"train.momentum" is for sgd; the optimizer is adamw, which has betas`],
    [
      ["configs.lora.train.optimizer=sgd", "train.betas=[0.8, 0.9]"],
      `"train.betas" is for adamw; the optimizer is sgd`,
    ],
  ])("refuses what nothing would come of: %j", async (set, message) => {
    expect(await errorOf(MINIMAL, set)).toBe(`study.yaml: config "lora": ${message}`);
  });

  it("says the same of pre-training", () => {
    expect(() => loadPretrainConfig("small", ["train.optimizer=sgd", "train.eps=1e-7"])).toThrow(
      `preset small: "train.eps" is for adamw; the optimizer is sgd`,
    );
    expect(loadPretrainConfig("small", ["train.optimizer=sgd", "train.momentum=0.9"]).train).toMatchObject({
      optimizer: "sgd",
      momentum: 0.9,
    });
  });

  it("knows its metrics by what they count", async () => {
    expect(plannedRuns(await loadStudy(studyFile(MINIMAL), { set: ["metrics=[f1]"] }))[0]!.config.metrics).toEqual([
      "f1",
    ]);
    expect(await errorOf(MINIMAL, ["metrics=[perplexity]"])).toBe(
      "study.yaml: the metric perplexity counts tokens, and the task sst2 has labels",
    );
    expect(await errorOf(MINIMAL, ["metrics=[f1, f1]"])).toBe(`study.yaml: "metrics" has duplicates: f1, f1`);
    expect(await errorOf(MINIMAL, ["metrics=[acuracy]"])).toContain(`did you mean "accuracy"?`);
  });
});

describe("YAML that is more than a study", () => {
  it.each([
    [
      "a: !!js/function x",
      "study.yaml: not valid YAML: Unresolved tag: tag:yaml.org,2002:js/function at line 1, column 4",
    ],
    ["a: !!binary aGVsbG8=", `study.yaml: "a" has a type that no setting has; write maps, lists, strings and numbers`],
    ["a: !!set {x, y}", `study.yaml: "a" has a type that no setting has; write maps, lists, strings and numbers`],
    [
      "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c]",
      "study.yaml: not valid YAML: Excessive alias count indicates a resource exhaustion attack",
    ],
    ["a: &a [*a]", `study.yaml: "a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.…" is nested more than 32 deep`],
    ["[".repeat(50_000), "study.yaml: not valid YAML: Maximum call stack size exceeded"],
    ["__proto__: { x: 1 }", `study.yaml: "__proto__" is no key that a file may use`],
    [`${MINIMAL}\n<<: { base: other }`, `study.yaml: unknown key "<<"`],
    [
      MINIMAL.replace("seeds: [1, 2]", "seeds: [1, 2]\nseeds: [3]"),
      "study.yaml: not valid YAML: Map keys must be unique",
    ],
    [
      MINIMAL.replace("seeds: [1, 2]", `seeds: [${Array.from({ length: 5000 }, (_, i) => i).join()}]`),
      `study.yaml: "seeds" is [0,1,2`,
    ],
    [`a: "${"x".repeat(2 ** 20)}"`, "study.yaml: has 1.0 MiB; 1.0 MiB are the most that is read"],
    ["a: \u0000", "study.yaml:1: holds a NUL byte"],
    ["null", "study.yaml: expected a map with the keys name, task, seeds, configs"],
    ["[1]", "study.yaml: expected a map with the keys name, task, seeds, configs"],
  ])("is refused in one line (%#)", async (text, message) => {
    const line = await errorOf(text);
    expect(line.startsWith(message), line).toBe(true);
    expect(line.length).toBeLessThan(300);
  });

  it("may use aliases, and what is set in one place changes no other", async () => {
    const text = MINIMAL.replace(
      "lora: { method: lora, target: [query] }",
      "lora: &lora { method: lora, target: [query], train: { lr: 1 } }\n  twin: *lora",
    );
    const runs = plannedRuns(await loadStudy(studyFile(text), { set: ["configs.twin.train.lr=2"] }));
    expect(runs.slice(0, 2).map((run) => [run.config.name, run.config.train.lr])).toEqual([
      ["lora", 1],
      ["twin", 2],
    ]);
  });

  it.each([
    ["a.__proto__.b=1", `"a.__proto__.b" is not a key path`],
    ["constructor.prototype.x=1", `unknown key "constructor"`],
    ["toString.x=1", `unknown key "toString"`],
    ["seeds.first=1", `--set seeds.first=1: "seeds" is a list of 2; it has no "first"`],
    ["seeds.9=1", `--set seeds.9=1: "seeds" is a list of 2; it has no "9"`],
    [`train.lr=${"9".repeat(400)}x`, 'study.yaml: "train.lr" is "9999999'],
    [`train.${"k".repeat(400)}=1`, 'study.yaml: unknown key "train.kkk'],
    ["train.epochs=1e300", `study.yaml: "train.epochs" is 1e+300; too big: expected number to be <=1000000`],
    [
      "train.batchSize=1e10",
      `study.yaml: "train.batchSize" is 10000000000; expected at most 1073741824, beyond which no memory holds it`,
    ],
    ["train.lr=.inf", `study.yaml: "train.lr" is Infinity; expected number, received Infinity`],
    [
      "configs.lora.gradientCheckpointing=yes",
      `study.yaml: "configs.lora.gradientCheckpointing" is "yes"; expected boolean, received string`,
    ],
  ])("refuses an assignment that says nothing (%#)", async (assignment, message) => {
    const line = await errorOf(MINIMAL, [assignment]);
    expect(line).toContain(message);
    expect(line.length).toBeLessThan(300);
  });
});

describe("run identity", async () => {
  const config = plannedRuns(await loadStudy(studyFile(MINIMAL)))[0]!.config;
  const identity: RunIdentity = { config, seed: 1, data: "d", code: "c", device: "wasm" };

  it("changes with everything that can change a number and with nothing else", () => {
    const id = runId(identity);
    expect(runId({ ...identity, config: { ...config, base: "elsewhere" } })).toBe(id);
    expect(runId({ ...identity, config: { ...config, train: { ...config.train, lr: 1e-9 } } })).not.toBe(id);
    for (const change of [{ seed: 2 }, { data: "e" }, { code: "f" }, { device: "webgpu" }])
      expect(runId({ ...identity, ...change })).not.toBe(id);
  });

  it("counts the order of rank patterns, because the first match wins", () => {
    const withPattern = (rankPattern: Record<string, number>): string =>
      runId({ ...identity, config: { ...config, method: { ...config.method, rankPattern } as never } });
    expect(withPattern({ a: 1, b: 2 })).not.toBe(withPattern({ b: 2, a: 1 }));
  });

  it("contains a code version that is stable within a checkout", () => {
    expect(codeVersion()).toMatch(/^[0-9a-f]{64}$/);
    expect(codeVersion()).toBe(codeVersion());
  });
});

describe("canonical JSON", () => {
  test.prop([fc.dictionary(fc.string(), fc.jsonValue())])(
    "does not depend on key order and survives a round trip",
    (value) => {
      const reversed = Object.fromEntries(Object.entries(value).reverse());
      expect(canonicalHash(reversed)).toBe(canonicalHash(value));
      expect(canonicalJson(JSON.parse(canonicalJson(value)))).toBe(canonicalJson(value));
    },
  );
});
