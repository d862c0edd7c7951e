/** WikiText-2: every token scored once, words counted as the paper does, and a perplexity that says what it rests on. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseTokenizer } from "@lowrank/models";
import { init, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadStudy } from "../src/config/load.ts";
import { encodeSpelt } from "../src/data/text-windows.ts";
import { evenlySpaced, longestStride, windowsOf } from "../src/data/windows.ts";
import { chosenText, linesOf, WordCount } from "../src/data/wikitext.ts";
import { wordPerplexity } from "../src/metrics/word-perplexity.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy, type StudyRun } from "../src/study/plan-study.ts";
import { runStudy } from "../src/study/run-study.ts";
import { byteTokenizerFiles, writeCausalFolder } from "./causal-folder.ts";

describe("windows of a text", () => {
  const cases = fc
    .record({
      count: fc.integer({ min: 0, max: 60 }),
      window: fc.integer({ min: 4, max: 16 }),
      prefix: fc.boolean(),
      everyWindow: fc.boolean(),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    .map(({ share, ...rest }) => {
      const everyWindow = rest.prefix && rest.everyWindow;
      const most = longestStride({ window: rest.window, everyWindow });
      return { ...rest, everyWindow, stride: 1 + Math.floor(share * (most - 1)) };
    });

  it("score every token once, in order, by what came before it", () => {
    fc.assert(
      fc.property(cases, ({ count, ...options }) => {
        const windows = windowsOf(count, options);
        const scored = windows.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i));
        const first = options.prefix ? 0 : 1;
        expect(scored).toEqual(Array.from({ length: Math.max(0, count - first) }, (_, i) => first + i));
        windows.forEach(({ begin, from, to }, i) => {
          const special = Number(options.prefix && (i === 0 || options.everyWindow));
          expect(special + to - begin).toBeLessThanOrEqual(options.window);
          if (i === 0) return;
          expect(to - from).toBeLessThanOrEqual(options.stride);
          // as much of what came before as there is room for, one token at least
          expect(begin).toBe(Math.max(0, to - options.window + special));
          expect(begin).toBeLessThan(from);
        });
      }),
    );
  });

  it("are chosen at equal distances", () => {
    expect(evenlySpaced(10, 4)).toEqual([0, 2, 5, 7]);
    expect(evenlySpaced(3, 8)).toEqual([0, 1, 2]);
  });
});

describe("words", () => {
  it("are what is apart by white space, and the ends of lines, and parts share them", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("a", "é", " ", "\n", "\t", "=", "𝔸"), { maxLength: 40 }),
        fc.nat(60),
        fc.nat(60),
        (parts, x, y) => {
          const text = parts.join("");
          const words = new WordCount(text);
          // as in a word-level model: line.split() + ["<eos>"]; a last line without an end has none
          const expected = text
            .split("\n")
            .reduce(
              (sum, line) => sum + line.split(/\s+/).filter((word) => word !== "").length,
              text.split("\n").length - 1,
            );
          expect(words.all).toBe(expected);
          const [a, b] = [Math.min(x, y), Math.max(x, y)];
          expect(words.between(0, a) + words.between(a, b) + words.between(b, text.length + 60)).toBe(words.all);
        },
      ),
    );
  });

  const data = resolve(import.meta.dirname, "../../..", process.env["LOWRANK_DATA"] ?? "../shared/data", "wikitext-2");
  it.skipIf(!existsSync(data))("are as many as table 1 of Merity et al. 2016 says", () => {
    const counted = (name: string): number => new WordCount(readFileSync(join(data, name), "utf8")).all;
    expect([counted("valid.txt"), counted("test.txt")]).toEqual([217_646, 245_569]);
  });

  it("divide the loss of all tokens", () => {
    const count = [
      { loss: 6, counted: 4, words: 2 },
      { loss: 3, counted: 1, words: 1 },
    ].reduce<ReturnType<typeof wordPerplexity.update> | undefined>(
      (before, items) => wordPerplexity.update(before, items),
      undefined,
    )!;
    expect(wordPerplexity.value(count)).toBe(Math.exp(3));
    expect(wordPerplexity.detail!(count)).toEqual({ scored: { tokens: 5, words: 3 } });
  });

  it("are the text's own where they look like a special token", () => {
    const { tokenizer: plain } = byteTokenizerFiles() as { tokenizer: { added_tokens: object[] } };
    const unknown = { ...plain.added_tokens[0]!, id: 257, content: "<unk>" };
    const text = "a <unk> é<unk>\n<unk";
    const bytes = [...Buffer.from(text)];
    for (const [json, own] of [
      [plain, false],
      [{ ...plain, added_tokens: [...plain.added_tokens, unknown] }, true],
    ] as const) {
      const tokenizer = parseTokenizer(json, { eos_token: "<end>" });
      expect(tokenizer.encode(text).ids.includes(257)).toBe(own);
      const { ids, offsets } = encodeSpelt(tokenizer, text);
      expect(ids).toEqual(bytes);
      expect(offsets.map(([from, to]) => text.slice(from, to)).slice(0, 6)).toEqual(["a", " ", "<", "u", "n", "k"]);
      expect(offsets.at(-1)).toEqual([text.length - 1, text.length]);
    }
  });

  it("come from lines as the file has them", () => {
    const lines = linesOf(" \n a b \n\n c");
    expect(lines).toEqual([" \n", " a b \n", "\n", " c"]);
    expect(chosenText(lines, { trainRows: [2, 3], heldOut: [4, 4] }, "a.txt")).toEqual({
      train: " a b \n\n",
      heldOut: " c",
    });
  });
});

describe("the task", () => {
  const root = mkdtempSync(join(tmpdir(), "lowrank-wikitext-"));
  let device: Device;
  let gpt2 = "";
  beforeAll(async () => {
    device = await init({ device: "wasm", threads: 1 });
    gpt2 = await writeCausalFolder(join(root, "gpt2"), { positions: 64 });
    mkdirSync(join(root, "wikitext-2"));
    const line = (i: number): string => ` The <unk> of ${i} was , in part , a lobster .\n`;
    writeFileSync(join(root, "wikitext-2", "valid.txt"), Array.from({ length: 20 }, (_, i) => line(i)).join(" \n"));
    writeFileSync(join(root, "wikitext-2", "test.txt"), Array.from({ length: 9 }, (_, i) => line(7 * i)).join(""));
  });
  afterAll(() => {
    device.close();
    rmSync(root, { recursive: true, force: true });
  });

  async function planned(task: string, say: (line: string) => void, out = mkdtempSync(join(root, "out-"))) {
    const study = join(out, "study.yaml");
    writeFileSync(
      study,
      `
name: mine
task: { name: wikitext2, train: valid.txt, window: 32, ${task} }
base: ${gpt2}
seeds: [1]
train: { epochs: 1, batchSize: 4, lr: 0.01 }
configs: { lora: { method: lora, r: 2, alpha: 4, target: [c_attn] } }
`,
    );
    const environment = { dataFolder: root, filesFolder: root, cacheFolder: join(out, ".cache"), say };
    const store = new RunStore(out);
    const runs: StudyRun[] = await planStudy(await loadStudy(study), store, {
      environment,
      code: "test",
      device: device.name,
      reuse: false,
    });
    return { out, store, runs, environment };
  }

  async function made(task: string) {
    const said: string[] = [];
    const say = (line: string): void => void said.push(line);
    const { out, store, runs, environment } = await planned(task, say);
    const outcome = await runStudy(runs, {
      out,
      device,
      store,
      environment,
      machine: {} as never,
      progress: "quiet",
      say,
    });
    expect(outcome.failures).toEqual([]);
    const [run] = outcome.results;
    expect(run!.proofs.filter(({ holds }) => !holds)).toEqual([]);
    const lines = readFileSync(join(out, "runs", run!.name, "predictions.jsonl"), "utf8")
      .trim()
      .split("\n");
    return {
      final: run!.final as unknown as Record<string, number> & { scored: { tokens: number; words: number } },
      windows: lines.map(
        (text) =>
          JSON.parse(text) as { index: number; from: number; to: number; tokens: number; words: number; loss: number },
      ),
      said: said.join("\n"),
    };
  }

  it("tells perplexity by token and by word of all that is scored", async () => {
    const { final, windows, said } = await made("trainRows: [1, 30]");
    // tokens are bytes, and <end> stands before the first one
    const test = readFileSync(join(root, "wikitext-2", "test.txt"), "utf8");
    expect(final.scored).toEqual({ tokens: test.length, words: new WordCount(test).all });
    expect(windows.map(({ from }) => from)).toEqual([0, ...windows.slice(0, -1).map(({ to }) => to)]);
    const loss = windows.reduce((sum, window) => sum + window.loss, 0);
    expect(final["perplexity"]).toBeCloseTo(Math.exp(loss / final.scored.tokens), 3);
    expect(Math.log(final["word-perplexity"]!)).toBeCloseTo(loss / final.scored.words, 5);
    expect(said).toContain("wikitext-2/valid.txt, lines 1 to 30: trained on all of ");
    expect(said).toMatch(
      /wikitext-2\/test\.txt: evaluated on all of \d+ windows, \d+ of \d+ tokens; lines joined as the file has them, one text; windows of 32 tokens, stride 31, "<end>" before the text; perplexity is by token \(\d+\), word perplexity by word \(\d+ of \d+, ends of lines among them\)/,
    );
  });

  it("takes some windows, shows more before what they score, and holds lines out", async () => {
    const { windows, said } = await made(
      "trainRows: [1, 30], trainLimit: 4, validation: {trainRows: [35, 39]}, stride: 8, windows: 3",
    );
    expect(windows).toHaveLength(3);
    expect(windows.slice(1).every(({ tokens }) => tokens <= 8)).toBe(true);
    expect(said).toContain("wikitext-2/valid.txt, lines 1 to 30: trained on 4 of ");
    expect(said).toMatch(
      /wikitext-2\/valid\.txt, lines 35 to 39: evaluated on 3 of \d+ windows, .*at equal distances; .*stride 8/,
    );
  });

  it.each([
    [
      "stride: 32",
      `"task.stride" is 32, and a window of 32 tokens has room for 31 new ones beside the token before them`,
    ],
    ["trainRows: [1, 99]", `"trainRows" [1, 99] goes beyond the 39 rows of the file`],
    ["validation: ../test.txt", "expected the name of a file in wikitext-2/"],
    ["validation: other.txt", "data file not found"],
    ["trainRows: [1, 9], validation: {trainRows: [9, 12]}", "share row 9"],
  ])("refuses %s", async (task, message) => {
    await expect(made(task)).rejects.toThrow(message);
  });

  it("is another run with other lines, another stride and other windows", async () => {
    const ids = await Promise.all(
      ["", "trainRows: [1, 30]", "stride: 16", "windows: 2", "trainLimit: 2"].map(
        async (task) => (await planned(task, () => {})).runs[0]!.id,
      ),
    );
    expect(new Set(ids).size).toBe(5);
  });
});
