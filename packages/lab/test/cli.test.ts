import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";
import { main } from "../src/cli/main.ts";
import { describeFailure } from "../src/cli/outcome.ts";
import { PRESETS } from "../src/config/presets.ts";
import { InputError } from "../src/errors.ts";
import { PRETRAIN_PRESETS } from "../src/pretrain/presets.ts";
import { writeToyData } from "./toy-data.ts";

/** What a command in this process printed, and its exit code. */
async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  const capture = (stream: "stdout" | "stderr") =>
    vi.spyOn(process[stream], "write").mockImplementation((chunk) => {
      written[stream] += String(chunk);
      return true;
    });
  const spies = [capture("stdout"), capture("stderr")];
  try {
    return { code: await main(args), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

afterEach(() => vi.restoreAllMocks());

const SHAPES = fileURLToPath(new URL("../../../../shared/fixtures/public-shapes", import.meta.url));
const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-cli-"));

describe("bad input", () => {
  it.each([
    [["run", "sts2"], `lowrank: no study "sts2": neither a file nor a preset; did you mean "sst2"?\n`],
    [
      ["run", "planted-rank", "--set", "train.lrr=1"],
      `lowrank: preset planted-rank: unknown key "train.lrr"; did you mean "lr"?\n`,
    ],
    [["run", "planted-rank", "--seeds", "1,x"], "lowrank: --seeds x: expected a whole number from 0 on\n"],
    [["run", "planted-rank", "--threads", "0"], "lowrank: --threads 0: expected a whole number from 1 on\n"],
    [
      ["run", "planted-rank", "--device", "cuda"],
      "lowrank: --device cuda: expected one of auto, wasm, webgpu, reference\n",
    ],
    [["run", "planted-rank", "--ouT", "x"], "lowrank: unknown option '--ouT' (Did you mean --out?)\n"],
    [["runn"], "lowrank: unknown command 'runn' (Did you mean run?)\n"],
    [["run"], "lowrank: missing required argument 'study'\n"],
    [
      ["run", "sst2"],
      `lowrank: preset sst2: a base is needed: --base with a checkpoint, or "model" sizes for a random one\n`,
    ],
    [
      ["run", "sst2", "--base", "/nowhere/at-all"],
      "lowrank: base: /nowhere/at-all: there is no config.json; give the folder of a Hugging Face checkpoint\n",
    ],
    [
      ["pretrain", "mlm", "--config", "smal"],
      `lowrank: --config smal: neither a file nor a preset; did you mean "small"?\n`,
    ],
    [["pretrain", "mlm", "--minutes", "-3"], "lowrank: --minutes -3: expected a number above 0 and up to 1000000\n"],
    [
      ["run", "planted", "--threads", "2", "--device", "reference"],
      "lowrank: --threads 2: the device reference has no threads; leave it out, or say --device wasm\n",
    ],
    [
      ["run", "planted", "--device", "wasm", "--device", "reference"],
      "lowrank: --device: given twice; one of them would be ignored\n",
    ],
    [
      ["run", "planted", "--seeds", "1", "--set", "seeds=[2]"],
      "lowrank: --seeds and --set seeds=… contradict; one of them would be ignored\n",
    ],
    [
      ["run", "planted", "--data", "."],
      "lowrank: --data: the task planted-rank makes its data and reads none; leave it out\n",
    ],
    [
      ["run", "planted", "--dry-run", "--detect-anomaly"],
      "lowrank: --dry-run and --detect-anomaly contradict: a dry run trains nothing that could be checked\n",
    ],
    [
      ["run", "planted", "--set", "configs.lora.dropout=1.5"],
      `lowrank: preset planted: "configs.lora.dropout" is 1.5; too big: expected number to be <1\n`,
    ],
    [
      ["run", "planted", "--set", "train.batchSize=1e8", "--device", "wasm"],
      `lowrank: config "head": the weights and a batch of 100,000,000 rows, 128 wide, take at least 762.9 GiB of memory; the device wasm has 4.0 GiB at most\n`,
    ],
    [
      ["run", "planted", "--set", "configs.lora.r=1000000", "--device", "wasm"],
      `lowrank: config "lora": 1,920,000,130 trainable parameters with gradients and Adam's moments take at least 28.6 GiB of memory; the device wasm has 4.0 GiB at most\n`,
    ],
    [
      ["run", "planted", "--set", "model.layers=1e9", "--device", "wasm"],
      `lowrank: preset planted: "model.layers" is 1000000000; expected at most 8192, beyond which no memory holds the layers\n`,
    ],
    [
      ["run", "planted", "--set", "task.train=1e9", "--device", "wasm"],
      `lowrank: config "head": "task.train" 1000000000 examples take at least 74.5 GiB of memory; the device wasm has 4.0 GiB at most\n`,
    ],
    [
      ["run", "planted-six", "--set", "configs.b-ada.targetR=50"],
      expect.stringMatching(
        /^lowrank: preset planted-six: "configs\.b-ada\.targetR" is 50, more than the initial rank \d+ \("initR"\); ranks are only taken away\n$/,
      ),
    ],
    [
      ["run", "planted", "--set", "configs={first: {method: head}, lora: {method: lora, target: [query], r: 9000}}"],
      expect.stringMatching(/^lowrank: config "lora": [^\n]*9000[^\n]*\n$/),
    ],
    [["run", "planted", "--base", ""], "lowrank: --base: is empty; give a path, or . for the working directory\n"],
    [["run", "sst2", "--data", " "], "lowrank: --data: is empty; give a path, or . for the working directory\n"],
    [["pretrain", "mlm", "--data", ""], "lowrank: --data: is empty; give a path, or . for the working directory\n"],
    [["pretrain", "mlm", "--out", ""], "lowrank: --out: is empty; give a path, or . for the working directory\n"],
    [["pretrain", "mlm", "--config", ""], "lowrank: --config: is empty; give a path, or . for the working directory\n"],
    [
      ["params", "--model-config", "", "--adapter-config", "x"],
      "lowrank: --model-config: is empty; give a path, or . for the working directory\n",
    ],
    [["run", "."], "lowrank: .: is a folder; a file is needed\n"],
    [
      ["run", "/dev/zero"],
      "lowrank: /dev/zero: is no ordinary file but a pipe, a socket or a device; copy what it gives into a file\n",
    ],
    [
      ["run", "/proc/self/status"],
      expect.stringMatching(/^lowrank: \/proc\/self\/status: has more bytes than its size of 0 says; [^\n]*\n$/),
    ],
    [
      ["run", `x\u001b[31m${"y".repeat(500)}`],
      expect.stringMatching(/^lowrank: no study "x\\u001b\[31my{73}…": neither a file nor a preset[^\n]*\n$/),
    ],
    [["run", "planted", `--${"z".repeat(500)}\u0007`], `lowrank: unknown option '--${"z".repeat(77)}…'\n`],
    [
      ["pretrain", "mlm", "--minutes", "5", "--set", "train.steps=3"],
      "lowrank: --minutes and --set train.steps=… contradict: the time decides how many steps there are\n",
    ],
    [
      ["pretrain", "mlm", "--config", "/dev/null"],
      "lowrank: /dev/null: is no ordinary file but a pipe, a socket or a device; copy what it gives into a file\n",
    ],
    [
      ["params", "--model-config", "/dev/zero", "--adapter-config", "x"],
      "lowrank: /dev/zero: is no ordinary file but a pipe, a socket or a device; copy what it gives into a file\n",
    ],
    [
      [
        "params",
        "--model-config",
        fileURLToPath(new URL("../package.json", import.meta.url)),
        "--adapter-config",
        join(SHAPES, "adapter-plain-llama.json"),
      ],
      expect.stringMatching(/^lowrank: [^\n]*lab\/package\.json has no "model_type"[^\n]*\n$/),
    ],
    [
      [
        "params",
        "--model-config",
        join(SHAPES, "config-tiny-llama.json"),
        "--adapter-config",
        join(SHAPES, "adapter-mlx-lm.json"),
      ],
      expect.stringMatching(/^lowrank: [^\n]*adapter-mlx-lm\.json: there is no "peft_type"[^\n]*\n$/),
    ],
    [["params", "--model-config", ".", "--adapter-config", "x"], "lowrank: .: is a folder; a file is needed\n"],
    [
      ["params", "--model-config", "/nowhere/config.json", "--adapter-config", "x"],
      "lowrank: --model-config: no such file: /nowhere/config.json\n",
    ],
  ] as [string[], string][])("%j ends with code 2 and one line", async (args, line) => {
    const out = join(temporary(), "out");
    const withOut = args[0] === "run" && args.length > 1 && !args.includes("--ouT") ? [...args, "--out", out] : args;
    expect(await run(...withOut)).toEqual({ code: 2, stdout: "", stderr: line });
    expect(existsSync(out)).toBe(false);
  });

  it("an empty --out is refused, not taken for the working directory", async () => {
    expect(await run("run", "planted", "--out", "")).toEqual({
      code: 2,
      stdout: "",
      stderr: "lowrank: --out: is empty; give a path, or . for the working directory\n",
    });
  });

  it("a byte order mark in a data file is said, and with --quiet it is not", async () => {
    const data = writeToyData(temporary());
    const file = join(data, "sst2-glue", "train.tsv");
    writeFileSync(file, `\ufeff${readFileSync(file, "utf8")}`);
    const dry = [
      "run",
      "sst2",
      "--data",
      data,
      "--dry-run",
      "--device",
      "reference",
      "--set",
      "model={hidden: 8, layers: 1, heads: 2, intermediate: 8}",
      "--set",
      "configs={head: {method: head}}",
      "--set",
      "task.maxLength=16",
      "--set",
      "train.batchSize=8",
      "--out",
      join(temporary(), "out"),
    ];
    expect(await run(...dry)).toMatchObject({
      code: 0,
      stderr: `${file}: begins with a byte order mark, which is no part of the text; it is left out\n`,
    });
    expect(await run(...dry, "--quiet")).toMatchObject({ code: 0, stderr: "" });
  });

  it("in a data file names the file, the column and the fix, and leaves no run behind", async () => {
    const data = writeToyData(temporary());
    writeFileSync(join(data, "sst2-glue", "dev.tsv"), "sentence\tlabels\nx\t1\n");
    const out = join(temporary(), "out");
    const outcome = await run(
      "run",
      "sst2",
      "--data",
      data,
      "--out",
      out,
      "--device",
      "reference",
      "--quiet",
      "--set",
      "model={hidden: 8, layers: 1, heads: 2, intermediate: 8}",
    );
    expect(outcome).toMatchObject({ code: 2, stdout: "" });
    expect(outcome.stderr).toBe(
      `lowrank: ${join(data, "sst2-glue", "dev.tsv")}: column "label" is missing; the header is ["sentence","labels"], expected ["sentence","label"]; rename "labels" to "label"?\n`,
    );
    expect(existsSync(join(out, "runs"))).toBe(false);
  });
});

describe("failures", () => {
  it("of a run end with code 1 after the other runs, on one line", async () => {
    const out = temporary();
    const set = [
      "task.train=32",
      "task.dev=16",
      "task.length=6",
      "train.epochs=1",
      "train.batchSize=16",
      "train.clip=null",
      "model={hidden: 8, layers: 1, heads: 2, intermediate: 8}",
      "task.ranks={query: 1}",
      "configs={bad: {method: full, train: {lr: 1e308}}, good: {method: head}}",
    ];
    const { code, stdout, stderr } = await run(
      "run",
      "planted",
      "--out",
      out,
      "--device",
      "reference",
      "--seeds",
      "1",
      "--quiet",
      ...set.flatMap((assignment) => ["--set", assignment]),
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/\| good +\| +1 \|/);
    expect(stderr).toMatch(/^lowrank: run bad-s1-[0-9a-f]{8} failed: step \d: .*\n$/);
  });

  it("of ours are marked internal and end with code 1, the user's with code 2", () => {
    expect(describeFailure(new TypeError("x is undefined\n at y"))).toEqual({
      line: "internal: TypeError: x is undefined at y (run again with --verbose and report it)",
      code: 1,
    });
    expect(describeFailure(new InputError("train.tsv: empty file"))).toEqual({
      line: "train.tsv: empty file",
      code: 2,
    });
    expect(
      describeFailure(
        Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" }),
      ),
    ).toEqual({ line: "ENOSPC: no space left on device, write", code: 1 });
    expect(
      describeFailure(
        Object.assign(new Error(`EISDIR: illegal operation, open '${"a".repeat(4000)}\u001b[2J'`), {
          code: "EISDIR",
          syscall: "open",
        }),
      ),
    ).toEqual({ line: `EISDIR: illegal operation, open '${"a".repeat(79)}…'`, code: 2 });
  });
});

describe("help", () => {
  it("is what the command alone says, with code 0, and names every preset", async () => {
    const { code, stdout, stderr } = await run();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("Usage: lowrank");
    for (const [command, ...lists] of [
      ["run", PRESETS],
      ["pretrain", ...Object.values(PRETRAIN_PRESETS)],
    ] as const) {
      const help = (await run(command, "--help")).stdout.replace(/\s+/g, " ");
      for (const presets of lists) expect(help).toContain(Object.keys(presets).join(", "));
    }
  });

  it.each([[[]], [["run"]], [["pretrain"]], [["presets"]], [["train"]], [["params"]], [["doctor"]]])(
    "of %j has examples and ends with code 0",
    async (command) => {
      const { code, stdout, stderr } = await run(...command, "--help");
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/Examples:\n {2}lowrank /);
    },
  );
});

describe("the command as a process", () => {
  const cli = fileURLToPath(new URL("../src/cli.ts", import.meta.url));
  const spawn = (...args: string[]) =>
    spawnSync(process.execPath, ["--import", "tsx", "--conditions", "@lowrank/source", cli, ...args], {
      encoding: "utf8",
    });

  it("sets the exit code, prints one line on stderr and no stack trace", () => {
    const { status, stdout, stderr } = spawn("run", "planted-rank", "--set", "train=3");
    expect({ status, stdout, stderr }).toEqual({
      status: 2,
      stdout: "",
      stderr: `lowrank: preset planted-rank: "train" is 3; expected object, received number\n`,
    });
  });

  it("runs a study, writes every file, skips it the second time and refuses a pattern that matches nothing", () => {
    const out = temporary();
    const small = [
      "--device",
      "reference",
      "--seeds",
      "1",
      "--set",
      "task.train=64",
      "--set",
      "task.dev=32",
      "--set",
      "task.length=6",
      "--set",
      "train.epochs=1",
      "--set",
      "model={hidden: 8, layers: 1, heads: 2, intermediate: 8}",
      "--set",
      "task.ranks={query: 1}",
    ];
    const first = spawn("run", "planted", "--out", out, ...small);
    expect(first.stderr).toContain("[3/3] full · seed 1: accuracy");
    expect(first.stdout).toMatch(/\| config \| +n \|/);
    expect(first.status).toBe(0);
    const [folder] = readdirSync(join(out, "runs")).filter((name) => name.startsWith("lora-"));
    expect(readdirSync(join(out, "runs", folder!)).sort()).toEqual([
      "SHA256SUMS",
      "adapter",
      "base",
      "config.json",
      "env.json",
      "events.jsonl",
      "measures.json",
      "metrics.csv",
      "predictions.jsonl",
      "result.json",
      "steps.csv",
    ]);
    const result = JSON.parse(readFileSync(join(out, "runs", folder!, "result.json"), "utf8"));
    expect(result.proofs.map((proof: { name: string; holds: boolean }) => [proof.name, proof.holds])).toEqual([
      ["module-table", true],
      ["parameter-counts", true],
      ["quantization", true],
      ["frozen-stays-trainable-moves", true],
      ["evaluation-loss-is-task-loss", true],
      ["all-finite", true],
      ["dtypes", true],
      ["rank-allocation", true],
      ["regularizer-in-training-only", true],
      ["learning-rates", true],
    ]);
    expect(readFileSync(join(out, "results.csv"), "utf8").trim().split("\n")).toHaveLength(4);

    const second = spawn("run", "planted", "--out", out, ...small, "--json");
    expect(second.stderr).toContain("lora · seed 1: already done");
    expect(JSON.parse(second.stdout).results).toHaveLength(3);

    // Pattern keys that match nothing are wrong input, found before anything is trained.
    const third = spawn("run", "planted", "--out", out, ...small, "--set", "configs.lora.rankPattern={attention: 2}");
    expect({ status: third.status, stderr: third.stderr.split("\n").at(-2) }).toEqual({
      status: 2,
      stderr: expect.stringMatching(/^lowrank: config "lora": pattern "attention" matches none of the adapted modules/),
    });
  }, 120_000);
});
