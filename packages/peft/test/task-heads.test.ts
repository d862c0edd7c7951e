/** Which head a task trains: what the model's family says, PEFT's names where there is no family; and what the file says of it. */
import { Linear, Module, type FamilyFacts, type Projection } from "@lowrank/nn";
import { init } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { adapt, attach, loadAdapter, parseAdapterConfig, saveAdapter } from "../src/index.ts";
import { familyOf } from "./family.ts";
import { stir } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";

class Plain extends Module {
  query: Projection = new Linear(4, 4);
  value: Projection = new Linear(4, 4);
  pre_classifier: Projection = new Linear(4, 4);
  classifier: Projection = new Linear(4, 3);
  decider: Projection = new Linear(4, 2);
}

function of(heads: readonly string[]): Plain {
  return new (class extends Plain {
    override get family(): FamilyFacts {
      return familyOf({ modelType: "outside", targets: { lora: ["query", "value"] }, heads: { SEQ_CLS: heads } });
    }
  })();
}

const SEQ = { r: 2, taskType: "SEQ_CLS" } as const;

it.each<[string, Plain, string[], string[]]>([
  ["no family: PEFT's names", new Plain(), ["pre_classifier", "classifier"], ["classifier", "score"]],
  ["the family's name, and of PEFT's those that mean nothing else", of(["decider"]), ["decider"], ["decider", "score"]],
  [
    "PEFT's names where they mean all of the head",
    of(["pre_classifier", "classifier"]),
    ["pre_classifier", "classifier"],
    ["classifier", "score"],
  ],
  ["a part of what PEFT's names would mean", of(["pre_classifier"]), ["pre_classifier"], ["pre_classifier", "score"]],
  ["no head", of([]), [], ["score"]],
])("%s", async (_, model, trained, written) => {
  const device = await init({ device: "reference" });
  await model.materialize({ device, seed: 1 });
  const adapter = await adapt(model, SEQ, { device });
  expect([...adapter.saved.keys()]).toEqual(trained);
  expect(adapter.config.modulesToSave).toEqual(written);
  const files = new MemoryFiles();
  await saveAdapter(adapter, files);
  expect(JSON.parse(await files.text("adapter_config.json"))).toMatchObject({
    modules_to_save: written,
    task_type: "SEQ_CLS",
  });
  device.close();
});

it("another family's head comes back from its file", async () => {
  const device = await init({ device: "reference" });
  const [model, other] = [of(["decider"]), of(["decider"])];
  for (const one of [model, other]) await one.materialize({ device, seed: 1 });
  const adapter = await adapt(model, SEQ, { device });
  stir(adapter, 3);
  adapter.copies.get("decider")!.weights()[1]!.parameter.write(Float64Array.of(0.5, -2));
  const files = new MemoryFiles();
  await saveAdapter(adapter, files);
  const loaded = await loadAdapter(other, files, { device });
  expect([...loaded.saved.keys()]).toEqual(["decider"]);
  expect([...(await loaded.copies.get("decider")!.weights()[1]!.value.floats())]).toEqual([0.5, -2]);
  expect(loaded.warnings).toEqual([]);
  device.close();
});

it("a file that PEFT wrote holds the heads that it names, and what a person names is taken", () => {
  const file = { peft_type: "LORA", task_type: "SEQ_CLS", target_modules: ["query"] };
  const saved = (modules: string[]): string[] => [
    ...attach(of(["decider"]), parseAdapterConfig({ ...file, modules_to_save: modules })).saved.keys(),
  ];
  expect(saved(["classifier", "score"])).toEqual(["pre_classifier", "classifier"]);
  expect(saved(["decider", "score"])).toEqual(["decider"]);
  const adapter = attach(of(["decider"]), { ...SEQ, modulesToSave: ["classifier"] });
  expect([...adapter.saved.keys()]).toEqual(["pre_classifier", "classifier", "decider"]);
});
