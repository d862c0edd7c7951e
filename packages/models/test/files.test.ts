/** Checkpoints that are not what they seem, and what is written: never a weight unseen, never a file that nothing reads. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Linear, Projection, type Format, type MaterializeOptions, type Module, type WeightForm } from "@lowrank/nn";
import { planQuantization, quantize, type FourBitWeight } from "@lowrank/quant";
import {
  directory,
  fromBytes,
  init,
  readTensor,
  SafetensorsFile,
  serialize,
  type Device,
  type DType,
  type FileEntry,
  type Files,
  type StoredTensor,
  type Tensor,
} from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  architectures,
  BertForMaskedLM,
  BertForSequenceClassification,
  BertModel,
  fromPretrained,
  GPT2LMHeadModel,
  LlamaForCausalLM,
  metaModel,
  savePretrained,
  type PretrainedModel,
} from "../src/index.ts";
import { SMALL, type Sizes } from "./small-models.ts";

const SIZES: Sizes = { vocab: 11, heads: 2, width: 4, layers: 1, positions: 6 };
let device: Device;
let folder: string;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-files-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

const ids = (): Tensor => device.tensor(Int32Array.of(2, 3, 4, 5), [1, 4]);
const configIn = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(path, "config.json"), "utf8")) as Record<string, unknown>;

async function drawn(name: string, config: Record<string, unknown> = {}, dtype?: DType): Promise<PretrainedModel> {
  const model = metaModel(name, { ...SMALL[name]!(SIZES), ...config });
  await model.materialize({ device, seed: 3, ...(dtype === undefined ? {} : { dtype }) });
  return model;
}

/** A saved model, changed. */
async function saved(
  at: string,
  name: string,
  change: (tensors: Map<string, StoredTensor>) => void = () => {},
  config: Record<string, unknown> = {},
): Promise<string> {
  const path = join(folder, at);
  const model = await drawn(name);
  await savePretrained(model, path);
  model.dispose();
  const file = await SafetensorsFile.open(fromBytes(readFileSync(join(path, "model.safetensors"))));
  const tensors = new Map<string, StoredTensor>();
  for (const n of file.names) tensors.set(n, await file.read(n));
  change(tensors);
  writeFileSync(join(path, "model.safetensors"), serialize(tensors));
  writeFileSync(join(path, "config.json"), JSON.stringify({ ...configIn(path), ...config }));
  return path;
}

describe("weights of a checkpoint", () => {
  it("may lack the head and the pooler, and nothing else unless that is meant", async () => {
    const query = "bert.encoder.layer.0.attention.self.query.weight";
    const headless = await saved("headless", "BertForSequenceClassification", (t) => {
      for (const n of t.keys()) if (/classifier|pooler/.test(n)) t.delete(n);
    });
    expect((await fromPretrained(headless, BertForSequenceClassification, { device })).report.fresh).toHaveLength(4);
    const holed = await saved("holed", "BertForSequenceClassification", (t) => {
      t.delete(query);
    });
    await expect(fromPretrained(holed, BertForSequenceClassification, { device })).rejects.toThrow(
      `lacks 1 weight of the base model: ${query}; drawn at random the model is another one, say missing: "draw"`,
    );
    expect(
      (await fromPretrained(holed, BertForSequenceClassification, { device, missing: "draw" })).report.fresh,
    ).toEqual([query]);
  });

  it("are finite floats, in the form in which they are kept", async () => {
    const name = "bert.embeddings.word_embeddings.weight";
    const broken = (at: string, value: number) =>
      saved(at, "BertForSequenceClassification", (t) => {
        (t.get(name)!.data as Float32Array)[5] = value;
      });
    for (const value of [NaN, -Infinity])
      await expect(
        fromPretrained(await broken("nan", value), BertForSequenceClassification, { device }),
      ).rejects.toThrow(`${name} holds numbers that are not finite`);
    await fromPretrained(join(folder, "nan"), BertForSequenceClassification, { device, allowNonFinite: true });
    await expect(
      fromPretrained(await broken("large", 1e6), BertForSequenceClassification, { device, storage: () => () => "f16" }),
    ).rejects.toThrow(`${name} holds numbers beyond what f16 can hold`);
    await fromPretrained(join(folder, "large"), BertForSequenceClassification, { device });
    const whole = await saved("whole", "BertForSequenceClassification", (t) => {
      t.set(name, { dtype: "i32", shape: t.get(name)!.shape, data: new Int32Array(t.get(name)!.data.length) });
    });
    await expect(fromPretrained(whole, BertForSequenceClassification, { device })).rejects.toThrow(
      `${name} is I32 in model.safetensors; a weight is one of F64, F32, F16, BF16`,
    );
  });

  it("are kept as a function says that is asked with the model, and anything else that it gives is refused", async () => {
    const path = await saved("kept", "BertForSequenceClassification");
    await expect(
      fromPretrained(path, BertForSequenceClassification, { device, storage: (() => "f16") as never }),
    ).rejects.toThrow(/^fromPretrained: "storage" is asked with the model and must give a function .* it gave "f16"/);
    const { model } = await fromPretrained(path, BertForSequenceClassification, { device, storage: () => () => "f16" });
    expect(new Set(model.weights().map((w) => w.parameter.dtype))).toEqual(new Set(["f16"]));
  });

  it.each<[unknown, string]>([
    [5, "gave 5; it gives a dtype (f64, f32, bf16, f16, "],
    ["nf4", 'gave "nf4"; it gives a dtype '],
    [null, "gave null; it gives a dtype "],
    [{ kind: "nf4" }, '"keep" is missing; it must be a function'],
  ])("kept as %j, which is no way of keeping them, are refused by name", async (how, message) => {
    const path = await saved("kept-as", "BertForSequenceClassification");
    const storage = (): never => (() => how) as never;
    await expect(fromPretrained(path, BertForSequenceClassification, { device, storage })).rejects.toThrow(
      expect.objectContaining({
        code: "ConfigError",
        message: expect.stringMatching(/^storage\("bert\.embeddings\.word_embeddings\.weight"\)/) as string,
      }) as Error,
    );
    await expect(fromPretrained(path, BertForSequenceClassification, { device, storage })).rejects.toThrow(message);
  });

  it("in a quantized form are what config.json says, whole, and of a form that is read", async () => {
    const said = async (name: string, quantization: object, change = (_: Map<string, StoredTensor>): void => {}) =>
      fromPretrained(
        await saved(name, "BertForSequenceClassification", change, { quantization_config: quantization }),
        BertForSequenceClassification,
        { device },
      );
    await expect(said("bnb", { quant_method: "bitsandbytes", load_in_4bit: true })).rejects.toThrow(
      "config.json says in quantization_config that weights are kept as fp4, and model.safetensors keeps none so",
    );
    const unsaid = await saved("bnb-unsaid", "BertForSequenceClassification", (t) => {
      t.set("bert.pooler.dense.weight.absmax", { dtype: "f32", shape: [1], data: new Float32Array(1) });
    });
    await expect(fromPretrained(unsaid, BertForSequenceClassification, { device })).rejects.toThrow(
      "has bert.pooler.dense.weight.absmax, a part of a quantized weight, and bert.pooler.dense.weight is not kept as one",
    );
  });

  it("that other programs quantized are refused by name before a tensor is read", async () => {
    const what = (label: string): string => `the weights are quantized by ${label}, which is not read here: take the`;
    const load = async (path: string, options: object = {}): Promise<unknown> => {
      const files = directory(path);
      const unread: Files = {
        ...files,
        // the header, which begins the file, and no more
        open: async (name) => {
          const file = await files.open(name);
          const header = 8 + Number(new DataView((await file.read(0, 8)).slice().buffer).getBigUint64(0, true));
          const read = (begin: number, end: number): Promise<Uint8Array> => {
            expect(end).toBeLessThanOrEqual(header);
            return file.read(begin, end);
          };
          return { ...file, read };
        },
      };
      return fromPretrained(unread, LlamaForCausalLM, { device, ...options });
    };
    const bits = { quant_method: "gptq", bits: 4, group_size: 128 };
    const config = await saved("gptq-said", "LlamaForCausalLM", () => {}, { quantization_config: bits });
    await expect(load(config)).rejects.toThrow(`config.json: quantization_config: ${what("GPTQ")}`);

    const layer = "model.layers.0.mlp.down_proj";
    const entries =
      (...names: string[]) =>
      (tensors: Map<string, StoredTensor>): void => {
        if (!names.includes("weight")) tensors.delete(`${layer}.weight`);
        for (const name of names)
          tensors.set(
            `${layer}.${name}`,
            tensors.get(`${layer}.${name}`) ?? { dtype: "i32", shape: [1], data: Int32Array.of(1) },
          );
      };
    for (const [at, label, names] of [
      ["gptq", "GPTQ", ["qweight", "qzeros", "scales", "g_idx"]],
      ["awq", "AWQ or GPTQ", ["qweight", "qzeros", "scales"]],
      ["fp8", "FP8", ["weight", "weight_scale_inv"]],
      ["mlx", "MLX", ["weight", "scales", "biases"]],
    ] as const) {
      const path = await saved(at, "LlamaForCausalLM", entries(...names));
      await expect(load(path)).rejects.toThrow(`${path}: model.safetensors: ${what(label)}`);
    }

    // a form of the caller's own may be what reads them
    const own: Format = {
      name: "own",
      matches: (file, name) => (file.has(`${name}_scale_inv`) ? [name, `${name}_scale_inv`] : undefined),
      load: async (on, file, name, { shape }) => {
        const kept = on.parameter((await readTensor(file, name)).data, shape);
        return { kind: "own", bytes: 4 * kept.size, value: () => kept.value, dispose: () => kept.dispose() };
      },
      decode: async (file, name) => readTensor(file, name),
    };
    const fp8 = await saved("fp8-own", "LlamaForCausalLM", entries("weight", "weight_scale_inv"), {
      quantization_config: { quant_method: "fp8" },
    });
    const { report } = await fromPretrained(fp8, LlamaForCausalLM, { device, formats: [own] });
    expect([...report.forms]).toEqual([[`${layer}.weight`, "own"]]);
    await expect(load(join(folder, "gptq"), { formats: [own] })).rejects.toThrow(what("GPTQ"));

    // weights in Python's own files: what is beside them says more than that
    writeFileSync(join(config, "config.json"), JSON.stringify({ ...configIn(config), quantization_config: null }));
    rmSync(join(config, "model.safetensors"));
    writeFileSync(join(config, "pytorch_model.bin"), "");
    writeFileSync(join(config, "quantize_config.json"), JSON.stringify(bits));
    await expect(load(config)).rejects.toThrow(`${config}: there is a quantize_config.json: ${what("GPTQ")}`);
  });

  it("of an output layer that differs from the table it is said to be tied to are kept", async () => {
    for (const [at, name, second, table, as] of [
      ["gpt2-two", "GPT2LMHeadModel", "lm_head.weight", "transformer.wte.weight", GPT2LMHeadModel],
      [
        "bert-two",
        "BertForMaskedLM",
        "cls.predictions.decoder.weight",
        "bert.embeddings.word_embeddings.weight",
        BertForMaskedLM,
      ],
    ] as const) {
      const other = (same: boolean) =>
        saved(
          `${at}-${same}`,
          name,
          (t) => {
            const { data, shape } = t.get(table)!;
            t.set(second, { dtype: "f32", shape, data: same ? data : (data as Float32Array).map((v) => v + 1) });
          },
          { tie_word_embeddings: true },
        );
      const { model, report } = await fromPretrained<PretrainedModel>(await other(false), as, { device });
      expect([
        model.config.tieWordEmbeddings,
        [...report.fresh, ...report.unused],
        [...model.namedWeights()].some(([n]) => n === second),
      ]).toEqual([false, [], true]);
      await savePretrained(model, join(folder, `${at}-again`));
      expect(configIn(join(folder, `${at}-again`))["tie_word_embeddings"]).toBe(false);
      expect(
        (await fromPretrained<PretrainedModel>(await other(true), as, { device })).model.config.tieWordEmbeddings,
      ).toBe(true);
    }
  });

  it("of a bare model are read from one with a head, and the other way round", async () => {
    const withHead = await saved("with-head", "BertForSequenceClassification");
    const { model, report } = await fromPretrained(withHead, BertModel, { device });
    expect(report).toEqual({
      fresh: [],
      unused: ["classifier.bias", "classifier.weight"].filter((n) => report.unused.includes(n)),
      forms: new Map(),
    });
    expect(report.unused).toHaveLength(2);
    await savePretrained(model, join(folder, "bare"));
    expect(configIn(join(folder, "bare"))).toMatchObject({ architectures: ["BertModel"], model_type: "bert" });
    const again = await fromPretrained(join(folder, "bare"), BertForSequenceClassification, { device });
    expect(again.report).toEqual({ fresh: ["classifier.weight", "classifier.bias"], unused: [], forms: new Map() });
    expect(await again.model.forward({ inputIds: ids() }).lastHiddenState.data()).toEqual(
      await model.forward({ inputIds: ids() }).lastHiddenState.data(),
    );
  });
});

describe("what is written", () => {
  it.each(Object.keys(architectures).filter((n) => !/MaskedLM|CausalLM|LMHead|QuestionAnswering/.test(n)))(
    "%s: other labels come back as they were given",
    async (name) => {
      const path = await saved(`${name}-two`, name);
      expect(Object.keys(configIn(path)).filter((k) => /label/.test(k))).toEqual([]);
      for (const [labels, names] of [
        [3, undefined],
        [
          ["a", "b", "c"],
          ["a", "b", "c"],
        ],
        [1, undefined],
      ] as const) {
        const { model, report } = await fromPretrained(path, architectures[name]!, { device, labels });
        expect(report.fresh.length).toBeGreaterThan(0);
        await savePretrained(model, join(folder, "labels"));
        const config = configIn(join(folder, "labels"));
        const written = names ?? Array.from({ length: labels as number }, (_, i) => `LABEL_${i}`);
        expect([config["num_labels"], config["id2label"], config["label2id"]]).toEqual([
          undefined,
          { ...written },
          Object.fromEntries(written.map((n, i) => [n, i])),
        ]);
        const again = await fromPretrained(join(folder, "labels"), architectures[name]!, { device });
        expect([again.report, again.model.config.numLabels, again.model.config.id2label]).toEqual([
          { fresh: [], unused: [], forms: new Map() },
          written.length,
          names,
        ]);
      }
    },
  );

  it("names the dtype of the weights, and no older one", async () => {
    for (const [dtype, want] of [
      ["f32", "float32"],
      ["f16", "float16"],
      ["bf16", "bfloat16"],
    ] as const) {
      const model = await drawn(
        "GPT2LMHeadModel",
        { torch_dtype: "float64", dtype: "float64", quantization_config: null },
        dtype,
      );
      await savePretrained(model, join(folder, dtype));
      const config = configIn(join(folder, dtype));
      expect([
        config["dtype"],
        Object.hasOwn(config, "torch_dtype"),
        Object.hasOwn(config, "quantization_config"),
      ]).toEqual([want, false, false]);
    }
  });

  it("has floats where transformers' classes want floats", async () => {
    await savePretrained(await drawn("LlamaForCausalLM", { initializer_range: 1 }), join(folder, "floats"));
    const text = readFileSync(join(folder, "floats", "config.json"), "utf8");
    expect(text).toMatch(/"initializer_range": 1\.0,/);
    expect(text).toMatch(/"rope_theta": 10000\.0/);
  });

  it("is not a model with adapters on it", async () => {
    class Wrapped extends Projection {
      readonly base_layer = new Linear(8, 8);
      readonly inFeatures = 8;
      readonly outFeatures = 8;
      readonly fanInFanOut = false;
      get weight() {
        return this.base_layer.weight;
      }
      get bias() {
        return this.base_layer.bias;
      }
      forward(x: Tensor): Tensor {
        return this.base_layer.forward(x);
      }
    }
    const model = await drawn("BertForSequenceClassification");
    model.setModule("bert.encoder.layer.0.attention.self.query", new Wrapped());
    await expect(savePretrained(model, join(folder, "adapted"))).rejects.toThrow(
      /bert\.encoder\.layer\.0\.attention\.self\.query\.base_layer\.weight\): it carries adapters; save them with saveAdapter, or call mergeAndUnload first/,
    );
  });
});

describe("what stands in the place of a file", () => {
  it("is refused where it is no file, holds no object or is no text", async () => {
    const path = await saved("special", "BertForSequenceClassification");
    const config = join(path, "config.json");
    const refused = async (message: string | RegExp): Promise<void> => {
      await expect(fromPretrained(path, BertForSequenceClassification, { device })).rejects.toThrow(message);
    };
    for (const [content, message] of [
      ["null", /must be an object, got null/],
      ["[1]", /must be an object/],
      ['{"__proto__": {}}', /__proto__/],
      ["{", /not valid JSON/],
      [Uint8Array.of(0x7b, 0xff, 0x7d), /is not UTF-8 text/],
    ] as const) {
      writeFileSync(config, content);
      await refused(message);
    }
    rmSync(config);
    mkdirSync(config);
    await refused(/config\.json: is not a regular file/);
    rmSync(config, { recursive: true });
    symlinkSync("/dev/zero", config);
    await refused(/config\.json: is not a regular file/);
  });

  it("is refused where it is no model's configuration", async () => {
    const path = await saved("package", "BertForSequenceClassification");
    writeFileSync(join(path, "config.json"), JSON.stringify({ name: "lowrank", version: "1.0.0" }));
    await expect(fromPretrained(path, BertForSequenceClassification, { device })).rejects.toThrow(
      'config.json has no "model_type" and no "vocab_size": it is no configuration of a BertForSequenceClassification',
    );
  });
});

describe("names of inputs and options", () => {
  it("are checked, and foreign spellings get the right one", async () => {
    const model = await drawn("BertForSequenceClassification");
    for (const [key, meant] of [
      ["input_ids", "inputIds"],
      ["attention_mask", "attentionMask"],
      ["label", "labels"],
      ["token_type_ids", "tokenTypeIds"],
    ] as const) {
      expect(() => model.forward({ inputIds: ids(), [key]: ids() } as never)).toThrow(
        `BertForSequenceClassification.forward: has an unknown key "${key}"; did you mean "${meant}"?`,
      );
    }
    expect(() => model.forward({} as never)).toThrow(/"inputIds" is missing/);
    expect(() =>
      model.forward({ inputIds: ids(), attentionMask: device.tensor(Uint8Array.of(1, 1), [1, 2], "bool") } as never),
    ).toThrow("attentionMask must be [1, 4] as inputIds is, got [1, 2]");
    await expect(
      fromPretrained("x", BertForSequenceClassification, { device, num_labels: 3 } as never),
    ).rejects.toThrow('fromPretrained: has an unknown key "num_labels"; did you mean "labels"?');
    await expect(
      fromPretrained("x", BertForSequenceClassification, { device, dtype: "half" } as never),
    ).rejects.toThrow('"dtype" must be one of');
  });

  it("a token type outside the table is an error before anything runs", async () => {
    const model = await drawn("RobertaForSequenceClassification");
    const { logits } = model.forward({
      inputIds: ids(),
      tokenTypeIds: device.tensor(Int32Array.of(0, 0, 1, 1), [1, 4]),
    } as never) as { logits: Tensor };
    await expect(logits.data()).rejects.toThrow(/token type 1 .* lies outside \[0, 1\)/);
  });
});

it("loading asks for one weight's bytes after another, each once, and for nothing of what it has no place for", async () => {
  const root = await saved("ranges", "BertForSequenceClassification");
  let [open, most, read] = [0, 0, 0];
  const files = directory(root);
  const spied: Files = {
    ...files,
    open: async (name) => {
      const file = await files.open(name);
      return {
        ...file,
        async read(begin, end) {
          most = Math.max(most, ++open);
          read += end - begin;
          const bytes = await file.read(begin, end);
          open--;
          return bytes;
        },
      };
    },
  };
  await fromPretrained(spied, BertForSequenceClassification, { device });
  expect(most).toBe(1);
  expect(read).toBe(statSync(join(root, "model.safetensors")).size);
});

describe("a quantized model", () => {
  let reference: Device;
  beforeAll(async () => {
    reference = await init({ device: "reference" });
  });
  afterAll(() => reference.close());
  const nf4 = async (at: string, name = "BertForSequenceClassification"): Promise<PretrainedModel> => {
    const storage = (m: Module): MaterializeOptions["storage"] => planQuantization(m, { blockSize: 32 }).storage;
    return (await fromPretrained(await saved(at, name), architectures[name]!, { device: reference, storage })).model;
  };

  it("is written in its own form, whatever the device computes in", async () => {
    const model = (await nf4("to-keep")) as BertForSequenceClassification;
    await savePretrained(model, join(folder, "kept"));
    const { model: again, report } = await fromPretrained(join(folder, "kept"), BertForSequenceClassification, {
      device: reference,
    });
    expect(new Set(report.forms.values())).toEqual(new Set(["nf4"]));
    const [a, b] = [model, again].map((m) => m.bert.encoder.layer[0]!.attention.self.query.weight);
    expect((await b!.read()).data).toEqual((await a!.read()).data);
    expect(await (b!.form as FourBitWeight).read()).toEqual(await (a!.form as FourBitWeight).read());
  });

  it("is written as numbers where that is said, all of it or by name", async () => {
    const model = (await nf4("to-decode")) as BertForSequenceClassification;
    const { weight } = model.bert.encoder.layer[0]!.attention.self.query;
    await savePretrained(model, join(folder, "decoded"), { dequantize: "f32" });
    expect(configIn(join(folder, "decoded"))).toMatchObject({ dtype: "float64" });
    expect(configIn(join(folder, "decoded"))).not.toHaveProperty("quantization_config");
    const decoded = await fromPretrained(join(folder, "decoded"), BertForSequenceClassification, { device });
    expect(decoded.report.forms.size).toBe(0);
    const { data } = await decoded.model.bert.encoder.layer[0]!.attention.self.query.weight.read();
    expect(Array.from(data)).toEqual(Array.from((await weight.read()).data, Math.fround));

    await savePretrained(model, join(folder, "in-part"), {
      dequantize: (name) => (name.includes("query") ? "bf16" : undefined),
    });
    const part = await fromPretrained(join(folder, "in-part"), BertForSequenceClassification, { device });
    expect([...part.report.forms.keys()].filter((name) => name.includes("query"))).toEqual([]);
    expect(part.report.forms.size).toBeGreaterThan(0);
    expect(configIn(join(folder, "in-part"))["quantization_config"]).toMatchObject({
      llm_int8_skip_modules: expect.arrayContaining(["bert.encoder.layer.0.attention.self.query"]) as string[],
    });
    await expect(savePretrained(model, join(folder, "in-part"), { dequantize: () => undefined })).rejects.toThrow(
      /^savePretrained: "dequantize" chose no weight of the \d+ that are quantized; they are called bert\./,
    );
  });

  it("keeps what its file said of computing, which weights do not show", async () => {
    const path = join(folder, "said");
    const model = await nf4("to-say");
    await savePretrained(model, path);
    const config = configIn(path);
    const said = { bnb_4bit_compute_dtype: "bfloat16", llm_int8_threshold: 5 };
    const quantization = { ...(config["quantization_config"] as object), ...said };
    writeFileSync(join(path, "config.json"), JSON.stringify({ ...config, quantization_config: quantization }));
    const { model: again } = await fromPretrained(path, { device });
    await savePretrained(again, join(folder, "said-again"));
    expect(configIn(join(folder, "said-again"))["quantization_config"]).toEqual(quantization);
    expect(readFileSync(join(folder, "said-again", "config.json"), "utf8")).toContain('"llm_int8_threshold": 5.0');
  });

  it("is refused where no checkpoint can say what it is, by weight and with what helps", async () => {
    const model = await drawn("BertForSequenceClassification");
    const to = join(folder, "never");
    await quantize(model, { exclude: [/pooler|value/] });
    await quantize(model.freeze(), { format: "int8", include: ["value"] });
    await expect(savePretrained(model, to)).rejects.toThrow(
      'savePretrained: some weights are nf4 and some int8, and one config.json has one type; say dequantize: "f16"',
    );
    await savePretrained(model, to, { dequantize: (name) => (name.includes("value") ? "f16" : undefined) });

    // of GPT-2 the output layer is the table too
    for (const name of ["BertForMaskedLM", "GPT2LMHeadModel"]) {
      const table = metaModel(name, SMALL[name]!({ ...SIZES, width: 32 }));
      await table.materialize({ device, storage: planQuantization(table, { embeddings: "nf4" }).storage });
      await expect(savePretrained(table, to)).rejects.toThrow(
        /(word_embeddings|wte)\.weight is kept as nf4 and is no matrix of a layer, and transformers reads bitsandbytes' entries of layers only/,
      );
    }
    const strange = await drawn("BertForSequenceClassification");
    const { query } = (strange as BertForSequenceClassification).bert.encoder.layer[0]!.attention.self;
    const { shape } = query.weight;
    const form = { kind: "Q9", bytes: 1, value: () => device.constant(new Float32Array(64), shape), dispose: () => {} };
    query.weight.form = form;
    await expect(savePretrained(strange, to)).rejects.toThrow(
      'savePretrained: bert.encoder.layer.0.attention.self.query.weight is kept as Q9, which a safetensors checkpoint does not hold (nf4, fp4, int8 it does): say dequantize: "f16"',
    );
    await savePretrained(strange, to, { dequantize: "f16" });
  });

  it("in a form of one's own is written as its format says, and read by it", async () => {
    const halves: Format = {
      name: "halves",
      matches: (file, name) => (file.has(`${name}.half`) ? [name, `${name}.half`] : undefined),
      partOf: (name) => /^(.*)\.half$/.exec(name)?.[1],
      load: async (on, file, name, { shape }) => halved(on, (await readTensor(file, name)).data, shape),
      decode: async (file, name) => readTensor(file, name),
      write: {
        entries: async (name, form) => {
          const { dtype, shape } = form.value();
          const load = async (): Promise<Float32Array> => (await form.value().data()) as Float32Array;
          return new Map<string, FileEntry>([
            [name, { dtype, shape, load }],
            [`${name}.half`, { dtype: "u8", shape: [], load: () => Uint8Array.of(2) }],
          ]);
        },
      },
    };
    const halved = (on: Device, data: ArrayLike<number>, shape: readonly number[]): WeightForm => {
      const kept = on.parameter(Float32Array.from(data), shape);
      return { kind: "halves", bytes: kept.size * 4, value: () => kept.value, dispose: () => kept.dispose() };
    };
    const model = (await drawn("BertForSequenceClassification")) as BertForSequenceClassification;
    const { weight } = model.bert.encoder.layer[0]!.attention.self.query;
    const { data } = await weight.read();
    weight.form = halved(device, data as Float32Array, weight.shape);
    const path = join(folder, "halves");
    await expect(savePretrained(model, path)).rejects.toThrow("is kept as halves, which a safetensors checkpoint");
    await savePretrained(model, path, { formats: [halves] });
    expect(configIn(path)).not.toHaveProperty("quantization_config");
    const again = await fromPretrained(path, BertForSequenceClassification, { device, formats: [halves] });
    expect([...again.report.forms]).toEqual([["bert.encoder.layer.0.attention.self.query.weight", "halves"]]);
    expect((await again.model.bert.encoder.layer[0]!.attention.self.query.weight.read()).data).toEqual(data);
  });
});

describe("what savePretrained is given", () => {
  it.each<[unknown[], string]>([
    [
      [5],
      'savePretrained: "to" must be the path of a folder, or a store of files that can be written, such as directory(path) gives, got 5',
    ],
    [["https://example.org/model"], 'savePretrained: "to" must be the path of a folder'],
    [[undefined], 'savePretrained: "to" is missing'],
    [[{ where: "x" }], 'savePretrained: "to.exists" is missing; it must be a function'],
    [[join("x"), 5], "savePretrained: must be an object with the keys dequantize, maxShardSize, formats, got 5"],
    [
      ["x", { maxShardSize: "5 parsecs" }],
      'savePretrained: "maxShardSize" must be a positive whole number, or a size such as "5GB" or "500MB"',
    ],
    [["x", { max_shard_size: "5GB" }], "maxShardSize"],
    [
      ["x", { dequantize: "f8" }],
      'savePretrained: "dequantize" must be one of "f32", "f16", "bf16", or a function, got "f8"',
    ],
    [
      ["x", { dequantize: "f16" }],
      'savePretrained: "dequantize" is "f16", and no weight of the model is quantized; leave it out',
    ],
  ])("is looked at before anything is written: %j", async (given, message) => {
    const model = await drawn("BertForSequenceClassification");
    const save = savePretrained as (...all: unknown[]) => Promise<void>;
    await expect(save(model, ...given)).rejects.toThrow(message);
    expect(existsSync("x")).toBe(false);
  });

  it("is a model, and a folder that can be written", async () => {
    await expect(savePretrained(5 as never, join(folder, "x"))).rejects.toThrow(
      'savePretrained: "model" must be a model of a family, such as fromPretrained gives, got 5',
    );
    const model = await drawn("BertForSequenceClassification");
    writeFileSync(join(folder, "a-file"), "");
    await expect(savePretrained(model, join(folder, "a-file"))).rejects.toThrow(
      expect.objectContaining({
        code: "FileError",
        message: expect.stringContaining("a-file/model.safetensors: cannot be written: ") as string,
      }) as Error,
    );
    await quantize(model);
    await expect(savePretrained(model, join(folder, "x"), { dequantize: () => 5 as never })).rejects.toThrow(
      'must be one of "f32", "f16", "bf16", got 5',
    );
  });
});

it("shards take the place of what was in the folder, and one file the place of shards", async () => {
  const model = await drawn("GPT2LMHeadModel");
  const path = join(folder, "both");
  const names = (): string[] => readdirSync(path).sort();
  await savePretrained(model, path);
  const whole = readFileSync(join(path, "model.safetensors"));
  await savePretrained(model, path, { maxShardSize: 1000 });
  expect(names().filter((name) => !name.startsWith("model-"))).toEqual(["config.json", "model.safetensors.index.json"]);
  const many = names().length;
  await savePretrained(model, path, { maxShardSize: "2KB" });
  expect(names().length).toBeLessThan(many);
  const index = JSON.parse(readFileSync(join(path, "model.safetensors.index.json"), "utf8")) as {
    metadata: { total_size: number; total_parameters: number };
  };
  const parameters = model.weights().reduce((n, w) => n + w.size, 0);
  expect(index.metadata).toEqual({ total_size: 4 * parameters, total_parameters: parameters });
  const { model: again } = await fromPretrained(path, { device });
  await savePretrained(again, path);
  expect(names()).toEqual(["config.json", "model.safetensors"]);
  expect(readFileSync(join(path, "model.safetensors")).equals(whole)).toBe(true);
  // a place that cannot take files away must not end up with both
  const { remove: _, ...keeping } = directory(path);
  await expect(savePretrained(again, keeping, { maxShardSize: 1000 })).rejects.toThrow(
    /both: has a model\.safetensors, which would be read instead of the \d+ shards; remove it, save elsewhere/,
  );
  expect(readFileSync(join(path, "model.safetensors")).equals(whole)).toBe(true);
});
