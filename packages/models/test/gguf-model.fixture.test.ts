/** A GGUF file of a Llama as a model: the numbers of transformers on the decoded weights, its blocks as they are on the device. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { directory, init, type Device, type Files } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromPretrained, LlamaForCausalLM, openGguf, savePretrained, type LoadReport } from "../src/index.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "gguf",
);
const present = existsSync(join(folder, "manifest.json"));

interface Spec {
  readonly q_proj_rotate_half_order_first_rows: Readonly<Record<string, number[]>>;
  readonly tensors: readonly { readonly name: string; readonly type: string; readonly bytes: number }[];
  readonly tolerance: { readonly logit_abs: number; readonly nll_abs: number };
  readonly runs: readonly {
    readonly ids: number[];
    readonly last_logits: number[];
    readonly nll_per_token: number[];
    readonly greedy12: number[];
    readonly greedy_margins: number[];
  }[];
}

describe.skipIf(!present).each(["wasm", "reference"] as const)("llama-mixed.gguf on %s", (name) => {
  const path = join(folder, "llama-mixed.gguf");
  const spec = JSON.parse(readFileSync(join(folder, "llama-mixed.json"), "utf8")) as Spec;
  let device: Device;
  let model: LlamaForCausalLM;
  let report: LoadReport;
  beforeAll(async () => {
    device = await (name === "wasm" ? init({ device: name, threads: 1 }) : init({ device: name }));
    ({ model, report } = await fromPretrained(path, LlamaForCausalLM, { device }));
  });
  afterAll(() => {
    device.close();
  });

  const logitsOf = async (ids: readonly number[]): Promise<Float64Array> => {
    const inputIds = device.tensor(Int32Array.from(ids), [1, ids.length], "i32");
    return model.forward({ inputIds }).logits.floats();
  };

  it("keeps every form, and uses every tensor", () => {
    expect([report.fresh, report.unused]).toEqual([[], []]);
    const quantized = spec.tensors.filter(({ type }) => !/^B?F/.test(type));
    expect([...report.forms.values()].sort()).toEqual(quantized.map(({ type }) => type).sort());
    const bytes = new Map([...model.namedWeights()].map(([key, w]) => [key, w.bytes]));
    const kept = [...report.forms.keys()].reduce((sum, key) => sum + bytes.get(key)!, 0);
    expect(kept).toBe(quantized.reduce((sum, t) => sum + t.bytes, 0));
  });

  it("has the rows of queries in the order of rotate-half", async () => {
    const rows = spec.q_proj_rotate_half_order_first_rows;
    const value = await model.model.layers[rows["layer"] as unknown as number]!.self_attn.q_proj.weight.value.floats();
    for (const [key, first] of Object.entries(rows)) {
      const row = /^row_(\d+)_first_4$/.exec(key)?.[1];
      if (row !== undefined) expect([...value.subarray(256 * Number(row), 256 * Number(row) + 4)]).toEqual(first);
    }
  });

  it("is not written as blocks, and as numbers where that is said", async () => {
    const to = mkdtempSync(join(tmpdir(), "lowrank-gguf-"));
    await expect(savePretrained(model, to)).rejects.toThrow(
      /is kept as Q\w+, which a safetensors checkpoint does not hold \(nf4, fp4, int8 it does\): say dequantize: "f16" to write such weights as numbers, or save adapters alone \(saveAdapter\) and keep the file that the base is from$/,
    );
    expect(readdirSync(to)).toEqual([]);
    await savePretrained(model, to, { dequantize: "f32" });
    const { model: again } = await fromPretrained(to, LlamaForCausalLM, { device });
    const weights = new Map(again.namedWeights());
    for (const [key, weight] of model.namedWeights())
      expect([key, ...Array.from(await device.readFloats(weights.get(key)!.value), Math.fround)]).toEqual([
        key,
        ...Array.from(await device.readFloats(weight.value), Math.fround),
      ]);
    again.dispose();
    rmSync(to, { recursive: true });
  });

  it("gives the recorded logits, losses and greedy ids", async () => {
    // the reference takes its time
    for (const { ids, last_logits, nll_per_token, greedy12, greedy_margins } of spec.runs.slice(
      0,
      name === "wasm" ? 3 : 1,
    )) {
      const words = last_logits.length;
      // a token sees what is before it: one pass over text and continuation has the logits of every step
      const logits = await logitsOf([...ids, ...greedy12]);
      const row = (t: number): Float64Array => logits.subarray(t * words, (t + 1) * words);
      // transformers' f32 against f64 is within 5e-6
      last_logits.forEach((want, i) => expect(Math.abs(row(ids.length - 1)[i]! - want)).toBeLessThan(2e-5));
      nll_per_token.forEach((want, t) => {
        const most = Math.max(...row(t));
        const nll = most + Math.log(row(t).reduce((sum, v) => sum + Math.exp(v - most), 0)) - row(t)[ids[t + 1]!]!;
        expect(Math.abs(nll - want)).toBeLessThan(2e-5);
      });
      for (const [i, want] of greedy12.entries()) {
        if (greedy_margins[i]! <= 0.01) break;
        const at = row(ids.length - 1 + i);
        expect(at.indexOf(Math.max(...at))).toBe(want);
      }
    }
  });
});

describe.skipIf(!present)("a GGUF checkpoint", () => {
  it("is read a tensor at a time, each once, in pieces of a megabyte", async () => {
    const asked: [number, number][] = [];
    const place = directory(folder);
    let open = 0;
    const files: Files = {
      where: "spy",
      exists: async (name) => name === "llama-mixed.gguf",
      text: (name) => place.text(name),
      list: async () => ["README.md", "llama-mixed.gguf"],
      async open(name) {
        const file = await place.open(name);
        open++;
        return {
          size: file.size,
          async read(begin, end) {
            asked.push([begin, end]);
            return file.read(begin, end);
          },
          async close() {
            open--;
            await file.close?.();
          },
        };
      },
    };
    const device = await init({ device: "wasm", threads: 1 });
    await fromPretrained(files, LlamaForCausalLM, { device });
    device.close();
    expect(open).toBe(0);
    const checkpoint = (await openGguf(join(folder, "llama-mixed.gguf")))!;
    const { size } = await checkpoint.file.range("token_embd.weight").then((b) => ({ size: b.length }));
    expect(size).toBe(139_264);
    await checkpoint.close();
    // beyond the header, whose reading grows by doubling, no range crosses from one tensor into another, and no byte is read twice
    const tensors = asked.filter(([begin, end]) => end - begin <= 139_264 && begin > 0);
    const sorted = [...tensors].sort((a, b) => a[0] - b[0]);
    for (let i = 1; i < sorted.length; i++) expect(sorted[i]![0]).toBeGreaterThanOrEqual(sorted[i - 1]![1]);
    expect(Math.max(...asked.map(([begin, end]) => end - begin))).toBeLessThanOrEqual(1 << 20);
  });
});
