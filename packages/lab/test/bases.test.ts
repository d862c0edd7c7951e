/** One base from every source that `fromPretrained` takes: the same model, an identity that is its content, and what a run leaves of it. */
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { metaModel, savePretrained } from "@lowrank/models";
import { planQuantization } from "@lowrank/quant";
import { init, ops, type Device } from "@lowrank/tensor";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { sendFile, serve, type WebServer } from "../../models/test/web-server.ts";
import type { Base } from "../src/bases/base.ts";
import { baseIdentity, baseWord, type BaseSource } from "../src/bases/found.ts";
import { makeBase } from "../src/bases/make.ts";
import { planOf } from "../src/bases/plan.ts";
import { baseStorage } from "../src/bases/storage.ts";
import { loadStudy } from "../src/config/load.ts";
import type { Storage } from "../src/config/study.ts";
import { hashFiles } from "../src/data/location.ts";
import { InputError } from "../src/errors.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy } from "../src/study/plan-study.ts";
import { runStudy } from "../src/study/run-study.ts";
import { writeToyData } from "./toy-data.ts";

const ID = "org/tiny-bert";
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const CONFIG = {
  model_type: "bert",
  vocab_size: 16,
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 64,
  max_position_embeddings: 16,
};
const NEEDS = { labels: 2, vocab: 16, positions: 16 };

const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-bases-"));
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

let device: Device;
let server: WebServer;
let data: string;
/** The same model as one file, in shards, in bf16, and in four bits. */
const folders = { whole: temporary(), sharded: temporary(), bf16: temporary(), nf4: temporary() };

beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  data = writeToyData(temporary());
  const model = metaModel("BertForSequenceClassification", CONFIG);
  await model.materialize({ device, seed: 3 });
  await savePretrained(model, folders.whole);
  await savePretrained(model, folders.sharded, { maxShardSize: 60_000 });
  for (const [folder, fourBits] of [
    [folders.bf16, false],
    [folders.nf4, true],
  ] as const) {
    const other = metaModel("BertForSequenceClassification", CONFIG);
    const storage = fourBits ? planQuantization(other).storage : () => "bf16" as const;
    await other.materialize({ device, seed: 3, storage });
    await savePretrained(other, folder);
    other.dispose();
  }
  model.dispose();
  for (const folder of Object.values(folders))
    copyFileSync(join(data, "bert-base-uncased-tokenizer", "tokenizer.json"), join(folder, "tokenizer.json"));
  server = await serve((asked, response) => {
    const [, plain, revision, name] = /^\/(?:(files)|org\/tiny-bert\/resolve\/([^/]+))\/(.*)$/.exec(asked.path) ?? [];
    const path = join(folders.whole, name ?? "");
    const headers = { "x-repo-commit": COMMIT };
    if (plain === undefined && revision !== "main" && revision !== "v1" && revision !== COMMIT)
      return void response.writeHead(404, { "x-error-code": "RevisionNotFound" }).end();
    if (name === undefined || !existsSync(path))
      return void response.writeHead(404, { "x-error-code": "EntryNotFound", ...headers }).end();
    const bytes = readFileSync(path);
    sendFile(asked, response, bytes, plain === undefined ? { etag: `"${sha256(bytes)}"`, headers } : {});
  });
});
afterEach(() => {
  vi.unstubAllEnvs();
});
afterAll(async () => {
  await server.close();
  device.close();
  for (const folder of [data, ...Object.values(folders)]) rmSync(folder, { recursive: true, force: true });
});

function hub(): void {
  vi.stubEnv("HF_ENDPOINT", server.url);
  vi.stubEnv("HF_HUB_CACHE", temporary());
  server.asked.length = 0;
}

const base = (source: BaseSource, storage?: Storage): Promise<Base> =>
  makeBase(
    { ...source, model: null },
    "SEQ_CLS",
    NEEDS,
    1,
    device,
    storage === undefined ? undefined : baseStorage({ storage }, ["classifier"]),
  );

async function logits(source: BaseSource, storage?: Storage): Promise<number[]> {
  const made = await base(source, storage);
  try {
    const ids = ops.cast(device.tensor([2, 5, 6, 7, 3, 0, 2, 8], [2, 4]), "i32");
    made.model.eval();
    return [...(await made.logits({ inputIds: ids }).floats())];
  } finally {
    made.dispose();
  }
}

describe("a base", () => {
  it("is the same from a folder, shards, the hub with a revision, and a web server", async () => {
    const expected = await logits({ base: folders.whole });
    expect(await logits({ base: folders.sharded })).toEqual(expected);
    hub();
    expect(await logits({ base: ID })).toEqual(expected);
    expect(await logits({ base: ID, revision: "v1" })).toEqual(expected);
    expect(await logits({ base: `${server.url}/files` })).toEqual(expected);
    await expect(base({ base: ID, revision: "v9" })).rejects.toThrow(/no revision "v9"/);
    await expect(base({ base: folders.whole, revision: "v1" })).rejects.toThrow(InputError);
  });

  it("is planned and identified by what the hub says, without a download of its weights", async () => {
    hub();
    const plan = await planOf({ base: ID, model: null }, "SEQ_CLS", NEEDS);
    expect(plan.as.architecture).toBe("BertForSequenceClassification");
    const identity = await baseIdentity({ base: ID });
    const got = server.asked.filter(({ method }) => method === "GET").map(({ path }) => path.replace(/^.*\//, ""));
    expect(new Set(got)).toEqual(new Set(["config.json"]));
    // and is that of the same files once they are there, whatever the revision is called
    (await base({ base: ID })).dispose();
    expect(await baseIdentity({ base: ID })).toBe(identity);
    expect(await baseIdentity({ base: ID, revision: COMMIT })).toBe(identity);
  });

  it("in a folder is identified by the bytes of config and weights, of all shards", async () => {
    const { whole, sharded } = folders;
    expect(await baseIdentity({ base: whole })).toBe(
      hashFiles(["config.json", "model.safetensors"].map((name) => join(whole, name))),
    );
    const copy = temporary();
    for (const name of readdirSync(sharded)) copyFileSync(join(sharded, name), join(copy, name));
    expect(await baseIdentity({ base: copy })).toBe(await baseIdentity({ base: sharded }));
    const last = join(
      copy,
      readdirSync(copy)
        .filter((name) => name.endsWith(".safetensors"))
        .at(-1)!,
    );
    const bytes = readFileSync(last);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(last, bytes);
    expect(await baseIdentity({ base: copy })).not.toBe(await baseIdentity({ base: sharded }));
  });

  it("said on the command line stays an address or a model of the hub, and a path no longer depends on the folder", () => {
    expect(["org/name", "https://host/x.gguf", "a/b.gguf", "x", "./a/b", "packages/lab"].map(baseWord)).toEqual([
      "org/name",
      "https://host/x.gguf",
      resolve("a/b.gguf"),
      resolve("x"),
      resolve("a/b"),
      resolve("packages/lab"),
    ]);
  });

  it("kept as its file has it is in halves or in four bits, and at full width is numbers", async () => {
    const dtypes = async (source: BaseSource, storage?: Storage): Promise<Record<string, number>> => {
      const made = await base(source, storage);
      const found: Record<string, number> = {};
      for (const { weight } of made.weights()) {
        const how = weight.form?.kind ?? weight.parameter.dtype;
        found[how] = (found[how] ?? 0) + 1;
      }
      made.dispose();
      return found;
    };
    // embeddings, 12 layers' matrices and the pooler's; norms, biases and the head that trains are numbers
    expect(await dtypes({ base: folders.bf16 }, "keep")).toEqual({ bf16: 16, f32: 25 });
    expect(await dtypes({ base: folders.nf4 }, "keep")).toEqual({ nf4: 13, f32: 28 });
    expect(await dtypes({ base: folders.nf4 }, "f32")).toEqual({ f32: 41 });
    expect(await dtypes({ base: folders.nf4 })).toEqual({ f32: 41 });
    expect(await dtypes({ base: folders.whole }, "keep")).toEqual({ f32: 41 });
    // halves are the same numbers, and so are codes read as numbers
    expect(await logits({ base: folders.bf16 }, "keep")).toEqual(await logits({ base: folders.bf16 }, "f32"));
    const [kept, decoded] = [await logits({ base: folders.nf4 }, "keep"), await logits({ base: folders.nf4 }, "f32")];
    kept.forEach((value, i) => expect(Math.abs(value - decoded[i]!)).toBeLessThan(1e-5));
  });
});

describe("a study", () => {
  const SET = [
    "train={epochs: 1, batchSize: 8}",
    "task.maxLength=16",
    "task.devLimit=2",
    "configs={kept: {method: lora, target: [query], r: 2, storage: keep}}",
  ];

  async function run(words: {
    base: string;
    revision?: string;
  }): Promise<{ folder: string; proofs: Map<string, object> }> {
    const out = temporary();
    const environment = { dataFolder: data, cacheFolder: join(out, ".cache") };
    const store = new RunStore(out);
    const study = await loadStudy("sst2", { ...words, set: SET, seeds: [1] });
    const runs = await planStudy(study, store, { environment, code: "test", device: device.name, reuse: false });
    const outcome = await runStudy(runs, {
      out,
      device,
      store,
      environment,
      machine: {} as never,
      progress: "quiet",
      say: () => undefined,
    });
    expect(outcome.failures).toEqual([]);
    const [result] = outcome.results;
    return {
      folder: join(out, "runs", result!.name),
      proofs: new Map(result!.proofs.map(({ name, detail }) => [name, detail])),
    };
  }

  it("trains an adapter through a four-bit base that is kept, and proves what was kept", async () => {
    const { proofs } = await run({ base: folders.nf4 });
    expect(proofs.get("quantization")).toMatchObject({ storage: "keep", kept: { nf4: 13, f32: 28 } });
    expect(proofs.get("dtypes")).toMatchObject({ weightsReadFrom: "u8" });
  });

  it("on a model of the hub leaves an adapter that names it, with its tokenizer", async () => {
    hub();
    const { folder } = await run({ base: ID, revision: "v1" });
    const config = JSON.parse(readFileSync(join(folder, "adapter", "adapter_config.json"), "utf8"));
    expect(config).toMatchObject({ base_model_name_or_path: ID, revision: "v1" });
    expect(readFileSync(join(folder, "adapter", "tokenizer.json"), "utf8")).toBe(
      readFileSync(join(folders.whole, "tokenizer.json"), "utf8"),
    );
  });

  it("refuses a base that is drawn and kept as its file is, and a revision without a hub", async () => {
    const set = ["configs={kept: {method: head, storage: keep}}"];
    await expect(loadStudy("planted", { set, revision: "v1" })).rejects.toThrow(/"revision" is of a base at the hub/);
    const plan = {
      base: null,
      model: { hidden: 8, layers: 1, heads: 2, intermediate: 8, dropout: 0, initializerRange: 1, seed: 0 },
    };
    await expect(makeBase(plan, "SEQ_CLS", NEEDS, 1, device, baseStorage({ storage: "keep" }, []))).rejects.toThrow(
      /no file that it could be kept as/,
    );
  });
});

describe("a base that is drawn", () => {
  const sizes = { hidden: 8, layers: 1, heads: 2, intermediate: 16, dropout: 0.1, initializerRange: 0.3, seed: 3 };

  it.each(["gpt2", "llama"])(
    "is a %s for texts, and for labels of several rows where a padding is named",
    async (family) => {
      const choice = { base: null, model: { ...sizes, family } };
      const needs = { labels: 3, vocab: 20, positions: 8 };
      const ids = ops.cast(device.tensor([5, 6, 7, 1, 5, 6, 1, 1], [2, 4]), "i32");
      const words = await makeBase(choice, "CAUSAL_LM", needs, 1, device);
      expect(words.logits({ inputIds: ids }).shape).toEqual([2, 4, 20]);
      words.dispose();
      const labels = await makeBase(choice, "SEQ_CLS", { ...needs, padTokenId: 1 }, 1, device);
      expect(labels.logits({ inputIds: ids }).shape).toEqual([2, 3]);
      expect(labels.head).toEqual(["score"]);
      labels.dispose();
    },
  );
});
