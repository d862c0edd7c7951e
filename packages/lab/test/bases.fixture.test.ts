/** A GGUF file as the base of a study: kept in its own blocks, trained through, its tokenizer written beside the adapter. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { loadTokenizer } from "@lowrank/models";
import { init, ops, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { baseIdentity } from "../src/bases/found.ts";
import { makeBase } from "../src/bases/make.ts";
import { headNames, planOf } from "../src/bases/plan.ts";
import { baseStorage } from "../src/bases/storage.ts";
import type { MethodConfig } from "../src/config/study.ts";
import { TRAIN_DEFAULTS } from "../src/config/train.ts";
import { hashFiles } from "../src/data/location.ts";
import { copyTokenizer } from "../src/data/word-piece.ts";
import { methods } from "../src/methods/registry.ts";
import type { Task } from "../src/records/task.ts";
import { adaptBase } from "../src/train/adapt.ts";
import { dtypeProof, narrowDTypes, quantizationProof } from "../src/train/numerics-proofs.ts";
import { TrainingStep } from "../src/train/step.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "gguf",
);
const path = join(folder, "llama-mixed.gguf");
const present = existsSync(path);
const spec = present
  ? (JSON.parse(readFileSync(join(folder, "llama-mixed.json"), "utf8")) as {
      tensors: { name: string; type: string }[];
    })
  : { tensors: [] };

const NEEDS = { labels: 2, vocab: 1, positions: 8 };
const choice = { base: path, model: null };

const words: Pick<Task, "loss"> = {
  loss(base, { inputIds, labels }, reduction) {
    const logits = base.logits({ inputIds: inputIds! });
    return ops.crossEntropy(ops.reshape(logits, [-1, logits.shape.at(-1)!]), labels!, { reduction });
  },
};

describe.skipIf(!present)("a GGUF file as a base", () => {
  let device: Device;
  const out = mkdtempSync(join(tmpdir(), "lowrank-gguf-base-"));
  beforeAll(async () => {
    device = await init({ device: "wasm", threads: 1 });
  });
  afterAll(() => {
    device.close();
    rmSync(out, { recursive: true, force: true });
  });

  it("is planned from its metadata, identified by its bytes, and has the heads of its family", async () => {
    expect((await planOf(choice, "CAUSAL_LM", NEEDS)).as.architecture).toBe("LlamaForCausalLM");
    expect(await headNames(choice, undefined, "SEQ_CLS")).toEqual(["score"]);
    expect(await baseIdentity(choice)).toBe(hashFiles([path]));
  });

  it("stays in its blocks while an adapter on it trains, and what was kept is proven", async () => {
    const method = methods.get("lora");
    const options = method
      .schema({ head: [] })
      .parse({ method: "lora", r: 4, target: ["q_proj", "down_proj"], storage: "keep" }) as unknown as MethodConfig;
    const base = await makeBase(choice, "CAUSAL_LM", NEEDS, 1, device, baseStorage(options, method.whole(options)));
    const proof = await quantizationProof(base, options, undefined, undefined);
    const wanted: Record<string, number> = {};
    for (const { type } of spec.tensors) {
      const how = /^B?F/.test(type) ? type.toLowerCase() : type;
      wanted[how] = (wanted[how] ?? 0) + 1;
    }
    const { kept } = proof.detail as { kept: Record<string, number> };
    expect(proof.holds).toBe(true);
    // vectors are numbers whatever the file has them in
    for (const [type, count] of Object.entries(wanted))
      if (/^(Q|IQ)/.test(type)) expect([type, kept[type]]).toEqual([type, count]);
    expect(Object.values(kept).reduce((a, b) => a + b)).toBe(spec.tensors.length);
    const adapted = await adaptBase(base, method, options, {
      seed: 1,
      totalSteps: 3,
      data: {} as never,
      task: {} as never,
    });
    const step = new TrainingStep(words, adapted, { ...TRAIN_DEFAULTS, lr: () => 1e-2, dropoutSeed: 1 }, device);
    const ids = Int32Array.from({ length: 16 }, (_, i) => 3 + ((i * 7) % 50));
    const batch = {
      rows: 2,
      length: 8,
      members: Int32Array.of(0, 1),
      counted: 16,
      inputs: {
        inputIds: { data: ids, shape: [2, 8], dtype: "i32" as const },
        labels: { data: Int32Array.from(ids, (_, i) => ids[(i + 1) % 16]!), shape: [16], dtype: "i32" as const },
      },
    };
    const losses: number[] = [];
    for (let i = 0; i < 4; i++) losses.push((await step.run([batch])).loss);
    for (let i = 1; i < 4; i++) expect(losses[i]).toBeLessThan(losses[i - 1]!);
    expect(dtypeProof(step.dtypes(), options, narrowDTypes(base.model)).holds).toBe(true);
    expect(dtypeProof(step.dtypes(), { ...options, storage: "f32" }).holds).toBe(false);
    expect((await quantizationProof(base, { ...options, storage: "f32" }, undefined, undefined)).holds).toBe(false);
    step.dispose();
    base.dispose();
  });

  it("has its tokenizer written as files that give the same ids", async () => {
    await copyTokenizer(path, out);
    const [own, copied] = [await loadTokenizer(path), await loadTokenizer(out)];
    const text = "The quick brown fox\n jumps over 12 lazy dogs.";
    expect(copied.encode(text).ids).toEqual(own.encode(text).ids);
    expect(copied.specialTokens).toEqual(own.specialTokens);
    expect(JSON.parse(readFileSync(join(out, "tokenizer_config.json"), "utf8"))).not.toHaveProperty("cls_token");
  });
});
