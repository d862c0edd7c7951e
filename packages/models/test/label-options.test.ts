/** Options about labels count in classes that have a head of labels, and are refused by name in all others. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  architectureFor,
  architectureOf,
  architectures,
  bareArchitectures,
  fromPretrained,
  metaModel,
  savePretrained,
  taskOf,
  type PretrainedModel,
} from "../src/index.ts";
import { SMALL } from "./small-models.ts";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-label-options-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A checkpoint of the class's family, with a head that it can do without. */
async function checkpointFor(name: string): Promise<string> {
  const { family } = architectureOf(name);
  const source = Object.values(SMALL)
    .map((make) => make({ vocab: 11, heads: 2, width: 4, layers: 1, positions: 16 }))
    .find((s) => s["model_type"] === family.modelType)!;
  const as = Object.hasOwn(SMALL, name) ? name : architectureFor(source, "SEQ_CLS");
  const model = metaModel(as, source);
  await model.materialize({ device, seed: 1 });
  const to = join(folder, name);
  await savePretrained(model, to);
  return to;
}

const LABELLED = ["SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS"];

it.each([...Object.keys(architectures), ...Object.keys(bareArchitectures)])("of a %s", async (name) => {
  const from = await checkpointFor(name);
  const as = architectureOf(name);
  const load = async (options: object): Promise<PretrainedModel> =>
    (await fromPretrained<PretrainedModel>(from, as, { device, missing: "draw", ...options })).model;
  const task = taskOf(name) ?? "";
  const classifier = architectureFor({ model_type: as.family.modelType }, "SEQ_CLS");
  if (LABELLED.includes(task)) {
    // a start and an end
    expect((await load({ labels: 3 })).config.numLabels).toBe(3);
    expect((await load({ labels: ["a", "b", "c", "d"] })).config.id2label).toEqual(["a", "b", "c", "d"]);
  } else {
    for (const labels of [3, 2, ["a", "b"]])
      await expect(load({ labels })).rejects.toThrow(
        `fromPretrained: ${name} has no head of labels, and "labels" would do nothing: leave it out, or load a classifier (task: "SEQ_CLS" without a class, or ${classifier})`,
      );
  }
  const problem = load({ problemType: "multi_label_classification" });
  if (task === "SEQ_CLS") expect((await problem).config.problemType).toBe("multi_label_classification");
  else
    await expect(problem).rejects.toThrow(new RegExp(`^fromPretrained: ${name} has .*"problemType" would do nothing`));
});

it("of a task without labels are an error of its own, and none are needed", async () => {
  const from = await checkpointFor("LlamaForCausalLM");
  await expect(fromPretrained(from, { device, task: "CAUSAL_LM", labels: 3 })).rejects.toThrow(
    expect.objectContaining({ code: "ConfigError", kind: "input" }),
  );
  const { model, report } = await fromPretrained(from, { device, task: "SEQ_CLS", labels: 3 });
  expect([model.config.numLabels, report.fresh]).toEqual([3, ["score.weight"]]);
});
