/** A family written from outside, as an example: ELECTRA (Clark et al. 2020), BERT's encoder behind narrower embeddings. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Linear, type Projection } from "@lowrank/nn";
import { grad, init, toMemory, type Device, type Tensor } from "@lowrank/tensor";
import { size } from "@lowrank/tensor/check";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  architectureFor,
  architectureOf,
  BERT,
  fromPretrained,
  loadTokenizer,
  metaModel,
  PretrainedModel,
  registerFamily,
  savePretrained,
  type BertConfig,
  type BertInputs,
  type FamilyModels,
  type HiddenOutputs,
  type ModelFamily,
} from "../src/index.ts";
import {
  anyTensor,
  BERT_TABLE,
  BertEmbeddings,
  BertEncoder,
  bertFileAs,
  floatKeys,
  type BertValues,
  headDropout,
  initOf,
  type InputRules,
  key,
  parseBertAs,
  TokenClassification,
  type ConfigTable,
} from "../src/parts.ts";

// config.ts: the keys of its config.json

type ElectraConfig = BertConfig & { readonly embeddingSize: number };

const TABLE: ConfigTable<BertValues & { readonly embeddingSize: number }> = {
  ...BERT_TABLE,
  parser: "parseElectraConfig",
  keys: {
    ...BERT_TABLE.keys,
    embeddingSize: key("embedding_size", size, 128),
    hiddenSize: { ...BERT_TABLE.keys.hiddenSize, fallback: 256 },
    numAttentionHeads: { ...BERT_TABLE.keys.numAttentionHeads, fallback: 4 },
    intermediateSize: { ...BERT_TABLE.keys.intermediateSize, fallback: 1024 },
  },
  // of a head that looks at the first token only
  harmless: ["summary_activation", "summary_last_dropout", "summary_type", "summary_use_proj"],
  harmlessFloats: ["summary_last_dropout"],
};

// family.ts: what is true of all its models

const ELECTRA: ModelFamily<ElectraConfig> = {
  ...BERT,
  modelType: "electra",
  basePrefix: "electra.",
  floatKeys: floatKeys(TABLE),
  parse: (source, overrides = {}) => parseBertAs(TABLE, source, overrides),
  file: (config, architecture) => bertFileAs(TABLE, config, "electra", architecture),
  // PEFT has defaults for LoRA and VeRA only
  targets: { lora: ["query", "value"], vera: ["query", "value"] },
  outputEmbeddings: ["generator_lm_head"],
};

// model.ts: property names are checkpoint names

class ElectraModel extends PretrainedModel<ElectraConfig, BertInputs, HiddenOutputs> {
  static readonly family = ELECTRA;
  static readonly architecture = "ElectraModel";
  readonly embeddings: BertEmbeddings;
  readonly embeddings_project: Projection | undefined;
  readonly encoder: BertEncoder;

  constructor(config: ElectraConfig) {
    super(config);
    const { embeddingSize, hiddenSize } = config;
    this.embeddings = new BertEmbeddings({ ...config, hiddenSize: embeddingSize });
    this.embeddings_project =
      embeddingSize === hiddenSize ? undefined : new Linear(embeddingSize, hiddenSize, { init: initOf(config) });
    this.encoder = new BertEncoder(config);
  }

  get extraInputs(): InputRules {
    return { tokenTypeIds: anyTensor };
  }

  compute(inputs: BertInputs): HiddenOutputs {
    const embedded = this.embeddings.forward(inputs);
    return this.encoder.forward(this.embeddings_project?.forward(embedded) ?? embedded, inputs.attentionMask);
  }
}

// heads.ts: a shared head, with the family's names

class ElectraForTokenClassification extends TokenClassification<
  ElectraConfig,
  BertInputs & { readonly labels?: Tensor },
  HiddenOutputs
> {
  static readonly family = ELECTRA;
  static readonly architecture = "ElectraForTokenClassification";
  declare readonly electra: ElectraModel;

  constructor(config: ElectraConfig) {
    super(config, new ElectraModel(config), headDropout(config));
  }
}

// index.ts: which class is for which task

const electraModels: FamilyModels = {
  family: ELECTRA,
  base: ElectraModel,
  tasks: { TOKEN_CLS: ElectraForTokenClassification },
};

// from outside this is the registry's line
registerFamily(electraModels);

// and that it is the family it says

const CONFIG = {
  model_type: "electra",
  vocab_size: 11,
  embedding_size: 3,
  hidden_size: 4,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 5,
  max_position_embeddings: 6,
};

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

/** Weight j of the model, in order: 0.5·sin(1 + 7j + i), around 1 in norms. */
async function known(): Promise<ElectraForTokenClassification> {
  const model = new ElectraForTokenClassification(ELECTRA.parse(CONFIG));
  await model.materialize({ device });
  for (const [j, [name, { parameter, size: count }]] of [...model.namedWeights()].entries()) {
    const center = name.endsWith("LayerNorm.weight") ? 1 : 0;
    const values = Float64Array.from({ length: count }, (_, i) => center + 0.5 * Math.sin(1 + 7 * j + i));
    parameter.write(toMemory(parameter.dtype, values, "f64"));
  }
  return model;
}

it("has transformers' outputs, loss and gradients (transformers 5.24.0, torch 2.13.0, f64)", async () => {
  const model = await known();
  const ids = (values: readonly number[]): Tensor => device.tensor(Int32Array.from(values), [1, 4]);
  const { logits, loss } = model.forward({
    inputIds: ids([2, 5, 7, 0]),
    attentionMask: ids([1, 1, 1, 0]),
    labels: ids([0, 1, 1, -100]),
  });
  const close = async (got: Tensor, want: readonly number[]): Promise<void> => {
    const values = await got.floats();
    // f64, one layer of width 4
    want.forEach((v, i) => expect(Math.abs(values[i]! - v)).toBeLessThanOrEqual(1e-13));
  };
  await close(
    logits,
    [
      1.4723723372368225, -0.7421870177257234, 1.433010450346271, -0.7759546635439895, 1.4640257813625888,
      -0.7408615960643085, 1.4639909498534511, -0.7405821718113587,
    ],
  );
  await close(loss!, [1.5754275023752344]);
  const { parameter } = new Map(model.namedWeights()).get("electra.embeddings_project.weight")!;
  await close(
    grad(loss!, [parameter])[0]!,
    [
      0.12245242084675301, -0.10514351188711132, -0.07977362237367129, -0.15980740218124423, 0.0918931935145785,
      0.14517856693218104, -0.1944330302089196, 0.26096252804369974, 0.0400919252407418, 0.1555589889243979,
      -0.18821271932390193, -0.04555267802387199,
    ],
  );
});

it("is found by the names of its files, saved and loaded as those that are built in", async () => {
  expect(architectureFor(CONFIG)).toBe("ElectraForTokenClassification");
  expect(architectureFor(CONFIG, "FEATURE_EXTRACTION")).toBe("ElectraModel");
  expect(architectureFor({ architectures: ["ElectraModel"] }, "TOKEN_CLS")).toBe("ElectraForTokenClassification");
  const names = [...metaModel("ElectraForTokenClassification", CONFIG).namedWeights()].map(([name]) => name);
  expect(names.slice(5, 9)).toEqual([
    "electra.embeddings_project.weight",
    "electra.embeddings_project.bias",
    "electra.encoder.layer.0.attention.self.query.weight",
    "electra.encoder.layer.0.attention.self.query.bias",
  ]);

  const folder = mkdtempSync(join(tmpdir(), "lowrank-electra-"));
  const model = await known();
  await savePretrained(model, folder);
  const { model: again, report } = await fromPretrained(folder, architectureOf("ElectraForTokenClassification"), {
    device,
  });
  expect([report.fresh, report.unused]).toEqual([[], []]);
  expect(again.config).toMatchObject({ embeddingSize: 3, hiddenSize: 4 });
  for (const [name, weight] of again.namedWeights())
    expect((await weight.read()).data, name).toEqual((await new Map(model.namedWeights()).get(name)!.read()).data);
  // the base alone, from a file with a head
  const { model: bare, report: without } = await fromPretrained(folder, ElectraModel, { device });
  expect([bare.embeddings_project?.outFeatures, [...without.unused].sort()]).toEqual([
    4,
    ["classifier.bias", "classifier.weight"],
  ]);
  rmSync(folder, { recursive: true });
});

it("a tokenizer of no place is refused by name", async () => {
  await expect(loadTokenizer(5 as never)).rejects.toThrow('loadTokenizer: "from" must be the path of a folder or file');
});

it("may be registered again, but nobody else under its names", () => {
  expect(() => registerFamily(electraModels)).not.toThrow();
  expect(() => registerFamily({ ...electraModels })).toThrow('the model_type "electra" is taken');
  const family = { ...ELECTRA, modelType: "electra2" };
  expect(() => registerFamily({ ...electraModels, family })).toThrow('the architecture "ElectraModel" is taken');
  class Stray extends ElectraModel {
    static override readonly architecture: never = "Stray" as never;
  }
  expect(() => registerFamily({ family, base: Stray, tasks: {} })).toThrow(
    'Stray says that its family is "electra", not "electra2"',
  );
  expect(() => architectureOf("Stray")).toThrow("is not built");
});

it.each<[unknown, string]>([
  [null, "registerFamily: must be a family with its classes (FamilyModels), got null"],
  [{}, 'registerFamily: "family" is missing; it must be what is true of a family (a ModelFamily)'],
  [{ ...electraModels, family: {} }, 'registerFamily: "family.modelType" is missing'],
  [{ ...electraModels, family: { ...ELECTRA, heads: undefined } }, 'registerFamily: "family.heads" must be an object'],
  [{ ...electraModels, base: "ElectraModel" }, 'registerFamily: "base" must be a class of models, such as BertModel'],
  [{ family: ELECTRA, base: ElectraModel }, 'registerFamily: "tasks" must be an object'],
  [{ ...electraModels, tasks: { SEQ_CLS: {} } }, 'registerFamily: "tasks.SEQ_CLS.architecture" is missing'],
])("a family's record without its parts is refused by name: %#", (record, message) => {
  expect(() => registerFamily(record as never)).toThrow(
    expect.objectContaining({ code: "ConfigError", message: expect.stringContaining(message) as string }) as Error,
  );
});

it.each<[readonly unknown[], string]>([
  [
    [5, ElectraModel],
    'fromPretrained: "from" must be the path of a folder or file, a URL, a model of the hub, or a store of files',
  ],
  [[undefined, ElectraModel], 'fromPretrained: "from" is missing; it must be the path of a folder'],
  [[{}, ElectraModel], 'fromPretrained: "from.where" is missing; it must be a string'],
  [
    ["x", "BertModel"],
    'fromPretrained: "as" must be a class of models, such as BertModel, got "BertModel"; architectureOf("BertModel") gives it',
  ],
  [["x", {}], 'fromPretrained: "as.architecture" is missing'],
  [["x", undefined], 'fromPretrained: "as" is missing; it must be a class of models'],
  [["x", ElectraModel, [{}]], 'fromPretrained: "formats.0.name" is missing; it must be a string that is not empty'],
  [["x", ElectraModel, [null]], 'fromPretrained: "formats.0" must be a form of weights in files (a Format), got null'],
])("what fromPretrained cannot take is refused by name: %#", async ([from, as, formats], message) => {
  await expect(fromPretrained(from as never, as as never, { device, formats: formats as never })).rejects.toThrow(
    expect.objectContaining({ code: "ConfigError", message: expect.stringContaining(message) as string }) as Error,
  );
});
