/** Gemma 3 270M in a file of llama.cpp, where there is one (LOWRANK_GEMMA3 is its path): bits of its tensors, its tokenizer, transformers' numbers. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { formatOf } from "@lowrank/quant";
import { init, readTensor } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
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

describe.skipIf(!existsSync(path) || !existsSync(folder))("Gemma 3 270M", () => {
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
    const spelling = parseTokenizer({ ...tokenizer, added_tokens: added.filter(({ special }) => !special) }, config);
    const parsing = await loadTokenizer(path);
    for (const { text, ids, ids_special_parsed } of cases) {
      expect(spelling.encode(text).ids, text).toEqual(ids);
      expect(parsing.encode(text).ids, text).toEqual(ids_special_parsed ?? ids);
    }
  });

  it("gives transformers' probabilities", async () => {
    interface Prompt {
      readonly ids: number[];
      readonly top5: { readonly id: number; readonly logprob: number }[];
    }
    const { prompts } = json<{ prompts: Prompt[] }>("model-reference.json");
    const device = await init({ device: "wasm", threads: 2 });
    const { model, report } = await fromPretrained(path, Gemma3ForCausalLM, { device });
    expect([report.fresh, report.unused, report.forms.size]).toEqual([[], [], 127]);
    for (const { ids, top5 } of prompts) {
      const inputIds = device.tensor(Int32Array.from(ids), [1, ids.length], "i32");
      const logits = await model.forward({ inputIds }).logits.floats();
      const last = logits.subarray((logits.length / ids.length) * (ids.length - 1));
      const most = last.reduce((a, v) => Math.max(a, v), -Infinity);
      const all = most + Math.log(last.reduce((sum, v) => sum + Math.exp(v - most), 0));
      // f32 against f32: 2e-3 is what the fixture allows, and thirty times what was seen
      for (const { id, logprob } of top5) expect(Math.abs(last[id]! - all - logprob)).toBeLessThan(2e-3);
    }
    device.close();
  });
});
