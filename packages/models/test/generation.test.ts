/** Texts as they are written: pieces, ends, seeds, and what is refused. */
import { fc, test } from "@fast-check/vitest";
import { init, LowrankError, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { StopStrings } from "../src/generation/stop-strings.ts";
import {
  generate,
  metaModel,
  TextGenerator,
  type PretrainedModel,
  type TextOptions,
  type TokenOptions,
} from "../src/index.ts";
import { byteTokenizer } from "./byte-tokenizer.ts";
import { SMALL, type Sizes } from "./small-models.ts";

const SIZES: Sizes = { vocab: 257, heads: 2, width: 4, layers: 2, positions: 64 };
const tokenizer = byteTokenizer();

let device: Device;
let model: PretrainedModel;
let generator: TextGenerator;
async function modelOn(on: Device, name = "LlamaForCausalLM"): Promise<PretrainedModel> {
  const made = metaModel(name, SMALL[name]!(SIZES));
  await made.materialize({ device: on, seed: 7 });
  return made;
}
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  model = await modelOn(device);
  generator = new TextGenerator(model, tokenizer);
});
afterAll(() => device.close());

async function inPieces(prompt: string, options: TextOptions): Promise<string[]> {
  const pieces: string[] = [];
  for await (const piece of generator.text(prompt, options)) pieces.push(piece);
  return pieces;
}

describe("a text", () => {
  it("comes in pieces that are together what the tokens decode to", async () => {
    for (const seed of [1, 2, 3]) {
      const options = { maxNewTokens: 30, seed, topK: 0 };
      const pieces = await inPieces("once", options);
      const { text, tokens, finish } = await generator.text("once", options).result();
      expect(pieces.join("")).toBe(text);
      expect(pieces.length).toBeGreaterThan(5);
      expect(pieces).not.toContain("");
      expect(tokenizer.decode(tokens)).toBe(text);
      expect(tokens.length).toBe(finish === "length" ? 30 : tokens.length);
    }
  });

  it("is one of its prompt whether that is a text, its tokens, or a chat", async () => {
    const options = { maxNewTokens: 8 };
    const { text } = await generator.text("a chat", options).result();
    const ids = tokenizer.encode("a chat").ids;
    expect((await generator.text(ids, options).result()).text).toBe(text);
    const template = { encode: () => ({ ids }) };
    expect((await generator.text({ messages: [], template }, options).result()).text).toBe(text);
    expect((await generate(model, tokenizer, "a chat", options).result()).text).toBe(text);
  });

  it("ends where a stop string begins, and shows nothing of it", async () => {
    const options = { maxNewTokens: 24, seed: 4 };
    const { text } = await generator.text("x", options).result();
    const characters = [...text];
    const stop = characters.slice(9, 12).join("");
    const at = text.indexOf(stop);
    for (const stops of [stop, ["not there at all", stop]]) {
      const cut = await generator.text("x", { ...options, stop: stops }).result();
      expect([cut.text, cut.finish]).toEqual([text.slice(0, at), "stop"]);
      expect(cut.tokens.length).toBeLessThan(24);
      expect((await inPieces("x", { ...options, stop: stops })).join("")).toBe(text.slice(0, at));
    }
  });

  it("ends with an eos token, which is among its tokens and not in its text", async () => {
    const free = await generator.text("y", { maxNewTokens: 12, eos: [] }).result();
    expect([free.tokens.length, free.finish]).toEqual([12, "length"]);
    const eos = free.tokens[5]!;
    const first = free.tokens.indexOf(eos);
    const ended = await generator.text("y", { maxNewTokens: 12, eos }).result();
    expect([ended.tokens, ended.finish]).toEqual([free.tokens.slice(0, first + 1), "eos"]);
  });

  it("is the same beside others, and each ends for itself", async () => {
    const prompts = ["a", "a longer one", "the third of them"];
    for (const options of [
      { maxNewTokens: 10 },
      { maxNewTokens: 10, seed: 9, temperature: 0.8 },
    ] satisfies TextOptions[]) {
      const together = await generator.texts(prompts, options).result();
      expect(together.map(({ tokens }) => tokens.length)).toEqual([10, 10, 10]);
      const alone = await generator.text(prompts[0]!, options).result();
      expect(together[0]!.tokens).toEqual(alone.tokens);
      const shown = ["", "", ""];
      for await (const { row, text } of generator.texts(prompts, options)) shown[row] += text;
      expect(shown).toEqual(together.map(({ text }) => text));
    }
    const free = await generator.texts(prompts, { maxNewTokens: 10 }).result();
    const eos = free[1]!.tokens[3]!;
    const some = await generator.texts(prompts, { maxNewTokens: 10, eos }).result();
    some.forEach(({ tokens, finish }, i) => {
      const at = free[i]!.tokens.indexOf(eos);
      expect(tokens).toEqual(at < 0 ? free[i]!.tokens : free[i]!.tokens.slice(0, at + 1));
      expect(finish).toBe(at < 0 ? "length" : "eos");
    });
  });
});

describe("seeds", () => {
  it("twenty give twenty texts", async () => {
    const texts = new Set<string>();
    for (let seed = 0; seed < 20; seed++)
      texts.add((await generator.text("seed", { maxNewTokens: 12, seed }).result()).tokens.join());
    expect(texts.size).toBe(20);
  });

  it("one gives one text, whatever the number of threads", async () => {
    const want = await generator.text("seed", { maxNewTokens: 16, seed: 5, topP: 0.9 }).result();
    for (const threads of [2, 3]) {
      const other = await init({ device: "wasm", threads });
      const same = new TextGenerator(await modelOn(other), tokenizer);
      expect(await same.text("seed", { maxNewTokens: 16, seed: 5, topP: 0.9 }).result()).toEqual(want);
      other.close();
    }
  });

  it("are told where none was given, and repeat the text", async () => {
    const { seed, tokens } = await generator.text("seed", { maxNewTokens: 12, sample: true }).result();
    expect((await generator.text("seed", { maxNewTokens: 12, seed }).result()).tokens).toEqual(tokens);
    expect((await generator.text("seed", { maxNewTokens: 2 }).result()).seed).toBeUndefined();
  });
});

it("the repetition penalty counts padding only when told which word it is", async () => {
  const scores = async (options: TokenOptions): Promise<number[]> => {
    const out: number[] = [];
    // the padded row alone: the other one is longer
    for await (const step of generator.tokens(
      [
        [5, 6],
        [1, 2, 3, 4, 5],
      ],
      { maxNewTokens: 1, repetitionPenalty: 1e9, ...options },
    ))
      out.push(step[0]!.id);
    return out;
  };
  const [free] = await scores({});
  expect([5, 6]).not.toContain(free);
  // a word that is taken for padding is one that was seen
  expect((await scores({ penalizePadding: free! }))[0]).not.toBe(free);
});

describe("a generator", () => {
  it("writes one text at a time, and another once that was left", async () => {
    const writing = generator.tokens([[1, 2]], { maxNewTokens: 5 });
    await writing.next();
    await expect(generator.text("z", { maxNewTokens: 2 }).result()).rejects.toThrow("is writing another text");
    await writing.return();
    expect((await generator.text("z", { maxNewTokens: 2 }).result()).tokens.length).toBe(2);
    const stream = generator.text("z", { maxNewTokens: 9 });
    for await (const _ of stream) break;
    await expect(stream.result()).rejects.toThrow("left before its end");
    expect((await generator.text("z", { maxNewTokens: 2 }).result()).tokens.length).toBe(2);
  });

  it("stops by a signal, with its reason", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const tokens: number[] = [];
    const run = async (): Promise<void> => {
      for await (const step of generator.tokens([[1]], { maxNewTokens: 20, signal })) {
        tokens.push(step[0]!.id);
        if (tokens.length === 3) controller.abort(new Error("enough"));
      }
    };
    await expect(run()).rejects.toThrow("enough");
    expect(tokens.length).toBe(3);
    expect((await generator.text("z", { maxNewTokens: 2 }).result()).tokens.length).toBe(2);
  });

  it.each<[string, TextOptions | { max_new_tokens: number }, string]>([
    ["an unknown option", { max_new_tokens: 3 }, 'did you mean "maxNewTokens"'],
    ["drawing that would do nothing", { sample: false, topK: 3 }, '"topK" would do nothing'],
    ["a temperature of 0", { temperature: 0 }, '"temperature"'],
    ["padding without a penalty", { penalizePadding: 0 }, "without a repetitionPenalty"],
    ["more tokens than positions", { maxNewTokens: 64 }, "maxNewTokens can be 63 at most"],
    ["no room at all", { stop: "" }, '"stop"'],
  ])("refuses %s", async (_what, options, message) => {
    await expect((async () => generator.text("ab", options as TextOptions).result())()).rejects.toThrow(message);
  });

  it("refuses models that do not score words or train, and prompts without tokens", async () => {
    const classifier = metaModel("LlamaForSequenceClassification", SMALL["LlamaForSequenceClassification"]!(SIZES));
    expect(() => new TextGenerator(classifier, tokenizer)).toThrow('load the model with task: "CAUSAL_LM"');
    await expect(generator.text("", {}).result()).rejects.toThrow("the prompt has no tokens");
    await expect(generator.texts([], {}).result()).rejects.toThrow("give a prompt at least");
    await expect(generator.text([1, 300], {}).result()).rejects.toThrow(LowrankError);
    await expect(new TextGenerator(model).text("a").result()).rejects.toThrow("texts need a tokenizer");
    model.train();
    await expect(generator.text("a").result()).rejects.toThrow("call model.eval() first");
    model.eval();
  });
});

const pieces = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 4 }), { maxLength: 12 });
const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), {
  maxLength: 3,
});
test.prop([pieces, stops], { numRuns: 500 })(
  "stop strings end a text with the first that is whole, however it is cut into pieces",
  (parts, all) => {
    const filter = new StopStrings(all);
    let shown = "";
    let whole = "";
    for (const part of parts) {
      shown += filter.push(part);
      if (filter.ended) break;
      whole += part;
      // nothing waits that cannot be the beginning of one
      expect(whole.length - shown.length).toBeLessThan(Math.max(1, ...all.map((s) => s.length)));
    }
    const text = parts.join("");
    // letter by letter
    const end = [...text].findIndex((_, i) => all.some((s) => text.slice(0, i + 1).endsWith(s)));
    const longest = Math.max(0, ...all.filter((s) => text.slice(0, end + 1).endsWith(s)).map((s) => s.length));
    expect(shown + filter.end()).toBe(end < 0 ? text : text.slice(0, end + 1 - longest));
    expect(filter.ended).toBe(end >= 0);
  },
);
