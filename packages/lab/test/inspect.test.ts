/** `lowrank inspect` as a command, and an inspection as text. */
import { promises as fs, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { metaModel, savePretrained } from "@lowrank/models";
import { adapt, saveAdapter } from "@lowrank/peft";
import { directory, init, serialize } from "@lowrank/tensor";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { main } from "../src/cli/main.ts";
import { inspectionSchema } from "../src/index.ts";

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "lowrank-inspect-"));
  const device = await init({ device: "wasm", threads: 1 });
  const config = {
    model_type: "llama",
    vocab_size: 32,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 3,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    max_position_embeddings: 64,
  };
  const model = metaModel("LlamaForCausalLM", config);
  await model.materialize({ device, seed: 1 });
  await savePretrained(model, join(folder, "base"));
  const adapter = await adapt(model, { r: 2, alpha: 4, taskType: "CAUSAL_LM" }, { device });
  await saveAdapter(adapter, directory(join(folder, "adapter")), { baseModel: "../base" });
  device.close();
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** What the command printed, and its exit code. */
async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    vi.spyOn(process[stream], "write").mockImplementation((chunk) => {
      written[stream] += String(chunk);
      return true;
    });
  const code = await main(["inspect", ...args]);
  vi.restoreAllMocks();
  return { code, ...written };
}

describe("inspect", () => {
  it("tells what is in a checkpoint, what can be done with it, and what that takes", async () => {
    const { code, stdout, stderr } = await run(join(folder, "base"), "--device", "wasm", "--threads", "1");
    expect([code, stderr]).toEqual([0, ""]);
    const text = stdout.replace(/\d+\.\d [KMG]iB are free/, "N are free");
    expect(text.startsWith(join(folder, "base"))).toBe(true);
    expect(text).toContain(`
what        checkpoint, safetensors, 30 tensors, 26.9 KiB
model       LlamaForCausalLM (llama)
sizes       3 layers, 16 wide, 24 inside, 2 heads of 8 (1 of keys and values), 32 words, 64
            positions, rotary θ 10,000
parameters  6,896: 512 in embeddings, 6,272 in linear layers
dtypes      F32 26.9 KiB
loads       as LlamaForCausalLM, for CAUSAL_LM

  tensor                             dtype  shape     ×    bytes
  model.embed_tokens.weight          F32    [32, 16]     2.0 KiB
  model.layers.{0..2}
    self_attn.q_proj.weight          F32    [16, 16]  3  3.0 KiB
`);
    expect(text).toContain("\n  LoRA     q_proj ×3, v_proj ×3                 ");
    expect(text).toMatch(/\n {2}as in the file +26\.9 KiB +[\d.]+ KiB fits +[\d.]+ KiB fits +[\d.]+ MiB fits\n/);
    // for a pipe: nothing that moves a cursor or colors a word
    expect(text).not.toContain("\u001b");
  });

  it("lists every tensor, and plans nothing, when asked", async () => {
    const { stdout } = await run(join(folder, "base"), "--tensors", "--no-memory");
    expect(stdout.match(/^ {2}model\.layers\.\d\./gm)).toHaveLength(27);
    expect(stdout).not.toContain("\nmemory");
  });

  it("holds an adapter against its base", async () => {
    const { stdout } = await run(join(folder, "adapter"), "--no-memory");
    expect(stdout).toContain("what        LoRA adapter of PEFT, 6 modules, 336 values, 1.3 KiB\n");
    expect(stdout).toContain(`rank        2, alpha 4\n`);
    expect(stdout).toContain(
      `base        ../base (found:\n            ${join(folder, "base")})\n`.replace(
        "\n            ",
        stdout.includes("(found:\n") ? "\n            " : " ",
      ),
    );
    expect(stdout).toContain("loads       yes, it fits its base\n");
  });

  it.each([["base"], ["adapter"]])("prints %s as JSON of the declared shape", async (name) => {
    const { code, stdout, stderr } = await run(join(folder, name), "--json", "--device", "wasm", "--threads", "1");
    expect([code, stderr]).toEqual([0, ""]);
    const { kind, memory } = inspectionSchema.parse(JSON.parse(stdout));
    expect(kind).toBe(name === "base" ? "checkpoint" : "adapter");
    if (name === "base") expect(memory!.ways.map(({ kept }) => kept)).toEqual(["file", "f16", "nf4"]);
  });

  it("says why something does not load, which is no failure", async () => {
    const other = join(folder, "other");
    mkdirSync(other, { recursive: true });
    writeFileSync(join(other, "config.json"), JSON.stringify({ model_type: "mamba", num_hidden_layers: 2 }));
    writeFileSync(
      join(other, "model.safetensors"),
      serialize({ a: { dtype: "f32", shape: [1], data: Float32Array.of(1) } }),
    );
    const { code, stdout } = await run(other);
    expect(code).toBe(0);
    expect(stdout.replace(/\s+/g, " ")).toContain(
      'loads no: config.json: model_type "mamba" is not built; there are bert, deberta-v2,',
    );
  });

  it.each([
    [["nowhere/at/all"], /^lowrank: nowhere\/at\/all: there is no such folder\n$/],
    [["/dev/null"], /^lowrank: \/dev\/null: is neither a folder nor a regular file\n$/],
    [["s3://bucket/model"], /^lowrank: .*the scheme s3: is not read; https:, http: and file: are/],
    [["file:///nowhere/at/all"], /^lowrank: \/nowhere\/at\/all: there is no such folder\n$/],
    [["x.json"], /"x\.json" is nothing to look into by itself; give .* \.gguf, \.bin, \.safetensors, /],
    [["x.safetensors"], /^lowrank: \.\/x\.safetensors: there is no such file\n$/],
    [[""], /^lowrank: source: is empty; give a path/],
    [[], /^lowrank: missing required argument 'source'\n$/],
    [["BASE", "--revision", "main"], /is no model of the hub, and only those have revisions; leave out "main"\n$/],
    [["BASE", "--device", "reference"], /^lowrank: .*the device reference makes no plans; give it another\n$/],
  ])("%j is one line, and code 2", async (args, line) => {
    const { code, stdout, stderr } = await run(...args.map((arg) => (arg === "BASE" ? join(folder, "base") : arg)));
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(line);
    expect(stderr.match(/\n/g)).toHaveLength(1);
  });

  it("says which folder may not be looked at", async () => {
    const denied = Object.assign(new Error("EACCES: permission denied"), { code: "EACCES" });
    for (const call of ["stat", "access", "readdir"] as const) {
      vi.spyOn(fs, call).mockRejectedValue(denied);
      const { code, stderr } = await run(folder, "--no-memory");
      expect(code).toBe(2);
      expect(stderr).toMatch(/^lowrank: \/[^\n]*: cannot be (looked at|listed): EACCES: permission denied\n$/);
    }
  });

  it("says that nobody is asked offline", async () => {
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    vi.stubEnv("HF_HUB_CACHE", join(folder, "cache"));
    const { code, stderr } = await run("org/name", "--no-memory");
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^lowrank: .*org\/name: no revision "main" of it is in the cache .*, and offline nobody is asked \(HF_HUB_OFFLINE\)\n$/,
    );
  });
});
