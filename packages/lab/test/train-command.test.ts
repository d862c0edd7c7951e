/** `lowrank train`: from a table of one's own to an adapter, with what it chooses where nothing is said. */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { metaModel, savePretrained } from "@lowrank/models";
import { init } from "@lowrank/tensor";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { cardCommand } from "../src/cli/command-line.ts";
import { main } from "../src/cli/main.ts";
import { studyOf } from "../src/config/load.ts";
import { Subset } from "../src/data/subset.ts";
import { readTable } from "../src/data/table/formats.ts";
import { InputError } from "../src/errors.ts";
import { chooseStorage } from "../src/memory/choose-storage.ts";
import { Choices } from "../src/study/choices.ts";
import { trainDocument } from "../src/study/train-document.ts";
import { guessTask } from "../src/tasks/guess.ts";
import { TokenToy } from "./token-toy.ts";
import { writeToyData } from "./toy-data.ts";

const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-train-"));

/** A base with its tokenizer, and rows in a file. */
let base: string;
let rows: string;
beforeAll(async () => {
  base = temporary();
  const sizes = { vocab_size: 16, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 8 };
  const model = metaModel("BertModel", { model_type: "bert", max_position_embeddings: 128, ...sizes });
  const device = await init({ device: "reference" });
  await model.materialize({ device, seed: 3 });
  await savePretrained(model, base);
  device.close();
  copyFileSync(
    join(writeToyData(temporary()), "bert-base-uncased-tokenizer", "tokenizer.json"),
    join(base, "tokenizer.json"),
  );
  rows = join(base, "rows.csv");
  const words = ["a", "fine", "film", "dull", "long", "not", "good", "bad"];
  const text = (i: number): string =>
    [0, 1, 2].map((k) => words[(i * 5 + k * (1 + (i % 7))) % 8]).join(" ") +
    ` ${i % 3 === 0 ? "." : "and"} film`.repeat(1 + (i % 2));
  const lines = Array.from(
    { length: 60 },
    (_, i) => `"${text(i)} ${words[i % 8]} ${words[(i >> 3) % 8]}",${i % 2 === 0 ? "yes" : "no"}`,
  );
  writeFileSync(rows, `text,label\n${lines.join("\n")}\n`);
});

afterEach(() => vi.restoreAllMocks());

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    vi.spyOn(process[stream], "write").mockImplementation((chunk) => {
      written[stream] += String(chunk);
      return true;
    });
  const code = await main(["train", ...args]);
  vi.restoreAllMocks();
  return { code, ...written };
}

const usual = (out: string): string[] =>
  `--base ${base} --data ${rows} --out ${out} --device reference --epochs 1 --batch-size 8 --rank 2`.split(" ");

it("names what makes an adapter again, and nothing of where and how", () => {
  const words = ["run", "my study.yaml", "--set", "train.lr=1e-3", "--seeds", "1,2"];
  const made = "lowrank run 'my study.yaml' --set train.lr=1e-3 --seeds 1,2";
  expect(cardCommand(words)).toBe(made);
  expect(
    cardCommand([...words, "--jobs", "4", "--quiet", "--executor=local", "--sink", "csv", "--checkpoint-every", "5"]),
  ).toBe(made);
  expect(cardCommand([...words, "--out", "a"])).toBe(cardCommand([...words, "--out=b"]));
});

describe("lowrank train", () => {
  it("leaves an adapter where it is looked for, says what it chose, and finds it again", async () => {
    const out = temporary();
    const { code, stdout, stderr } = await run(...usual(out), "--seed", "5");
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stderr).toContain('task: text-classification, since "label" has 2 different values');
    expect(stderr).toContain("the base is kept as its file has it");
    expect(stderr).toMatch(/text-classification: 54 rows to train on, 6 to evaluate on; seed 5/);
    expect(stderr).toMatch(
      /lora: \d+ of \d.* parameters train .* 7 steps of 8 rows, rate 0.002 \(by method and steps\)/,
    );
    expect(stdout).toMatch(/accuracy .* on 6 rows\nadapter: .*adapter; run: .*\nnext: lowrank predict --adapter /);
    const config = JSON.parse(readFileSync(join(out, "adapter", "adapter_config.json"), "utf8"));
    // twice the rank that was given
    expect(config).toMatchObject({ r: 2, lora_alpha: 4, base_model_name_or_path: base });
    expect(existsSync(join(out, "adapter", "tokenizer.json"))).toBe(true);
    // the card's command is the one that was given, wherever its result went
    expect(readFileSync(join(out, "adapter", "README.md"), "utf8")).toContain(
      `Made with:\n\n\`\`\`\nlowrank train ${usual("DIR").join(" ")} --seed 5\n\`\`\`\n`,
    );
    const [name] = readdirSync(join(out, "runs"));
    const { storage, train } = {
      ...JSON.parse(readFileSync(join(out, "runs", name!, "config.json"), "utf8")).method,
      ...JSON.parse(readFileSync(join(out, "runs", name!, "config.json"), "utf8")),
    };
    expect([storage, train.lr]).toEqual(["keep", 2e-3]);

    rmSync(join(out, "adapter"), { recursive: true });
    const again = await run(...usual(out), "--seed", "5", "--json");
    expect(again.stderr).toContain("already done");
    const told = JSON.parse(again.stdout);
    expect(told).toMatchObject({
      adapter: join(out, "adapter"),
      run: join(out, "runs", name!),
      storage: { storage: "keep" },
    });
    expect(told.result.name).toBe(name);
    for (const file of readdirSync(join(out, "adapter")))
      expect(readFileSync(join(out, "adapter", file))).toEqual(readFileSync(join(out, "runs", name!, "adapter", file)));
    expect(readdirSync(out).filter((entry) => /\.(tmp|old)$/.test(entry))).toEqual([]);
  }, 120_000);

  it("sweeps five rates on rows of its own, takes the best, once", async () => {
    const out = temporary();
    const first = await run(...usual(out), "--sweep", "--storage", "f32", "--json");
    expect(first.code).toBe(0);
    const { sweep, result } = JSON.parse(first.stdout);
    expect(sweep.rows).toHaveLength(5);
    expect(sweep.heldOut).toBe(5);
    const best = sweep.rows.reduce((a: { loss: number }, b: { loss: number }) => (b.loss < a.loss ? b : a));
    expect(sweep.lr).toBe(best.lr);
    expect(result.resolved.train.lr).toBe(best.lr);
    expect(first.stderr.match(/^rate \S+ in 7 steps: loss/gm)).toHaveLength(5);
    expect(first.stderr).toMatch(/rate of the run \|\n.*\n(.*\n)*.* ←/);
    const again = await run(...usual(out), "--sweep", "--storage", "f32", "--json");
    expect(again.stderr).not.toMatch(/^rate \S+ in/m);
    expect(JSON.parse(again.stdout).sweep).toEqual(sweep);
  }, 240_000);

  it("says one peak, which is what --memory is held against", async () => {
    const wasm = usual(temporary()).map((word) => (word === "reference" ? "wasm" : word));
    const { code, stderr } = await run(...wasm, "--threads", "1", "--memory", "2GB");
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const of = (words: RegExp): string | undefined => words.exec(stderr)?.[1];
    expect(of(/2.00 GB \(--memory\): .* a planned peak of (\d+ MB)/)).toMatch(/MB/);
    expect(of(/at most about (\d+ MB) of memory/)).toBe(of(/a planned peak of (\d+ MB)/));
  }, 60_000);

  it("shows a dry run and leaves no run", async () => {
    const out = temporary();
    const { code, stdout } = await run(...usual(out), "--method", "dora", "--dry-run");
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/\| dora +\| lora .*\n\n1 of 1 runs to do/) as string,
    });
    expect(existsSync(join(out, "runs"))).toBe(false);
  }, 60_000);

  it.each([
    [["--sweep", "--lr", "1e-3"], "--sweep chooses the rate that --lr says"],
    [["--sweep", "--set", "train.lr=1"], "--sweep chooses the rate that train.lr says"],
    [["--method", "lorra"], 'there is no such method; did you mean "lora"?'],
    [["--method", "full"], "--rank: the method full has no such option"],
    [["--method", "ia3"], "--rank: the method ia3 has no such option"],
    [
      ["--task", "planted-rank"],
      "--task planted-rank: it is not about rows of a file; tasks that are: text-classification",
    ],
    [["--column", "text"], "--column text: expected role=name"],
    [["--column", "label=lable"], 'there is no column "lable"; did you mean "label"?'],
    [
      ["--column", "labl=label", "--task", "text-classification"],
      'unknown key "task.columns.labl"; did you mean "label"?',
    ],
    [["--validation", "nowhere.csv"], "nowhere.csv"],
    [["--storage", "f8"], "--storage f8: expected one of keep, f32"],
    [["--dry-run", "--detect-anomaly"], "--dry-run and --detect-anomaly contradict"],
    [["--target", "qurey"], "qurey"],
  ])(
    "refuses %j in one line",
    async (args, message) => {
      const { code, stderr } = await run(...usual(temporary()), ...args);
      expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining(message) as string });
      expect(stderr.trim().split("\n").at(-1)).toContain(message);
    },
    60_000,
  );
});

describe("the words of lowrank train", () => {
  const words = { task: "text-classification", data: "rows.csv" };

  it.each([
    ["lora", { rank: 4 }, { method: "lora", r: 4, alpha: 8, target: "all-linear", dora: false }],
    ["dora", { rank: 4, alpha: 3 }, { method: "lora", r: 4, alpha: 3, dora: true }],
    ["adalora", { rank: 4 }, { method: "adalora", targetR: 4, initR: 6, alpha: 8 }],
    ["ia3", {}, { method: "ia3", target: ["key", "value", "output.dense"] }],
    ["vera", { rank: 64 }, { method: "vera", r: 64, target: "all-linear" }],
    ["lora", { target: "query, value" }, { target: ["query", "value"], r: 8, alpha: 16 }],
    ["full", { storage: "f32" }, { method: "full", storage: "f32" }],
    ["head", {}, { method: "head" }],
  ] as const)("mean a study of one configuration: %s %j", async (method, more, config) => {
    const document = await trainDocument({ ...words, base, method, ...more });
    const study = await studyOf(document, "lowrank train");
    expect(Object.keys(study.configs)).toEqual([method]);
    expect(study.configs[method]).toMatchObject(config);
    expect(study.seeds).toEqual([0]);
  });
});

describe("a task that nobody said", () => {
  const guess = async (text: string, columns = {}): Promise<string> =>
    guessTask(await readTable(new TextEncoder().encode(text), "rows.csv"), columns, () => {});
  const many = (value: (i: number) => string): string =>
    `text,label\n${Array.from({ length: 300 }, (_, i) => `a text ${i},${value(i)}`).join("\n")}\n`;

  it("is told from a column of few labels, and asked for where there is doubt", async () => {
    expect(await guess(many((i) => String(i % 3)))).toBe("text-classification");
    expect(await guess("body,topic\na,x\nb,x\nc,x\nd,y\n", { text: "body", label: "topic" })).toBe(
      "text-classification",
    );
    await expect(guess(many((i) => String(i / 7)))).rejects.toThrow(
      /"label" has 300 different values in 300 rows, which may be labels or numbers; say .* --task/,
    );
    await expect(guess("body,topic\na,x\nb,x\n")).rejects.toThrow(
      /its columns "body", "topic" are not those of texts with a label/,
    );
  });
});

describe("a task that columns tell", () => {
  const guess = async (text: string, columns = {}): Promise<string> =>
    guessTask(await readTable(new TextEncoder().encode(text), "rows.csv"), columns, () => {});

  it("is a causal model's where there are prompts and completions, or chats", async () => {
    expect(await guess("prompt,completion\na,b\n")).toBe("causal-lm");
    expect(await guess("instruction,output\na,b\n")).toBe("causal-lm");
    expect(await guess('messages\n"[{""role"":""user"",""content"":""a""}]"\n')).toBe("causal-lm");
    // texts alone may be a masked model's, and questions may have a text to look in
    for (const doubt of [
      "text\na\n",
      "prompt\na\n",
      "question,context,answer\na,b,c\n",
      "text,prompt,completion\na,b,c\n",
    ])
      await expect(guess(doubt)).rejects.toThrow("say what a row means with --task");
  });

  it("is none where the columns that were said are not there", async () => {
    await expect(guess("text,label\na,x\n", { text: "nope" })).rejects.toThrow(
      /^rows\.csv: there is no column "nope"; known: text, label$/,
    );
  });

  it("has words as labels in a few rows", async () => {
    const rows = (labels: readonly string[]): string =>
      `text,label\n${labels.map((l, i) => `a ${i},${l}`).join("\n")}\n`;
    expect(await guess(rows(["good", "bad", "so so", "good"]))).toBe("text-classification");
    await expect(guess(rows(["1", "2", "3", "1"]))).rejects.toThrow("may be labels or numbers");
    await expect(guess(rows(["good", "bad", "so so"]))).rejects.toThrow("may be labels or texts");
  });
});

describe("what is chosen where nothing is said", () => {
  const question = (method: string, fits: readonly string[], budget: { bytes: number; said: boolean } | undefined) => {
    const asked: string[] = [];
    const fit = async (storage: string): Promise<void> => {
      asked.push(storage);
      if (!fits.includes(storage)) throw new InputError(`${storage} does not fit`);
    };
    return { asked, question: { config: { method: { method } } as never, budget, fit } };
  };
  const BUDGET = { bytes: 2 ** 30, said: true };

  test.prop([fc.subarray(["keep", "f16", "nf4"])])("is the widest base that fits", async (fits) => {
    const { question: asked } = question("lora", fits, BUDGET);
    if (fits.length === 0) await expect(chooseStorage(asked)).rejects.toThrow("nf4 does not fit");
    else expect(await chooseStorage(asked)).toMatchObject({ storage: fits[0] });
  });

  it("is what the method takes, and the widest where nobody knows what is free", async () => {
    const none = question("lora", [], undefined);
    expect((await chooseStorage(none.question)).storage).toBe("keep");
    expect(none.asked).toEqual([]);
    expect((await chooseStorage(question("full", ["f32", "keep"], BUDGET).question)).storage).toBe("f32");
    expect((await chooseStorage(question("lora", ["f16"], BUDGET).question)).why).toMatch(
      /f16, .* 1.0 GiB \(--memory\)/,
    );
  });

  it("stays for the same question, and not for another", async () => {
    const choices = new Choices(join(temporary(), "new"));
    const [a, b] = [vi.fn(async () => 1), vi.fn(async () => 2)];
    expect(await choices.once("x", "question", a)).toBe(1);
    expect(await choices.once("x", "question", b)).toBe(1);
    expect(b).not.toHaveBeenCalled();
    expect(await choices.once("y", "question", b)).toBe(2);
    expect(await choices.once("x", "another", b)).toBe(2);
    expect(await choices.once("y", "question", a)).toBe(2);
  });

  test.prop([fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 4, maxLength: 12 }), fc.nat()])(
    "is tried on rows that are a part of all",
    (lengths, pick) => {
      const all = new TokenToy(lengths);
      const places = Int32Array.from(lengths.keys()).filter((i) => (i + pick) % 3 !== 0);
      const part = new Subset(all, places);
      expect(part.count).toBe(places.length);
      expect([...part.lengths]).toEqual([...places].map((i) => lengths[i]));
      const members = Int32Array.from(part.lengths.keys()).slice(0, 2);
      const shape = { rows: 2, multiple: 4 };
      expect(part.batch(members, shape, 0)).toEqual({ ...all.batch(places.slice(0, 2), shape), members });
    },
  );
});
