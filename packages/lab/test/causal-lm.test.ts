/** Studies of causal models on a person's own files: what is learnt, packed or not; answers by text; what is refused. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "@lowrank/models";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fit, openPredictor, tableOf } from "../src/fit/index.ts";
import { loadStudy } from "../src/config/load.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy } from "../src/study/plan-study.ts";
import { runStudy } from "../src/study/run-study.ts";
import type { RunResult } from "../src/store/result.ts";
import { writeCausalFolder } from "./causal-folder.ts";

const root = mkdtempSync(join(tmpdir(), "lowrank-causal-"));
let device: Device;
let [gpt2, llama] = ["", ""];
const TURNS =
  "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";

beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  gpt2 = await writeCausalFolder(join(root, "gpt2"));
  llama = await writeCausalFolder(join(root, "llama"), {
    architecture: "LlamaForCausalLM",
    config: { chat_template: TURNS },
  });
});
afterAll(() => {
  device.close();
  rmSync(root, { recursive: true, force: true });
});

interface Line {
  readonly index: number;
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
}
interface Made {
  readonly run: RunResult;
  readonly lines: readonly Line[];
  readonly said: string;
  /** What the run left. */
  readonly adapter: string;
}

async function made(base: string, files: Readonly<Record<string, string>>, task: string): Promise<Made> {
  const [folder, out] = [mkdtempSync(join(root, "files-")), mkdtempSync(join(root, "out-"))];
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const study = join(out, "study.yaml");
  writeFileSync(
    study,
    `
name: mine
task: { name: causal-lm, ${task} }
base: ${base}
seeds: [1]
train: { epochs: 1, batchSize: 16, lr: 0.01 }
configs: { lora: { method: lora, r: 2, alpha: 4, target: ${base === gpt2 ? "[c_attn]" : "[q_proj, v_proj]"} } }
`,
  );
  const said: string[] = [];
  const say = (line: string): void => void said.push(line.replaceAll(`${folder}/`, ""));
  const environment = { dataFolder: root, filesFolder: folder, cacheFolder: join(out, ".cache"), say };
  try {
    const store = new RunStore(out);
    const planned = await planStudy(await loadStudy(study), store, {
      environment,
      code: "t",
      device: "wasm",
      reuse: false,
    });
    const { failures, results } = await runStudy(planned, {
      out,
      device,
      store,
      environment,
      machine: {} as never,
      progress: "quiet",
      say,
    });
    expect(failures).toEqual([]);
    const [run] = results;
    expect(run!.proofs.filter(({ holds }) => !holds)).toEqual([]);
    const predictions = readFileSync(join(out, "runs", run!.name, "predictions.jsonl"), "utf8");
    const lines = predictions
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Line);
    return { run: run!, lines, said: said.join("\n"), adapter: join(out, "runs", run!.name, "adapter") };
  } catch (error) {
    (error as Error).message = (error as Error).message.replaceAll(`${folder}/`, "").replaceAll(`${root}/`, "");
    throw error;
  }
}

const jsonl = (rows: readonly object[]): string => rows.map((row) => JSON.stringify(row)).join("\n");
const sums = Array.from({ length: 9 }, (_, i) => ({ prompt: `${i}+${i}=`, completion: String(2 * i) }));

describe("causal-lm on files", () => {
  it("learns completions, and answers in the order of the rows", async () => {
    const files = { "train.jsonl": jsonl(sums), "dev.jsonl": jsonl(sums.slice(0, 6)) };
    const { run, lines } = await made(gpt2, files, "train: train.jsonl, validation: dev.jsonl, maxLength: 16");
    // the answer's digits and the end
    expect(lines.map(({ tokens }) => tokens)).toEqual([2, 2, 2, 2, 2, 3]);
    expect(lines.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    const total = lines.reduce((sum, { loss, tokens }) => sum + loss * tokens, 0);
    const { perplexity, loss, examples } = run.final as unknown as Record<string, number>;
    // nine digits are written
    expect(Math.abs(loss! / (total / 13) - 1)).toBeLessThan(1e-7);
    expect(Math.abs(Math.log(perplexity!) / (total / 13) - 1)).toBeLessThan(1e-7);
    expect(examples).toBe(6);
  });

  it("gives each text the same loss where rows are packed", async () => {
    const text = Array.from({ length: 10 }, (_, i) => ({ text: `${"la ".repeat(1 + (i % 4))}ti ${i}` }));
    const files = { "train.jsonl": jsonl(text), "dev.jsonl": jsonl(text.slice(3)) };
    // one batch a pass, whatever it is made of: what is trained on is the same
    const study = "train: train.jsonl, validation: dev.jsonl, maxLength: 32";
    const plain = await made(llama, files, study);
    const packed = await made(llama, files, `${study}, packing: true`);
    expect(packed.lines.map(({ tokens }) => tokens)).toEqual(plain.lines.map(({ tokens }) => tokens));
    // rounding of f32 in two orders, after one step of training
    packed.lines.forEach(({ loss }, i) => expect(Math.abs(loss - plain.lines[i]!.loss)).toBeLessThan(1e-4));
    expect(packed.run.final.examples).toBe(plain.run.final.examples);
    expect(packed.run.steps).toBe(1);
  });

  it("takes a text file, whose passages are held out by shares and whose end is learnt once", async () => {
    const paragraph = (i: number): string => `${i} ${"lorem ipsum dolor sit amet ".repeat(18)}`;
    const text = Array.from({ length: 60 }, (_, i) => paragraph(i)).join("\n\n");
    const { lines, run, said } = await made(
      gpt2,
      { "book.txt": text },
      "train: book.txt, validation: {fraction: 0.2}, maxLength: 64",
    );
    expect(lines.length).toBe(2);
    // each token of a passage but the first, whatever blocks it was cut into
    for (const { tokens } of lines) expect(tokens).toBeGreaterThan(1999);
    expect(run.final.examples).toBeGreaterThan(60);
    // what a perplexity was counted over
    const scored = lines.reduce((sum, { tokens }) => sum + tokens, 0).toLocaleString("en-US");
    expect(said).toContain(
      `texts of at most 64 tokens; ${scored} tokens are predicted, each once (perplexity is by token)`,
    );
  });

  it("learns the assistant's turns, by the checkpoint's template or one that is given", async () => {
    const chats = Array.from({ length: 4 }, (_, i) => ({
      messages: [
        { role: "user", content: `${i}?` },
        { role: "assistant", content: `no${i}` },
      ],
    }));
    const files = { "chats.jsonl": jsonl(chats), "mine.jinja": TURNS.replaceAll("</s>", "<end>") };
    const study = "train: chats.jsonl, validation: chats.jsonl, maxLength: 64";
    const own = await made(llama, files, study);
    expect(own.lines.map(({ tokens }) => tokens)).toEqual([7, 7, 7, 7]);
    expect(own.said).toMatch(/4 of 4 validation rows are rows to train on, too/);
    // <end> is one token
    const given = await made(gpt2, files, `${study}, chatTemplate: mine.jinja`);
    expect(given.lines.map(({ tokens }) => tokens)).toEqual([4, 4, 4, 4]);
    // in another process the template is the one that the run left
    const predictor = await openPredictor(given.adapter, { device });
    const { answers } = await predictor.answer(tableOf(chats));
    expect(answers.map(({ fields }) => fields)).toEqual(given.lines.map(({ index: _, ...fields }) => fields));
    predictor.dispose();
    const all = await made(llama, files, `${study}, learn: everything`);
    expect(all.lines[0]!.tokens).toBe("<user>0?</s><assistant>no0</s>".length - 1);
    await expect(made(gpt2, files, study)).rejects.toThrow(
      /^gpt2: rows are chats, and the checkpoint has no chat template; give one as chatTemplate: FILE\.jinja, or write rows as prompt and completion$/,
    );
  });

  it("is trained in code, and talked to", async () => {
    const rows = sums.slice(0, 3);
    const train = { epochs: 80, batchSize: 3, lr: 0.01 };
    const model = await fit(llama, rows, {
      task: "causal-lm",
      method: { method: "full" },
      validation: rows,
      device,
      maxLength: 16,
      train,
    });
    expect(model.metrics["perplexity"]).toBeLessThan(1.2);
    for (const { prompt, completion } of rows)
      expect((await generate(model.base.model, model.tokenizer, prompt, { maxNewTokens: 8 }).result()).text).toBe(
        completion,
      );
    model.dispose();
  });

  it("says of a base that is not there that it is not there", async () => {
    const files = { "rows.jsonl": jsonl(sums) };
    await expect(made(join(root, "nothing"), files, "train: rows.jsonl, validation: rows.jsonl")).rejects.toThrow(
      /^(?!.*bert).*nothing/,
    );
  });

  it.for<[string, readonly object[], string, RegExp]>([
    [
      "no column",
      [{ a: 1 }],
      "",
      /learns from a column text, from prompt and completion, or from messages, and the columns are "a"; say columns\.text/,
    ],
    [
      "a prompt alone",
      [{ prompt: "a" }],
      "",
      /there is a prompt and no completion; the columns are "prompt"; say columns\.completion/,
    ],
    [
      "two forms",
      [{ text: "a", prompt: "b", completion: "c" }],
      "",
      /text, or prompt and completion may be meant; leave out the others: columns\.prompt: null/,
    ],
    ["an empty field", [{ text: "abc" }, { text: " " }], "", /^rows\.jsonl:2: "text" is empty/],
    [
      "no room",
      [{ prompt: "a question that is long", completion: "b" }],
      "",
      /^rows\.jsonl:1: nothing is left to learn within 16 tokens; raise maxLength/,
    ],
    [
      "no assistant",
      [{ messages: [{ role: "gpt", content: "a" }] }],
      "",
      /has no turn of the assistant, so there is nothing to learn; its roles are gpt/,
    ],
    ["a role too few", [{ messages: [{ from: "gpt" }] }], "", /has a message without a role: \{"from":"gpt"\}/],
    ["no messages", [{ messages: "hello" }], "", /is no list of messages/],
    ["a file that is not there", [{ text: "a" }], ", chatTemplate: none.jinja", /none\.jinja/],
  ])("refuses %s", async ([, rows, more, message]) => {
    const files = { "rows.jsonl": jsonl(rows) };
    await expect(made(gpt2, files, `train: rows.jsonl, validation: rows.jsonl, maxLength: 16${more}`)).rejects.toThrow(
      message,
    );
  });
});
