/** Gemma 3 270M in a file of llama.cpp, where there is one (LOWRANK_GEMMA3 is its path): bits of its tensors, its tokenizer, transformers' numbers. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { formatOf } from "@lowrank/quant";
import { compile, init, ops, readTensor, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  fromPretrained,
  Gemma3ForCausalLM,
  ggufTokenizer,
  loadTokenizer,
  openGguf,
  parseTokenizer,
} from "../src/index.ts";

const path = process.env["LOWRANK_GEMMA3"] ?? "";
const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "gguf/gemma3-270m",
);
const json = <T>(name: string): T => JSON.parse(readFileSync(join(folder, name), "utf8")) as T;

describe.skipIf(!existsSync(path) || !existsSync(folder))("Gemma 3 270M", { timeout: 900_000 }, () => {
  it("has every recorded tensor to the bit", async () => {
    const { tensors } = json<{ tensors: { name: string; type: string; sha256_f32le: string }[] }>(
      "tensor-checksums.json",
    );
    const { file, close } = (await openGguf(path))!;
    for (const { name, type, sha256_f32le } of tensors) {
      const { dtype, shape } = file.info(name);
      expect(dtype).toBe(type);
      const target = { shape, transposed: false, allowNonFinite: false };
      const { data } = (await formatOf(file, name)?.decode(file, name, target)) ?? (await readTensor(file, name));
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      expect(createHash("sha256").update(bytes).digest("hex"), name).toBe(sha256_f32le);
    }
    await close();
  });

  it("has SentencePiece's ids", async () => {
    const { cases } = json<{ cases: { text: string; ids: number[]; ids_special_parsed?: number[] }[] }>(
      "tokenizer-cases.json",
    );
    const { file, close } = (await openGguf(path))!;
    const { tokenizer, config } = ggufTokenizer(file);
    await close();
    const added = tokenizer["added_tokens"] as { readonly special: boolean }[];
    // neither the tokenizer nor its config names them: SentencePiece spells them out
    const unnamed = Object.fromEntries(Object.entries(config).filter(([key]) => !key.endsWith("_token")));
    const spelling = parseTokenizer({ ...tokenizer, added_tokens: added.filter(({ special }) => !special) }, unnamed);
    const parsing = await loadTokenizer(path);
    for (const { text, ids, ids_special_parsed } of cases) {
      expect(spelling.encode(text).ids, text).toEqual(ids);
      expect(parsing.encode(text).ids, text).toEqual(ids_special_parsed ?? ids);
    }
  });

  describe("beside transformers", () => {
    interface Prompt {
      readonly ids: number[];
      readonly top5: { readonly id: number; readonly logprob: number }[];
      readonly logits_first8_last_position: number[];
      readonly greedy20: { readonly ids: number[]; readonly margins: number[] };
    }
    interface Reference {
      readonly prompts: Prompt[];
      readonly wikitext2: { readonly ids: number[]; readonly nll: number[] };
    }
    /**
     * What f32 allows against f32. A sum of n products in f32 is off by about √n·2^-24 of its size (rounding errors add up like a random walk), here
     * √2048·2^-24 = 2.7e-6 at most; seven products in each of 18 layers, one upon another and as independent, make √126 times that, 3e-5 of the hidden
     * state. Logits reach 30, so each may be off by 9e-4, in torch as here. A loss is a difference of two of them. What the fixture records of two f32
     * programs is 9e-5 in every loss; four times that is asked for.
     */
    const LOGIT = 9e-4;
    const LOSS = 4 * 9e-5;
    const reference = (): Reference => json("model-reference.json");
    let device: Device;
    let model: Gemma3ForCausalLM;
    beforeAll(async () => {
      device = await init({ device: "wasm", threads: 2 });
      const { model: read, report } = await fromPretrained(path, Gemma3ForCausalLM, { device });
      expect([report.fresh, report.unused, report.forms.size]).toEqual([[], [], 127]);
      model = read;
    }, 900_000);
    afterAll(() => {
      device.close();
    });

    it("gives its logits, probabilities and greedy words", async () => {
      for (const { ids, top5, logits_first8_last_position: first, greedy20 } of reference().prompts) {
        // a token sees what is before it: one pass over text and continuation has the logits of every step
        const all = [...ids, ...greedy20.ids];
        const inputIds = device.tensor(Int32Array.from(all), [1, all.length], "i32");
        const { logits } = model.forward({ inputIds });
        const words = logits.shape[2]!;
        const rows = await ops.slice(logits, 1, ids.length - 1, all.length - 1).floats();
        const row = (i: number): Float64Array => rows.subarray(i * words, (i + 1) * words);
        const best = (values: Float64Array): number => values.reduce((a, v) => Math.max(a, v), -Infinity);
        const last = row(0);
        first.forEach((want, i) => expect(Math.abs(last[i]! - want)).toBeLessThan(LOGIT));
        const most = best(last);
        const sum = most + Math.log(last.reduce((a, v) => a + Math.exp(v - most), 0));
        for (const { id, logprob } of top5) expect(Math.abs(last[id]! - sum - logprob)).toBeLessThan(LOSS);
        greedy20.ids.forEach((id, i) => {
          if (greedy20.margins[i]! > 2 * LOGIT) expect(row(i).indexOf(best(row(i)))).toBe(id);
        });
      }
    });

    it("gives its loss of each of 800 tokens, the last 288 beyond the window", async () => {
      const { ids, nll } = reference().wikitext2;
      const inputIds = device.tensor(Int32Array.from(ids), [1, ids.length], "i32");
      const { lastHiddenState } = model.model.forward({ inputIds });
      const width = lastHiddenState.shape[2]!;
      const hidden = (await lastHiddenState.data()) as Float32Array;
      const losses = compile(device, ({ rows, next }) => ({
        each: ops.crossEntropy(model.lm_head.forward(rows!), next!, { reduction: "none" }),
      }));
      const found: number[] = [];
      // the logits of all tokens at once would be 839 MB
      for (let at = 0; at < nll.length; at += 64) {
        const end = Math.min(nll.length, at + 64);
        const { each } = await losses({
          rows: { data: hidden.slice(at * width, end * width), shape: [end - at, width] },
          next: { data: Int32Array.from(ids.slice(at + 1, end + 1)), shape: [end - at], dtype: "i32" },
        });
        found.push(...(await each.floats()));
      }
      const off = found.map((loss, i) => Math.abs(loss - nll[i]!));
      // recorded to five places
      expect(Math.max(...off)).toBeLessThan(LOSS + 5e-6);
      const mean = (x: readonly number[]): number => x.reduce((a, v) => a + v, 0) / x.length;
      for (const [from, to] of [
        [0, 511],
        [511, 799],
      ] as const)
        expect(Math.abs(mean(found.slice(from, to)) - mean(nll.slice(from, to)))).toBeLessThan(9e-5);
    });
  });
});
