/** The study files of experiments/rank-allocation: that they are studies, that they share what they say they share, and the numbers in their comments. */
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { planOf, shapeModel } from "../src/bases/plan.ts";
import { shapeOf, type BaseShape } from "../src/bases/shape.ts";
import { loadStudy, resolveConfig } from "../src/config/load.ts";
import type { Study } from "../src/config/study.ts";
import { loadPretrainConfig } from "../src/pretrain/config.ts";
import { methods } from "../src/methods/registry.ts";

const folder = fileURLToPath(new URL("../../../experiments/rank-allocation/", import.meta.url));
/** The sizes of all-MiniLM-L6-v2. */
const MINILM = "model={hidden: 384, layers: 6, heads: 12, intermediate: 1536}";
const study = (name: string): Promise<Study> => loadStudy(`${folder}${name}.yaml`, { set: [MINILM] });

describe("the study on SST-2", () => {
  let sst2: Study;
  let shape: BaseShape;
  beforeAll(async () => {
    sst2 = await study("sst2");
    const sizes = { vocab: 30_522, positions: 512, labels: 2 };
    shape = shapeOf(shapeModel(await planOf({ base: null, model: sst2.model! }, "SEQ_CLS", sizes)), "SEQ_CLS");
  });
  const predicted = (config: string) => methods.get(sst2.configs[config]!.method).predict(shape, sst2.configs[config]!);
  const ranks = (config: string): number => predicted(config).modules.reduce((sum, { rank = 0 }) => sum + rank, 0);

  it("trains as many parameters as PEFT does, and the matched split as many as b-fp", () => {
    // summary.json of the reference runs; r 12 is 770 + 12 · 42,240
    expect(
      [
        "b-fp",
        "b-q4",
        "b-ada",
        "joint-1",
        "joint-2",
        "joint-3",
        "full",
        "head-only",
        "uniform-r12",
        "manual-matched",
      ].map((config) => predicted(config).trainable),
    ).toEqual([338_690, 338_690, 508_094, 508_094, 508_094, 347_906, 22_713_986, 770, 507_650, 338_690]);
    expect(predicted("b-fp").modules).toHaveLength(37);
    expect(ranks("b-fp")).toBe(8 * 37);
  });

  it("shares configs, and so runs, with its smaller files", async () => {
    const cell = (of: Study, config: string) => resolveConfig(of, config);
    const more = await study("sst2-more-seeds");
    for (const config of Object.keys(more.configs)) expect(cell(more, config)).toEqual(cell(sst2, config));
    expect(more.seeds.filter((seed) => sst2.seeds.includes(seed))).toEqual([]);
    const dropped = await study("sst2-dropout");
    expect(cell(dropped, "b-fp")).toEqual(cell(sst2, "b-fp"));
    const { method, ...rest } = cell(dropped, "b-fp-drop");
    expect({ ...rest, name: "b-fp", method: { ...method, dropout: 0, baseDropout: 0, rate: undefined } }).toEqual({
      ...cell(sst2, "b-fp"),
      method: { ...sst2.configs["b-fp"]!, train: {}, rate: undefined },
    });
    const full = await study("sst2-full");
    expect(full.task).toEqual({ name: "sst2", maxLength: 128 });
    expect(cell(full, "b-ada").method).toMatchObject({ initR: 12, targetR: 8, tinit: 25 / 250, tfinal: 100 / 250 });
  });
});

describe("the studies on WikiText-2", () => {
  it("are six configurations, and the raw text beside the other differs in its task and in where rates come from", async () => {
    const set = ["model={family: gpt2, hidden: 128, layers: 4, heads: 4, intermediate: 512}"];
    const [main, raw] = await Promise.all(
      ["wikitext2-gpt2", "wikitext2-gpt2-raw"].map((name) => loadStudy(`${folder}${name}.yaml`, { set })),
    );
    expect(Object.keys(main!.configs)).toEqual(["b-fp", "b-q4", "b-ada", "joint-1", "joint-2", "joint-3"]);
    expect(Object.keys(raw!.configs)).toEqual(Object.keys(main!.configs));
    const rest = ({ rate: _, train: __, ...method }: Study["configs"][string]): object => method;
    for (const name of Object.keys(main!.configs)) {
      expect(rest(raw!.configs[name]!)).toEqual(rest(main!.configs[name]!));
      expect(raw!.configs[name]!.rate).toBeUndefined();
    }
    // one rate for each method, given to its variants
    const rates = Object.keys(main!.configs).map((name) => resolveConfig(raw!, name).train.lr);
    expect(rates).toEqual([8e-3, 8e-3, 2e-2, 2e-2, 2e-2, 8e-3]);
    // the first 80 % of 3,760 lines, and what rates are chosen by begins at 90 %
    expect(main!.task).toMatchObject({ train: "valid.txt", trainRows: [1, 0.8 * 3760], validation: "test.txt" });
    expect(main!.configs["b-fp"]!.rate).toMatchObject({
      sweep: { task: { validation: { trainRows: [0.9 * 3760 + 1, 3760] } } },
    });
  });

  it("say what each base scores before it is adapted, in every form that it is kept in", async () => {
    for (const name of ["wikitext2-gpt2", "wikitext2-gpt2-raw", "wikitext2-gemma"]) {
      const of = await loadStudy(`${folder}${name}.yaml`, { set: ["base=somewhere"] });
      for (const config of Object.keys(of.configs)) expect(resolveConfig(of, config).train.evalStart).toBe(true);
    }
  });

  it("have a base whose recipe is the preset's, with as many positions as windows have tokens", async () => {
    const recipe = loadPretrainConfig(`${folder}pretrain-gpt2.yaml`, [], "clm");
    expect(recipe).toEqual(loadPretrainConfig("small", [], "clm"));
    const set = ["model={family: gpt2, hidden: 128, layers: 4, heads: 4, intermediate: 512}"];
    const { task } = await loadStudy(`${folder}wikitext2-gpt2.yaml`, { set });
    expect(task).toMatchObject({ window: recipe.model.positions });
  });
});
