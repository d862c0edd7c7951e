/** llama2.c's files: Karpathy's smallest model continues a text as its card says, and a file that is none is refused. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { compile, fromBytes, init, LowrankError, ops, readTensor, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blobs, fromPretrained, LlamaForCausalLM } from "../src/index.ts";
import { openLlama2c } from "../src/llama2c/open.ts";

const data = resolve(import.meta.dirname, "../../..", process.env["LOWRANK_DATA"] ?? "../shared/data", "stories260K");
const present = existsSync(join(data, "stories260K.bin"));

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-llama2c-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Sizes as numbers of the header: dim, hidden, layers, heads, heads of keys, words, positions. */
type Header = readonly [number, number, number, number, number, number, number];
const TINY: Header = [8, 6, 2, 2, 1, 5, 3];

/** Every number is its own place among the numbers of the file. */
function file(header: Header, { version = 0, tied = true, words = numbersOf(header, version, tied) } = {}): Uint8Array {
  const start = version === 0 ? 28 : 256;
  const bytes = new Uint8Array(start + 4 * words);
  const view = new DataView(bytes.buffer);
  if (version > 0) {
    view.setUint32(0, 0x616b3432, true);
    view.setInt32(4, version, true);
    view.setUint8(36, tied ? 1 : 0);
  }
  header.forEach((v, i) =>
    view.setInt32((version === 0 ? 0 : 8) + 4 * i, i === 5 && version === 0 && !tied ? -v : v, true),
  );
  for (let i = 0; i < words; i++) view.setFloat32(start + 4 * i, i, true);
  return bytes;
}
function numbersOf(
  [dim, hidden, layers, heads, keyHeads, words, positions]: Header,
  version: number,
  tied: boolean,
): number {
  const keys = (dim / heads) * keyHeads;
  const layer = 2 * dim + 2 * dim * dim + 2 * keys * dim + 3 * hidden * dim;
  return words * dim * (tied ? 1 : 2) + layers * layer + dim + (version === 0 ? (positions * dim) / heads : 0);
}
const opened = (bytes: Uint8Array) => openLlama2c(fromBytes(bytes), "x.bin");

describe("a file of llama2.c", () => {
  it("is Llama's, with the rows of a head as transformers has them", async () => {
    for (const version of [0, 1] as const)
      for (const tied of [true, false]) {
        const { config, weights } = await opened(file(TINY, { version, tied }));
        expect(config).toMatchObject({
          model_type: "llama",
          hidden_size: 8,
          num_key_value_heads: 1,
          tie_word_embeddings: tied,
        });
        expect(weights.has("lm_head.weight")).toBe(!tied);
        const at = async (name: string): Promise<number> => (await readTensor(weights, name)).data[0]!;
        expect(await at("model.embed_tokens.weight")).toBe(version === 0 ? 0 : 40);
        expect(await at("model.layers.0.input_layernorm.weight")).toBe(version === 0 ? 40 : 0);
        expect(await at("model.layers.1.input_layernorm.weight")).toBe(version === 0 ? 48 : 8);
        // two heads of four rows: 0 2 1 3
        const query = await readTensor(weights, "model.layers.0.self_attn.q_proj.weight");
        const start = version === 0 ? 56 : 80;
        expect(Array.from({ length: 8 }, (_, row) => (query.data[8 * row]! - start) / 8)).toEqual([
          0, 2, 1, 3, 4, 6, 5, 7,
        ]);
        const last = numbersOf(TINY, version, tied) - (version === 0 && tied ? 12 : 0);
        const end = await readTensor(
          weights,
          tied ? (version === 0 ? "model.norm.weight" : "model.layers.1.mlp.up_proj.weight") : "lm_head.weight",
        );
        expect(end.data.at(-1)).toBe(last - 1);
        expect(() => weights.info("x")).toThrow("there is no tensor x");
      }
  });

  test.prop([fc.nat(255), fc.nat(256)])("is read by any range", async (a, b) => {
    const { weights } = await opened(file(TINY));
    for (const name of ["model.layers.1.self_attn.q_proj.weight", "model.layers.0.mlp.gate_proj.weight"]) {
      const whole = await weights.range(name);
      const [from, to] = [Math.min(a, b, whole.length), Math.min(Math.max(a, b), whole.length)];
      expect(await weights.range(name, from, to)).toEqual(whole.slice(from, to));
    }
  });

  it("that is none, or cut off, is one line", async () => {
    const refused = async (bytes: Uint8Array, code: string, message: RegExp): Promise<void> => {
      const error = (await opened(bytes).then(
        () => new Error("taken"),
        (e: unknown) => e,
      )) as LowrankError;
      expect(error).toBeInstanceOf(LowrankError);
      expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
    };
    await refused(new Uint8Array(), "FormatError", /^x\.bin: is no file of llama2\.c: 0 bytes are too few/);
    await refused(
      new Uint8Array(400),
      "FormatError",
      /its dim would be 0; a \.bin of PyTorch is a pickle, .* convert it once in Python/,
    );
    await refused(file(TINY).subarray(0, -1), "FormatError", /need \d+ bytes, and it has \d+$/);
    await refused(Buffer.concat([file(TINY), Buffer.from("x")]), "FormatError", /need \d+ bytes/);
    await refused(file([8, 6, 2, 3, 1, 5, 3], { words: 9 }), "FormatError", /3 heads/);
    await refused(
      file([2 ** 30, 2 ** 30, 2 ** 30, 2, 1, 2 ** 30, 2 ** 30], { words: 9 }),
      "FormatError",
      /need .* bytes/,
    );
    await refused(
      file(TINY, { version: 2, words: 9 }),
      "NotBuiltError",
      /version 2 of llama2\.c's files, in eight bits/,
    );
    await refused(file(TINY, { version: 1 }).subarray(0, 100), "FormatError", /too few/);
    for (const pickle of [Buffer.from("PK\u0003\u0004…"), Uint8Array.of(0x80, 2, 0x8a)])
      await refused(
        pickle,
        "FileError",
        /^x\.bin: is a pickle, which is a program and never run here: convert it once in Python/,
      );
  });

  it("is loaded by its path and from a Blob, and nothing else is taken for one", async () => {
    const path = join(folder, "tiny.bin");
    writeFileSync(path, file([8, 6, 1, 2, 1, 5, 4], { tied: false }));
    const { model, report } = await fromPretrained(path, { device });
    expect(model).toBeInstanceOf(LlamaForCausalLM);
    expect([report.fresh, report.unused]).toEqual([[], []]);
    const again = await fromPretrained(blobs([new File([readFileSync(path)], "tiny.bin")]), LlamaForCausalLM, {
      device,
    });
    expect(again.model.config).toEqual(model.config);
    writeFileSync(join(folder, "pytorch_model.bin"), "PK\u0003\u0004");
    await expect(fromPretrained(join(folder, "pytorch_model.bin"), { device })).rejects.toThrow("is a pickle");
  });
});

/** The pieces of run.c's vocabulary. */
function pieces(): string[] {
  const bytes = readFileSync(join(data, "tok512.bin"));
  const out: string[] = [];
  for (let at = 4; at < bytes.length;) {
    const length = bytes.readInt32LE(at + 4);
    out.push(bytes.toString("utf8", at + 8, at + 8 + length));
    at += 8 + length;
  }
  return out;
}

it.skipIf(!present)("stories260K continues the empty text as its card says", async () => {
  const { model } = await fromPretrained(join(data, "stories260K.bin"), LlamaForCausalLM, { device });
  const next = compile(device, ({ inputIds, at }) => {
    const { logits } = model.forward({ inputIds: inputIds! }) as { logits: Tensor };
    return { row: ops.gatherRows(ops.reshape(logits, [-1, 512]), at!) };
  });
  const length = 257;
  const ids = new Int32Array(length).fill(0);
  ids[0] = 1;
  let count = 1;
  while (count < length) {
    // what comes later does not reach what was before
    const width = Math.min(length, Math.ceil((count + 1) / 64) * 64);
    const { row: logits } = await next({
      inputIds: { data: ids.slice(0, width), shape: [1, width], dtype: "i32" },
      at: { data: Int32Array.of(count - 1), shape: [1], dtype: "i32" },
    });
    const row = (await logits.data()) as Float32Array;
    const best = row.reduce((at, v, i) => (v > row[at]! ? i : at), 0);
    if (best === 1) break;
    ids[count++] = best;
  }
  const text = pieces();
  const said = Array.from(ids.subarray(1, count), (id, i) => {
    const piece = text[id]!.replace(/^<0x([0-9A-F]{2})>$/, (_, hex: string) =>
      String.fromCharCode(parseInt(hex, 16)),
    ).replace(/^\n<.*>\n$/, "");
    return i === 0 ? piece.replace(/^ /, "") : piece;
  }).join("");
  const [, card] = /-t 0\.0\n([^]*?)\n```/.exec(readFileSync(join(data, "stories260K.md"), "utf8"))!;
  expect(said.trimEnd()).toBe(card!.trimEnd());
});
