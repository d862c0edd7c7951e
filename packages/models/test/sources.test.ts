/** What a string means, and which class a checkpoint is loaded as. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { init, LowrankError, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  BertForSequenceClassification,
  BertForTokenClassification,
  BertModel,
  blobs,
  fromPretrained,
  http,
  inspectCheckpoint,
  loadTokenizer,
  metaModel,
  openGguf,
  savePretrained,
} from "../src/index.ts";
import { hub } from "../src/hub.ts";
import { SMALL } from "./small-models.ts";
import { sendFile, serve, type WebServer } from "./web-server.ts";

const COMMIT = "c".repeat(40);
const ID = "somebody/small-bert";
let device: Device;
let folder: string;
let server: WebServer;

beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-sources-"));
  const name = "BertForSequenceClassification";
  const model = metaModel(name, SMALL[name]!({ vocab: 11, heads: 2, width: 4, layers: 1, positions: 6 }));
  await model.materialize({ device, seed: 3 });
  await savePretrained(model, join(folder, "model"));
  const vocab = Object.fromEntries(["[UNK]", "a", "b"].map((token, i) => [token, i]));
  writeFileSync(
    join(folder, "model", "tokenizer.json"),
    JSON.stringify({
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor: null,
      decoder: { type: "WordPiece", prefix: "##", cleanup: false },
      model: {
        type: "WordPiece",
        unk_token: "[UNK]",
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab,
      },
    }),
  );
  // the hub's paths and a plain folder beside them
  server = await serve((asked, response) => {
    const name = /^\/(?:plain|somebody\/small-bert\/resolve\/\w+)\/(.+)$/.exec(asked.path)?.[1];
    const headers = { "x-repo-commit": COMMIT };
    const there = name !== undefined && readdirSync(join(folder, "model")).includes(name);
    if (!there) {
      const known = asked.path.startsWith(`/${ID}/`) || asked.path.startsWith("/plain/");
      return void response.writeHead(known ? 404 : 401, known ? headers : { "x-error-code": "RepoNotFound" }).end();
    }
    const bytes = readFileSync(join(folder, "model", name));
    const etag = createHash("sha256").update(bytes).digest("hex");
    sendFile(asked, response, bytes, { etag: `"${etag}"`, headers });
  });
});
beforeEach(() => {
  vi.stubEnv("HF_ENDPOINT", server.url);
  vi.stubEnv("HF_HUB_CACHE", join(folder, "cache"));
  server.asked.length = 0;
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await server.close();
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

const faultOf = async (body: Promise<unknown>): Promise<string> => {
  const error = await body.then(
    () => new Error("none"),
    (e: unknown) => e as Error,
  );
  expect(error).toBeInstanceOf(LowrankError);
  return error.message;
};

describe("a checkpoint may be", () => {
  const picked = (): File[] =>
    readdirSync(join(folder, "model")).map((name) => new File([readFileSync(join(folder, "model", name))], name));
  it.each([
    ["a folder", () => join(folder, "model")],
    ["a URL", () => `${server.url}/plain`],
    ["a URL as an object", () => new URL(`${server.url}/plain`)],
    ["a file: URL", () => pathToFileURL(join(folder, "model")).href],
    ["a file: URL as an object", () => pathToFileURL(`${join(folder, "model")}/`)],
    ["a model of the hub", () => ID],
    ["files at a URL", () => http(`${server.url}/plain/`)],
    ["files of the hub", () => hub(ID, { revision: COMMIT })],
    ["blobs", () => blobs(picked())],
  ])("%s, and so may its tokenizer", async (_, from) => {
    const { model, report } = await fromPretrained(from(), { device });
    expect(model).toBeInstanceOf(BertForSequenceClassification);
    expect([report.fresh, report.unused]).toEqual([[], []]);
    const known = await fromPretrained(join(folder, "model"), BertForSequenceClassification, { device });
    const want = new Map(known.model.namedWeights());
    for (const [name, weight] of model.namedWeights())
      expect((await weight.read()).data, name).toEqual((await want.get(name)!.read()).data);
    expect((await loadTokenizer(from())).encode("b a").ids).toEqual([2, 1]);
  });

  it("a folder here rather than a model of the hub that has its name", async () => {
    const before = process.cwd();
    process.chdir(folder);
    try {
      mkdirSync(join(folder, "somebody", "small-bert"), { recursive: true });
      expect(await faultOf(fromPretrained(ID, { device }))).toBe(
        `${ID}: there is no config.json; give the folder of a Hugging Face checkpoint`,
      );
      expect(server.asked).toEqual([]);
    } finally {
      process.chdir(before);
      rmSync(join(folder, "somebody"), { recursive: true });
    }
  });

  it("no URL of another scheme, and none of another machine's files", async () => {
    for (const scheme of ["ftp", "s3", "gs", "hf"])
      expect(await faultOf(fromPretrained(`${scheme}://user:secret@bucket/model?token=secret`, { device }))).toBe(
        `fromPretrained: ${scheme}://bucket/model: the scheme ${scheme}: is not read; https:, http: and file: are, and a model of the hub is "org/name": copy the files into a folder here`,
      );
    expect(await faultOf(loadTokenizer(new URL("data:,x")))).toMatch(
      /^loadTokenizer: data:,x: the scheme data: is not/,
    );
    expect(await faultOf(inspectCheckpoint("file://elsewhere/x"))).toMatch(/ is the URL of no file here: .*host/);
    expect(await faultOf(fromPretrained("file:///no/such/folder", { device }))).toMatch(
      /^\/no\/such\/folder: there is/,
    );
    expect(await faultOf(openGguf(pathToFileURL(join(folder, "x.gguf"))))).toMatch(/x\.gguf: there is no such file/);
  });

  it("nothing that is neither folder nor file", async () => {
    expect(await faultOf(fromPretrained("/dev/null", { device }))).toBe(
      "/dev/null: is neither a folder nor a regular file",
    );
  });

  it("nothing else, and what was looked for is said", async () => {
    expect(await faultOf(fromPretrained("somebody/else", { device }))).toBe(
      `there is no folder "somebody/else" here, and as a model of the hub: somebody/else: ${server.url} has no model of that name, or not for everybody: then it needs a token (HF_TOKEN)`,
    );
    expect(await faultOf(loadTokenizer("some/typo"))).toMatch(
      /^there is no folder "some\/typo" here, and as a model of the hub: some\/typo: /,
    );
    expect(await faultOf(loadTokenizer("typo"))).toMatch(/^typo: there is no tokenizer\.json/);
    for (const path of ["./typo", "/no/such/folder", "a/b/c", "../typo"])
      expect(await faultOf(fromPretrained(path, { device }))).toBe(
        `${path}: there is no config.json; give the folder of a Hugging Face checkpoint`,
      );
    expect(server.asked.every(({ path }) => /^\/(somebody\/else|some\/typo)\//.test(path))).toBe(true);
    expect(await faultOf(fromPretrained(join(folder, "model", "config.json"), { device }))).toMatch(
      /"config\.json" is no checkpoint by itself; give its folder/,
    );
    expect(await faultOf(fromPretrained(`${server.url}/plain/model.safetensors`, { device }))).toMatch(
      /"model\.safetensors" is no checkpoint by itself; give its folder/,
    );
  });
});

describe("without a class", () => {
  it("the file says which it is, and a task before it", async () => {
    const from = join(folder, "model");
    const token = await fromPretrained(from, { device, task: "TOKEN_CLS", labels: 3 });
    expect(token.model).toBeInstanceOf(BertForTokenClassification);
    expect(token.report.fresh).toEqual(["classifier.weight", "classifier.bias"]);
    expect((await fromPretrained(from, { device, task: "FEATURE_EXTRACTION" })).model).toBeInstanceOf(BertModel);
    expect(await faultOf(fromPretrained(from, { device, task: "TOKEN_CLASSIFICATION" }))).toMatch(
      /a bert for task "TOKEN_CLASSIFICATION" is not built; there are/,
    );
  });

  it("a class and a task are one too many, and a class is needed nowhere else", async () => {
    const from = join(folder, "model");
    expect(await faultOf(fromPretrained(from, BertModel, { device, task: "TOKEN_CLS" } as never))).toBe(
      'fromPretrained: "task" picks a class, and BertModel is given: leave one of them out',
    );
    expect(await faultOf(fromPretrained(from, {} as never))).toMatch(/"device" is missing/);
  });
});
