/** `lowrank generate`: a text in one go, as JSON, by a chat template, with adapters that are switched. */
import { cpSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { fromPretrained, metaModel, savePretrained } from "@lowrank/models";
import { adapt, saveAdapter } from "@lowrank/peft";
import { directory, init, RandomStream } from "@lowrank/tensor";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { answer, converse, Writer } from "../src/cli/generate-command.ts";
import { main } from "../src/cli/main.ts";

const WORDS = "[PAD] [END] you me say what is it a b c d e f g".split(" ");
const TOKENIZER = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: WORDS.slice(0, 2).map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: null,
  pre_tokenizer: { type: "Whitespace" },
  post_processor: null,
  decoder: { type: "WordPiece", prefix: "##", cleanup: false },
  model: {
    type: "WordPiece",
    unk_token: "[PAD]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
  },
};

const root = mkdtempSync(join(tmpdir(), "lowrank-generate-"));
const base = join(root, "base");
const adapter = join(root, "adapter");

beforeAll(async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const config = {
    model_type: "llama",
    vocab_size: WORDS.length,
    hidden_size: 16,
    num_attention_heads: 2,
    num_hidden_layers: 1,
    intermediate_size: 16,
    max_position_embeddings: 64,
    initializer_range: 0.5,
  };
  const model = metaModel("LlamaForCausalLM", config);
  await model.materialize({ device, seed: 3 });
  await savePretrained(model, base);
  writeFileSync(join(base, "tokenizer.json"), JSON.stringify(TOKENIZER));
  writeFileSync(join(base, "tokenizer_config.json"), JSON.stringify({ eos_token: "[END]" }));
  writeFileSync(join(base, "chat_template.jinja"), "{% for m in messages %}{{ m.content }} {% endfor %}say");
  writeFileSync(join(base, "generation_config.json"), JSON.stringify({ eos_token_id: [1] }));
  const { model: adapted } = await fromPretrained(base, { device, task: "CAUSAL_LM" });
  const made = await adapt(adapted, { r: 2, alpha: 16, targetModules: ["q_proj", "down_proj"] }, { device, seed: 5 });
  const stream = new RandomStream(9, "adapter");
  for (const [name, weight] of adapted.namedWeights())
    if (name.includes("lora_B"))
      weight.parameter.write(Float32Array.from({ length: weight.size }, () => stream.normal()));
  await saveAdapter(made, directory(adapter));
  device.close();
});
afterEach(() => vi.restoreAllMocks());

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    vi.spyOn(process[stream], "write").mockImplementation((chunk) => {
      written[stream] += String(chunk);
      return true;
    });
  const code = await main(["generate", base, ...args, "--device", "wasm", "--threads", "1"]);
  vi.restoreAllMocks();
  return { code, ...written };
}
interface Line {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly finish: string;
  readonly seed?: number;
  readonly adapter?: string;
}
const json = async (...args: string[]): Promise<Line> => {
  const { code, stdout, stderr } = await run(...args, "--json");
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as Line;
};

describe("lowrank generate", () => {
  it("writes a text, which JSON has too, and an adapter another", async () => {
    const { code, stdout } = await run("what is it", "--max-tokens", "8");
    const plain = await json("what is it", "--max-tokens", "8");
    expect([code, stdout]).toEqual([0, `${plain.text}\n`]);
    expect(plain.finish === "eos" ? plain.tokens.at(-1) : plain.tokens.length).toBe(plain.finish === "eos" ? 1 : 8);
    const adapted = await json("what is it", "--max-tokens", "8", "--adapter", adapter);
    expect(adapted.adapter).toBe(adapter);
    expect(adapted.tokens).not.toEqual(plain.tokens);
  });

  it("opens the adapter in the folder of a training", async () => {
    const folder = join(root, "trained");
    mkdirSync(folder);
    cpSync(adapter, join(folder, "adapter"), { recursive: true });
    const inside = await json("what is it", "--max-tokens", "8", "--adapter", folder);
    expect(inside.tokens).toEqual((await json("what is it", "--max-tokens", "8", "--adapter", adapter)).tokens);
  });

  it("draws with a seed, and tells it", async () => {
    const options = [
      "a",
      "--max-tokens",
      "8",
      "--temperature",
      "1.5",
      "--top-k",
      "0",
      "--top-p",
      "0.95",
      "--min-p",
      "0.01",
    ];
    const first = await json(...options);
    const again = await json(...options, "--seed", String(first.seed));
    expect(again.tokens).toEqual(first.tokens);
  });

  it("takes messages by the chat template", async () => {
    const chat = await json("what is it", "--chat", "--max-tokens", "6");
    expect(chat.tokens).toEqual((await json("what is it say", "--max-tokens", "6")).tokens);
  });

  it("ends in one line where something is wrong, with code 2", async () => {
    for (const [args, message] of [
      [["a", "--top-p", "2"], "--top-p 2: expected a number above 0 and up to 1"],
      [
        ["a", "--max-tokens", "1000"],
        "lowrank: 1000 tokens behind a prompt of 1 are more than the model's 64 positions; --max-tokens can be",
      ],
      [["a", "--temperature", "0"], "--temperature 0: leave it out for greedy"],
      [["a", "--stop", ""], '--stop "": expected a text'],
      [["a", "--adapter", join(root, "nowhere")], "nowhere"],
    ] as const) {
      const { code, stdout, stderr } = await run(...args);
      expect([code, stdout]).toEqual([2, ""]);
      expect(stderr).toContain(message);
      expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    }
  });
});

it("lines of a conversation are prompts or commands", async () => {
  const calls: unknown[] = [];
  const writer = {
    adapters: { use: async (folder: string | undefined) => void calls.push(["adapter", folder]) },
    reset: () => void calls.push(["reset"]),
    write: async (prompt: string) => void calls.push(["write", prompt]),
  };
  for (const line of ["hello / you", "", "  ", "/adapter some where ", "/adapter", "/reset"])
    await answer(writer as never, line);
  expect(calls).toEqual([["write", "hello / you"], ["adapter", "some where"], ["adapter", undefined], ["reset"]]);
  await expect(answer(writer as never, "/adaptor x")).rejects.toThrow("/adaptor: there are /adapter DIR");
});

describe("a conversation at a terminal", () => {
  /** Keys that are pressed one after the other, and what became of them. */
  async function pressed(...keys: readonly string[]): Promise<{ calls: unknown[]; shown: string }> {
    const [input, output] = [new PassThrough(), new PassThrough()];
    const calls: unknown[] = [];
    let shown = "";
    output.on("data", (chunk) => (shown += String(chunk)));
    const writer = {
      adapters: { active: undefined, use: async (folder: string | undefined) => void calls.push(["adapter", folder]) },
      reset: () => void calls.push("reset"),
      // a text that goes on until somebody stops it
      write: (prompt: string, signal: AbortSignal) =>
        new Promise<void>((resolve) => {
          calls.push(prompt);
          signal.addEventListener("abort", () => resolve(void calls.push("stopped")));
        }),
    };
    const talk = converse(writer as never, { input, output });
    for (const key of keys) {
      input.write(key);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await talk;
    return { calls, shown };
  }
  const [CONTROL_C, CONTROL_D, UP] = ["\x03", "\x04", "\x1b[A"];

  it("stops a text and not the program, switches adapters, remembers lines, ends", async () => {
    const { calls, shown } = await pressed(
      "one\r",
      CONTROL_C,
      "/adapter x y\r",
      UP,
      UP,
      "\r",
      CONTROL_C,
      "/adaptor\r",
      CONTROL_D,
    );
    expect(calls).toEqual(["one", "stopped", ["adapter", "x y"], "one", "stopped"]);
    expect(shown).toContain("/adaptor: there are /adapter DIR, /reset and /quit");
  });

  it("ends where a text is being written, too, and after Control-C twice at an empty line", async () => {
    expect((await pressed("one\r", CONTROL_D)).calls).toEqual(["one", "stopped"]);
    const { calls, shown } = await pressed("half", CONTROL_C, CONTROL_C, "two\r", CONTROL_C, CONTROL_C, CONTROL_C);
    expect(calls).toEqual(["two", "stopped"]);
    expect(shown.split("Control-C again ends").length).toBe(3);
    expect((await pressed("/quit\r")).calls).toEqual([]);
  });

  it("reads again what another adapter read, and otherwise what is new alone", async () => {
    const asked: unknown[] = [];
    const generator = {
      text: ({ messages }: { messages: unknown[] }, { continues }: { continues: boolean }) => {
        asked.push([messages.length, continues]);
        return {
          [Symbol.asyncIterator]: async function* () {
            yield "so";
          },
          result: async () => ({}),
        };
      },
    };
    const adapters = { active: undefined as string | undefined, use: async () => {} };
    const writer = new Writer(generator as never, adapters, { template: {} as never, json: true, sampling: {} });
    vi.spyOn(process.stdout, "write").mockImplementation(() => true);
    await writer.write("a");
    await writer.write("b");
    adapters.active = "x";
    await writer.write("c");
    await writer.write("d");
    writer.reset();
    await writer.write("e");
    expect(asked).toEqual([
      [1, false],
      [3, true],
      [5, false],
      [7, true],
      [1, false],
    ]);
  });
});
