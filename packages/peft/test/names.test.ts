/** Every name that a configuration gives must match something by itself; in files what matches nothing is listed. */
import { Embedding, type FamilyFacts, LayerNorm, Linear, Module, type Projection } from "@lowrank/nn";
import { expect, it } from "vitest";
import { attach, parseAdapterConfig, type LoraConfig } from "../src/index.ts";
import { familyOf } from "./family.ts";

class Block extends Module {
  query: Projection = new Linear(4, 4);
  value: Projection = new Linear(4, 4);
  norm: LayerNorm = new LayerNorm(4);
}
class Encoder extends Module {
  layer: Block[] = [new Block(), new Block()];
}
class Body extends Module {
  word_embeddings: Embedding = new Embedding(10, 4);
  encoder: Encoder = new Encoder();
}
class Model extends Module {
  bert: Body = new Body();
  pre_classifier: Projection = new Linear(4, 4);
  classifier: Projection = new Linear(4, 2);
}

const trained = (config: Partial<LoraConfig>): string[] => {
  const model = new Model();
  attach(model, config);
  return [...model.namedWeights()].flatMap(([name, { trainable }]) => (trainable ? [name] : []));
};

const typed = (file: Record<string, unknown>): Partial<LoraConfig> =>
  parseAdapterConfig({ peft_type: "LORA", ...file });

it.each<[Partial<LoraConfig>, string]>([
  [{ targetModules: ["query", "vlaue"] }, 'target_modules "vlaue" matches nothing; did you mean "value"?'],
  [
    { targetModules: ["query"], modulesToSave: ["classifer"] },
    'modules_to_save "classifer" matches nothing; did you mean "classifier"?',
  ],
  [
    { targetModules: ["query"], excludeModules: ["valeu"] },
    'exclude_modules "valeu" matches nothing; did you mean "value"?',
  ],
  [
    { targetModules: ["query"], excludeModules: ".*valeu" },
    'exclude_modules ".*valeu" matches nothing; a string is a regular expression for the whole path',
  ],
  [
    { targetModules: ["query"], layersToTransform: [0, 99] },
    "layers_to_transform 99 matches nothing; the targets lie in layers 0, 1",
  ],
  [
    { targetModules: ["query"], layersToTransform: [0], layersPattern: ["layer", "blocks"] },
    'layers_pattern "blocks" matches nothing',
  ],
  [
    { targetModules: ["query"], rankPattern: { query: 4, value: 2 } },
    'rank_pattern "value" matches no target module; a key is the end of a path at a dot; there are query',
  ],
  [
    { targetModules: ["query", "value"], rankPattern: { vlaue: 2 } },
    'rank_pattern "vlaue" matches no target module; a key is the end of a path at a dot; did you mean "value"?',
  ],
  [{ targetModules: ["query"], alphaPattern: { "quer[yi": 4 } }, '"(.*\\\\.)?(quer[yi)$" is not a regular expression'],
  [
    { targetModules: ["encoder.layer.0.query", "encoder.layr.1.query"] },
    'target_modules "encoder.layr.1.query" matches nothing; did you mean "encoder.layer.1.query"?',
  ],
])("%j names what matches nothing", (config, message) => {
  expect(() => attach(new Model(), config)).toThrow(message);
});

it("in a file, what matches nothing is listed as long as something matches", () => {
  const { warnings, table } = attach(
    new Model(),
    typed({
      target_modules: ["query", "q_proj"],
      modules_to_save: ["score"],
      exclude_modules: ["k_proj"],
      layers_to_transform: [0, 99],
      rank_pattern: { ffn: 3 },
    }),
  );
  expect(table.map(({ module }) => module)).toEqual(["bert.encoder.layer.0.query"]);
  expect(warnings.map((w) => /"[\w]+"|\d+/.exec(w)![0])).toEqual(["99", '"q_proj"', '"k_proj"', '"score"', '"ffn"']);
  expect(() => attach(new Model(), typed({ target_modules: ["q_proj"] }))).toThrow('"q_proj" match nothing');
});

it("defaults that match nothing are called defaults, with the type they are for", () => {
  class Plain extends Module {
    l: Projection = new Linear(2, 2);
  }
  class Gpt2 extends Plain {
    override get family(): FamilyFacts {
      return familyOf({ modelType: "gpt2", targets: { lora: ["c_attn"] } });
    }
  }
  expect(() => attach(new Plain(), {})).toThrow(
    "LoRA: no target modules are given, and PEFT's defaults for models that say no type (none) match nothing; the model has l",
  );
  expect(() => attach(new Gpt2(), {})).toThrow(
    'LoRA: no target modules are given, and PEFT\'s defaults for model type "gpt2" (c_attn) match nothing; the model has l',
  );
});

it("names that the task brings, and default targets, need not match", () => {
  expect(trained({ taskType: "SEQ_CLS" })).toContain("classifier.modules_to_save.default.weight");
  expect(
    attach(new Model(), typed({ task_type: "SEQ_CLS", modules_to_save: ["classifier", "score"] })).warnings,
  ).toEqual([]);
  expect(() => attach(new Model(), { modulesToSave: ["score"] })).toThrow('modules_to_save "score" matches nothing');
});

it("empty lists of layers and patterns are no restriction", () => {
  const all = attach(new Model(), { targetModules: ["query"] }).table;
  expect(attach(new Model(), { targetModules: ["query"], layersToTransform: [] }).table).toEqual(all);
  expect(attach(new Model(), { targetModules: ["query"], layersToTransform: [0, 1], layersPattern: [] }).table).toEqual(
    all,
  );
  expect(
    attach(new Model(), typed({ target_modules: ["query"], layers_to_transform: [], layers_pattern: [] })).table,
  ).toEqual(all);
});

it("modules_to_save goes by the end of a path, at a dot or not, and takes layers of every kind", () => {
  expect(
    trained({ targetModules: ["query"], modulesToSave: ["classifier"] }).filter((n) => !n.includes("lora_")),
  ).toEqual([
    "pre_classifier.modules_to_save.default.weight",
    "pre_classifier.modules_to_save.default.bias",
    "classifier.modules_to_save.default.weight",
    "classifier.modules_to_save.default.bias",
  ]);
  expect(
    trained({ targetModules: ["query"], modulesToSave: ["norm", "embeddings"] }).filter((n) => !n.includes("lora_")),
  ).toEqual([
    "bert.word_embeddings.modules_to_save.default.weight",
    ...[0, 1].flatMap((i) =>
      ["weight", "bias"].map((w) => `bert.encoder.layer.${i}.norm.modules_to_save.default.${w}`),
    ),
  ]);
});

it("a module cannot be adapted and trained whole, whoever asks for it", () => {
  expect(() => attach(new Model(), { targetModules: "all-linear", taskType: "SEQ_CLS" })).toThrow(
    "modules_to_save takes pre_classifier whole",
  );
  const model = new Model();
  attach(model, { targetModules: ["query"], modulesToSave: ["value"] });
  expect(() => attach(model, { targetModules: ["value"] }, "second")).toThrow(
    "bert.encoder.layer.0.value is trained whole by adapter default",
  );
  expect(() => attach(model, { targetModules: ["pre_classifier"], modulesToSave: ["query"] }, "second")).toThrow(
    "modules_to_save takes bert.encoder.layer.0.query whole, which carries adapter default",
  );
  expect([...model.namedModules()].some(([path]) => path.startsWith("pre_classifier."))).toBe(false);
});

it("all-linear takes every head that the task does not", () => {
  const of = (config: Partial<LoraConfig>): string[] =>
    attach(new Model(), { targetModules: "all-linear", excludeModules: ["pre_classifier"], ...config })
      .table.map(({ module }) => module)
      .filter((m) => !m.includes("layer"));
  expect(of({})).toEqual(["classifier"]);
  expect(of({ taskType: "TOKEN_CLS", excludeModules: undefined, modulesToSave: [], targetModules: ["query"] })).toEqual(
    [],
  );
});
