/**
 * Checkpoints of a size that people have, in bf16 and in shards, random and written here: loaded to NF4 the peak is the quantized size and little else. That of
 * 3 billion parameters takes 7 GB of disk and some minutes, and runs where LOWRANK_LARGE is set.
 */
import { spawn } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, statfsSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { RandomStream, writeSafetensors, type TensorPlan } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { metaModel, type ConfigSource } from "../src/index.ts";

const child = fileURLToPath(new URL("large-checkpoint-child.ts", import.meta.url));
/** TinyLlama's sizes. */
const SMALLER: ConfigSource = {
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  vocab_size: 32_000,
  hidden_size: 2048,
  intermediate_size: 5632,
  num_hidden_layers: 22,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  max_position_embeddings: 2048,
  dtype: "bfloat16",
};
/** Llama 3.2 3B's. */
const LARGER: ConfigSource = {
  ...SMALLER,
  vocab_size: 128_256,
  hidden_size: 3072,
  intermediate_size: 8192,
  num_hidden_layers: 28,
  num_attention_heads: 24,
  num_key_value_heads: 8,
  head_dim: 128,
  rope_theta: 500_000,
  tie_word_embeddings: true,
};
const SHARD_BYTES = 500e6;
/** A weight is a piece of so many random numbers, over and over: bits cost more to draw than to read. */
const DRAWN = 1 << 20;

/** Writes a random checkpoint in shards, or one of zeros that take no room on the disk. @returns bytes of its tensors */
async function write(folder: string, config: ConfigSource, what: "random" | "zeros" = "random"): Promise<number> {
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const plan = [...metaModel("LlamaForCausalLM", config).namedWeights()].map(
    ([name, { shape }]): [string, TensorPlan] => [name, { dtype: "bf16", shape }],
  );
  const bytesOf = ({ shape }: TensorPlan): number => 2 * shape.reduce((a, b) => a * b, 1);
  const shards: Map<string, TensorPlan>[] = [];
  let room = 0;
  for (const [name, tensor] of plan) {
    if (room < bytesOf(tensor)) {
      shards.push(new Map());
      room = SHARD_BYTES;
    }
    shards.at(-1)!.set(name, tensor);
    room -= bytesOf(tensor);
  }
  const random = new RandomStream(1, "large");
  const f32 = new Uint32Array(Float32Array.from({ length: DRAWN }, () => 0.02 * random.normal()).buffer);
  const drawn = Uint16Array.from(f32, (bits) => bits >>> 16);
  const place: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const file = `model-${String(i + 1).padStart(5, "0")}-of-${String(shards.length).padStart(5, "0")}.safetensors`;
    const to = openSync(join(folder, file), "w");
    let size = 0;
    await writeSafetensors(
      (bytes) => {
        // the header comes first; a hole is zeros
        for (let at = 0; at < bytes.length && (size === 0 || what === "random");) at += writeSync(to, bytes, at);
        size += bytes.length;
        return Promise.resolve();
      },
      shard,
      (name) => {
        const { shape } = shard.get(name)!;
        const data = new Uint16Array(bytesOf(shard.get(name)!) / 2);
        if (what === "random")
          for (let at = 0; at < data.length; at += DRAWN) data.set(drawn.subarray(0, data.length - at), at);
        return { dtype: "bf16", shape, data };
      },
    );
    ftruncateSync(to, size);
    closeSync(to);
    for (const name of shard.keys()) place[name] = file;
  }
  const total = plan.reduce((sum, [, tensor]) => sum + bytesOf(tensor), 0);
  const index = { metadata: { total_size: total }, weight_map: place };
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
  return total;
}

interface Told {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
function load(folder: string, how: "nf4" | "kept"): Promise<Told> {
  const args = ["--import", "tsx", "--conditions", "@lowrank/source", child, folder, how];
  const made = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const told = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) made[stream].on("data", (text) => (told[stream] += String(text)));
  return new Promise((resolve) => made.on("close", (code) => resolve({ code, ...told })));
}

/** A folder while `body` runs. */
async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "lowrank-large-"));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const HOUR = 3_600_000;

for (const { name, config, most, wanted } of [
  { name: "1.1 billion", config: SMALLER, most: 1.3e9, wanted: true },
  // embedding and head are one tensor of 0.8 GB, which is on the host once while it is read
  { name: "3 billion", config: LARGER, most: 3.4e9, wanted: process.env["LOWRANK_LARGE"] !== undefined },
])
  it.runIf(wanted)(
    `a Llama of ${name} parameters in bf16 loads to NF4, embedding and head in bf16, and computes`,
    () =>
      inFolder(async (folder) => {
        const { bavail, bsize } = statfsSync(folder);
        const elements = metaModel("LlamaForCausalLM", config)
          .weights()
          .reduce((sum, w) => sum + w.size, 0);
        expect(bavail * bsize, "bytes of free disk").toBeGreaterThan(2.5 * elements);
        const bytes = await write(folder, config);
        const { code, stdout, stderr } = await load(folder, "nf4");
        expect([code, stderr]).toEqual([0, ""]);
        const { peak, held, ...rest } = JSON.parse(stdout) as { peak: number; held: number };
        expect(rest).toEqual({ finite: true, fresh: 0, unused: 0 });
        const [file, device, all] = [bytes, held, peak].map((n) => `${(n / 1e6).toFixed(0)} MB`);
        console.log(`${file} in bf16: ${device} on the device, peak of the process ${all}`);
        expect(peak).toBeLessThanOrEqual(most);
      }),
    HOUR,
  );

it(
  "a Llama of 3 billion parameters kept in bf16 is refused in one line, before a tensor is read",
  async () => {
    await inFolder(async (folder) => {
      await write(folder, LARGER, "zeros");
      const { code, stderr } = await load(folder, "kept");
      const said = stderr.split("\n").filter((line) => /^\w*Error: /.test(line));
      expect([code, said]).toEqual([
        1,
        [expect.stringMatching(/^DeviceError: wasm: out of memory: 5\.98 GiB more do not fit beside the \d+ bytes/)],
      ]);
    });
  },
  HOUR,
);
